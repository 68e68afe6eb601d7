"""The box's side of an allow-list network: connections to a port of 127.0.0.1 are carried to the host in frames.

The box has no network at all; what a program reaches here is the host's filtering proxy, and nothing else. A stream is
named by 8 random bytes. Each side may have 256 KiB on the way that the other has not passed on; NET_MORE gives room
back. NET_CLOSE ends a stream both ways, after what came before it.
"""

from __future__ import annotations

import functools
import os
import selectors
import socket
from collections import deque

from agentrl.sandboxes.worker.frames import (
    NET_CLOSE,
    NET_DATA,
    NET_MORE,
    NET_OPEN,
    Frame,
    FrameError,
    pack,
    pack_json,
)

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Tunnel"]

WINDOW = 262_144
PIECE = 65_536
MOST_STREAMS = 32


class Stream:
    """One connection of a job: its socket, what waits for it, and the room on either side."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.room = WINDOW
        self.allowed = WINDOW
        self.waiting: deque[memoryview] = deque()
        self.closing = False
        self.watched = 0


class Tunnel:
    """The listening socket and the streams; part of the worker's loop."""

    def __init__(self, port: int, selector: selectors.BaseSelector, send: Callable[[bytes], None]) -> None:
        self._selector = selector
        self._send = send
        self._streams: dict[bytes, Stream] = {}
        self._door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._door.bind(("127.0.0.1", port))
        self._door.listen(MOST_STREAMS)
        self._door.setblocking(False)
        self._open = False
        self._watch_door()

    def take(self, frame: Frame) -> None:
        """Take a NET_* frame from the host; one for a stream that has closed is late, and dropped.

        Raises:
            FrameError: More than the window, or no number.
        """
        stream = self._streams.get(frame.run)
        if stream is None:
            return
        if frame.kind == NET_DATA:
            stream.allowed -= len(frame.body)
            if stream.allowed < 0:
                raise FrameError("a tunnel beyond its window")
            stream.waiting.append(memoryview(frame.body))
        elif frame.kind == NET_MORE:
            if len(frame.body) != 4:
                raise FrameError("credit in a tunnel that is no number")
            stream.room += int.from_bytes(frame.body, "big")
        else:
            stream.closing = True
        self._push(frame.run, stream)

    def close_all(self) -> None:
        """End every stream, and tell the host."""
        for run, stream in list(self._streams.items()):
            self._end(run, stream, tell=True)

    def _watch_door(self) -> None:
        """Take connections only while there may be more, so that a job that opens many waits for itself."""
        wanted = len(self._streams) < MOST_STREAMS
        if wanted and not self._open:
            self._selector.register(self._door, selectors.EVENT_READ, self._accept)
        elif self._open and not wanted:
            self._selector.unregister(self._door)
        self._open = wanted

    def _accept(self, mask: int) -> None:
        try:
            end, peer = self._door.accept()
        except OSError:
            return  # gone before it was taken, or no descriptor for it
        end.setblocking(False)
        run = os.urandom(8)
        stream = self._streams[run] = Stream(end)
        self._send(pack_json(NET_OPEN, run, {"port": peer[1]}))
        self._watch(run, stream)
        self._watch_door()

    def _watch(self, run: bytes, stream: Stream) -> None:
        wanted = selectors.EVENT_READ if stream.room > 0 and not stream.closing else 0
        wanted |= selectors.EVENT_WRITE if stream.waiting else 0
        if wanted == stream.watched:
            return
        ready: Any = functools.partial(self._ready, run, stream)
        if stream.watched and wanted:
            self._selector.modify(stream.end, wanted, ready)
        elif wanted:
            self._selector.register(stream.end, wanted, ready)
        else:
            self._selector.unregister(stream.end)
        stream.watched = wanted

    def _ready(self, run: bytes, stream: Stream, mask: int) -> None:
        if self._streams.get(run) is not stream:
            return  # closed by an event of the same round
        if mask & selectors.EVENT_READ and stream.room > 0:
            try:
                data = stream.end.recv(min(PIECE, stream.room))
            except BlockingIOError:
                data = None
            except OSError:
                data = b""
            if data == b"":
                self._end(run, stream, tell=True)
                return
            if data:
                stream.room -= len(data)
                self._send(pack(NET_DATA, run, data))
        self._push(run, stream)

    def _push(self, run: bytes, stream: Stream) -> None:
        """Write what waits for the job, and give the host room for as much again."""
        passed = 0
        while stream.waiting:
            try:
                count = stream.end.send(stream.waiting[0])
            except BlockingIOError:
                break
            except OSError:
                self._end(run, stream, tell=not stream.closing)
                return
            passed += count
            if count == len(stream.waiting[0]):
                stream.waiting.popleft()
            else:
                stream.waiting[0] = stream.waiting[0][count:]
        if stream.closing and not stream.waiting:
            self._end(run, stream, tell=False)
            return
        if passed and not stream.closing:
            stream.allowed += passed
            self._send(pack(NET_MORE, run, passed.to_bytes(4, "big")))
        self._watch(run, stream)

    def _end(self, run: bytes, stream: Stream, *, tell: bool) -> None:
        if stream.watched:
            self._selector.unregister(stream.end)
        stream.end.close()
        del self._streams[run]
        if tell:
            self._send(pack(NET_CLOSE, run))
        self._watch_door()
