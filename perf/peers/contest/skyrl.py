"""skyrl-gym's environments over the tasks of a contest."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peers.contest import Episode, Player, tagged


class Skyrl:
    """skyrl-gym makes an environment for every episode, as its generator does."""

    def __init__(self, name: str, truth: Callable[[Episode], Any], config: Any = None, **extras: Any) -> None:
        self._gym = importlib.import_module("skyrl_gym")
        self._name, self._truth, self._config, self._extras = name, truth, config, extras
        self._env: Any = None

    def reset(self, episode: Episode) -> None:
        self.close()
        extras = {"reward_spec": {"ground_truth": self._truth(episode)}, "max_turns": 8, **self._extras}
        self._env = self._gym.make(
            self._name, **({} if self._config is None else {"env_config": self._config}), extras=extras
        )
        self._env.init([{"role": "user", "content": episode["question"]}])

    def step(self, turn: str) -> float:
        told = self._env.step(turn)
        if "Search error" in str(told["observations"]):
            raise SystemExit(told["observations"])
        reward = told["reward"]
        return float(reward)

    def close(self) -> None:
        if self._env is not None:
            self._env.close()


def skyrl_math(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """skyrl-gym's gsm8k: one regular expression."""
    for each in episodes:
        each["turns"] = [f"{each['worked']}\n#### {each['answer']}"]
    return lambda: Skyrl("gsm8k", lambda episode: episode["answer"])


def skyrl_code(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """skyrl-gym's LiveCodeBench: runs the answer in a forked process, without a sandbox."""
    for each in episodes:
        each["turns"] = [f"```python\n{each['answer']}\n```"]

    def truth(episode: Episode) -> str:
        pairs = zip(episode["inputs"], episode["outputs"], strict=True)
        return json.dumps(
            [
                {"input": one, "output": other, "testtype": "stdin", "metadata": {"func_name": None}}
                for one, other in pairs
            ]
        )

    return lambda: Skyrl("lcb", truth)


def skyrl_search(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """skyrl-gym's search."""
    for each in episodes:
        each["turns"] = tagged(each)
    config = importlib.import_module("skyrl_gym.envs.search.env").SearchEnvConfig(search_url=url, topk=3)
    return lambda: Skyrl("search", lambda episode: {"target": [episode["answer"]]}, config)


def skyrl_sql(episodes: Sequence[Episode], folder: Path, url: str, options: list[str]) -> Callable[[], Player]:
    """skyrl-gym's SQL over a database where Spider's lie; a thread and a connection for every query."""
    for each in episodes:
        thought = "<think>Look, then answer.</think>"
        each["turns"] = [f"{thought}<sql>{each['answer']}</sql>", f"{thought}<solution>{each['answer']}</solution>"]
    config = importlib.import_module("skyrl_gym.envs.sql.env").Text2SQLEnvConfig(db_path=str(folder))
    return lambda: Skyrl("text2sql", lambda episode: episode["answer"], config, db_id=options[0], data="spider")
