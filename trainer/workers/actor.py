"""What runs in a worker process: many environments, each in a thread of its own.

Requests come in batches and are answered in batches: whoever asks holds one call open, which returns all that has ended
meanwhile. A call of Ray costs a hundred times what it carries, so that its cost is shared the more, the more there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import platform
import sys
import threading
from collections.abc import Sequence
from typing import Any, Final

from agentrl.trainer.desk import Done, ThreadDesk
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.workers.wire import encode

__all__ = ["EnvWorker"]

_TICK_S: Final = 0.001  # what ends within it is told together; so many of it as ended the last time:
_MOST_TICKS: Final = 4


class EnvWorker:
    """The environments of one process; an asynchronous actor.

    Args:
        paths: Where whoever asks finds modules.
        folder: Its current one.
    """

    def __init__(self, paths: Sequence[str], folder: str) -> None:
        sys.path += [path for path in paths if path not in sys.path]
        with contextlib.suppress(OSError):  # another host has other folders
            os.chdir(folder)
        self._desks: dict[int, ThreadDesk] = {}
        self._ended: list[tuple[int, Any]] = []
        self._num_ended = 0  # the last time
        self._lock = threading.Lock()
        self._some = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def hello(self) -> str:
        """Return the host and the process."""
        self._loop = asyncio.get_running_loop()
        return f"{platform.node()}, process {os.getpid()}"

    async def put(self, batch: bytes) -> None:
        """Take requests: (call, desk, recipe, what, job), or (-1, desk) for one that is to close."""
        for call, desk, *rest in pickle.loads(batch):
            if call < 0:
                if (left := self._desks.pop(desk, None)) is not None:
                    left.abandon()
                continue
            recipe, what, job = rest
            if desk not in self._desks:
                self._desks[desk] = ThreadDesk(_maker(recipe), round=0, ended=self._teller(desk))
            self._desks[desk].submit(_Job(job), what, self._answerer(call, what))

    async def collect(self, batch: bytes) -> bytes:
        """Take requests, where there are any, and wait until something has ended.

        Returns:
            (call, answer) of each that has, and (-1, desk) of each that is closed; nothing at all: this process ends.
        """
        if batch:
            await self.put(batch)
        await self._some.wait()
        await asyncio.sleep(_TICK_S * max(1, min(self._num_ended, _MOST_TICKS)))
        with self._lock:
            self._some.clear()
            ended, self._ended = self._ended, []
        self._num_ended = len(ended)
        return pickle.dumps(ended)

    async def leave(self) -> None:
        """End the process as a program ends, once whoever waits has been told."""
        import ray

        self._some.set()
        await asyncio.sleep(10 * _TICK_S)
        ray.actor.exit_actor()

    def _answerer(self, call: int, what: str) -> Done:
        return lambda result, error: self._tell(call, encode(result, error, what))

    def _teller(self, desk: int) -> Any:
        return lambda: self._tell(-1, desk)

    def _tell(self, call: int, told: Any) -> None:
        with self._lock:
            self._ended.append((call, told))
            is_first = len(self._ended) == 1
        if is_first:
            assert self._loop is not None
            with contextlib.suppress(RuntimeError):  # the process ends
                self._loop.call_soon_threadsafe(self._some.set)


class _Job:
    """A job as it travelled, read in the thread of its environment: reading may import for seconds."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    def __call__(self, env: Any) -> Any:
        return pickle.loads(self._packed)(env)


def _maker(recipe: bytes) -> Any:
    def make() -> Any:
        try:
            read = pickle.loads(recipe)
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"the environment cannot be made on {platform.node()}, since a module is not there: {error}; install "
                "it on every host, or start the program with: ray job submit --working-dir . -- COMMAND"
            ) from error
        return read.made()

    return make
