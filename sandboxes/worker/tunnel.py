"""The box's side of what it may reach: connections to a port of 127.0.0.1 are carried to the host in frames.

The box has no network at all. What a program reaches here is the host's filtering proxy, or one service that the lease
names; which, the host decides by the port. A stream is named by 8 random bytes. Each side may have a window of bytes on
the way that the other has not passed on; NET_MORE gives room back. NET_END ends one way of a stream to a service,
NET_CLOSE both, after what came before; one with a body means that the connection was cut, and so it is here.
"""

from __future__ import annotations

import contextlib
import functools
import os
import selectors
import socket
import struct
from collections import deque

from agentrl.sandboxes.worker.frames import (
    NET_CLOSE,
    NET_DATA,
    NET_END,
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
# Those past it are tried again by their kernel after a second.
BACKLOG = 128
# Closed with it a socket sends a reset, so that a program does not take half an answer for a whole one.
RESET = struct.pack("ii", 1, 0)


class Stream:
    """One connection of a job: its socket, what waits for it, and the room on either side."""

    def __init__(self, end: socket.socket, window: int) -> None:
        self.end = end
        self.room = window
        self.allowed = window
        self.owed = 0
        self.waiting: deque[memoryview] = deque()
        self.ended = False  # the job sends no more
        self.ending = False  # the host sends no more
        self.closing = False
        self.cut = False
        self.watched = 0


class Tunnel:
    """The listening socket and the streams; part of the worker's loop.

    Args:
        port: Of 127.0.0.1.
        selector: The worker's.
        send: Takes frames to the host.
        window: Bytes on the way, each way of each stream.
        most: Connections at one moment; more wait to be taken.
        both_ways: Whether a stream has two ends (`NET_END`), as to a service; else the job's end is the end of all.

    Raises:
        OSError: The port cannot be had.
    """

    def __init__(
        self,
        port: int,
        selector: selectors.BaseSelector,
        send: Callable[[bytes], None],
        *,
        window: int = WINDOW,
        most: int = MOST_STREAMS,
        both_ways: bool = False,
    ) -> None:
        self._port, self._window, self._most, self._both_ways = port, window, most, both_ways
        self._selector = selector
        self._send = send
        self._streams: dict[bytes, Stream] = {}
        self._door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._door.bind(("127.0.0.1", port))
            self._door.listen(BACKLOG)
        except OSError:
            self._door.close()
            raise
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
        elif frame.kind == NET_END:
            stream.ending = True
        else:
            stream.closing = True
            stream.cut = bool(frame.body)
        self._push(frame.run, stream)

    def close_all(self) -> None:
        """End every stream, and tell the host."""
        for run, stream in list(self._streams.items()):
            self._end(run, stream, tell=True)

    def shut(self) -> None:
        """Listen no more, and cut every stream."""
        if self._open:
            self._selector.unregister(self._door)
            self._open = False
        self._most = 0
        self._door.close()
        for stream in self._streams.values():
            stream.cut = True
        self.close_all()

    def _watch_door(self) -> None:
        """Take connections only while there may be more, so that a job that opens many waits for itself."""
        wanted = len(self._streams) < self._most
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
        # What comes is passed on as it comes: a small piece must not wait for the answer to the one before.
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        run = os.urandom(8)
        stream = self._streams[run] = Stream(end, self._window)
        self._send(pack_json(NET_OPEN, run, {"port": peer[1], "door": self._port}))
        self._watch(run, stream)
        self._watch_door()

    def _watch(self, run: bytes, stream: Stream) -> None:
        reads = stream.room > 0 and not stream.ended and not stream.closing
        wanted = selectors.EVENT_READ if reads else 0
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
            lost = False
            try:
                data = stream.end.recv(min(PIECE, stream.room))
            except BlockingIOError:
                data = None
            except OSError:
                data, lost = b"", True
            if data == b"" and self._both_ways and not lost:
                stream.ended = True
                self._send(pack(NET_END, run))
            elif data == b"":
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
        stream.owed += passed
        # A quarter, so that small pieces do not cost a frame each.
        if stream.owed >= self._window // 4 and not stream.closing:
            stream.allowed += stream.owed
            self._send(pack(NET_MORE, run, stream.owed.to_bytes(4, "big")))
            stream.owed = 0
        if stream.ending and not stream.waiting:
            stream.ending = False
            with contextlib.suppress(OSError):  # a job that is gone; reading says so
                stream.end.shutdown(socket.SHUT_WR)
        self._watch(run, stream)

    def _end(self, run: bytes, stream: Stream, *, tell: bool) -> None:
        if stream.watched:
            self._selector.unregister(stream.end)
        if stream.cut:
            stream.end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        stream.end.close()
        del self._streams[run]
        if tell:
            self._send(pack(NET_CLOSE, run))
        self._watch_door()
