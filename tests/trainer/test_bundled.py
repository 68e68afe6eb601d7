"""The bundled model is the one on record, small enough, and has something left to learn."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from agentrl.trainer.chat import Chat
from agentrl.trainer.coldstart import weights_hash
from agentrl.trainer.coldstart_config import ColdstartConfig
from agentrl.trainer.config import load_recipe
from agentrl.trainer.engines.torch import TorchEngine
from agentrl.trainer.model import BUNDLED, load_model, load_tokenizer, resolve_model
from agentrl.trainer.rollout import Rollouts, Task

NAME = "bundled:search-tiny"
CPU = torch.device("cpu")


def test_bundled_weights_have_the_recorded_hash_and_settings() -> None:
    folder = Path(resolve_model(NAME))
    record = json.loads((folder / "coldstart.json").read_text())
    assert weights_hash(load_model(NAME, device=CPU)) == record["weights_sha256"]
    ours = ColdstartConfig()
    assert {name: record["config"][name] for name in ("env", "level", "seed", "num_steps", "vocab_size", "lr")} == {
        name: getattr(ours, name) for name in ("env", "level", "seed", "num_steps", "vocab_size", "lr")
    }  # the command of trainer/bundled/README.md uses the defaults


def test_bundled_models_take_at_most_eight_megabytes() -> None:
    for name in BUNDLED:
        assert sum(path.stat().st_size for path in Path(resolve_model(name)).rglob("*")) <= 8_000_000


def test_bundled_model_knows_the_way_but_mostly_stops_too_soon() -> None:
    config = load_recipe("quickstart")
    tokenizer = load_tokenizer(NAME)
    with TorchEngine(load_model(NAME, device=CPU)) as engine:
        rollouts = Rollouts(
            env_id=f"agentrl.envs:{config.env}",
            env_kwargs={},
            engine=engine,
            chat=Chat(tokenizer),
            config=config.rollout,
        )
        success = {}
        for temperature in (1.0, 0.0):
            tasks = [
                Task(
                    step=0,
                    group=index,
                    member=0,
                    seed=index,
                    split="test",
                    level=config.level,
                    temperature=temperature,
                )
                for index in range(64)
            ]
            episodes = rollouts.play(tasks)
            assert all(episode.failure is None for episode in episodes)
            success[temperature] = sum(bool(episode.success) for episode in episodes) / len(episodes)
        rollouts.close()
    assert 0.1 <= success[1.0] <= 0.6
    assert success[0.0] <= 0.6
