"""What the proxy and the services have in common: the connections of one box, by their number in frames.

`handle` takes frames from the I/O thread and never blocks; each connection is a conversation in the engine's loop,
which a subclass writes. Nothing that the worker sends is believed: a frame that breaks the protocol ends the box.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from asyncio import StreamWriter

from agentrl.sandboxes.errors import SandboxError
from agentrl.sandboxes.network.stream import Send, Stream, engine
from agentrl.sandboxes.worker.frames import (
    NET_CLOSE,
    NET_DATA,
    NET_END,
    NET_MORE,
    NET_OPEN,
    NO_RUN,
    Frame,
    FrameError,
    body_of,
)

__all__ = ["CUT", "Connections", "hang_up"]

MOST_EXCESS = 1000
CUT = b"cut"
"""Body of a NET_CLOSE after which the job is to see a reset, since what came before is not all."""


class Connections(ABC):
    """Connections of one box to one place.

    Args:
        send: How to send a frame to the worker.
        streams: Connections at one moment; those beyond are closed at once.
        window: Bytes on the way, each way of each connection; the worker has the same number.
    """

    def __init__(self, send: Send, *, streams: int, window: int) -> None:
        self._send = send
        self._most, self._window = streams, window
        self._lock = threading.Lock()
        self._streams: dict[bytes, Stream] = {}
        self._closed = False
        self._excess = 0
        self._num_opened = 0
        self._engine = engine()

    @abstractmethod
    async def _converse(self, stream: Stream) -> bytes:
        """Serve one connection to its end, in the loop; return the body of the NET_CLOSE that follows.

        Raises:
            OSError, TimeoutError: Either end is gone or fell silent; as after a return, the other is hung up on.
        """

    def handle(self, frame: Frame) -> None:
        """Take a NET_* frame from the worker; returns at once. One of a connection that is not here is dropped.

        Raises:
            FrameError: It breaks the protocol, so the box must go: a stream opened twice, more bytes than the window
                has room for, a body that is none.
        """
        if frame.kind == NET_OPEN:
            self._open(frame)
            return
        with self._lock:
            stream = self._streams.get(frame.run)
        if stream is None:
            return  # it was closed from this side, and the worker did not know yet
        if frame.kind == NET_DATA:
            stream.receive(frame.body)
        elif frame.kind == NET_MORE:
            if len(frame.body) != 4:
                raise FrameError("credit in a tunnel that is no number")
            stream.more(int.from_bytes(frame.body, "big"))
        elif frame.kind == NET_END:
            stream.finish()
        elif frame.kind == NET_CLOSE:
            stream.end()
        else:
            raise FrameError(f"a frame of kind {frame.kind} in a tunnel")

    @property
    def opened(self) -> int:
        """Connections that programs in the box have made."""
        return self._num_opened

    def close(self) -> None:
        """End every connection and send no more; idempotent, does not wait."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            streams = list(self._streams.values())
            self._streams.clear()
        for stream in streams:
            self._engine.call(stream.cancel)

    def _open(self, frame: Frame) -> None:
        if not isinstance(body_of(frame).get("port"), int) or frame.run == NO_RUN:
            raise FrameError("a tunnel without a port or a number")
        with self._lock:
            if self._closed:
                return
            if frame.run in self._streams:
                raise FrameError("a tunnel opened twice")
            self._num_opened += 1
            # Those that the worker has closed are about to go; it may open as many again before they are gone.
            live = sum(not each.ended for each in self._streams.values())
            full = live >= self._most or len(self._streams) >= 2 * self._most
            if full:
                self._excess += 1
                if self._excess > MOST_EXCESS:
                    raise FrameError("a flood of tunnels")
            else:
                stream = self._streams[frame.run] = Stream(frame.run, self._emit, self._engine, self._window)
        if full:
            self._engine.call(lambda: self._turn_away(frame.run))
        else:
            self._engine.call(lambda: stream.begin(self._serve))

    def _turn_away(self, run: bytes) -> None:
        with self._lock:
            self._excess -= 1
        self._emit(NET_CLOSE, run, b"")

    def _emit(self, kind: int, run: bytes, body: bytes) -> None:
        if self._closed:
            return
        try:
            self._send(kind, run, body)
        except (SandboxError, OSError):  # the box is gone; whoever owns it knows already
            self.close()

    async def _serve(self, stream: Stream) -> None:
        last = b""
        try:
            last = await self._converse(stream)
        except (OSError, TimeoutError):
            pass  # closing is all that can be said to the other end
        finally:
            with self._lock:
                known = self._streams.pop(stream.run, None) is not None
            if known and not stream.ended:
                self._emit(NET_CLOSE, stream.run, last)


def hang_up(writer: StreamWriter) -> None:
    """Close a connection to the host's side at once."""
    # A child that was forked meanwhile holds the same socket, and closing alone would leave the connection open.
    found = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        if found is not None:
            found.shutdown(socket.SHUT_RDWR)
    writer.transport.abort()
