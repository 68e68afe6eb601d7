"""Train the tiny model on AgentRL/Search-v0 with GRPO, with AgentRL or with TRL, and print what it took as JSON.

Called by `perf/trainer.py`: NAME JOB, a JSON object {"steps", "groups", "group_size", "level", "temperature", "lr",
"turn_tokens", "episode_tokens", "turns", "seed", "goal"}. Both get the same model, environment, group and batch sizes,
temperature, optimizer (AdamW, a constant rate) and loss (GRPO's clipped ratio, no division by the deviation, no KL).
A step's success is that of its own episodes, as sampled. Prints {"version", "steps_s", "success", "peak_mb"}.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

Job = dict[str, Any]
Result = dict[str, Any]
WINDOW = 5  # steps whose mean success is compared with the goal


def main() -> None:
    """Train and print."""
    name, job = sys.argv[1], json.loads(sys.argv[2])
    result = {"agentrl": _agentrl, "trl": _trl}[name](job)
    print(json.dumps(result | {"peak_mb": _peak_mb()}))


def reached(success: list[float], goal: float) -> bool:
    """Return whether the mean success of the last steps is at the goal."""
    return len(success) >= WINDOW and sum(success[-WINDOW:]) / WINDOW >= goal


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def _agentrl(job: Job) -> Result:
    from agentrl.trainer.config import TrainConfig, from_mapping
    from agentrl.trainer.determinism import torch_settings
    from agentrl.trainer.loop import Run
    from agentrl.trainer.model import pick_device
    from agentrl.trainer.progress import Progress
    from agentrl.trainer.rundir import RunDir

    sys.setswitchinterval(0.0005)  # as `agentrl train` does
    config = from_mapping(
        TrainConfig,
        {
            "env": "agentrl.envs:AgentRL/Search-v0",
            "env_kwargs": {"max_turns": job["turns"]},
            "level": job["level"],
            "model": "bundled:search-tiny",
            "num_steps": job["steps"],
            "groups_per_step": job["groups"],
            "group_size": job["group_size"],
            "temperature": job["temperature"],
            "advantage": "dr_grpo",
            "seed": job["seed"],
            "loss": {"kind": "grpo"},
            "optim": {"lr": job["lr"], "final_lr_share": 1.0, "warmup_steps": 1},
            "rollout": {
                "concurrency": job["groups"] * job["group_size"],
                "max_turn_tokens": job["turn_tokens"],
                "max_episode_tokens": job["episode_tokens"],
            },
            "eval": {"num_episodes": 0},
            "checkpoint": {"every": job["steps"]},
        },
    )
    steps_s: list[float] = []
    success: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        torch_settings(config.threads, pick_device(config.device)),
        Run(config, RunDir.create(Path(folder), "measured", default=""), Progress()) as run,
    ):
        for _ in range(job["steps"]):
            start = time.perf_counter()
            run.train_step()
            steps_s.append(time.perf_counter() - start)
            success.append(run.recent[-1])
            if reached(success, job["goal"]):
                break
    return {"version": metadata.version("agentrl-gym"), "steps_s": steps_s, "success": success}


# The bundled layout with what TRL asks of a template: calls are shown too. A tiny model reads no system prompt.
_TEMPLATE = (
    "{%- for message in messages if message.role != 'system' -%}<|{{ message.role }}|>{{ message.content }}"
    "{%- for call in message.tool_calls or [] -%}<tool_call>{{ call.function | tojson }}</tool_call>{%- endfor -%}"
    "<|end|>{%- endfor -%}{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
)
_RESPONSE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|assistant|>",
    "fields": {
        "tool_calls": {
            "open": "<tool_call>",
            "close_pattern": r"</tool_call>\s*",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"<\|end\|>\s*", "content": "text"},
    },
}


class SearchTask:
    """AgentRL/Search-v0 as TRL wants an environment: its tools are methods, and each call is a turn."""

    kwargs: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        import gymnasium

        import agentrl.envs  # registers the environments

        del agentrl
        self._env = gymnasium.make("AgentRL/Search-v0", **self.kwargs)
        self._done = True

    def reset(self, seed: int, **_: Any) -> str:
        """Begin the task of a seed."""
        self._done = False
        return str(self._env.reset(seed=seed)[0])

    def search(self, query: str, k: int = 3) -> str:
        """Find the documents that fit a query best.

        Args:
            query: Words to look for.
            k: How many documents to show, 1 to 20.

        Returns:
            What was found.
        """
        return self._said("search", query=query, k=k)

    def open(self, doc_id: str, page: int = 1) -> str:
        """Read a document in full, page by page.

        Args:
            doc_id: The id of the document, as search shows it.
            page: Which page, from 1.

        Returns:
            Its text.
        """
        return self._said("open", doc_id=doc_id, page=page)

    def _said(self, name: str, **arguments: Any) -> str:
        if self._done:
            return "The episode is over."
        call = json.dumps({"name": name, "arguments": arguments})
        observation, _, terminated, truncated, _ = self._env.step(f"<tool_call>{call}</tool_call>")
        self._done = terminated or truncated
        return str(observation)

    def _answered(self, text: str) -> float:
        if self._done:
            return 0.0
        self._done = True
        return float(self._env.step(text)[1])


def _trl(job: Job) -> Result:
    # TRL loads vLLM wherever it is installed, which would count against its memory here.
    sys.modules["vllm"] = None  # type: ignore[assignment]
    import datasets
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    from agentrl.trainer.model import resolve_model

    source = resolve_model("bundled:search-tiny")
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.chat_template, tokenizer.response_template = _TEMPLATE, _RESPONSE
    tokenizer.padding_side = "left"
    SearchTask.kwargs = {"level": job["level"], "max_turns": job["turns"]}
    batch = job["groups"] * job["group_size"]
    seeds = random.Random(job["seed"])
    rows = [
        {"prompt": [{"role": "user", "content": ""}], "seed": seeds.randrange(2**31)}
        for _ in range(job["steps"] * job["groups"])
    ]
    success: list[float] = []
    steps_s: list[float] = []

    def solved(completions: list[Any], environments: list[SearchTask], **_: Any) -> list[float]:
        rewards = [
            env._answered(str(done[-1].get("content") or ""))
            for env, done in zip(environments, completions, strict=True)
        ]
        success.append(sum(rewards) / len(rewards))
        return rewards

    class Clock(TrainerCallback):  # type: ignore[misc]
        """Takes the time of each step."""

        def __init__(self) -> None:
            self.since = 0.0

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            # The first batch of a step is generated before this call.
            self.since = self.since or time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            now = time.perf_counter()
            steps_s.append(now - clock.since)
            clock.since = now
            if reached(success, job["goal"]):
                control.should_training_stop = True

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=batch,
            num_generations=job["group_size"],
            max_completion_length=job["episode_tokens"] - 24,  # the question is not counted there
            max_tool_calling_iterations=job["turns"],
            temperature=job["temperature"],
            learning_rate=job["lr"],
            lr_scheduler_type="constant",
            max_steps=job["steps"],
            loss_type="grpo",
            scale_rewards="none",
            beta=0.0,
            max_grad_norm=1.0,
            adam_beta2=0.99,
            weight_decay=0.0,
            use_cpu=not torch.cuda.is_available(),
            bf16=torch.cuda.is_available(),
            gradient_checkpointing=False,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=job["seed"],
        )
        trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32),
            reward_funcs=solved,
            args=config,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=tokenizer,
            environment_factory=SearchTask,
            callbacks=[clock],
        )
        clock.since = time.perf_counter()
        trainer.train()
    return {"version": metadata.version("trl"), "steps_s": steps_s, "success": success}


if __name__ == "__main__":
    main()
