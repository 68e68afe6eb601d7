"""What the proxy's tunnels run on: one event loop for the process, and streams with a window each way.

The I/O thread of the boxes hands bytes in, the loop's thread takes them out; a lock guards what both touch, and the
loop is woken once for all that came since it last looked. So a box that floods fills its own windows and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Sequence

from agentrl.sandboxes.worker.frames import NET_DATA, NET_MORE, FrameError

__all__ = ["CHUNK", "WINDOW", "Engine", "Resolve", "Send", "Stream", "engine"]

WINDOW = 262_144
CHUNK = 65_536
# Lookups that do not end hold a thread each; past this many others wait, within their own deadline.
MOST_LOOKUPS = 32

Send = Callable[[int, bytes, bytes], None]
"""Queues a frame (kind, run, body) for the worker; called from the loop's thread, must not block."""
Resolve = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host and port as text, or raises OSError; called in a thread of its own, may block."""


class Stream:
    """One connection of a box.

    Args:
        run: Its number in frames.
        send: Where frames for the worker go.
        loop: The engine.
        window: Bytes on the way, each way.
    """

    def __init__(self, run: bytes, send: Send, loop: Engine, window: int = WINDOW) -> None:
        self.run = run
        self._window = window
        self.touched = 0.0
        """When bytes last came or went, on the loop's clock."""
        self._send = send
        self._loop = loop
        self._changed: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False
        # Guarded by the lock from here on. Bytes that came; those of them that `take` gave out; those credited back.
        self._lock = threading.Lock()
        self._inbox = bytearray()
        self._received = self._taken = self._returned = 0
        self._credit = window
        self._finished = self._ended = self._woken = False

    @property
    def ended(self) -> bool:
        """Whether the worker closed it."""
        return self._ended

    def receive(self, data: bytes) -> None:
        """Take bytes from the worker; from the I/O thread.

        Raises:
            FrameError: More than the window has room for, or more after its end.
        """
        with self._lock:
            if self._finished:
                raise FrameError("bytes in a tunnel after their end")
            self._received += len(data)
            if self._received - self._returned > self._window:
                raise FrameError("more bytes in a tunnel than its window")
            self._inbox += data
        self._wake()

    def more(self, credit: int) -> None:
        """Take credit from the worker; from the I/O thread.

        Raises:
            FrameError: More than was used.
        """
        with self._lock:
            self._credit += credit
            if self._credit > self._window:
                raise FrameError("more credit in a tunnel than its window")
        self._wake()

    def finish(self) -> None:
        """Take the worker's word that the client sends no more; from the I/O thread."""
        with self._lock:
            self._finished = True
        self._wake()

    def end(self) -> None:
        """Take the worker's word that the client is gone; from the I/O thread."""
        self._ended = True
        self._wake()

    def begin(self, converse: Callable[[Stream], Coroutine[None, None, None]]) -> None:
        """Start the conversation; in the loop."""
        if self._cancelled:
            return
        self._changed = asyncio.Event()
        self.touch()
        self._task = asyncio.get_running_loop().create_task(converse(self))

    def cancel(self) -> None:
        """Stop it at once; in the loop."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()

    def touch(self) -> None:
        """Note that bytes came or went; in the loop."""
        self.touched = asyncio.get_running_loop().time()

    async def take(self, most: int) -> bytes:
        """Return what the client sent, at most so much; b"" at its end."""
        while True:
            with self._lock:
                ended = self._ended or self._finished
                data = bytes(self._inbox[:most])
                del self._inbox[:most]
                self._taken += len(data)
                owed = self._taken - self._returned
                # A quarter, so that small reads do not cost a frame each.
                owed = owed if owed >= self._window // 4 and not ended else 0
                self._returned += owed
            if owed:
                self._send(NET_MORE, self.run, owed.to_bytes(4, "big"))
            if data or ended:
                return data
            await self._change()

    def put_back(self, data: bytes) -> None:
        """Undo `take` for its last bytes."""
        with self._lock:
            self._inbox[:0] = data
            self._taken -= len(data)

    async def give(self, data: bytes) -> None:
        """Send to the client, as fast as it takes it.

        Raises:
            ConnectionResetError: The client is gone.
        """
        rest = memoryview(data)
        while rest:
            with self._lock:
                count = min(len(rest), self._credit, CHUNK)
                self._credit -= count
            if self._ended:
                raise ConnectionResetError
            if count:
                self._send(NET_DATA, self.run, bytes(rest[:count]))
                rest = rest[count:]
            else:
                await self._change()

    async def gone(self) -> None:
        """Wait till the worker has closed it."""
        while not self._ended:
            await self._change()

    async def _change(self) -> None:
        # Several may wait (one takes, one gives): each wakes at any change and looks again. Clearing is safe because
        # `_changes` runs in this same loop, after the state that it tells of was written.
        assert self._changed is not None
        self._changed.clear()
        await self._changed.wait()

    def _wake(self) -> None:
        with self._lock:
            if self._woken:
                return
            self._woken = True
        self._loop.call(self._changes)

    def _changes(self) -> None:
        with self._lock:
            self._woken = False
        self.touch()
        if self._changed is not None:
            self._changed.set()


class Engine:
    """One event loop in one daemon thread, for all boxes of this process."""

    def __init__(self, before: Engine | None = None) -> None:
        self.pid = os.getpid()
        # The loop of the process that this one was forked from: its sockets are not ours to close, so it is kept.
        self._before = before
        self._loop = asyncio.new_event_loop()
        self._lookups = 0
        threading.Thread(target=self._loop.run_forever, name="agentrl-proxy", daemon=True).start()

    def call(self, function: Callable[[], None]) -> None:
        """Have a function called in the loop; from any thread. In a forked child there is no loop, and nothing is."""
        if self.pid == os.getpid():
            self._loop.call_soon_threadsafe(function)

    async def look_up(self, resolve: Resolve, host: str, port: int) -> Sequence[str]:
        """Call `resolve` in a thread that nobody joins, so that a resolver that hangs holds up no exit."""
        while self._lookups >= MOST_LOOKUPS:
            await asyncio.sleep(0.05)
        answer: asyncio.Future[Sequence[str]] = self._loop.create_future()

        def settle(addresses: Sequence[str] | None, error: OSError | None) -> None:
            self._lookups -= 1
            if answer.cancelled():
                return
            if addresses is not None:
                answer.set_result(addresses)
            else:
                answer.set_exception(error or OSError("no address"))

        def work() -> None:
            try:
                found = resolve(host, port)
            except (OSError, UnicodeError) as error:
                told = error if isinstance(error, OSError) else OSError(str(error))
                self.call(lambda: settle(None, told))
            else:
                self.call(lambda: settle(found, None))

        self._lookups += 1
        threading.Thread(target=work, name="agentrl-lookup", daemon=True).start()
        return await answer


_lock = threading.Lock()
_current: Engine | None = None


def engine() -> Engine:
    """Return the engine of this process; it starts at the first call."""
    global _current
    with _lock:
        if _current is None or _current.pid != os.getpid():
            _current = Engine(_current)
        return _current


def _forked() -> None:
    global _lock
    _lock = threading.Lock()  # another thread may have held it


os.register_at_fork(after_in_child=_forked)
