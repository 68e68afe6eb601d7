"""The process that forks programs: imports one, then makes a keeper for each order that comes over its socket.

Run as `python -m agentrl.envs.program.launch.forking FD`. It has one thread and ends with its socket, so that nothing
of it outlives the process that started it.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

from agentrl.envs.program.launch.keeper import keep

__all__: list[str] = []

_LAZY = {
    "smolagents": ("openai",),  # before what that leaves itself
    "openai": (
        "openai.resources.chat.completions.completions",
        "openai.resources.responses.responses",
        "openai.lib.streaming.chat",
        "httpcore2",
        "truststore",
        "httpcore",
    ),
    "anthropic": ("anthropic.resources.messages", "httpcore"),
}


def _load(told: dict[str, Any]) -> Callable[..., Any] | None:
    program = told["program"]
    if program.argv:
        return None
    if program.pickled:
        found: Any = pickle.loads(program.pickled)
    else:
        module, _, name = program.place.partition(":")
        found = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{program.place} is a {type(found).__name__}, but must be a function")
    function: Callable[..., Any] = found
    return function


def _finish_imports() -> None:
    """Import what clients leave for their first call: 0.6 s of each episode with openai 2, else."""
    for package, lazy in _LAZY.items():
        if package in sys.modules:
            for module in lazy:
                with suppress(Exception):  # another version has it elsewhere
                    import_module(module)


def _serve(line: socket.socket) -> None:
    told = pickle.loads(sys.stdin.buffer.read())
    sys.path[:] = told["path"]
    program, trouble = None, ""
    try:
        program = _load(told)
        _finish_imports()
    except BaseException:  # somebody else's module, which may even exit
        trouble = traceback.format_exc(limit=-3)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that began this one to answer
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers report by themselves; nobody waits for them
    while True:
        try:
            message, fds, _, _ = socket.recv_fds(line, 16, 3)
        except OSError:
            return
        if message != b"o":
            return
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                line.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                keep(program, trouble, *fds)
                status = 0
            finally:
                os._exit(status)
        for fd in fds:
            os.close(fd)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
