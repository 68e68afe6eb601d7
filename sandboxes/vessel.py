"""What a backend makes, and all that it need make: a started worker, the pipe to it, the way to destroy both."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Channel", "Vessel"]


class Channel(Protocol):
    """The worker's standard input and output, non-blocking; one thread receives, one at a time sends."""

    def read_fd(self) -> int:
        """Return the descriptor that turns readable when `receive` has something."""

    def write_fd(self) -> int:
        """Return the descriptor that turns writable when `send` may go on."""

    def receive(self) -> bytes | None:
        """Return some of the worker's output, at most 1 MiB; None when there is none now; b"" at its end.

        Raises:
            FrameError: The transport itself is broken (Docker's own framing, say).
        """

    def send(self, data: memoryview) -> int:
        """Write what fits now and return how much; 0 when nothing does. BrokenPipeError where the reader is gone."""

    def close(self) -> None:
        """Close both ends; idempotent. The worker sees end of input, and exits."""


class Vessel(Protocol):
    """A started worker in its box. The backend's own; made whole or not at all."""

    id: str
    channel: Channel

    def autopsy(self, since: float) -> tuple[str, bool]:
        """Say, of a box that died, how it ended in a few words, and whether the kernel killed for memory since `since`.

        Args:
            since: Unix time in seconds at which the last job began.
        """

    def destroy(self, deadline_s: float = 10.0) -> bool:
        """Kill and remove all of it; idempotent. False when this was not confirmed in time: never reuse its slot."""
