"""The index of a large corpus: an SQLite file, built once, kept in a cache folder and opened read-only from then on.

A file is named by the paths, sizes, times and a sample of the contents of the corpus, so that a changed corpus gets a
new one; old ones may be deleted at any time. A build writes a temporary file under a lock and renames it at the end: a
killed one leaves nothing that is read, two processes do not both build, and memory stays at some 100 MB.

bm25() takes 0.6 µs for every page that it ranks, so a query of common words over a million pages would take seconds.
Pages to rank are therefore chosen by the query's rarest words; the common ones still count in their score.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import itertools
import logging
import os
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from agentrl.envs.errors import DataError, InfrastructureError, UsageError
from agentrl.envs.rows import clean
from agentrl.envs.search.layouts import digest
from agentrl.envs.search.retrieval import (
    MAX_HITS,
    RANKED,
    Document,
    FtsIndex,
    Hit,
    any_of,
    create_pages,
    query_terms,
)
from agentrl.envs.search.sources import corpus_files, numbered_corpus

__all__ = ["DiskIndex", "default_cache_dir"]

FORMAT = 1
MAX_RANKED = 50_000  # pages that one query ranks: some 40 ms
MAX_SCANNED = 1_000_000  # entries of the common words that one query looks through: some 80 ms
MAX_COUNTED_TERMS = 100_000

_Path = str | os.PathLike[str]
_log = logging.getLogger(__name__)


class DiskIndex(FtsIndex):
    """What `FtsIndex.open` returns; its arguments and errors are described there."""

    def __init__(
        self,
        path: _Path | Sequence[_Path],
        *,
        cache_dir: _Path | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._file = _ensure(corpus_files(path), Path(cache_dir or default_cache_dir()), progress)
        self._idle: collections.deque[sqlite3.Connection] = collections.deque()
        self._closed = threading.Event()
        self._num_pages_with: dict[str, int] = {}
        with self._connection() as connection:
            self._num_pages: int = connection.execute("SELECT num_pages FROM about").fetchone()[0]

    def search(self, query: str, k: int) -> list[Hit]:
        terms = query_terms(query)
        if k < 1 or not terms:
            return []
        with self._connection() as connection:
            match = self._match(connection, terms)
            if match is None:
                return []
            expression, times = match
            best = f"SELECT id, title, text, cost FROM ({RANKED} LIMIT ?) JOIN documents USING (rowid)"
            rows = connection.execute(f"{best} ORDER BY cost, rowid", (expression, min(k, MAX_HITS))).fetchall()
        return [Hit.of(Document(id=id, title=title, text=text), -cost / times) for id, title, text, cost in rows]

    def get(self, doc_id: str) -> Document | None:
        with self._connection() as connection:
            row = connection.execute("SELECT id, title, text FROM documents WHERE id = ?", (clean(doc_id),)).fetchone()
        return Document(id=row[0], title=row[1], text=row[2]) if row else None

    def close(self) -> None:
        self._closed.set()
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _match(self, connection: sqlite3.Connection, terms: list[str]) -> tuple[str, int] | None:
        """Return the FTS5 expression for some words, and how often it counts each of them in the score."""
        counts = {term: count for term in terms if (count := self._count(connection, term))}
        if not counts:
            return None
        if sum(counts.values()) <= MAX_RANKED:
            return any_of(counts), 1
        by_count = sorted(counts, key=lambda term: counts[term])
        # bm25 gives a word that more than half of the pages hold no weight, so it may as well be left out.
        telling = [term for term in by_count if counts[term] <= self._num_pages // 2] or by_count[:1]
        rare = _within(MAX_RANKED, telling, counts)
        common = _within(MAX_SCANNED, telling[len(rare) :], counts)
        if not rare:
            return "{title}: (" + any_of(common or telling[:1]) + ")", 1
        if not common:
            return any_of(rare), 1
        # Every word stands in the expression twice, so that all count alike in the sum that bm25 is.
        return f"({any_of(rare)}) AND ({any_of([*rare, *common, *common])})", 2

    def _count(self, connection: sqlite3.Connection, term: str) -> int:
        """Return how many pages hold a word, exactly up to one more than half of all."""
        known = self._num_pages_with.get(term)
        if known is None:
            sql = "SELECT count(*) FROM (SELECT 1 FROM pages WHERE pages MATCH ? LIMIT ?)"
            known = int(connection.execute(sql, (f'"{term}"', self._num_pages // 2 + 1)).fetchone()[0])
            if len(self._num_pages_with) < MAX_COUNTED_TERMS:
                self._num_pages_with[term] = known
        return known

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection to one search: on a shared one SQLite would let threads wait for one another."""
        if self._closed.is_set():
            raise ValueError("this index is closed")
        try:
            connection = self._take()
            try:
                yield connection
            finally:
                self._idle.append(connection)
                if self._closed.is_set():  # by another thread, meanwhile
                    self.close()
        except sqlite3.Error as error:
            raise InfrastructureError(
                f"the search index {self._file} cannot be read: {error}; delete it, and it is built anew",
                kind="index",
                boundary="retriever",
            ) from error

    def _take(self) -> sqlite3.Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return _connect(self._file)


def _within(limit: int, terms: list[str], counts: dict[str, int]) -> list[str]:
    """Return the first of the terms whose counts add up to no more than a limit."""
    totals = itertools.accumulate(counts[term] for term in terms)
    return [term for term, total in zip(terms, totals, strict=True) if total <= limit]


def default_cache_dir() -> Path:
    """Return the folder for indexes: `agentrl` in XDG_CACHE_HOME, or in ~/.cache.

    Raises:
        UsageError: there is no home folder.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the specification says that a relative path is to be ignored
        return Path(base) / "agentrl"
    try:
        return Path.home() / ".cache" / "agentrl"
    except RuntimeError as error:
        raise UsageError("no home folder to keep the search index in; pass cache_dir=FOLDER") from error


def _ensure(files: list[Path], folder: Path, progress: Callable[[int], None] | None) -> Path:
    """Return the index file of a corpus, built if it is not there."""
    import filelock  # 10 ms that a generated world does not need

    stem = re.sub(r"[^A-Za-z0-9_-]", "_", files[0].stem)[:40]
    path = folder / f"{stem}-{_key(files)}.sqlite"
    try:
        if _usable(path):
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_suffix(".lock")):
            if not _usable(path):
                _build(files, path, progress)
    except NotImplementedError as error:
        raise UsageError(f"{folder} is on a disk without file locks ({error}); pass cache_dir=FOLDER") from error
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from error
    return path


def _key(files: list[Path]) -> str:
    key = hashlib.sha256(f"format {FORMAT}".encode())
    for path in files:
        try:
            stat = path.stat()
            key.update(f"\n{path}\n{stat.st_size} {stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
            with path.open("rb") as file:
                # A copy may keep size and time of what it replaced; reading all of a large corpus would take too long.
                for part in range(16):
                    file.seek(max(0, stat.st_size - 4096) * part // 15)
                    key.update(file.read(4096))
        except OSError as error:
            raise DataError(f"cannot read the corpus {path}: {error.strerror}") from error
    return key.hexdigest()[:24]


def _usable(path: Path) -> bool:
    """Return whether a whole index of this format is there; a damaged file counts as none."""
    if not path.is_file():
        return False
    try:
        with contextlib.closing(_connect(path)) as connection:
            size = connection.execute(
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            ).fetchone()[0]
            (version,) = connection.execute("SELECT format FROM about").fetchone()
    except (sqlite3.DatabaseError, TypeError):
        return False
    return bool(size == path.stat().st_size and version == FORMAT)


def _connect(path: Path) -> sqlite3.Connection:
    # Immutable: no locks, no journal, and it works on a read-only file system.
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False, isolation_level=None
    )


def _build(files: list[Path], path: Path, progress: Callable[[int], None] | None) -> None:
    folder = path.parent
    for stale in folder.glob(f".{path.stem}.*.tmp"):  # of killed builds: whoever holds the lock is the only one alive
        stale.unlink(missing_ok=True)
    num_bytes, free = sum(file.stat().st_size for file in files), shutil.disk_usage(folder).free
    if free < num_bytes:
        raise UsageError(
            f"the search index of {num_bytes >> 20} MB of documents takes about twice that, and {folder} has"
            f" {free >> 20} MB left; free some space or pass cache_dir=FOLDER"
        )
    before = _key(files)
    started = time.monotonic()
    temporary = folder / f".{path.stem}.{os.getpid()}.tmp"
    try:
        num_pages = _fill(files, temporary, progress)
        if _key(files) != before:
            raise _changed(files)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except sqlite3.Error as error:
        raise _unwritable(folder, str(error)) from error
    finally:
        temporary.unlink(missing_ok=True)
    _log.info("indexed %d documents in %.0f s: %s", num_pages, time.monotonic() - started, path)


def _fill(files: list[Path], path: Path, progress: Callable[[int], None] | None) -> int:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # A build that is killed is thrown away whole, so it needs no journal.
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-32768"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE about(format INTEGER, num_pages INTEGER)")
        connection.execute("CREATE TABLE documents(rowid INTEGER PRIMARY KEY, id TEXT, title TEXT, text TEXT)")
        create_pages(connection, "content='documents'")
        # 32 MB of new entries before they are written, not 1 MB: a third less time.
        connection.execute("INSERT INTO pages(pages, rank) VALUES ('hashsize', ?)", (32 << 20,))
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO documents VALUES (?, ?, ?, ?)", _records(files, progress))
        connection.execute("INSERT INTO pages(rowid, title, text) SELECT rowid, title, text FROM documents")
        try:
            connection.execute("CREATE UNIQUE INDEX documents_by_id ON documents(id)")
        except sqlite3.IntegrityError as error:
            raise _duplicate(files) from error
        (num_pages,) = connection.execute("SELECT count(*) FROM documents").fetchone()
        connection.execute("INSERT INTO about VALUES (?, ?)", (FORMAT, num_pages))
        connection.execute("COMMIT")
        connection.execute("INSERT INTO pages(pages) VALUES ('optimize')")
    return int(num_pages)


def _records(files: list[Path], progress: Callable[[int], None] | None) -> Iterator[tuple[int, str, str, str]]:
    for number, (_, document) in enumerate(numbered_corpus(files)):
        if progress is not None and number % 10_000 == 0:
            progress(number)
        yield number, document.id, document.title, document.text


def _duplicate(files: list[Path]) -> DataError:
    """Return the error that names both rows; the database knows neither, so the files are read again."""
    places: dict[bytes, str] = {}
    for row, document in numbered_corpus(files):
        first = places.setdefault(digest(document.id), row.place)
        if first != row.place:
            return row.error("id", f"an id of its own, other than that of {first}", document.id)
    return _changed(files)


def _changed(files: list[Path]) -> DataError:
    return DataError(f"{files[0]} changed while its index was built; start again when it is complete")


def _unwritable(folder: Path, reason: str) -> UsageError:
    return UsageError(
        f"cannot write the search index to {folder}: {reason}; free some space, or pass cache_dir=FOLDER"
        " (by default it is in XDG_CACHE_HOME or ~/.cache)"
    )
