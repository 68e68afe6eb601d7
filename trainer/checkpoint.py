"""Everything a run needs to go on as if it had never stopped, in one folder a checkpoint.

`checkpoints/step_<n>/` is a Hugging Face model folder, loadable by `from_pretrained`, with `trainer_state.pt` beside
the weights. It is written under another name and renamed when complete, so a name that exists is whole.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PreTrainedTokenizerBase

from agentrl.trainer.errors import RunFolderError

__all__ = [
    "TrainerState",
    "checkpoint_steps",
    "drop_checkpoints_after",
    "latest_checkpoint",
    "load_state",
    "save_checkpoint",
]

_NAME = re.compile(r"step_(\d+)")


@dataclass(frozen=True, kw_only=True)
class TrainerState:
    """What a checkpoint holds beside weights and tokenizer."""

    step: int  # last step done; the next task drawn is that of step + 1
    optimizer: dict[str, Any]  # the Optimizer's state_dict
    num_tokens: int  # trained on so far
    train_seconds: float  # spent in steps so far
    torch_rng: torch.Tensor  # state of torch's CPU generator
    cuda_rng: list[torch.Tensor]  # of each CUDA device
    recent_success: list[float]  # of the last ten steps
    curriculum: dict[str, Any] = field(default_factory=dict)  # of the Curriculum; empty in older checkpoints
    replay: dict[str, Any] = field(default_factory=dict)  # of the Replay; empty in older checkpoints
    unwritten: dict[str, float] = field(default_factory=dict)  # metrics of the step, where its evaluation was left
    queue: list[dict[str, Any]] = field(default_factory=list)  # asynchronous: each Upcoming under way
    watch: dict[str, Any] = field(default_factory=dict)  # of the LiveWatch; empty in older checkpoints


def save_checkpoint(
    folder: Path,
    *,
    write: Callable[[Path], None],
    tokenizer: PreTrainedTokenizerBase,
    state: TrainerState,
    keep: int,
) -> Path:
    """Write `folder/step_<n>` and drop all but the newest `keep`.

    Args:
        folder: Of a run's checkpoints.
        write: Writes the model into a folder, as `Rank.write`.
        tokenizer: The model's.
        state: What else there is.
        keep: How many stay.

    Raises:
        RunFolderError: When it cannot be written (disk full); the older checkpoints are then still there.
    """
    target = folder / f"step_{state.step}"
    temporary = folder / f".tmp_step_{state.step}"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        write(temporary)
        tokenizer.save_pretrained(temporary)
        torch.save(vars(state), temporary / "trainer_state.pt")
        for path in temporary.rglob("*"):
            _sync(path)
        _sync(temporary)
        _discard(target)
        temporary.rename(target)
        _sync(folder)
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise RunFolderError(
            f"checkpoint {target} cannot be written: {error}; free some space, then agentrl train --resume "
            f"{folder.parent}"
        ) from error
    for step in checkpoint_steps(folder)[:-keep]:
        _discard(folder / f"step_{step}")
    for left in (*folder.glob(".old_*"), *folder.glob(".tmp_*")):  # of a run that was killed here
        shutil.rmtree(left, ignore_errors=True)
    return target


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint, or None."""
    steps = checkpoint_steps(folder)
    return folder / f"step_{steps[-1]}" if steps else None


def checkpoint_steps(folder: Path) -> list[int]:
    """Return the steps that have a whole checkpoint, in order."""
    if not folder.is_dir():
        return []
    return sorted(int(match[1]) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name)))


def drop_checkpoints_after(folder: Path, step: int) -> None:
    """Remove the checkpoints of later steps, the newest first, so that what is left is always the start of a run.

    Raises:
        RunFolderError: One cannot be removed.
    """
    for each in reversed(checkpoint_steps(folder)):
        if each > step:
            try:
                _discard(folder / f"step_{each}")
            except OSError as error:
                raise RunFolderError(
                    f"checkpoint {folder / f'step_{each}'} cannot be removed: {error}; remove it, and all of steps "
                    f"after {step}, then agentrl train --resume {folder.parent}"
                ) from error


def load_state(checkpoint: Path) -> TrainerState:
    """Read `trainer_state.pt`.

    Raises:
        RunFolderError: It is missing or damaged.
    """
    path = checkpoint / "trainer_state.pt"
    try:
        return TrainerState(**torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # torch.load raises many kinds for a damaged file
        raise RunFolderError(
            f"{path} cannot be read: {error}; remove {checkpoint} to resume from the checkpoint before it"
        ) from error


def _discard(checkpoint: Path) -> None:
    # Renamed first: a kill in the middle must not leave half a checkpoint under a name that counts as whole.
    doomed = checkpoint.with_name(f".old_{checkpoint.name}")
    shutil.rmtree(doomed, ignore_errors=True)
    if checkpoint.exists():
        checkpoint.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
