"""The worker's standard input and output over the engine's attach socket.

The engine wraps what comes out in its own frames: one byte for the stream (1 output, 2 error), three zeros, four
bytes of length, then that many bytes. They are cut here piece by piece as they come, so no length makes anything be
allocated. What is no such frame is the end of the box. Standard error, where only a worker that dies writes, is kept
as a tail.
"""

from __future__ import annotations

import contextlib
import select
import socket
from typing import Any

from agentrl.sandboxes.worker.frames import FrameError

__all__ = ["DockerChannel", "Unwrapper", "take_socket"]

HEADER = 8
# The engine copies in pieces of 32 KiB (20.10 to 28); far above that is no engine.
LARGEST_PIECE = 1_048_576
TAIL = 4096
RECEIVE = 262_144
# A worker that does nothing but write on standard error must not hold the thread that serves all boxes.
ROUNDS = 8


class Unwrapper:
    """Take the engine's frames apart; holds at most an incomplete header and the tail of standard error."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._stream = 0
        self._left = 0
        self._tail = bytearray()

    @property
    def stderr(self) -> bytes:
        """The last of what came on standard error, at most 4 KiB."""
        return bytes(self._tail)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return the pieces in `data` as (stream, bytes), stream 1 or 2; none is empty.

        Raises:
            FrameError: A stream that is not 1 or 2, padding that is not zero, or a length past the bound.
        """
        pieces = []
        at = 0
        while at < len(data):
            if not self._left:
                take = HEADER - len(self._header)
                self._header += data[at : at + take]
                at += take
                if len(self._header) < HEADER:
                    break
                self._open()
                continue
            piece = data[at : at + self._left]
            at += len(piece)
            self._left -= len(piece)
            if self._stream == 2:
                self._tail += piece
                del self._tail[:-TAIL]
            pieces.append((self._stream, piece))
        return pieces

    def _open(self) -> None:
        header = bytes(self._header)
        self._header.clear()
        self._stream, self._left = header[0], int.from_bytes(header[4:], "big")
        if self._stream not in (1, 2) or any(header[1:4]) or self._left > LARGEST_PIECE:
            self._left = 0
            raise FrameError(f"not a frame of the engine's attach stream: {header.hex()}")


class DockerChannel:
    """A `Channel` over an attach socket that speaks the engine's framing."""

    def __init__(self, attached: socket.socket, early: bytes = b"") -> None:
        """Take over the socket.

        Args:
            attached: Connected and past the HTTP exchange.
            early: Bytes that were read past the exchange's end.
        """
        attached.setblocking(False)
        self._socket = attached
        self._early = early
        self._unwrapper = Unwrapper()

    @property
    def stderr(self) -> bytes:
        """The last of what the worker wrote on standard error, for a diagnosis."""
        return self._unwrapper.stderr

    def read_fd(self) -> int:
        """Return the descriptor that turns readable when `receive` has something."""
        return self._socket.fileno()

    def write_fd(self) -> int:
        """Return the descriptor that turns writable when `send` may go on."""
        return self._socket.fileno()

    def receive(self) -> bytes | None:
        """Return some of the worker's output; None when there is none now; b"" at its end.

        Raises:
            FrameError: The engine's framing is broken.
        """
        for _ in range(ROUNDS):
            pieces = self.receive_both()
            if not pieces:
                return None if pieces is None else b""
            output = [piece for stream, piece in pieces if stream == 1]
            if output:
                return output[0] if len(output) == 1 else b"".join(output)
        return None

    def receive_both(self) -> list[tuple[int, bytes]] | None:
        """Return pieces of output (1) and error (2) as they come; None when there are none now; [] at their end.

        Raises:
            FrameError: The engine's framing is broken.
        """
        while True:
            data, self._early = self._early, b""
            if not data:
                try:
                    data = self._socket.recv(RECEIVE)
                except (BlockingIOError, InterruptedError):
                    return None
                except OSError:
                    return []
                if not data:
                    return []
            pieces = self._unwrapper.feed(data)
            if pieces:
                return pieces

    def send(self, data: memoryview) -> int:
        """Write what fits now and return how much; 0 when nothing does.

        Raises:
            BrokenPipeError: The box is gone.
        """
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise BrokenPipeError(f"the box takes no more input: {error}") from None

    def wait(self, timeout_s: float, *, writable: bool = False) -> bool:
        """Wait until there is something to receive, or with `writable` room to send; return whether there is.

        Only for a channel that no other thread serves.
        """
        # Not select(), which refuses descriptors past 1023.
        waiting = select.poll()
        waiting.register(self._socket.fileno(), select.POLLIN | (select.POLLOUT if writable else 0))
        return bool(waiting.poll(max(0.0, timeout_s) * 1000))

    def end_input(self) -> None:
        """Let the other end see end of input; output still comes."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close both ends; idempotent. The worker sees end of input, and exits."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def take_socket(attached: Any) -> tuple[socket.socket, bytes]:
    """Return the SDK's attach or exec socket as one of our own, and the bytes that it had read ahead.

    The SDK hands out the innermost of three layers and hangs the HTTP response on it, so that it is not closed by being
    collected; here the descriptor is doubled, and all of theirs is closed at once.
    """
    response = attached._response
    try:
        buffered = response.raw._fp.fp
        attached._sock.setblocking(False)
        early = bytes(buffered.peek(1)) if hasattr(buffered, "peek") else b""
        return attached._sock.dup(), early
    finally:
        response.close()
        attached.close()
