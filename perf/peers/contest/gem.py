"""GEM's environments over the tasks of a contest."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peers.contest import Episode, Player, tagged


class Gem:
    """One of GEM's environments: it draws the next row of its data, so the turns are found by the question."""

    def __init__(self, env: Any, turns: dict[str, list[str]], find: Callable[[str], str]) -> None:
        self._env, self._turns, self._find = env, turns, find

    def reset(self, episode: Episode) -> None:
        episode["turns"] = self._turns[self._find(self._env.reset()[0])]

    def step(self, turn: str) -> float:
        told, reward, *_ = self._env.step(turn)
        if "SearchTool Error" in str(told):
            raise SystemExit(told)
        return float(reward)


def _rows(rows: list[dict[str, Any]]) -> Any:
    """Return a data set of the library that GEM reads."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["HF_HOME"] = tempfile.mkdtemp()
    datasets = importlib.import_module("datasets")
    datasets.disable_progress_bars()
    return datasets.Dataset.from_list(rows)


def gem_math(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """GEM's MathEnv; its grader runs in a process of its own unless the options say "local"."""
    data = _rows([{"problem": each["question"], "answer": each["answer"]} for each in episodes])
    turns = {each["question"]: [f"{each['worked']}\n\\boxed{{{each['answer']}}}"] for each in episodes}
    kind = importlib.import_module("gem.envs.math_env").MathEnv
    return lambda: Gem(kind(dataset=data, use_mp="local" not in options), turns, lambda asked: asked)


def gem_code(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """GEM's CodeEnv with its sandbox of the options: "none" or "bwrap"."""
    rows = [
        {"problem": each["question"], "tests": json.dumps({"inputs": each["inputs"], "outputs": each["outputs"]})}
        for each in episodes
    ]
    data = _rows(rows)
    turns = {each["question"]: [f"```python\n{each['answer']}\n```"] for each in episodes}
    kind = importlib.import_module("gem.envs.code_env").CodeEnv
    arguments = {"dataset": data, "dataset_name": "taco", "sandbox_type": options[0]}
    return lambda: Gem(kind(**arguments), turns, lambda asked: asked)


def gem_search(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """GEM's QaEnv with the search tool as a wrapper."""
    data = _rows([{"question": each["question"], "answer": [each["answer"]]} for each in episodes])
    turns = {each["question"]: tagged(each) for each in episodes}
    kind = importlib.import_module("gem.envs.qa_env").QaEnv
    tool = importlib.import_module("gem.tools.search_tool").SearchTool
    wrapper = importlib.import_module("gem.tools.tool_env_wrapper").ToolEnvWrapper
    return lambda: Gem(
        wrapper(kind(dataset=data), tools=[tool(search_url=url, topk=3)]),
        turns,
        lambda asked: asked.split("Question: ")[1].split("\n")[0],
    )
