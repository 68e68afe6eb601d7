"""One event loop for all judges of a process, in a thread of its own, so that threads wait side by side."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Sequence
from typing import Any

__all__ = ["shared_loop", "wait_for_all"]

_NAME = "agentrl-judges"  # of the thread
_lock = threading.Lock()
_loops: dict[int, asyncio.AbstractEventLoop] = {}  # by process: a thread does not outlive a fork


def shared_loop() -> asyncio.AbstractEventLoop:
    """Return the loop, started by the first who asks; its thread ends with the process."""
    with _lock:
        loop = _loops.get(os.getpid())
        if loop is None:
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name=_NAME, daemon=True).start()
        return loop


def wait_for_all(awaitables: Sequence[Awaitable[Any]], deadline_s: float | None) -> list[Any]:
    """Return what all of them give, in their order; called from any thread but the loop's own.

    Args:
        awaitables: Waited for at once.
        deadline_s: Seconds after which those that are not done are cancelled; None: never.

    Raises:
        RuntimeError: This is the loop's own thread, which would wait for itself.
        TimeoutError: The deadline has passed.
        Exception: What the first of them raised; the others are cancelled.
    """

    loop = shared_loop()
    if threading.current_thread().name == _NAME:
        for each in awaitables:
            if asyncio.iscoroutine(each):
                each.close()
        raise RuntimeError("a component that is asynchronous itself must await score_async(…), not call score(…)")

    async def every() -> list[Any]:
        async with asyncio.timeout(deadline_s):
            return await gathered(awaitables)

    return asyncio.run_coroutine_threadsafe(every(), loop).result()


async def gathered(awaitables: Sequence[Awaitable[Any]]) -> list[Any]:
    """Return what all give; the first error cancels the others, and is raised as it is."""

    async def one(awaitable: Awaitable[Any]) -> Any:
        return await awaitable

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(each)) for each in awaitables]
    except ExceptionGroup as several:
        raise several.exceptions[0] from None
    return [task.result() for task in tasks]
