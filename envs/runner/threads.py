"""Environments in threads of this process: nothing to start, for environments that wait more than they compute.

A thread that hangs cannot be stopped: it is left alone, counted, and replaced. Past a bound no more are left; such an
environment belongs into a process.
"""

from __future__ import annotations

import queue
import time
from typing import Any

from agentrl.envs.errors import InfrastructureError
from agentrl.envs.runner.seat import Command, Make, Seat

__all__ = ["Threads"]


class Threads:
    """A thread for each slot, started at its first reset."""

    def __init__(self, make: Make, num_slots: int) -> None:
        self._make = make
        self._most_hanging = max(8, num_slots)
        self._seats: dict[int, Seat] = {}
        self._left: list[Seat] = []
        self._replies: queue.SimpleQueue[Any] = queue.SimpleQueue()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers: none here."""
        return ()

    @property
    def num_hanging(self) -> int:
        """Threads that were left alone and have not ended yet."""
        self._left = [seat for seat in self._left if not seat.join(0.0)]
        return len(self._left)

    def send(self, command: Command) -> None:
        """Start a command.

        Raises:
            InfrastructureError: Too many threads hang.
        """
        if command.slot not in self._seats:
            if self.num_hanging >= self._most_hanging:
                raise InfrastructureError(
                    f"{self.num_hanging} environments hang in threads, which nothing can stop; use workers='processes'",
                    kind="hanging",
                    boundary="environment",
                )
            self._seats[command.slot] = Seat(self._make, self._replies.put, f"runner-slot-{command.slot}")
        self._seats[command.slot].send(command)

    def receive(self, timeout_s: float) -> list[Any]:
        """Return replies, and what was posted; wait at most so long for the first."""
        found = []
        try:
            found.append(self._replies.get(timeout=timeout_s) if timeout_s > 0 else self._replies.get_nowait())
            while True:
                found.append(self._replies.get_nowait())
        except queue.Empty:
            return found

    def post(self, item: object) -> None:
        """Let `receive` return an item; may be called from any thread."""
        self._replies.put(item)

    def begun(self, slot: int, sent_at: float) -> float:
        """Return when the time of a command began to count."""
        return sent_at

    def drop(self, slot: int) -> None:
        """Leave the environment of a slot alone, which hangs; the next reset makes another."""
        seat = self._seats.pop(slot)
        seat.leave()  # where it ever gets there
        self._left.append(seat)

    def close(self, timeout_s: float) -> None:
        """Close all environments, waiting at most so long."""
        seats, self._seats = list(self._seats.values()), {}
        for seat in seats:
            seat.leave()
        stop = time.monotonic() + timeout_s
        self._left += [seat for seat in seats if not seat.join(stop - time.monotonic())]
