"""Runs for the tests of the viewer, written by the stores themselves: trainings, benches, and hostile ones."""

from __future__ import annotations

import json
import random
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentrl.bench.store import FILE, BenchStore
from agentrl.bench.types import Episode as Played
from agentrl.bench.types import Job
from agentrl.envs.protocol import Failure
from agentrl.trainer.metrics import MetricsLog
from agentrl.trainer.store import Phase, RolloutStore
from agentrl.trainer.types import Episode
from tests.trainer.episodes import blank_episode

ENVS = ("AgentRL/Math-v0", "AgentRL/Search-v0")
CALL = '<tool_call>{"name": "search", "arguments": {"query": "Torvel", "k": 2}}</tool_call>'
# What a browser, a chart or a template might take for more than text.
ATTACK = (
    "<script>window.HACKED=1;alert(1)</script><img src=x onerror='window.HACKED=1'>"
    '<a href="javascript:window.HACKED=1">a</a><svg onload=window.HACKED=1></svg>'
    "<style>body{display:none!important}</style><link rel=stylesheet href=http://evil.invalid/a.css>"
    "</script><iframe src=http://evil.invalid/></iframe>{{constructor.constructor('window.HACKED=1')()}}"
    "${window.HACKED=1}`'\"; :onclick=window.HACKED=1 {a|b} [x](javascript:window.HACKED=1)"
    "\u202eoverride\u202c\u200b\x1b[31m\x07\x00end"
)


def talk(said: str, *, question: str = "Where is Torvel?", tool: str = "search") -> list[dict[str, Any]]:
    """Return a conversation with a call and its result."""
    return [
        {"role": "system", "content": "Answer in tags."},
        {"role": "user", "content": question},
        {"role": "assistant", "content": f"Let me look.\n{CALL}"},
        {"role": "tool", "name": tool, "content": "Torvel lies on the river Orn."},
        {"role": "assistant", "content": said},
    ]


def identity(agent: str, num_tasks: int, **changes: Any) -> dict[str, Any]:
    """Return the settings of a bench."""
    told: dict[str, Any] = {"agent": agent, "agent_settings": {}, "envs": list(ENVS), "levels": [1, 2], "split": "test"}
    return {**told, "num_tasks": num_tasks, "num_samples": 1, "seed": 0, "versions": {"agentrl-gym": "1"}, **changes}


def played(env_id: str, level: int, seed: int, *, right: bool, **changes: Any) -> Played:
    """Return one episode of a bench."""
    rng = random.Random(f"{env_id} {level} {seed}")
    made = Played(
        job=Job(env_id=env_id, level=level, seed=seed, sample=0),
        task_id=f"task-{level}-{seed}",
        prompt="p",
        reward=float(right),
        rewards={"correct": float(right), "format": rng.random()},
        success=right,
        num_turns=rng.randint(1, 9),
        seconds=rng.random(),
        latencies=(0.25, 0.5),
        prompt_tokens=100,
        completion_tokens=rng.randint(5, 900),
        messages=tuple(talk(f"<answer>{seed}</answer>")),
    )
    return replace(made, **changes)


def write_bench(folder: Path, agent: str, *, share: float, num_tasks: int = 15) -> Path:
    """Write a bench of two environments and two levels, in which a share of the tasks is solved and one fails."""
    with BenchStore(folder, identity(agent, num_tasks)) as store:
        for env_id in ENVS:
            for level in (1, 2):
                for seed in range(num_tasks):
                    failure = (
                        Failure(kind="timeout", boundary="tool", message="no answer")
                        if (level, seed) == (2, 7)
                        else None
                    )
                    right = random.Random(f"{agent} {env_id} {level} {seed}").random() < share
                    changes: dict[str, Any] = {"failure": failure, "success": None} if failure else {}
                    store.add(played(env_id, level, seed, right=right, truncated=seed == 3, **changes))
    return folder


def spoil_identity(folder: Path) -> None:
    """Leave a bench with settings that nobody wrote so."""
    db = sqlite3.connect(folder / FILE)
    db.execute("DELETE FROM identity WHERE name IN ('num_tasks', 'agent')")
    db.execute("UPDATE identity SET value = '[7' WHERE name = 'envs'")
    db.execute("INSERT INTO identity VALUES ('<b>', '{\"a\": [1]}')")
    db.commit()
    db.close()


def trained(phase: Phase, group: int, member: int, *, right: bool, step: int, **changes: Any) -> Episode:
    """Return one episode of a training run: five tokens read, three and two sampled."""
    rng = random.Random(f"{phase} {step} {group} {member}")
    made = blank_episode(
        env_id=ENVS[1],
        seed=1000 + group,
        step=step,
        group=group,
        member=member,
        split="train" if phase == "train" else "test",
        level=2,
        task_id=f"{phase.partition('_')[0]}-{group}",
        token_ids=[16, 5, 99, 31, 40, 44, 45, 50, 61, 62],
        mask=[False] * 4 + [True] * 3 + [False] + [True] * 2,
        logprobs=[0.0] * 4 + [-0.25, -1.5, -0.125] + [0.0] + [-3.0, -0.5],
        reward=float(right),
        rewards={"exact_match": float(right), "format": rng.random()},
        success=right,
        messages=talk(f"<answer>{group}</answer>"),
        num_turns=2,
        versions=[step, step + 1],
        advantage=0.0,
        turn_rewards=[0.0, float(right)],
        turn_components=[{"format": 0.25}, {"exact_match": float(right)}],
        turn_lengths=[3, 2],
        turn_advantages=[0.5, -0.25] if phase == "train" else [],
    )
    return replace(made, **changes)


def metrics(step: int, *, lift: float = 0.0) -> dict[str, float]:
    """Return figures of a step as a run writes them."""
    return {
        "success": min(1.0, 0.2 + 0.02 * step + lift),
        "reward": 0.2 + 0.02 * step,
        "reward_std": 0.4,
        "rewards/exact_match/mean": 0.2 + 0.02 * step,
        "rewards/format/mean": 0.9,
        "entropy": 1.0 / step,
        "kl": 0.001 * step,
        "num_tokens": 1000.0 * step,
        "perf/step_s": 2.5,
        "curriculum/level": 2.0,
    }


def write_training(folder: Path, *, steps: int = 20, lift: float = 0.0, done: bool = True) -> Path:
    """Write a training run with held-out episodes before, and after unless it is not done."""
    folder.mkdir(parents=True)
    text = f'env = "{ENVS[1]}"\nmodel = "bundled:search-tiny"\nnum_steps = {steps}\n'
    (folder / "config.toml").write_text(text, encoding="utf-8")
    with MetricsLog(folder / "metrics.jsonl") as log:
        for step in range(1, steps + 1):
            log.write(step, metrics(step, lift=lift))
    phases: list[tuple[Phase, int, float]] = [("eval_before", 0, 0.3)]
    phases += [("eval_after", steps, 0.8)] if done else []
    with RolloutStore(folder / "rollouts.sqlite") as store:
        for phase, step, share in phases:
            store.add(
                [_held_out(phase, group, member, step, share) for group in range(12) for member in (0, 1)], phase=phase
            )
        for step in (1, 2):
            rows = [
                trained("train", group, member, right=member == 1, step=step)
                for group in range(3)
                for member in range(4)
            ]
            store.add(rows, phase="train")
    (folder / "eval_before.json").write_text('{"success": 0.3}', encoding="utf-8")
    if done:
        (folder / "summary.json").write_text(
            json.dumps(
                {
                    "success_before": 0.3,
                    "success_after": 0.8,
                    "greedy_before": 0.4,
                    "greedy_after": 0.9,
                    "train_seconds": 75,
                }
            ),
            encoding="utf-8",
        )
    return folder


def _held_out(phase: Phase, group: int, member: int, step: int, share: float) -> Episode:
    right = random.Random(f"{phase} {group} {member}").random() < share
    return trained(phase, group, member, right=right, step=step)


def write_hostile(folder: Path) -> None:
    """Write a bench and a training run of which every text is an attack."""
    failure = Failure(kind=ATTACK, boundary=ATTACK, message=ATTACK)
    messages = [
        *talk(ATTACK, question=ATTACK, tool=ATTACK),
        {"role": ATTACK, "name": ATTACK, "content": {ATTACK: [ATTACK]}},
    ]
    call = {"function": {"name": ATTACK, "arguments": json.dumps({ATTACK: ATTACK, ":onclick": ATTACK})}}
    messages.append({"role": "assistant", "content": ATTACK, "tool_calls": [call]})
    messages[0]["content"] = f"{ATTACK} \ud800"  # half a character
    texts: dict[str, Any] = {
        "task_id": ATTACK,
        "rewards": {ATTACK: 1.0, ":onclick": 0.5, "half \ud800": 0.25},
        "messages": tuple(messages),
    }
    for name in ("first", "second"):
        with BenchStore(folder / f"bench-{name}", identity(ATTACK, 2, envs=[ATTACK], levels=[1])) as store:
            store.add(played(ATTACK, 1, 0, right=name == "first", **texts))
            store.add(played(ATTACK, 1, 1, right=False, **{**texts, "failure": failure, "success": None}))
    run = write_training(folder / "run <img src=x onerror=HACKED=1>")
    (run / "config.toml").write_text(f"env = {json.dumps(ATTACK)}\n# {ATTACK!r}\n", encoding="utf-8")
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        for step in range(21, 40):
            figures = {
                "step": step,
                f"rewards/{ATTACK}/mean": step / 40,
                ATTACK: float(step),
                ":formatter": 1.0,
                "half \ud800": 1.0,
                "success": 0.5,
                "reward": 0.5,
                "watch/num_alerts": 1.0,
            }
            file.write(json.dumps(figures) + "\n")
    row = {"step": 20, "began": 15, "env_id": ATTACK, "kind": ATTACK, "component": ATTACK, "sentence": ATTACK}
    example = {"step": 1, "group": 77, "member": 0, "reward": 1.0, "success": False, "text": f"{ATTACK} \ud800"}
    more = {"log_e": 9.0, "figures": {ATTACK: 1.0}, "also": [ATTACK], "examples": [example]}
    (run / "alerts.jsonl").write_text(json.dumps(row | more) + "\n", encoding="utf-8")
    made = [
        trained(phase, 77, 0, right=False, step=step, env_id=ATTACK, **{**texts, "messages": messages})
        for phase, step in _PHASES.items()
    ]
    with RolloutStore(run / "rollouts.sqlite") as store:
        for phase, episode in zip(_PHASES, made, strict=True):
            store.add([episode], phase=phase)


_PHASES: dict[Phase, int] = {"train": 1, "eval_before": 0, "eval_after": 20}
