"""A run of the bench in one SQLite file, `bench.sqlite`: who played what with which settings, and every episode.

Episodes are written as they end, in write-ahead mode: a killed run leaves whole episodes, and goes on with what is
missing. An episode is known by (environment, level, seed, sample) and is there once. A file that was begun with
other settings is refused, with the names of those that differ.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from agentrl.bench.errors import StoreError
from agentrl.bench.readonly import connect_readonly, holding
from agentrl.bench.rows import COLUMNS, read_episode, read_identity, read_pace, refuse_views
from agentrl.bench.types import Episode, Job, Pace

__all__ = ["FILE", "BenchStore", "differences"]

FILE = "bench.sqlite"

_LOCK = f"{FILE}.lock"  # held while a process writes; the system lets go of it when the process is gone
_VERSION = 2  # 2: the column `turns`; files of layout 1 are read, and given the column when opened for writing
_KEY = ("env_id", "level", "seed", "sample")
_TYPED = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
_CREATE = (
    f"CREATE TABLE IF NOT EXISTS episodes ({_TYPED}, PRIMARY KEY ({', '.join(_KEY)}))",
    "CREATE TABLE IF NOT EXISTS identity (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS paces (at REAL NOT NULL, num_at_once INTEGER NOT NULL, why TEXT NOT NULL,"
    " steps_per_s REAL, taken_mb REAL)",
)
_INSERT = (
    f"INSERT INTO episodes ({', '.join(COLUMNS)}) VALUES ({', '.join('?' for _ in COLUMNS)})"
    f" ON CONFLICT DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in COLUMNS if name not in _KEY)}"
    " WHERE failure IS NOT NULL"  # only an episode that failed is played again
)
_PAGE = 256  # episodes read at a time


class BenchStore:
    """The episodes of one run; may be used from several threads.

    Args:
        folder: Where `bench.sqlite` is; made when absent, with `identity`.
        identity: What the run is, as plain data by name. None: open an existing one to read.

    Raises:
        StoreError: The file is none of ours, cannot be read or written, was begun with another identity, or is being
            written by somebody else.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any] | None = None) -> None:
        self.path = Path(folder) / FILE
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._writing = ExitStack()
        self._has_turns = True
        self.identity: dict[str, Any]
        if identity is None and not self.path.is_file():
            how = "give the folder that agentrl bench wrote with --out"
            if (self.path.parent / "rollouts.sqlite").is_file():
                how = f"it is a training run, of which this makes a bench: agentrl rescore {folder} --rubric stored"
            raise StoreError(f"{folder} holds no {FILE}; {how}")
        with self._explained():
            if identity is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                lock = self._locked()
                self._writing.callback(lock.release)
                self._writing.enter_context(holding(self.path))
            try:
                if identity is None:
                    self._db = connect_readonly(self.path, timeout_s=30)
                else:
                    uri = f"{self.path.absolute().as_uri()}?mode=rwc"
                    self._db = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
                self._prepare(self._db, identity)
                self.identity = read_identity(self.path, self._db.execute("SELECT name, value FROM identity"))
            except BaseException:
                self.close()
                raise

    def add(self, episode: Episode) -> bool:
        """Write an episode at once; return whether it was missing, or there with a failure only."""
        with self._explained(), self._lock:
            return self._connection().execute(_INSERT, _row(episode)).rowcount == 1

    def add_all(self, episodes: Sequence[Episode]) -> None:
        """Write episodes that ended together at once, all or none."""
        rows = list(map(_row, episodes))
        with self._explained(), self._lock:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                db.executemany(_INSERT, rows)
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def tally(self) -> dict[tuple[str, int], tuple[int, int, int]]:
        """Return by environment and level how many episodes did not fail, how many say their success, and have it."""
        query = (
            "SELECT env_id, level, count(*), count(success), coalesce(sum(success), 0) FROM episodes"
            " WHERE failure IS NULL GROUP BY env_id, level"
        )
        with self._explained(), self._lock:
            rows = self._connection().execute(query).fetchall()
        return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}

    def note_pace(self, pace: Pace) -> None:
        """Write down that the number of episodes at once has changed."""
        row = (pace.at, pace.num_at_once, pace.why, pace.steps_per_s, pace.taken_mb)
        with self._explained(), self._lock:
            self._connection().execute("INSERT INTO paces VALUES (?, ?, ?, ?, ?)", row)

    def paces(self) -> list[Pace]:
        """Return how many episodes were played at once, and from when on; a resumed run begins anew each time."""
        with self._explained(), self._lock:
            db = self._connection()
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'paces'").fetchone():
                return []  # written before it was noted
            rows = db.execute("SELECT at, num_at_once, why, steps_per_s, taken_mb FROM paces ORDER BY rowid")
            return [read_pace(self.path, row) for row in rows]

    def done(self) -> set[Job]:
        """Return which episodes are there without a failure."""
        with self._explained(), self._lock:
            query = f"SELECT {', '.join(_KEY)} FROM episodes WHERE failure IS NULL"
            return {_job(row) for row in self._connection().execute(query)}

    def count(self) -> int:
        """Return how many episodes are there, failed ones included."""
        with self._explained(), self._lock:
            return int(self._connection().execute("SELECT count(*) FROM episodes").fetchone()[0])

    def episodes(self, *, with_messages: bool = True) -> Iterator[Episode]:
        """Yield all episodes in the order of environment, level, seed and sample, a page at a time.

        Args:
            with_messages: False leaves out the messages and what turns earned, which is several times as fast.
        """
        absent = {} if with_messages else {"messages": "'[]'", "turns": "NULL"}
        if not self._has_turns:
            absent["turns"] = "NULL"
        columns = [absent.get(name, name) for name in COLUMNS]
        after: tuple[Any, ...] = ()
        while True:
            where = f"WHERE ({', '.join(_KEY)}) > (?, ?, ?, ?)" if after else ""
            query = f"SELECT {', '.join(columns)} FROM episodes {where} ORDER BY {', '.join(_KEY)} LIMIT {_PAGE}"
            with self._explained(), self._lock:
                rows = self._connection().execute(query, after).fetchall()
            yield from (read_episode(self.path, row) for row in rows)
            if len(rows) < _PAGE:
                return
            after = rows[-1][:4]

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.DatabaseError):  # read-only, or somebody reads it: right as it is
                db.execute("PRAGMA busy_timeout = 0")
                db.execute("PRAGMA journal_mode = DELETE")  # one plain file
            db.close()
        self._writing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _locked(self) -> FileLock:
        """Take the lock of whoever writes this run."""
        lock = FileLock(self.path.with_name(_LOCK), thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise StoreError(
                f"{self.path}: another process is writing this run; wait for it, stop it, or choose another folder "
                "with --out"
            ) from error
        except NotImplementedError as error:
            raise StoreError(
                f"{self.path}: this file system knows no locks ({error}); choose a folder on another one with --out"
            ) from error
        return lock

    def _prepare(self, db: sqlite3.Connection, identity: Mapping[str, Any] | None) -> None:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if not 0 <= version <= _VERSION:
            raise StoreError(
                f"{self.path} has layout {version}, this agentrl reads {_VERSION}; type: pip install -U agentrl-gym"
            )
        refuse_views(self.path, db)
        if identity is None:
            db.execute("SELECT 1 FROM episodes LIMIT 1")
            self._has_turns = _has_turns(db)
            return
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose the last episodes, never the file
        db.execute("BEGIN IMMEDIATE")
        for statement in _CREATE:
            db.execute(statement)
        held = db.execute("SELECT name, value FROM identity").fetchall()
        there = read_identity(self.path, held) if held else {}
        if not there:
            rows = [(name, json.dumps(value)) for name, value in identity.items()]
            db.executemany("INSERT INTO identity VALUES (?, ?)", rows)
        if not _has_turns(db):
            db.execute(f"ALTER TABLE episodes ADD COLUMN turns {COLUMNS['turns']}")
        db.execute(f"PRAGMA user_version = {_VERSION}")
        db.execute("COMMIT")
        if there and (unlike := differences(there, json.loads(json.dumps(dict(identity))))):
            raise StoreError(
                f"{self.path.parent} was begun with other settings: {'; '.join(unlike)}. Type the same command as then "
                "to go on, or choose another folder with --out"
            )

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise ValueError(f"{self.path} is closed; open it again with BenchStore(folder)")
        return self._db

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, OSError) as error:
            name = getattr(error, "sqlite_errorname", "")
            hint = "make the folder writable and see that the disk has room, or choose another folder with --out"
            if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                hint = "another process is writing this run: wait for it or stop it"
            elif name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")) or "decode" in str(error):
                hint = "the file is damaged or no run of the bench: move it away, or choose another folder with --out"
            raise StoreError(f"{self.path}: {error}; {hint}") from error


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Name what differs between two identities, with both values.

    >>> differences({"seed": 0, "split": "test"}, {"seed": 1, "split": "test"})
    ['seed was 0 and is 1']
    """
    names = list(dict.fromkeys([*first, *second]))
    return [
        f"{name} was {json.dumps(first.get(name))} and is {json.dumps(second.get(name))}"
        for name in names
        if first.get(name) != second.get(name)
    ]


def _row(episode: Episode) -> tuple[Any, ...]:
    job = episode.job
    return (
        job.env_id,
        job.level,
        job.seed,
        job.sample,
        episode.task_id.encode("utf-8", "backslashreplace").decode(),
        episode.prompt,
        episode.reward,
        json.dumps(episode.rewards),
        None if episode.success is None else int(episode.success),
        int(episode.truncated),
        episode.num_turns,
        None if episode.failure is None else json.dumps(episode.failure),
        episode.num_attempts,
        episode.seconds,
        json.dumps([round(each, 6) for each in episode.latencies]),
        episode.prompt_tokens,
        episode.completion_tokens,
        json.dumps(episode.messages),  # ASCII with escapes: half a surrogate pair in a text is kept, not refused
        json.dumps({"rewards": episode.turn_rewards, "components": episode.turn_components}),
    )


def _job(row: tuple[Any, ...]) -> Job:
    return Job(env_id=row[0], level=row[1], seed=row[2], sample=row[3])


def _has_turns(db: sqlite3.Connection) -> bool:
    return any(column[1] == "turns" for column in db.execute("PRAGMA table_info(episodes)"))
