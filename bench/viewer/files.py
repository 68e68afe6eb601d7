"""Open the files of a run: only plain ones that lie in the folders that the viewer was given, and only so much of each.

A run may come from a stranger. A link that leads elsewhere would show a file of whoever looks, a pipe would hold the
page for ever, and a file without end would take all memory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from agentrl.bench.errors import StoreError

__all__ = ["is_within", "problem", "read_some", "real_folders"]


def real_folders(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Return where folders really are; one that was given may be a link itself."""
    return tuple(Path(os.path.realpath(folder)) for folder in folders)


def is_within(path: Path, tops: Sequence[Path]) -> bool:
    """Whether a file or folder really lies in one of some real folders; no folders means anywhere."""
    real = Path(os.path.realpath(path))
    return not tops or any(real.is_relative_to(top) for top in tops)


def problem(path: Path, tops: Sequence[Path]) -> str:
    """Return why a file is not to be read; empty where it may be, or is not there.

    Args:
        path: The file.
        tops: As of `real_folders`.
    """
    if not is_within(path, tops):
        return f"{path} is a link to another place, and is not read"
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{path}: {error.strerror}"
    return "" if stat.S_ISREG(mode) else f"{path} is no plain file, and is not read"


def read_some(path: Path, tops: Sequence[Path], most: int) -> tuple[bytes, bool]:
    """Return the first bytes of a file, and whether there are more.

    Args:
        path: The file; one that is not there is empty.
        tops: As of `real_folders`.
        most: Bytes.

    Raises:
        StoreError: It is not to be read, or cannot be.
    """
    if why := problem(path, tops):
        raise StoreError(why)
    try:
        how = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(os.open(os.path.realpath(path), how), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # it became another one meanwhile
                raise StoreError(f"{path} is no plain file, and is not read")
            raw = file.read(most + 1)
    except FileNotFoundError:
        return b"", False
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
    return raw[:most], len(raw) > most
