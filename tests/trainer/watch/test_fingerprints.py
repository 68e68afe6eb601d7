"""Known cheats are recognised on tasks that were not played before, and honest play never is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import gymnasium
import pytest
from gymnasium.spaces import Text

import agentrl.envs  # noqa: F401 - registers its environments
from agentrl.trainer.textualize import make_text_env
from agentrl.trainer.watch import fingerprints
from agentrl.trainer.watch.fingerprints import Fingerprints, fingerprints_of
from agentrl.trainer.watch.texts import Words, shingles

SEARCH = "AgentRL/Search-v0"


def played(env: gymnasium.Env[Any, Any], policy: Any, seed: int) -> set[Words]:
    observation, info = env.reset(seed=seed, options={"split": "train", "level": 2})
    play, done = policy(), False
    turns: list[str] = []
    while not done and len(turns) < 20:
        turns.append(play(observation, info))
        observation, _, terminated, truncated, info = env.step(turns[-1])
        done = terminated or truncated
    return shingles(turns)


@pytest.fixture(scope="module")
def search() -> Fingerprints:
    return fingerprints_of(SEARCH, {}, level=2)


@pytest.fixture(scope="module")
def env() -> Iterator[gymnasium.Env[Any, Any]]:
    made = make_text_env(SEARCH, {})
    yield made
    made.close()


def test_honest_play_never_matches(search: Fingerprints, env: gymnasium.Env[Any, Any]) -> None:
    oracle = env.get_wrapper_attr("oracle")
    assert {search.match(played(env, oracle, seed)) for seed in range(500, 530)} == {""}


@pytest.mark.parametrize("name", ["always unanswerable", "copies the prompt", "empty answer", "forged tool result"])
def test_a_cheat_is_recognised_on_fresh_tasks(search: Fingerprints, env: gymnasium.Env[Any, Any], name: str) -> None:
    assert name in search.names
    cheats = env.get_wrapper_attr("cheats")
    assert {search.match(played(env, lambda: cheats()[name], seed)) for seed in range(500, 505)} == {name}


def test_they_are_kept_as_plain_data(search: Fingerprints) -> None:
    again = Fingerprints.restore(json.loads(json.dumps(search.as_dict())))
    assert again == search
    assert len(again.names) >= 4


class Broken(gymnasium.Env[str, str]):
    """Has cheats that cannot be played."""

    def __init__(self) -> None:
        self.action_space = self.observation_space = Text(100)

    def cheats(self) -> dict[str, Any]:
        raise OSError("no sandbox here")


class Slow(Broken):
    """Takes its time."""

    def cheats(self) -> dict[str, Any]:
        import time

        time.sleep(1.0)
        return {}


@pytest.fixture(scope="module", autouse=True)
def toys() -> Iterator[None]:
    for name, kind in (("BrokenCheats", Broken), ("SlowCheats", Slow)):
        gymnasium.register(f"Toy/{name}-v0", entry_point=f"{__name__}:{kind.__name__}", disable_env_checker=True)
    yield
    for name in ("BrokenCheats", "SlowCheats"):
        gymnasium.registry.pop(f"Toy/{name}-v0")


def test_trouble_with_cheats_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fingerprints_of("Toy/BrokenCheats-v0", {}, level=None).note == "OSError: no sandbox here"
    assert "Nowhere" in fingerprints_of("Toy/Nowhere-v0", {}, level=None).note
    assert "no cheats()" in fingerprints_of("FrozenLake-v1", {}, level=None).note
    monkeypatch.setattr(fingerprints, "_DEADLINE_S", 0.1)
    found = fingerprints_of("Toy/SlowCheats-v0", {}, level=None)
    assert found.names == ()
    assert "took longer" in found.note
