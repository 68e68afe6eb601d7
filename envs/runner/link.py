"""Frames of pickled objects over a socket between a runner and its own worker processes, and how a worker is started.

Both ends are our own code on one machine: what an environment returns is trusted as it is in one process.
"""

from __future__ import annotations

import json
import os
import pickle
import socket
import struct
import subprocess
import sys
from typing import Any

__all__ = ["Frames", "pack", "start_worker"]

_HEAD = struct.Struct("!Q")
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from agentrl.envs.runner.child import main; main(int(sys.argv[1]))"
)


def pack(item: object) -> bytes:
    """Return an object as a frame.

    Raises:
        Exception: It cannot be pickled.
    """
    body = pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)
    return _HEAD.pack(len(body)) + body


class Frames:
    """Collect bytes as they come, and give out the objects that are whole."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """Return the objects that these bytes completed."""
        self._held += data
        found, at = [], 0
        while len(self._held) - at >= _HEAD.size:
            (size,) = _HEAD.unpack_from(self._held, at)
            if len(self._held) - at - _HEAD.size < size:
                break
            at += _HEAD.size
            found.append(pickle.loads(memoryview(self._held)[at : at + size].tobytes()))
            at += size
        del self._held[:at]
        return found


def start_worker() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a worker process; return it with our end of the socket, which does not block.

    The child is an interpreter of its own, not a fork: it has neither our threads nor our main module. It leads a
    session, so that Ctrl-C reaches us alone and its descendants can be ended with it.

    Raises:
        OSError: No process or socket could be had.
    """
    ours, theirs = socket.socketpair()
    try:
        path = [entry or os.getcwd() for entry in sys.path]
        command = [sys.executable, "-c", _BOOT, str(theirs.fileno()), json.dumps(path)]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    ours.setblocking(False)
    return process, ours
