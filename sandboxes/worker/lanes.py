"""Lanes: the users that jobs run as, and how everything of one lane is found and killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Alive", "Lanes", "conceal", "scoped"]

KILL_S = 2.0
TICKS = os.sysconf("SC_CLK_TCK")


class Alive(Exception):
    """A lane still has a process after the last step of the ladder."""


class Lanes:
    """Hold the users of the lanes.

    The privilege split, in full. A job runs as user `user + lane`, with the group `user`, no capabilities and
    no_new_privs: lane 0 for what runs in the foreground, one job at a time; each other lane for one background job or
    interpreter session. The worker and the spawner are root, so the kernel refuses a job every signal to them, every
    look into their memory and every ptrace; they are not dumpable either, and /proc shows a job nothing of theirs.
    A job holds none of their descriptors: it gets its pipes by SCM_RIGHTS through the spawner, a process that was
    forked before the first request and never sees one, so a job's memory, which starts as a copy of the spawner's,
    holds the sources of these modules and nothing else. A plain program in the foreground is started by the worker
    itself, through `gate`, and shares no memory with anyone.

    To kill a lane, the worker takes on the lane's user as *effective* id and calls kill(-1): the kernel sends to every
    process whose real or saved id is the sender's real or effective one, in one step that a fork cannot slip through.
    For that step the worker's real id must be nobody else's, or the spawner would be hit: it is `user + lanes`, which
    no job has. Its saved id stays 0, so even then no job can signal it (that goes by the target's real and saved ids),
    and no capability is in force, so nothing but the lane is reached. No process is made for it: a fork bomb that has
    eaten all of them is killed all the same.

    Where the box has one user only (`split=False`), there is one lane and jobs are the worker's own user. They drop all
    capabilities and, where the kernel has Landlock 6 or later, a scope that refuses every signal out of the job; a
    worker that is not dumpable refuses ptrace. kill(-1) then reaches all but the worker, which starts a new spawner.
    """

    def __init__(self, user: int, count: int, split: bool) -> None:
        self.split = split
        self.group = user if split else os.getgid()
        self.uids = [user + lane for lane in range(count)] if split else [os.getuid()]
        self.spared: set[int] = {1, os.getpid(), os.getppid()}
        self._own = user + count

    def enter(self) -> None:
        """Give the worker the real id that is nobody else's; the spawner is forked before and keeps 0."""
        if self.split:
            os.setresuid(self._own, 0, 0)

    def terminate(self, lane: int, pid: int) -> None:
        """Send SIGTERM to the group of a job, the first step of the ladder; see `kill`."""
        self._signal(lane, -pid, signal.SIGTERM)

    def kill(self, lane: int, pid: int = 0) -> bool:
        """Kill whatever runs in a lane and return whether there was something.

        The kill ladder, in full. A run is stopped when its time or processor time is up or the host says KILL (step 1),
        or when it meets another limit (step 2 at once); a run whose first process has ended goes to step 2 as well,
        since what that left behind must not outlive it.

        1. SIGTERM to the job's process group; 0.2 s of grace, in which its output still counts.
        2. SIGKILL to the whole lane by kill(-1), and to the first process by its number, which may not have become the
           lane's user yet. Repeated until /proc shows none of the lane, with growing pauses, for 2 s (`KILL_S`).
        3. Still there (`Alive`), or the spawner has not reported the end of the first process within 2 s: FATAL, and
           the worker exits, which ends the box: its first process goes, and with it every process in it.
        4. The host waits for END until the run's time and 5 s are over, then has the engine destroy the box.
        5. The engine does not confirm in time: the box counts as alive, and its slot is never used again.

        Raises:
            Alive: Step 2 ran out of time.
        """
        left = bool(self.living(lane))
        if pid:
            _send(pid, signal.SIGKILL)
        self._signal(lane, -1, signal.SIGKILL)
        if not left:
            return False
        deadline = time.monotonic() + KILL_S
        pause = 0.0002
        while self.living(lane):
            if time.monotonic() > deadline:
                raise Alive(f"lane {lane} still runs {self.living(lane)}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)
            self._signal(lane, -1, signal.SIGKILL)
        return True

    def kill_one(self, pid: int) -> None:
        """Kill one process that this worker's spawner has not reported as ended."""
        _send(pid, signal.SIGKILL)

    def living(self, lane: int) -> list[int]:
        """Return the processes of a lane that may still run; a zombie does not, unless it has other threads."""
        uid = b"%d" % self.uids[lane]
        found = []
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) in self.spared:
                continue
            try:
                fields = dict(line.split(b":\t", 1) for line in _read(name, "status").split(b"\n") if b":\t" in line)
            except OSError:
                continue  # gone since the folder was listed
            dead = fields.get(b"State", b"")[:1] in (b"Z", b"X") and int(fields.get(b"Threads", b"1")) < 2
            if not dead and uid in fields.get(b"Uid", b"").split():
                found.append(int(name))
        return found

    def cpu(self, lane: int) -> float:
        """Return the seconds of processor time of the lane's living processes and of the children they waited for."""
        ticks = 0
        for pid in self.living(lane):
            try:
                fields = _read(str(pid), "stat").rsplit(b")", 1)[1].split()
            except OSError:
                continue
            ticks += sum(int(field) for field in fields[11:15])
        return ticks / TICKS

    def _signal(self, lane: int, pid: int, number: int) -> None:
        if not self.split:
            _send(pid, number)
            return
        os.seteuid(self.uids[lane])
        try:
            _send(pid, number)
        finally:
            os.seteuid(0)


def conceal() -> None:
    """Keep jobs of the same user from reading this process's memory; in other lanes the user alone keeps them out."""
    libc = _libc()
    if libc is not None:
        libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


def scoped() -> str:
    """Return what keeps a job of the worker's own user from signalling it: "landlock" or "none"."""
    libc = _libc()
    return "landlock" if libc is not None and libc.syscall(444, None, 0, 1) >= 6 else "none"


def _libc() -> Any:
    try:
        import ctypes

        return ctypes.CDLL(None)
    except (ImportError, OSError):
        return None


def _send(pid: int, number: int) -> None:
    # None there, or none that is the lane's.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _read(pid: str, name: str) -> bytes:
    fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)
