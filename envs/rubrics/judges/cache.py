"""Verdicts on disk, by the digest of all that they depend on; several processes may use one file at once.

A verdict that another process has stored first is kept, and returned to whoever stores a second, so that a question
has one answer. Where the file fails later, such as on a full disk, judging goes on without it; failures are counted.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from agentrl.envs.errors import UsageError

__all__ = ["VerdictCache", "cache_path"]

_WAIT_S = 10.0  # for other processes that write
_TABLE = """create table if not exists verdicts (
    key text primary key, text text not null, model text not null, made real not null
) without rowid"""


def cache_path(cache: str) -> Path:
    """Return where a cache is: a bare file name in the user's cache folder, a path where it says.

    Raises:
        UsageError: There is no home folder.
    """
    if os.sep in cache:
        return Path(cache).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):  # the specification says that a relative path is to be ignored
        return Path(base) / "agentrl" / cache
    try:
        return Path.home() / ".cache" / "agentrl" / cache
    except RuntimeError as error:
        raise UsageError("no home folder to keep verdicts in; write cache = '/a/path.sqlite', or cache = ''") from error


class VerdictCache:
    """Keeps the texts of verdicts; opened at the first question.

    Args:
        path: The file; its folder is made.
        model: Noted beside each verdict, for people who look into the file.
    """

    def __init__(self, path: Path, model: str) -> None:
        self.path = path
        self.num_failures = 0
        self._model = model
        self._connection: sqlite3.Connection | None = None
        # One thread owns the connection, so that the loop never waits for a disk or for another process.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="agentrl-verdicts")

    async def get(self, key: str) -> str | None:
        """Return a stored verdict, or None.

        Raises:
            UsageError: The file cannot be opened.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._get, key)

    async def put(self, key: str, text: str) -> str:
        """Store a verdict; return what is stored, which is an earlier one where there is one."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._put, key, text)

    def close(self) -> None:
        """Close the file, for good; calling it again does nothing."""
        self._thread.shutdown()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            end = time.monotonic() + _WAIT_S
            while True:
                try:
                    self._connection = self._open()
                    break
                except (OSError, sqlite3.Error) as error:
                    # Processes that make the file at the same moment lock each other out, which no busy timeout spans.
                    if "locked" in str(error) and time.monotonic() < end:
                        time.sleep(0.02)
                        continue
                    raise UsageError(
                        f"judge: cache = {str(self.path)!r} cannot be used ({error}); write another path, or cache = ''"
                    ) from error
        return self._connection

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("pragma journal_mode = wal")  # readers do not wait for a writer
            connection.execute("pragma synchronous = normal")  # a verdict lost with the power is asked for again
            connection.execute(_TABLE)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _get(self, key: str) -> str | None:
        connection = self._opened()
        try:
            row = connection.execute("select text from verdicts where key = ?", (key,)).fetchone()
        except sqlite3.Error:
            self.num_failures += 1
            return None
        return None if row is None else str(row[0])

    def _put(self, key: str, text: str) -> str:
        try:
            connection = self._opened()
            values = (key, text, self._model, time.time())
            connection.execute("insert into verdicts values (?, ?, ?, ?) on conflict do nothing", values)
            row = connection.execute("select text from verdicts where key = ?", (key,)).fetchone()
        except (sqlite3.Error, UsageError):
            self.num_failures += 1
            return text
        return text if row is None else str(row[0])
