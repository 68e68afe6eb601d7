"""AgentRL's environments over the tasks of a contest."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peers.contest import Episode, Player


class Ours:
    """One of our environments over tasks of a file: a reset draws one by its seed, which was looked up before."""

    def __init__(self, env_id: str, seeds: dict[str, int], **kwargs: Any) -> None:
        gymnasium = importlib.import_module("gymnasium")
        importlib.import_module("agentrl.envs")
        self._env = gymnasium.make(env_id, **kwargs)
        self._seeds = seeds

    def reset(self, episode: Episode) -> None:
        self._env.reset(seed=self._seeds[episode["question"]])

    def step(self, turn: str) -> float:
        return float(self._env.step(turn)[1])

    def close(self) -> None:
        self._env.close()


def _seeds(env_id: str, wanted: Sequence[Episode], **kwargs: Any) -> dict[str, int]:
    """Return a seed for each question, by trying."""
    gymnasium = importlib.import_module("gymnasium")
    importlib.import_module("agentrl.envs")
    env = gymnasium.make(env_id, **kwargs)
    missing = {episode["question"]: episode for episode in wanted}
    seeds: dict[str, int] = {}
    for seed in range(100 * len(wanted)):
        asked = env.reset(seed=seed)[0]
        found = next((question for question in missing if question in asked), None)
        if found is not None:
            seeds[found] = seed
            del missing[found]
        if not missing:
            break
    env.close()
    if missing:
        raise SystemExit(f"{env_id} never asks {next(iter(missing))[:80]!r}")
    return seeds


def ours_math(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """Math-v0 over the questions as GSM8K has them."""
    path = folder / "ours_math.jsonl"
    rows = [{"question": each["question"], "answer": f"#### {each['answer']}", "split": "train"} for each in episodes]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    for each in episodes:
        each["turns"] = [f"{each['worked']}\n<answer>{each['answer']}</answer>"]
    seeds = _seeds("AgentRL/Math-v0", episodes, data=str(path))
    return lambda: Ours("AgentRL/Math-v0", seeds, data=str(path))


def ours_generated(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """Math-v0 as it is: each reset generates a problem, at level 2."""
    for each in episodes:
        each["turns"] = [f"{each['worked']}\n<answer>{each['answer']}</answer>"]
    seeds = {each["question"]: each["seed"] for each in episodes}
    return lambda: Ours("AgentRL/Math-v0", seeds, level=2)


def ours_code(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """Code-v0 over the problems, in the backend of the options."""
    path = folder / f"ours_code_{options[0]}.jsonl"
    rows = [
        {"question": each["question"], "inputs": each["inputs"], "outputs": each["outputs"], "split": "train"}
        for each in episodes
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    for each in episodes:
        each["turns"] = [f"<answer>{each['answer']}</answer>"]
    kwargs = {"data": str(path), "backend": options[0]}
    seeds = _seeds("AgentRL/Code-v0", episodes, **kwargs)
    return lambda: Ours("AgentRL/Code-v0", seeds, **kwargs)


def ours_search(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """Search-v0 over the questions, through the retrieval server."""
    path = folder / "ours_search.jsonl"
    rows = [
        {"id": each["question"], "question": each["question"], "answer": each["answer"], "split": "train"}
        for each in episodes
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    call = importlib.import_module("agentrl.envs.scripted").call
    for each in episodes:
        searches = [call("search", query=query, k=3) for query in each["queries"]]
        each["turns"] = [*searches, f"<answer>{each['answer']}</answer>"]
    kwargs = {"questions": str(path), "retriever": url}
    seeds = _seeds("AgentRL/Search-v0", episodes, **kwargs)
    return lambda: Ours("AgentRL/Search-v0", seeds, **kwargs)


def ours_sql(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """SQL-v0 over the questions and the database, laid out as Spider's."""
    path = folder / "spider" / "train_spider.json"
    rows = [{"db_id": options[0], "question": each["question"], "query": each["answer"]} for each in episodes]
    path.write_text(json.dumps([{**row, "split": "train"} for row in rows]), encoding="utf-8")
    call = importlib.import_module("agentrl.envs.scripted").call
    for each in episodes:
        each["turns"] = [call("query", sql=each["answer"]), f"<answer>{each['answer']}</answer>"]
    kwargs = {"data": str(path), "compare": "rows"}
    seeds = _seeds("AgentRL/SQL-v0", episodes, **kwargs)
    return lambda: Ours("AgentRL/SQL-v0", seeds, **kwargs)


def ours_terminal(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """Shell-v0 over the task in Harbor's format, in the image of the options, judged by the same shell test."""
    task = folder / "ours_terminal" / "task"
    (task / "tests").mkdir(parents=True)
    verdict = f"if {episodes[0]['test']}; then echo 1; else echo 0; fi > /logs/verifier/reward.txt\n"
    files = {"task.toml": "[metadata]\n", "instruction.md": episodes[0]["question"], "tests/test.sh": verdict}
    for name, content in files.items():
        (task / name).write_text(content, encoding="utf-8")
    call = importlib.import_module("agentrl.envs.scripted").call
    for each in episodes:
        each["turns"] = [*(call("bash", command=command) for command in each["commands"]), "<answer>done</answer>"]
    kwargs = {"data": {"train": str(task)}, "image": options[0], "writable": ["/app"]}
    return lambda: Ours("AgentRL/Shell-v0", {each["question"]: 0 for each in episodes}, **kwargs)
