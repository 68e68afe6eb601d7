"""A tiny model for a run that has none yet: it has seen the format of the environments, and little skill.

What it is shown is played by what the environments ship (`demonstrations.py`), or at random where that is nothing.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from agentrl.trainer.coldstart import coldstart
from agentrl.trainer.coldstart_config import ColdstartConfig
from agentrl.trainer.config import TrainConfig
from agentrl.trainer.demonstrations import played
from agentrl.trainer.mixture import weights_of
from agentrl.trainer.progress import Progress

__all__ = ["make_starter"]

_SHOWN_TURNS = 3_000  # at least, in all demonstrations
_BATCH_TURNS = 100  # about so many are learnt at once
_NUM_STEPS = 60
_VOCAB_SIZE = 400


def make_starter(config: TrainConfig, folder: Path) -> Path:
    """Make a model for the environments of a run.

    Args:
        config: Of the run; environments take turns in the demonstrations.
        folder: Of the run; gets `demonstrations.jsonl` and `start/`.

    Returns:
        The folder of the model.

    Raises:
        ConfigError: An environment cannot be made or ships nothing to imitate.
        RunFolderError: There is a `start/` already.
        TrainerError: Infrastructure failed in a demonstration.
    """
    path = folder / "demonstrations.jsonl"
    sources = [
        played(env, config.env_kwargs, level=config.level, seed=config.seed + place)
        for place, env in enumerate(weights_of(config.env))
    ]
    number = turns = 0
    with path.open("w", encoding="utf-8") as file:
        for source in itertools.cycle(sources):
            shown = next(source)
            number += 1
            turns += sum(message["role"] == "assistant" for message in shown.messages)
            file.write(json.dumps({"messages": list(shown.messages), "tools": list(shown.tools)}) + "\n")
            if turns >= _SHOWN_TURNS and number >= len(sources):
                break
    progress = Progress()
    progress.note(f"a tiny model is made from {number} demonstrations")
    start = ColdstartConfig(
        env=ColdstartConfig.env,
        level=ColdstartConfig.level,
        demonstrations=str(path),
        name="start",
        out=str(folder),
        seed=config.seed,
        device=config.device,
        threads=config.threads,
        vocab_size=_VOCAB_SIZE,
        copy_steps=0,
        num_steps=_NUM_STEPS,
        batch_size=min(64, max(4, _BATCH_TURNS * number // turns)),
        max_tokens=max(config.rollout.max_episode_tokens, 4096),
    )
    return coldstart(start, progress=progress)
