"""A tiny model made on the spot: shown all environments in turn, the same for the same seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.spaces import Text
from transformers import AutoModelForCausalLM, AutoTokenizer

from agentrl.trainer import starter
from agentrl.trainer.coldstart import weights_hash
from agentrl.trainer.config import TrainConfig

WORDS = {"Toy/Short-v0": 1, "Toy/Long-v0": 3}  # turns of an episode


class Counting(gymnasium.Env[str, str]):
    """So many turns, whatever is said."""

    def __init__(self, turns: int) -> None:
        self.action_space = self.observation_space = Text(1000)
        self.turns = turns

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = self.turns
        return f"Say {self.turns}.", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.left -= 1
        return "More.", 1.0, self.left == 0, False, {"success": True}

    def oracle(self) -> Any:
        return lambda observation, info: "yes"


@pytest.fixture(autouse=True)
def environments(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(starter, "_SHOWN_TURNS", 30)
    monkeypatch.setattr(starter, "_NUM_STEPS", 3)
    for name, turns in WORDS.items():
        gymnasium.register(id=name, entry_point=Counting, kwargs={"turns": turns}, disable_env_checker=True)  # type: ignore[arg-type]
    yield
    for name in WORDS:
        gymnasium.registry.pop(name)


def made(folder: Path, **keys: Any) -> tuple[list[int], str]:
    """Make one; return the turns of each demonstration, and the weights' hash."""
    folder.mkdir()
    config = TrainConfig(threads=1, **keys)
    model = starter.make_starter(config, folder)
    assert model == folder / "start" / "model"
    assert "<|assistant|>" in AutoTokenizer.from_pretrained(model).chat_template
    rows = [json.loads(line) for line in (folder / "demonstrations.jsonl").read_text().splitlines()]
    turns = [sum(message["role"] == "assistant" for message in row["messages"]) for row in rows]
    return turns, weights_hash(AutoModelForCausalLM.from_pretrained(model))


def test_environments_take_turns_until_enough_was_shown(tmp_path: Path) -> None:
    both, _ = made(tmp_path / "both", env={"Toy/Short-v0": 0.9, "Toy/Long-v0": 0.1})
    assert both == [1, 3] * 8  # 29 turns after the fifteenth
    one, _ = made(tmp_path / "one", env="Toy/Long-v0")
    assert one == [3] * 10


def test_the_seed_decides_it(tmp_path: Path) -> None:
    first, again = (made(tmp_path / name, env="Toy/Long-v0", seed=1)[1] for name in ("first", "again"))
    assert first == again
    assert made(tmp_path / "other", env="Toy/Long-v0", seed=2)[1] != first


def test_every_environment_is_shown_however_soon_it_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "_SHOWN_TURNS", 1)
    assert made(tmp_path / "run", env={"Toy/Long-v0": 1.0, "Toy/Short-v0": 1.0})[0] == [3, 1]
