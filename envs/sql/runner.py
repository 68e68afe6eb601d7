"""Child processes that run queries for this process: confined, and replaced when one of them dies of a query.

A query that takes too much memory or time ends with an error in words, which is the policy's own data; so does one that
takes the child down. Only a child that cannot be started is a failure of the infrastructure. Standard library alone.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

from agentrl.envs.errors import InfrastructureError
from agentrl.envs.sql import engine
from agentrl.envs.sql.engine import Limits

__all__ = ["MOST_CHILDREN", "run"]

MOST_CHILDREN = 4  # at once, for queries with the same bound on memory
_WALL_S = 60.0  # a child that says nothing for so long, although its time on the processor is bounded, hangs
_MOST_BYTES = 64 << 20  # of a reply


class _Child:
    def __init__(self, memory_mb: int) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-B", engine.__file__, str(memory_mb)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"LC_ALL": "C.UTF-8"},
                cwd="/",
            )
        except OSError as error:
            raise InfrastructureError(
                f"no process for queries can be started: {error}", kind="unavailable", boundary="sql"
            ) from error

    def ask(self, request: bytes) -> list[dict[str, Any]] | str:
        """Return what a request gives, or what became of the child."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(request)
            self._process.stdin.flush()
        reply = self._line(self._process.stdout.fileno())
        if reply is None:
            self.close()
            if self._process.returncode == -signal.SIGPROF:
                return "the query takes too long: it was stopped"
            return "the query needs too much memory or time: it was stopped"
        try:
            return _checked(json.loads(reply))
        except (ValueError, RecursionError):  # a child that was taken over may say anything
            self.close()
            return "the query was stopped: what came of it cannot be read"

    def _line(self, stream: int) -> bytes | None:
        """Return the reply; None where the child has died, or says more than anything can be."""
        parts: list[bytes] = []
        size = 0
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while size < _MOST_BYTES:
                if not selector.select(_WALL_S):
                    raise InfrastructureError(
                        f"a process for queries has said nothing for {_WALL_S:g} s", kind="timeout", boundary="sql"
                    )
                part = os.read(stream, 1 << 16)
                if not part:
                    return None
                parts.append(part)
                size += len(part)
                if part.endswith(b"\n"):
                    return b"".join(parts)
        return None

    def close(self) -> None:
        """End the child."""
        self._process.kill()
        self._process.wait()
        self.let_go()

    def let_go(self) -> None:
        """Close our ends of its pipes."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def _checked(told: Any) -> list[dict[str, Any]]:
    """Return a reply that has the form of one.

    Raises:
        ValueError: It has not.
    """
    if not isinstance(told, list) or not told:
        raise ValueError("no list")
    for each in told:
        if not isinstance(each, dict):
            raise ValueError("no result")
        if isinstance(each.get("error"), str) and isinstance(each.get("broken", ""), str):
            continue
        columns, rows = each.get("columns"), each.get("rows")
        if not isinstance(columns, list) or not isinstance(rows, list) or not isinstance(each.get("more"), bool):
            raise ValueError("no rows")
        if not all(isinstance(row, list) and len(row) == len(columns) and all(map(_is_value, row)) for row in rows):
            raise ValueError("no row")
    return told


def _is_value(value: Any) -> bool:
    if isinstance(value, dict):
        return list(value) == ["blob"] and isinstance(value["blob"], str)
    return value is None or (isinstance(value, str | int | float) and not isinstance(value, bool))


class _Pool:
    """The children of one bound on memory; a thread leases one for a request."""

    def __init__(self, memory_mb: int) -> None:
        self._memory_mb = memory_mb
        self._places = threading.BoundedSemaphore(MOST_CHILDREN)
        self._idle: list[_Child] = []

    def run(self, request: bytes) -> list[dict[str, Any]]:
        with self._places:
            try:
                child = self._idle.pop()
            except IndexError:
                child = _Child(self._memory_mb)
            try:
                told = child.ask(request)
            except BaseException:  # what it would say next is no answer to the next request
                child.close()
                raise
            if isinstance(told, str):
                return [{"error": told}]
            self._idle.append(child)
            return told

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def forget(self) -> None:
        while self._idle:
            self._idle.pop().let_go()


_pools: dict[int, _Pool] = {}


def run(databases: Sequence[bytes | str], sql: str, limits: Limits) -> list[dict[str, Any]]:
    """Run a query over each database, up to the first error.

    Args:
        databases: Images, or paths of files as URIs, which say that they are read-only.
        sql: What somebody wrote; a lone surrogate in it becomes a question mark.
        limits: What it may take on each.

    Returns:
        For each what `engine.query` returns; the last one may be an error.

    Raises:
        InfrastructureError: No child can be started, or a database of the user's own cannot be read.
    """
    text = sql.encode("utf-8", "replace").decode()
    if "\0" in text:
        return [{"error": "a query holds no NUL character"}]
    if len(text) > limits.sql_length:
        return [{"error": f"the query is longer than {limits.sql_length} characters"}]
    sizes = [len(each) if isinstance(each, bytes) else each for each in databases]
    line = json.dumps({"sql": text, "limits": list(limits), "databases": sizes}).encode()
    images = [each for each in databases if isinstance(each, bytes)]
    pool = _pools.setdefault(limits.memory_mb, _Pool(limits.memory_mb))
    told = pool.run(b"\n".join([line, b"".join(images)]))
    if "broken" in told[-1]:
        database = databases[len(told) - 1]
        where = f" ({database.partition('?')[0]})" if isinstance(database, str) else ""
        raise InfrastructureError(
            f"a database cannot be read: {told[-1]['broken']}{where}", kind="database", boundary="sql"
        )
    return told


def _close() -> None:
    for pool in _pools.values():
        pool.close()
    _pools.clear()


def _after_fork() -> None:
    """Leave the children to the process that started them."""
    for pool in _pools.values():
        pool.forget()
    _pools.clear()


atexit.register(_close)
os.register_at_fork(after_in_child=_after_fork)
