"""The judges of a process: one client for all judges with the same settings, on the loop that they all share.

Whoever awaits a verdict may do so on any loop, or through `Rubric` in any thread.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from agentrl.envs.rubrics.judges.client import JudgeClient, Totals
from agentrl.envs.rubrics.judges.settings import JudgeSettings
from agentrl.envs.rubrics.waiting import shared_loop

__all__ = ["client_for", "close_judges", "on_shared_loop", "totals"]

T = TypeVar("T")
_CLOSE_S = 5.0


def client_for(settings: JudgeSettings) -> JudgeClient:
    """Return the client of this process for some settings, made by the first who asks."""
    with _lock:
        if not _clients:
            atexit.unregister(close_judges)
            atexit.register(close_judges)
        key = (os.getpid(), settings)
        if key not in _clients:
            _clients[key] = JudgeClient(settings)
        return _clients[key]


async def on_shared_loop(work: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine on the loop that the judges share, and wait for it on whatever loop this is."""

    loop = shared_loop()
    if asyncio.get_running_loop() is loop:
        return await work()

    async def run() -> tuple[T | None, Exception | None]:
        # An error goes over as a value: that of a task whose waiter has been cancelled would be taken by nobody, and
        # asyncio then tells the user of an exception that was never retrieved.
        try:
            return await work(), None
        except Exception as error:
            return None, error

    found, error = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(run(), loop))
    if error is not None:
        raise error
    return cast(T, found)


def totals() -> Totals:
    """Return what all judges of this process were asked, and what it took.

    >>> before = totals()
    >>> totals() == before  # nothing was asked in between
    True
    """
    with _lock:
        clients = [client for (pid, _), client in _clients.items() if pid == os.getpid()]
    return sum((client.totals() for client in clients), _closed)


def close_judges() -> None:
    """Close the connections and caches of all judges of this process; judges that are asked later open them anew."""
    global _closed
    with _lock:
        mine = [key for key in _clients if key[0] == os.getpid()]
        clients = [_clients.pop(key) for key in mine]
        _closed = sum((client.totals() for client in clients), _closed)
    for client in clients:
        with contextlib.suppress(TimeoutError):  # at the end of a process nothing may wait for a server
            asyncio.run_coroutine_threadsafe(client.close(), shared_loop()).result(_CLOSE_S)


_lock = threading.Lock()
_clients: dict[tuple[int, JudgeSettings], JudgeClient] = {}
_closed = Totals()  # of clients that are closed
