"""A checkpoint's weights and optimizer state in parts: each rank writes its own, and any number of ranks reads them.

The format is that of torch.distributed.checkpoint, in `shards/` of a checkpoint. It holds float32 weights and both
moments by name; beside it lies the model in Hugging Face layout, as with one process.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from agentrl.trainer.errors import RunFolderError
from agentrl.trainer.optimizer import Optimizer

__all__ = ["SHARDS", "load_shards", "save_shards"]

SHARDS: Final = "shards"
"""Where a checkpoint keeps its parts."""


def save_shards(folder: Path, optimizer: Optimizer) -> None:
    """Write this rank's parts into a folder that all ranks see; all call it at once.

    Raises:
        RunFolderError: They cannot be written.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            save(optimizer.tensors(), storage_writer=FileSystemWriter(folder, sync_files=True), no_dist=_alone())
    except (CheckpointException, OSError) as error:
        raise RunFolderError(f"{folder} cannot be written: {error}; free some space, then resume the run") from error


def load_shards(folder: Path, optimizer: Optimizer) -> None:
    """Read what `save_shards` wrote, with as many ranks or with others; all call it at once.

    Raises:
        RunFolderError: It is missing, damaged, or of another model.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            load(optimizer.tensors(), storage_reader=FileSystemReader(folder), no_dist=_alone())
    except Exception as error:  # of many kinds for a damaged file
        raise RunFolderError(
            f"{folder} cannot be read: {type(error).__name__}: {error}; remove {folder.parent} to resume from the "
            "checkpoint before it"
        ) from error
    optimizer.loaded()


def _alone() -> bool:
    return not dist.is_initialized()
