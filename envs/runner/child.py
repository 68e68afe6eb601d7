"""Runs in a worker process: a thread for each slot that lives here, until the socket ends.

The socket ends when the runner closes it or is gone, whichever way; then the environments are closed and the process
ends, so that a runner that was killed leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from functools import partial
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, load_env_creator

from agentrl.envs.runner.link import Frames, pack
from agentrl.envs.runner.seat import Command, Make, Reply, Seat, failed

__all__ = ["READY", "main", "maker"]

READY = "ready"
"""The frame that says that everything is imported."""

_CLOSE_S = 3.0


def maker(spec: EnvSpec, kwargs: dict[str, Any]) -> Make:
    """Return what makes an environment; the checks that Gymnasium puts around one belong into tests."""
    return partial(gymnasium.make, spec, disable_env_checker=True, **kwargs)


def main(number: int) -> None:
    """Serve the socket with this file descriptor."""
    os.set_inheritable(number, False)  # what an environment starts must not hold it open
    link = socket.socket(fileno=number)
    frames = Frames()
    lock = threading.Lock()
    seats: dict[int, Seat] = {}
    make: Make | None = None

    def answer(reply: Reply) -> None:
        try:
            packed = pack(reply)
        except Exception as error:
            command = Command(reply.slot, reply.ticket, False)
            message = f"{type(error).__name__}: {error}; what an environment returns must be picklable"
            packed = pack(failed(command, {"kind": "error", "boundary": "environment", "message": message}))
        with lock, contextlib.suppress(OSError):  # nobody reads any more
            link.sendall(packed)

    try:
        while data := link.recv(1 << 16):
            for item in frames.feed(data):
                if make is None:
                    spec, kwargs = item
                    with contextlib.suppress(Exception):  # the first reset says what is wrong
                        load_env_creator(spec.entry_point)
                    make = maker(spec, kwargs)
                    with lock:
                        link.sendall(pack(READY))
                    continue
                if item.slot not in seats:
                    seats[item.slot] = Seat(make, answer, f"runner-slot-{item.slot}")
                seats[item.slot].send(item)
    except OSError:
        pass
    for seat in seats.values():
        seat.leave()
    stop = time.monotonic() + _CLOSE_S
    for seat in seats.values():
        seat.join(stop - time.monotonic())
    sys.exit(0)
