"""Runs one server for a run, and ends it with the run: a small process between the two.

    python keeper.py OWNER FOLDER COMMAND…

OWNER is the run's process id; standard input is a pipe from it. When the pipe is closed, or the owner is gone (a child
of the owner's may hold the pipe), all processes of the command are ended and FOLDER, which has their log and temporary
files, is removed. When the command ends by itself, what it left running is ended, and the folder stays for its log.
It imports nothing of this project, so that it starts at once.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["main"]

_LOOK_S = 0.5
_ASKED_S = 5.0  # to end in order, which removes sockets and shared memory
_DEATH_SIGNAL = 1  # of prctl(2)


def main(owner: int, folder: str, command: list[str]) -> int:
    """Run the command until it ends or the owner does; return its exit code, or 0."""
    with open(Path(folder) / "log", "ab") as log:
        server = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(0))
    owned = True
    try:
        while server.poll() is None and owned:
            ended = bool(select.select([0], [], [], _LOOK_S)[0]) and not os.read(0, 1)
            owned = not ended and os.getppid() == owner
    finally:
        _end(server)
    if not owned:
        shutil.rmtree(folder, ignore_errors=True)
    return server.returncode if owned else 0


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the whole group, in order where it lets itself be asked."""
    group = server.pid
    _signal(group, signal.SIGTERM)
    stop = time.monotonic() + _ASKED_S
    while time.monotonic() < stop and _members(group, server):
        time.sleep(0.05)
    # Python's tracker of shared memory removes what the killed ones left, then ends by itself.
    for pid, line in _members(group, server).items():
        if b"resource_tracker" not in line:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    stop = time.monotonic() + 1.0
    while time.monotonic() < stop and _members(group, server):
        time.sleep(0.05)
    _signal(group, signal.SIGKILL)
    server.wait()


def _members(group: int, server: subprocess.Popen[bytes]) -> dict[int, bytes]:
    """Return the command lines of those of a group that live."""
    server.poll()  # else it would be there as a zombie
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError, ValueError, IndexError):
                state, _, its, *_ = Path(f"/proc/{entry}/stat").read_bytes().rpartition(b")")[2].split()
                if int(its) == group and state != b"Z":
                    found[int(entry)] = Path(f"/proc/{entry}/cmdline").read_bytes()
    return found


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
