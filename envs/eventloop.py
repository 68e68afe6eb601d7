"""One event loop in a thread of its own, so that threads that play can wait for coroutines side by side."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

__all__ = ["LoopThread"]


class LoopThread:
    """Runs coroutines for other threads; started by the first, ended by `close`.

    Args:
        turn_s: Seconds after which a coroutine is cancelled, and waited for no longer.
        who: Is waited for, as a message names it.
    """

    def __init__(self, turn_s: float, *, who: str = "the agent") -> None:
        self._turn_s = turn_s
        self._who = who
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def wait(self, coroutine: Coroutine[Any, Any, Any], turn_s: float | None = None) -> Any:
        """Return what a coroutine returns; called from any thread.

        Args:
            coroutine: What to wait for.
            turn_s: Seconds, in place of those that the loop was made with.

        Raises:
            TimeoutError: It took longer than `turn_s`.
            Exception: What it raised.
        """
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_serve, args=(self._loop,), name="agentrl-loop", daemon=True).start()
            loop = self._loop
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError:  # closed meanwhile
            coroutine.close()
            raise
        turn_s = self._turn_s if turn_s is None else turn_s
        try:
            return future.result(turn_s)
        except TimeoutError:
            if future.done():
                raise  # its own
            future.cancel()
            raise TimeoutError(f"{self._who} did not answer within {turn_s:g} s") from None

    def close(self) -> None:
        """Cancel what runs and end the thread; calling it again does nothing."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=5.0))
        loop.close()
