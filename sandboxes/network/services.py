"""The host's side of a lease's services: connections to a port of the box, passed on to one address of the host.

Bytes are passed as they come, so whatever speaks TCP works, and nothing is parsed; but where the service cannot be
reached, a program that speaks HTTP is told so by a 502. Only the address that the spec names is ever dialled. No time
is set here: a request may wait as long as its two ends have patience, and the end of the lease ends it.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.sandboxes.network.connections import CUT, Connections, hang_up
from agentrl.sandboxes.network.stream import CHUNK, Send, Stream
from agentrl.sandboxes.worker.frames import NET_CLOSE, NET_END, NET_OPEN, Frame, body_of

__all__ = ["MOST_STREAMS", "Routes", "Service", "door_settings"]

MOST_STREAMS = 128
"""Connections of one lease at one moment, shared evenly among its services."""
# What a hostile box can have waiting on the host is so much, each way, for each connection.
WINDOW = 65_536
CONNECT_S = 10.0
# A service has said all: how long its client may take to hang up. One that is down: how long a client may take to ask.
LINGER_S = 10.0
REQUEST = re.compile(rb"[A-Z]{3,10} [!-~]")


class Service(Connections):
    """What listens at one port of the box.

    Args:
        port: In the box.
        target: Host and port that are dialled.
        send: How to send a frame to the worker.
        streams: Connections at one moment.
    """

    def __init__(self, port: int, target: tuple[str, int], send: Send, *, streams: int = MOST_STREAMS) -> None:
        super().__init__(send, streams=streams, window=WINDOW)
        self._port, self._target = port, target

    async def _converse(self, stream: Stream) -> bytes:
        host, port = self._target
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_connection(host, port, limit=CHUNK)
        except TimeoutError:
            return await self._say_down(stream, f"no answer within {CONNECT_S:g} s")
        except ConnectionResetError:
            return CUT  # it was there: it took the connection and cut it before this side had looked
        except (OSError, UnicodeError) as error:
            number = error.errno if isinstance(error, OSError) else None
            found = number is not None and number > 0
            return await self._say_down(stream, os.strerror(number) if found and number else "its address is not known")
        writer.transport.set_write_buffer_limits(high=0)  # `drain` waits till all is with the kernel
        try:
            return await self._relay(stream, reader, writer)
        finally:
            hang_up(writer)

    async def _relay(self, stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        async def up() -> None:
            while data := await stream.take(CHUNK):
                writer.write(data)
                await writer.drain()
            if not stream.ended and writer.can_write_eof():
                writer.write_eof()

        async def down() -> None:
            while data := await reader.read(CHUNK):
                await stream.give(data)

        sending, answering, gone = (asyncio.ensure_future(each) for each in (up(), down(), stream.gone()))
        try:
            await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                return b""
            if isinstance(answering.exception(), OSError):
                return CUT
            answering.result()
            self._emit(NET_END, stream.run, b"")
            await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED, timeout=LINGER_S)
            return b""
        finally:
            for task in (sending, answering, gone):
                task.cancel()
            await asyncio.gather(sending, answering, gone, return_exceptions=True)

    async def _say_down(self, stream: Stream, why: str) -> bytes:
        text = f"sandbox: the service behind port {self._port} of this box cannot be reached: {why}\n"
        head = (
            f"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
            f"Connection: close\r\n\r\n{text}"
        )
        async with asyncio.timeout(LINGER_S):
            # Before it has asked, an answer would be nothing to it, and after other words than HTTP neither.
            if not REQUEST.match(await stream.take(CHUNK)):
                return CUT
            await stream.give(head.encode("ascii", "replace"))
            self._emit(NET_END, stream.run, b"")
            while await stream.take(CHUNK):  # closed before it was read, a request would take the answer with it
                pass
        return b""


class Routes:
    """Where the connections of one lease go, by the port of the box that they were made to.

    Args:
        others: Takes what no service has; None: those are closed.
        services: The spec's.
        send: How to send a frame to the worker.
    """

    def __init__(self, others: Connections | None, services: Mapping[int, tuple[str, int]], send: Send) -> None:
        self._send = send
        self._others = others
        streams = MOST_STREAMS // max(1, len(services))
        self._services = {port: Service(port, target, send, streams=streams) for port, target in services.items()}
        self._all = [*self._services.values()] + ([others] if others is not None else [])

    def handle(self, frame: Frame) -> None:
        """Take a NET_* frame from the worker; see `Connections.handle`."""
        if frame.kind != NET_OPEN:
            for each in self._all:
                each.handle(frame)
            return
        door = body_of(frame).get("door")
        found = self._services.get(door, self._others) if isinstance(door, int) else self._others
        if found is None:
            self._send(NET_CLOSE, frame.run, b"")
        else:
            found.handle(frame)

    def close(self) -> None:
        """End every connection; idempotent, does not wait."""
        for each in self._all:
            each.close()


def door_settings(ports: Sequence[int]) -> dict[str, Any]:
    """Return the body of the LISTEN that has a worker open these ports."""
    return {"ports": list(ports), "window": WINDOW, "most": MOST_STREAMS // len(ports)}
