"""Let SQLite read a file and leave it, its folder and its writer alone."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

__all__ = ["connect_readonly", "holding", "readonly_uri"]

# Files that SQLite has open for writing in this process. Closing any other descriptor of such a file would drop
# SQLite's locks on it (POSIX, https://sqlite.org/howtocorrupt.html section 2.2), after which another program that
# reads it takes itself for the last one, and removes the log that is still being written.
_HELD: Counter[str] = Counter()


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Keep this process from opening a file by itself while SQLite writes it here."""
    real = os.path.realpath(path)
    _HELD[real] += 1
    try:
        yield
    finally:
        _HELD[real] -= 1


def connect_readonly(path: Path, *, timeout_s: float) -> sqlite3.Connection:
    """Return a connection that cannot write, for any thread.

    Args:
        path: The file.
        timeout_s: How long to wait for a lock.

    Raises:
        OSError: The file cannot be read, or is no plain one.
        sqlite3.Error: It is no database.
    """
    log, index = _beside(path)
    uri, alone = readonly_uri(path), _size(log) > 0 and not index.exists()
    if alone:  # killed, and copied without its index: nobody writes it, so it is read without locks
        uri += "&vfs=unix-none"
    db = sqlite3.connect(uri, uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False)
    if alone:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")  # keeps the index in memory (https://sqlite.org/wal.html#noshm)
    return db


def readonly_uri(path: Path) -> str:
    """Return a URI for `sqlite3.connect(…, uri=True)`.

    A file in write-ahead mode is read through the index that its writer made. One without a log is whole as it lies,
    while opening it in the usual way would make two files beside it (https://sqlite.org/wal.html#read_only_databases).

    Raises:
        OSError: The file cannot be read; it, or one beside it that SQLite would open, is no plain file.
    """
    log, index = _beside(path)
    for each in (log, index, log.with_name(log.name.removesuffix("-wal") + "-journal")):
        if os.path.lexists(each) and not stat.S_ISREG(os.lstat(each).st_mode):
            raise OSError(errno.EINVAL, "is no plain file, and is not read", str(each))
    if _HELD[os.path.realpath(path)] > 0:
        return f"file:{quote(os.fsencode(os.path.realpath(path)))}?mode=ro"
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "is no plain file, and is not read", str(path))
        head = file.read(20)
    if head[18:19] == b"\x02" and not _size(log):
        how = "&immutable=1"
    elif log.exists() and index.exists():
        how = "&readonly_shm=1"
    else:
        how = ""
    return f"file:{quote(os.fsencode(os.path.realpath(path)))}?mode=ro{how}"


def _beside(path: Path) -> tuple[Path, Path]:
    """Return log and index, which lie beside what a link leads to."""
    real = os.path.realpath(path)
    return Path(f"{real}-wal"), Path(f"{real}-shm")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
