"""Open a run's SQLite file to read, so that neither the file nor its folder changes and no writer waits.

A connection lives for one question. A file in write-ahead mode is read through the writer's own index, which is never
made or written here; where nobody writes it is read as it lies.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from agentrl.bench.errors import StoreError
from agentrl.bench.readonly import connect_readonly
from agentrl.bench.store import FILE
from agentrl.bench.viewer.files import problem

__all__ = ["check_store", "reading", "short", "stamp"]

_WAIT_S = 2.0
_MOST_STEPS = 400_000_000  # of SQLite's machine, about a minute: a hostile file cannot keep a page for ever
_CHUNK = 10_000_000
_MOST_CHARS = 1000


@contextmanager
def reading(path: Path, *, table: str = "episodes", tops: Sequence[Path] = ()) -> Iterator[sqlite3.Connection]:
    """Give a connection that cannot write; rows are `sqlite3.Row`.

    Args:
        path: The file.
        table: One that has to be there.
        tops: Real folders of which it has to lie in one; none means anywhere.

    Raises:
        StoreError: It is gone, damaged, locked, or no run; also for what fails while it is read.
    """
    check_store(path, tops)
    if path.name != FILE and path.parent.is_dir() and not path.exists():
        raise StoreError(f"no episodes are stored in {path.parent}: it holds no {path.name}")
    try:
        with closing(connect_readonly(path, timeout_s=_WAIT_S)) as db:
            db.row_factory = sqlite3.Row
            db.text_factory = _text
            steps = iter(range(_CHUNK, _MOST_STEPS, _CHUNK))
            db.set_progress_handler(lambda: next(steps, None) is None, _CHUNK)
            found = db.execute("SELECT type FROM sqlite_master WHERE name = ?", (table,)).fetchone()
            if found is None or found["type"] != "table":
                raise StoreError(f"{path} has no table {table!r}: it is no run of agentrl, or nothing was written yet")
            yield db
    except (sqlite3.Error, sqlite3.Warning, OSError, OverflowError) as error:
        raise StoreError(f"{path}: {error}; {_advice(path, error)}") from error


def check_store(path: Path, tops: Sequence[Path]) -> None:
    """Refuse a file that does not lie in given folders, or is no plain one.

    Args:
        path: The file.
        tops: As of `files.real_folders`.

    Raises:
        StoreError: It, or a file beside it that SQLite would open, is not to be read.
    """
    beside = [path.with_name(f"{path.name}{ending}") for ending in ("-wal", "-shm", "-journal")]
    if why := next(filter(None, (problem(each, tops) for each in (path, *beside))), ""):
        raise StoreError(why)


def short(column: str, most: int = _MOST_CHARS) -> str:
    """Return SQL for a column of which a long text or blob is cut before it leaves the file.

    Args:
        column: Its name, or an expression of ours.
        most: Characters; bytes of a blob.
    """
    # A zero byte ends what `length` counts and `substr` takes of a text, not what is read of it.
    return f"CASE WHEN length(CAST({column} AS BLOB)) > {most} THEN substr({column}, 1, {most}) ELSE {column} END"


def stamp(*paths: Path) -> tuple[tuple[int, int], ...]:
    """Return what changes whenever one of the files does; files that are not there count too."""
    return tuple(_stamp(each) for path in paths for each in (path, path.with_name(f"{path.name}-wal")))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _advice(path: Path, error: Exception) -> str:
    if not path.exists():
        return "it was there a moment ago: somebody moved or deleted it"
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "another process holds it: this page tries again by itself"
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return "the file is damaged, or no run of agentrl"
    if name.startswith("SQLITE_INTERRUPT"):
        return "reading it took too long"
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
        return "see that you may read it; a run that was killed is mended by its own command, typed again"
    return "it does not look as agentrl writes it"
