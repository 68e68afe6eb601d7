"""Jobs that the worker starts itself: "exec" in the foreground, without the spawner's fork and two hops (1.2 ms less).

posix_spawn makes the process of `gate`, which becomes the lane's user and execs; the worker's own ids, limits, folder
and umask stay as they are. A job gets descriptors 0 to 2: the worker's own close at an exec, the gate's 3 at the next.
A run that is not so plain (another number of open files than the box's, a limit of processor time) goes to the spawner,
and so does whatever posix_spawn refuses, since nothing has been started then. All do where the gate cannot be had: one
that leads nowhere is tried first. It says through a pipe what it could not do; the run ends as the spawner's would.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal

from agentrl.sandboxes.worker import gate, job
from agentrl.sandboxes.worker.spawner import ENDED, Report

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from typing import Any

    from agentrl.sandboxes.worker.lanes import Lanes
    from agentrl.sandboxes.worker.runs import Run

__all__ = ["Direct"]

HIGH = 10  # above the descriptors that a job gets
TRIAL_MS = 1000


class Direct:
    """Starts and reaps what needs no spawner; one job at a time, as the foreground lane has one."""

    def __init__(self, config: dict[str, Any], lanes: Lanes) -> None:
        self._open_files = config["open_files"]
        self._user = lanes.uids[0]
        self._program = -1
        self._refusals, self._refuse = -1, -1
        self._ignored: list[int] = []
        if lanes.split and hasattr(os, "pidfd_open") and hasattr(os, "posix_spawn") and hasattr(os, "memfd_create"):
            program = gate.build(lanes.uids[0], lanes.group, job.limits(self._open_files, config))
            if program:
                self._prepare(program)

    @property
    def works(self) -> bool:
        """Whether jobs can be started so in this box."""
        return self._program >= 0

    def start(self, run: Run, fds: list[int]) -> bool:
        """Start a job on these descriptors and give the run its process; False where the spawner is to do it."""
        request = run.request
        if request is None or run.back or not self.works:
            return False
        if run.cpu_limit_s is not None or request["open_files"] != self._open_files:
            return False
        argv, env = request["argv"], request["env"]
        room = -1
        try:
            # For the descriptor that is opened below, which must not fail once there is a process.
            room = os.dup(self._refusals)
            run.pid = self._spawn(request["cwd"], job.candidates(argv[0], env), argv, env, fds)
        except (OSError, ValueError):  # too long, a NUL byte, no process to be had: the spawner finds the words
            return False
        finally:
            if room >= 0:
                os.close(room)
        run.process = os.pidfd_open(run.pid)
        return True

    def reap(self, run: Run) -> Report | None:
        """Return how a run's process has ended, or None while it has not."""
        pid, status, usage = os.wait4(run.pid, os.WNOHANG)
        if not pid:
            return None
        refusal = self._refusal()
        if refusal is not None and run.request is not None:
            stage, number = refusal
            cwd, name = run.request["cwd"], run.request["argv"][0]
            what = (f"cannot become user {self._user}", f"cannot enter {cwd!r}", f"cannot run {name!r}")[stage]
            words, code = job.failure(what, OSError(number, ""))
            run.complain(words)
            status = code << 8
        return Report(run.id, ENDED, pid, status, usage.ru_utime + usage.ru_stime)

    def _prepare(self, program: bytes) -> None:
        for name in os.listdir("/proc/self/fd"):
            try:
                if int(name) > 2:
                    os.set_inheritable(int(name), False)
            except OSError as error:
                if error.errno != errno.EBADF:  # the folder's own descriptor
                    raise
        # What this process ignores would stay ignored in a job.
        spared = (signal.SIGKILL, signal.SIGSTOP)
        self._ignored = [
            each
            for each in signal.valid_signals()
            if each not in spared and signal.getsignal(each) in (signal.SIG_IGN, None)
        ]
        try:
            os.close(os.pidfd_open(os.getpid()))
            self._refusals, self._refuse = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            self._program = _sealed(program)
            if not self._leads():
                raise OSError(errno.ENOSYS, "the gate does not open")
        except (OSError, NotImplementedError):
            for fd in (self._refusals, self._refuse, self._program):
                if fd >= 0:
                    os.close(fd)
            self._refusals = self._refuse = self._program = -1

    def _leads(self) -> bool:
        """Try it with nothing to run: it must come as far as that."""
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            pid = self._spawn("/", [], [], {}, [null, null, null])
        finally:
            os.close(null)
        process = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(process, select.POLLIN)
            if not poll.poll(TRIAL_MS):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        finally:
            os.close(process)
        return self._refusal() == (gate.EXEC, errno.ENOENT)

    def _spawn(self, cwd: str, paths: list[str], argv: list[str], env: dict[str, str], fds: list[int]) -> int:
        return os.posix_spawn(
            f"/proc/self/fd/{self._program}",
            ["job", cwd, *paths, "", *argv],
            env,
            file_actions=[
                *((os.POSIX_SPAWN_DUP2, fd, target) for target, fd in enumerate(fds)),
                (os.POSIX_SPAWN_DUP2, self._refuse, gate.REFUSAL_FD),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=self._ignored,
        )

    def _refusal(self) -> tuple[int, int] | None:
        try:
            data = os.read(self._refusals, gate.REFUSAL.size)
        except BlockingIOError:
            return None
        stage, number = gate.REFUSAL.unpack(data)
        return stage, number


def _sealed(program: bytes) -> int:
    """Return a descriptor of a file in memory that can be run and never be changed."""
    fd = os.memfd_create("gate", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.write(fd, program)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        # Anew, and to be read only: a file that is open for writing cannot be run.
        once = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(fd)
    try:
        return fcntl.fcntl(once, fcntl.F_DUPFD_CLOEXEC, HIGH)
    finally:
        os.close(once)
