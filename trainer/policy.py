"""The model that a run trains, as a checkpoint has it: found by name, loaded with its tokenizer.

The trainer goes on from it, and whoever plays with it reads the same weights at the same precision.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from agentrl.trainer.errors import RunFolderError
from agentrl.trainer.metrics import read_metrics

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from agentrl.trainer.config import TrainConfig

__all__ = ["find_checkpoint", "load_policy"]

_NAME = re.compile(r"step_(\d+)")


def find_checkpoint(run: Path, which: str) -> Path:
    """Return the folder of one of a run's checkpoints.

    Args:
        run: The run's folder.
        which: "last", "best" (by held-out success, or by held-out reward where nobody defines success, among those
            that are kept and were evaluated), or a step's number.

    Raises:
        RunFolderError: There is no such checkpoint; names those that there are.
    """
    folder = run / "checkpoints"
    found = {int(match[1]): path for path in folder.glob("step_*") if (match := _NAME.fullmatch(path.name))}
    if not found:
        raise RunFolderError(f"{run} has no checkpoint yet; train on with: agentrl train --resume {run}")
    steps = ", ".join(map(str, sorted(found)))
    if which == "last":
        return found[max(found)]
    if which != "best":
        if which.isdecimal() and int(which) in found:
            return found[int(which)]
        raise RunFolderError(f"{run} has no checkpoint {which!r}; there are best, last and the steps {steps}")
    measured = {step: value for step, value in _held_out(run).items() if step in found}
    if not measured:
        raise RunFolderError(
            f"none of the checkpoints of {run} (steps {steps}) was evaluated, so that none is known to be best; name a "
            "step or last, or train with --eval.every as often as --checkpoint.every"
        )
    return found[max(measured, key=lambda step: (measured[step], step))]


def load_policy(
    config: TrainConfig, checkpoint: Path | None, *, device: torch.device | None = None, precise: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load model and tokenizer of a run, as it began or as a checkpoint has them, adapters in place.

    Args:
        config: Of the run.
        checkpoint: One of its checkpoints; None: as it began.
        device: Where the model goes; None: as `config.device` says.
        precise: As of `load_model`.

    Raises:
        ConfigError: The model cannot be loaded, or an episode does not fit.
    """
    from agentrl.trainer.lora import FOLDER, add_adapters, load_adapters
    from agentrl.trainer.model import check_fits, load_model, load_tokenizer, pick_device

    source = str(checkpoint) if checkpoint and not config.lora.rank else config.model
    tokenizer = load_tokenizer(source)
    model = load_model(
        source,
        device=device or pick_device(config.device),
        dtype=config.dtype,
        head_dtype=config.head_dtype,
        precise=precise,
    )
    if config.lora.rank:
        add_adapters(model, config.lora, seed=config.seed)
        if checkpoint:
            load_adapters(model, checkpoint / FOLDER)
    check_fits(model, tokenizer, max_tokens=config.rollout.max_episode_tokens)
    return model, tokenizer


def _held_out(run: Path) -> dict[int, float]:
    """Return the held-out success by step, or the held-out reward where there is none."""
    rows = read_metrics(run / "metrics.jsonl")
    told = {row["step"]: (row.get("eval/success"), row.get("eval/success_reward")) for row in rows}
    summary = run / "summary.json"
    if summary.is_file():
        last = json.loads(summary.read_text(encoding="utf-8"))
        told[int(last["num_steps"])] = (last.get("success_after"), last.get("reward_after"))
    has_success = any(success is not None for success, _ in told.values())
    values = {step: success if has_success else reward for step, (success, reward) in told.items()}
    return {step: float(value) for step, value in values.items() if value is not None and math.isfinite(value)}
