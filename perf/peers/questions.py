"""Child of `perf/bench_inspect.py`: play questions with a model that answers at once, ours or inspect_ai's way.

usage: questions.py ours|inspect FILE FOLDER CONCURRENCY

FILE holds {"system": …, "questions": [{"question", "said", "answer", "unit"}]}. Prints one line of JSON: seconds, how
many were right, and the peak memory of this process. Both score with the same two functions, write every episode to
FOLDER, and compute a mean at the end (ours with an interval, for which it loads SciPy). Eight questions come first that
are not timed, since both load modules when they are needed.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from agentrl.envs.math.answers import equals, read_number

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_SAID: dict[str, str] = {}


def answer(messages: list[dict[str, Any]]) -> str:
    """Say what stands in the file; the agent `python:questions:answer`."""
    return _SAID[messages[-1]["content"]]


def right(text: str, answer: str, unit: str) -> bool:
    """Score an answer as `AgentRL/Math-v0` does."""
    found = _ANSWER.findall(text)
    number = read_number(found[-1]) if found else None
    return number is not None and equals(number, Fraction(answer), unit=unit)


def ours(told: dict[str, Any], folder: Path, concurrency: int) -> tuple[float, int]:
    """Bench our way; return seconds and how many were right."""
    import agentrl.envs  # noqa: F401  # registers the environments
    from agentrl.bench.run import Settings, run
    from agentrl.bench.store import BenchStore
    from agentrl.bench.summary import summarize

    sys.modules["questions"] = sys.modules["__main__"]
    settings = Settings(
        envs=("AgentRL/Math-v0",),
        agent="python:questions:answer",
        num_tasks=len(told["questions"]),
        concurrency=concurrency,
    )
    began = time.perf_counter()
    run(settings, folder)
    with BenchStore(folder) as store:
        summary = summarize(store.episodes(with_messages=False))[-1]
    seconds = time.perf_counter() - began
    assert summary.success is not None
    return seconds, round(summary.success.value * summary.num_episodes)


def theirs(told: dict[str, Any], folder: Path, concurrency: int) -> tuple[float, int]:
    """Evaluate inspect_ai's way; return seconds and how many were right."""
    from inspect_ai import Task, eval
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import Score, Target, accuracy, scorer
    from inspect_ai.solver import TaskState, generate, system_message

    def say(messages: list[Any], *others: Any) -> ModelOutput:
        output = ModelOutput.from_content(model="mockllm", content=_SAID[messages[-1].text])
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)  # else it would count tokens itself
        return output

    @scorer(metrics=[accuracy()])
    def number() -> Any:
        async def score(state: TaskState, target: Target) -> Score:
            return Score(value=float(right(state.output.completion, target.text, state.metadata["unit"])))

        return score

    samples = [
        Sample(id=str(index), input=each["question"], target=each["answer"], metadata={"unit": each["unit"]})
        for index, each in enumerate(told["questions"])
    ]
    task = Task(dataset=MemoryDataset(samples), solver=[system_message(told["system"]), generate()], scorer=number())
    model = get_model("mockllm/model", custom_outputs=say)
    began = time.perf_counter()
    (log,) = eval(
        task,
        model=model,
        display="none",
        log_level="error",
        log_dir=str(folder),
        log_format="eval",
        log_realtime=False,
        log_buffer=1000,
        log_model_api=False,
        log_images=False,
        ctl_server=False,
        acp_server=False,
        sandbox_cleanup=False,
        max_samples=concurrency,
        max_connections=concurrency,
    )
    seconds = time.perf_counter() - began
    assert log.status == "success", log.error
    assert log.results is not None
    return seconds, round(log.results.scores[0].metrics["accuracy"].value * len(samples))


def main() -> int:
    """Play once; return the exit status."""
    kind, file, folder, concurrency = sys.argv[1:]
    told = json.loads(Path(file).read_text())
    _SAID.update({each["question"]: each["said"] for each in told["questions"]})
    play = {"ours": ours, "inspect": theirs}[kind]
    with tempfile.TemporaryDirectory() as warm:
        play({**told, "questions": told["questions"][:8]}, Path(warm), 2)
    seconds, num_right = play(told, Path(folder), int(concurrency))
    usage = resource.getrusage(resource.RUSAGE_SELF)
    written = sum(each.stat().st_size for each in Path(folder).rglob("*") if each.is_file())
    found = {
        "seconds": seconds,
        "right": num_right,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
        "written_mb": written / 2**20,
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
