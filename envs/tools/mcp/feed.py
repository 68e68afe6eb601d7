"""From the bytes that a server writes to the messages of the SDK, and back: a line of JSON each.

What a server writes is bounded and read without trust: a line that is no message is counted and left out, since many a
server prints what is none; a line without an end, too much rubbish or the server's end close the stream, and `why` says
which it was. Notifications (progress, logs, changed lists) are dropped here, before they cost anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.shared.message import SessionMessage

    Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]

__all__ = ["MAX_LINE_BYTES", "MAX_RUBBISH", "Feed", "Peer"]

MAX_LINE_BYTES = 8 << 20
"""Of one message of a server."""
MAX_RUBBISH = 1000
"""Lines that are no message, before the server is given up."""


class Peer(Protocol):
    """A server's process, wherever it runs."""

    def send(self, data: bytes) -> None:
        """Write to its standard input; nothing where it has ended."""

    def close(self) -> None:
        """End it with all that it started; idempotent. May wait."""


class Feed:
    """The streams of one server; made in the event loop's thread, filled from any."""

    def __init__(self) -> None:
        import anyio

        self.why = ""  # the stream is closed, and this is the reason
        self.num_rubbish = 0
        self._loop = asyncio.get_running_loop()
        self._held = bytearray()
        self._scanned = 0  # bytes of it in which there is no end of line
        self._in, self._read = anyio.create_memory_object_stream["SessionMessage | Exception"](math.inf)

    def put(self, data: bytes) -> None:
        """Take what the server wrote; called from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._take, data)

    def end(self, why: str) -> None:
        """Note that the server has ended; called from any thread."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._close, why)

    def discard(self) -> None:
        """Close it for good; called in the event loop's thread."""
        self._close("it was closed")
        self._read.close()

    @contextlib.asynccontextmanager
    async def streams(self, peer: Peer) -> AsyncIterator[Streams]:
        """Give the SDK its two streams for as long as it wants them."""
        import anyio

        write, out = anyio.create_memory_object_stream["SessionMessage"](0)

        async def writing() -> None:
            async with out:
                async for each in out:
                    text = each.message.model_dump_json(by_alias=True, exclude_unset=True)
                    try:
                        peer.send(text.encode() + b"\n")
                    except Exception as error:  # whatever it is, nothing can be sent any more
                        self._close(f"nothing can be sent to it: {error}")
                        return

        task = asyncio.create_task(writing())
        try:
            async with self._read, write:
                yield self._read, write
        finally:
            task.cancel()
            await asyncio.wait((task,))
            self._close("it was closed")

    def _take(self, data: bytes) -> None:
        if not self.why:
            self._held += data
        while (end := self._held.find(b"\n", self._scanned)) >= 0:  # nothing is held once it is closed
            line = bytes(self._held[:end]).strip()
            del self._held[: end + 1]
            self._scanned = 0
            if line:
                self._message(line)
        self._scanned = len(self._held)
        if self._scanned > MAX_LINE_BYTES:
            self._close(f"it wrote a line of more than {MAX_LINE_BYTES} bytes")

    def _message(self, line: bytes) -> None:
        from mcp.shared.message import SessionMessage
        from mcp.types import JSONRPCNotification, jsonrpc_message_adapter

        if len(line) > MAX_LINE_BYTES:
            self._close(f"it wrote a line of {len(line)} bytes, more than {MAX_LINE_BYTES}")
            return
        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            self.num_rubbish += 1
            if self.num_rubbish > MAX_RUBBISH:
                self._close(f"it wrote more than {MAX_RUBBISH} lines that are no message, such as {line[:80]!r}")
            return
        if not isinstance(message, JSONRPCNotification):
            self._in.send_nowait(SessionMessage(message))

    def _close(self, why: str) -> None:
        if not self.why:
            self.why = why
            self._held.clear()
            self._in.close()
