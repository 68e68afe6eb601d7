"""Every episode of a run in one SQLite file, `rollouts.sqlite`, to be read by people, by the report and by the bench.

An episode is known by (phase, step, group, member) and is there once: writing it again replaces it, a different task
in its place is refused. A batch goes in as one transaction in write-ahead mode, so a killed run leaves whole batches
and the file opens again. Token ids are little-endian int32, log-probabilities float32, the mask one bit a token (most
significant first), the rest plain columns and JSON, so that `sqlite3 rollouts.sqlite` can query them.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np

from agentrl.trainer.errors import RunFolderError
from agentrl.trainer.types import Episode

__all__ = ["PHASES", "Phase", "RolloutStore"]

Phase = Literal["train", "eval_before", "eval_after", "eval"]
PHASES: tuple[Phase, ...] = get_args(Phase)

_VERSION = 2  # 2: the column `turns`; files of layout 1 are read, and given the column when opened for writing
_COLUMNS = {  # column -> SQL type; the first four are the key
    "phase": "TEXT NOT NULL",
    "step": "INTEGER NOT NULL",
    "group_id": "INTEGER NOT NULL",  # `group` is a word of SQL
    "member": "INTEGER NOT NULL",
    "attempt": "INTEGER NOT NULL",
    "env_id": "TEXT NOT NULL",
    "seed": "INTEGER NOT NULL",
    "split": "TEXT",
    "level": "INTEGER",
    "task_id": "TEXT",
    "reward": "REAL",
    "success": "INTEGER",
    "advantage": "REAL",
    "num_turns": "INTEGER NOT NULL",
    "truncated_by": "TEXT",
    "num_tokens": "INTEGER NOT NULL",
    "rewards": "TEXT NOT NULL",
    "failure": "TEXT",
    "versions": "TEXT NOT NULL",
    "timings": "TEXT NOT NULL",
    "messages": "TEXT NOT NULL",
    "token_ids": "BLOB NOT NULL",
    "mask": "BLOB NOT NULL",
    "logprobs": "BLOB NOT NULL",
    "turns": "TEXT",  # JSON: what is known of each turn, and of conversations; NULL in rows of layout 1
}
_TURNS = ("rewards", "lengths", "states", "advantages", "components", "segments")
_TALKS = ("segments", "prompt_tokens", "kept_tokens", "untrained_turns", "untrained_tokens")
_KEY = ("phase", "step", "group_id", "member")
_TYPED = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
_CREATE = f"CREATE TABLE IF NOT EXISTS episodes ({_TYPED}, PRIMARY KEY ({', '.join(_KEY)}))"
_INSERT = (
    f"INSERT INTO episodes ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' for _ in _COLUMNS)})"
    f" ON CONFLICT DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS if name not in _KEY)}"
    " WHERE env_id = excluded.env_id AND seed = excluded.seed"
)
_PAGE = 256  # episodes read at a time


class RolloutStore:
    """The episodes of one run; may be used from several threads.

    Args:
        path: The SQLite file; made when absent, unless `read_only`.
        read_only: Open an existing file without the right to change it.

    Raises:
        RunFolderError: When the file cannot be opened or is not a rollout store. Every method may raise it too:
            for a full disk, a folder that cannot be written, a file another process keeps locked.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._columns = list(_COLUMNS)
        self._db: sqlite3.Connection | None = None
        if read_only and not self.path.is_file():
            raise RunFolderError(f"{self.path} does not exist; give the folder that `agentrl train` wrote")
        with self._explained():
            mode = "ro" if read_only else "rwc"
            uri = f"{self.path.absolute().as_uri()}?mode={mode}"
            self._db = sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(self._db, read_only)
            except BaseException:
                self.close()
                raise

    def add(self, episodes: Sequence[Episode], *, phase: Phase = "train") -> None:
        """Write a batch, all of it or nothing.

        Raises:
            ValueError: When the phase is unknown, two episodes of the batch have one place, or an episode's token ids,
                mask and log-probabilities differ in length.
            RunFolderError: As the class says, and when the place of an episode holds another task.
        """
        _check_phase(phase)
        rows = [_row(phase, episode) for episode in episodes]
        if len({row[:4] for row in rows}) < len(rows):
            raise ValueError("two episodes of one batch have the same (step, group, member); give each its own")
        with self._transaction() as db:
            changed = db.executemany(_INSERT, rows).rowcount if rows else 0
            if changed != len(rows):
                raise RunFolderError(
                    f"{self.path}: other tasks are stored in the place of {len(rows) - changed} of these episodes "
                    f"({phase}, step {episodes[0].step}); start a new run folder, or go on from a checkpoint with: "
                    f"agentrl train --resume {self.path.parent}"
                )

    def drop_after(self, step: int) -> int:
        """Remove the episodes of all steps later than `step`, of every phase; return how many went."""
        with self._transaction() as db:
            return db.execute("DELETE FROM episodes WHERE step > ?", (step,)).rowcount

    def episodes(
        self, *, phase: Phase | None = None, step: int | None = None, member: int | None = None
    ) -> Iterator[Episode]:
        """Yield episodes in the order of phase, step, group and member, a page at a time."""
        where, values = _where(phase, step, member)
        after: tuple[Any, ...] = ()
        while True:
            page = f"{where} AND ({', '.join(_KEY)}) > (?, ?, ?, ?)" if after else where
            query = (
                f"SELECT {', '.join(self._columns)} FROM episodes WHERE {page} ORDER BY {', '.join(_KEY)} LIMIT {_PAGE}"
            )
            with self._explained(), self._lock:
                rows = self._connection().execute(query, (*values, *after)).fetchall()
            yield from map(_episode, rows)
            if len(rows) < _PAGE:
                return
            after = rows[-1][:4]

    def count(self, *, phase: Phase | None = None, step: int | None = None, member: int | None = None) -> int:
        """Return how many episodes are stored."""
        where, values = _where(phase, step, member)
        with self._explained(), self._lock:
            return int(self._connection().execute(f"SELECT count(*) FROM episodes WHERE {where}", values).fetchone()[0])

    def close(self) -> None:
        """Close the file; calling it again does nothing."""
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.DatabaseError):  # read-only, or somebody reads it: right as it is
                db.execute("PRAGMA busy_timeout = 0")
                db.execute("PRAGMA journal_mode = DELETE")  # one plain file, readable from read-only media too
            db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _prepare(self, db: sqlite3.Connection, read_only: bool) -> None:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version not in range(_VERSION + 1):
            raise RunFolderError(
                f"{self.path} has layout {version}, this agentrl reads {_VERSION}; type: pip install -U agentrl-gym"
            )
        if read_only:
            db.execute("SELECT 1 FROM episodes LIMIT 1")
            self._columns = [name if name != "turns" or version > 1 else "NULL" for name in _COLUMNS]
            return
        db.execute("PRAGMA journal_mode = WAL")  # one append a batch; where it cannot be had the old journal stays
        db.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose the last batches, never the file
        with self._transaction():
            db.execute(_CREATE)
            if version == 1:
                db.execute(f"ALTER TABLE episodes ADD COLUMN turns {_COLUMNS['turns']}")
            db.execute(f"PRAGMA user_version = {_VERSION}")

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            raise ValueError(f"{self.path} is closed; open it again with RolloutStore(path)")
        return self._db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._explained(), self._lock:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # SQLite has rolled back by itself after some errors
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            name = getattr(error, "sqlite_errorname", "")
            raise RunFolderError(f"{self.path}: {error}; {_advice(name, self.path.parent)}") from error


def _advice(name: str, run: Path) -> str:
    resume = f"agentrl train --resume {run}"
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return f"the disk is full or failing: free some space, then go on with: {resume}"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"another process is writing this run: stop it, then go on with: {resume}"
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return "the file is damaged or no rollout store: move it away, or start a new run folder"
    return "make the folder exist and be writable, or choose another run folder"


def _check_phase(phase: str) -> None:
    if phase not in PHASES:
        raise ValueError(f"phase={phase!r} is unknown; there are {', '.join(PHASES)}")


def _where(phase: Phase | None, step: int | None, member: int | None) -> tuple[str, tuple[Any, ...]]:
    if phase is not None:
        _check_phase(phase)
    wanted = {
        name: value for name, value in (("phase", phase), ("step", step), ("member", member)) if value is not None
    }
    return " AND ".join(f"{name} = ?" for name in wanted) or "1", tuple(wanted.values())


def _row(phase: Phase, episode: Episode) -> tuple[Any, ...]:
    lengths = len(episode.token_ids), len(episode.mask), len(episode.logprobs)
    if len(set(lengths)) > 1:
        raise ValueError(f"token_ids, mask and logprobs have lengths {lengths}; they must be equal")
    return (
        phase,
        episode.step,
        episode.group,
        episode.member,
        episode.attempt,
        episode.env_id,
        episode.seed,
        episode.split,
        episode.level,
        _text(episode.task_id),
        episode.reward,
        None if episode.success is None else int(episode.success),
        episode.advantage,
        episode.num_turns,
        episode.truncated_by,
        len(episode.token_ids),
        json.dumps(episode.rewards),
        None if episode.failure is None else json.dumps(episode.failure),
        json.dumps(episode.versions),
        json.dumps(episode.timings),
        json.dumps(episode.messages),  # ASCII with escapes: half a surrogate pair in a text is kept, not refused
        np.asarray(episode.token_ids, dtype="<i4").tobytes(),
        np.packbits(np.asarray(episode.mask, dtype=bool)).tobytes(),
        np.asarray(episode.logprobs, dtype="<f4").tobytes(),
        json.dumps({name: getattr(episode, f"turn_{name}") for name in _TURNS} | _talks(episode)),
    )


def _episode(values: tuple[Any, ...]) -> Episode:
    row = dict(zip(_COLUMNS, values, strict=True))
    packed = np.frombuffer(row["mask"], dtype=np.uint8)
    turns: dict[str, Any] = json.loads(row["turns"]) if row["turns"] else {}
    by_turn: dict[str, Any] = {f"turn_{name}": turns.get(name, []) for name in _TURNS}
    return Episode(
        env_id=row["env_id"],
        seed=row["seed"],
        step=row["step"],
        group=row["group_id"],
        member=row["member"],
        attempt=row["attempt"],
        split=row["split"],
        level=row["level"],
        task_id=row["task_id"],
        token_ids=np.frombuffer(row["token_ids"], dtype="<i4").tolist(),
        mask=np.unpackbits(packed, count=row["num_tokens"]).astype(bool).tolist(),
        logprobs=np.frombuffer(row["logprobs"], dtype="<f4").tolist(),
        reward=_number(row["reward"]),
        rewards=json.loads(row["rewards"]),
        success=None if row["success"] is None else bool(row["success"]),
        failure=None if row["failure"] is None else json.loads(row["failure"]),
        truncated_by=row["truncated_by"],
        messages=json.loads(row["messages"]),
        num_turns=row["num_turns"],
        versions=json.loads(row["versions"]),
        timings=json.loads(row["timings"]),
        advantage=_number(row["advantage"]),
        **by_turn,
        **{name: value for name, value in turns.get("talks", {}).items() if name in _TALKS},
    )


def _talks(episode: Episode) -> dict[str, Any]:
    return {"talks": {name: getattr(episode, name) for name in _TALKS}} if episode.prompt_tokens else {}


def _number(value: float | None) -> float:
    return float("nan") if value is None else value  # SQLite stores NaN as NULL


def _text(value: str | None) -> str | None:
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()
