"""The worker's protocol: how the host and the worker inside a box talk. Both ends use this file.

The worker's standard input and output carry frames, nothing else:

    length  4 bytes, big-endian: bytes that follow, at most 9 + LARGEST
    kind    1 byte, one of the constants below
    run     8 bytes: the nonce of the run that the frame is about, drawn by the host; zeros for none
    body    the rest: JSON (UTF-8, an object) for the kinds in capitals below, raw bytes for the others

    host to worker                                        worker to host
    BEAT       I am alive (every 2 s)                     READY   {"python", "lanes", "split", "counters"}, once
    START      {"mode", ...}: begin a run                 out     bytes of the job's standard output
    data       bytes of the job's standard input          err     bytes of its standard error
    eof        no more of them                            value   bytes of its result channel (file, cell, call)
    KILL       stop this run                              END     {"status", "exit_code", "signal", ...}: last of a run
    RESET      make the box as new; answered by END       FATAL   {"reason"}: the worker gives up
    LISTEN     {"ports", "window", "most"}, till RESET;
               answered by END
    net_data, net_end, net_close, net_more: a tunnel      NET_OPEN {"port", "door"}, net_data, net_end, net_close,
                                                          net_more

A run: START, any data, eof; then out, err and value as they come, and exactly one END. The nonce makes a frame that is
late, invented or repeated recognisable; the host takes any frame that fits no run, any length past the bound and any
body that does not parse as the end of the box. The job cannot write here at all: it holds neither descriptor, and the
worker is another user's process. What it prints is only ever the body of `out` and `err`.

The worker re-arms a kernel alarm of `silence_s` seconds at each frame, so a host that has gone silent ends the box even
where the end of its input does not arrive; end of input ends it at once.
"""

from __future__ import annotations

import json
import struct
from collections import namedtuple

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NamedTuple

__all__ = [
    "BEAT",
    "DATA",
    "END",
    "EOF",
    "ERR",
    "FATAL",
    "KILL",
    "LARGEST",
    "LISTEN",
    "NET_CLOSE",
    "NET_DATA",
    "NET_END",
    "NET_MORE",
    "NET_OPEN",
    "NO_RUN",
    "OUT",
    "READY",
    "RESET",
    "START",
    "VALUE",
    "Frame",
    "FrameError",
    "Reader",
    "body_of",
    "pack",
    "pack_json",
]

BEAT, START, DATA, EOF, KILL, RESET, LISTEN = 1, 2, 3, 4, 5, 6, 7
READY, OUT, ERR, VALUE, END, FATAL = 16, 17, 18, 19, 20, 21
NET_OPEN, NET_DATA, NET_CLOSE, NET_MORE, NET_END = 32, 33, 34, 35, 36

LARGEST = 262_144
NO_RUN = bytes(8)
HEADER = struct.Struct(">IB8s")


class FrameError(Exception):
    """The other end sent what is not a frame: too long, too short, or a body that does not parse."""


if TYPE_CHECKING:

    class Frame(NamedTuple):
        kind: int
        run: bytes
        body: bytes

else:
    Frame = namedtuple("Frame", ("kind", "run", "body"))
    Frame.__doc__ = "One frame: its kind, the nonce of its run, and its body."


class Reader:
    """Cut a stream of bytes into frames; holds at most one frame and what came with it."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that `data` completes.

        Raises:
            FrameError: A length that is below 9 or above the bound.
        """
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= 4:
                length = int.from_bytes(buffer[start : start + 4], "big")
                if not 9 <= length <= 9 + LARGEST:
                    raise FrameError(f"a frame of {length} bytes")
                if len(buffer) - start < 4 + length:
                    break
                _, kind, run = HEADER.unpack_from(buffer, start)
                body = bytes(buffer[start + 13 : start + 4 + length])
                start += 4 + length
                yield Frame(kind, run, body)
        finally:
            del buffer[:start]


def pack(kind: int, run: bytes = NO_RUN, body: bytes = b"") -> bytes:
    """Return a frame as bytes."""
    assert len(run) == 8, run
    assert len(body) <= LARGEST, len(body)
    return HEADER.pack(9 + len(body), kind, run) + body


def pack_json(kind: int, run: bytes, body: dict[str, Any]) -> bytes:
    """Return a frame with a JSON body."""
    return pack(kind, run, json.dumps(body).encode())


def body_of(frame: Frame) -> dict[str, Any]:
    """Return the JSON body of a frame.

    Raises:
        FrameError: It is no JSON object, or nested too deep to parse.
    """
    try:
        body = json.loads(frame.body)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a body that is not JSON: {type(error).__name__}") from None
    if not isinstance(body, dict):
        raise FrameError("a body that is no JSON object")
    return body
