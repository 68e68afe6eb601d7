"""The spawner: a small process, forked from the worker before the first request, that forks jobs but those of `direct`.

It never sees a request, so neither do later jobs: a job reads its own from its standard input. The worker passes a
job's descriptors with SCM_RIGHTS and the run's nonce; back come the process id and, at the end, status and time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import struct
from collections import namedtuple

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NamedTuple, NoReturn

__all__ = ["HEAD", "Become", "Report", "Spawner"]

HEAD = struct.Struct(">iiI")
"""What comes first on a job's standard input: its user, its group, the length of the START body that follows."""
REPORT = struct.Struct(">8sBiid")
STARTED, ENDED, REFUSED = 1, 2, 3
MOST_FDS = 64
SPARE_MS = 3


class Become(BaseException):
    """Raised in a forked job to unwind the worker's stack; carries what the job is to run."""

    def __init__(self, program: Callable[[], None]) -> None:
        super().__init__()
        self.program = program


if TYPE_CHECKING:

    class Report(NamedTuple):
        run: bytes
        kind: int
        pid: int
        status: int
        cpu_s: float

else:
    Report = namedtuple("Report", ("run", "kind", "pid", "status", "cpu_s"))
    Report.__doc__ = "What became of a run: STARTED as `pid`, ENDED with a wait status, or REFUSED with an errno."


class Spawner:
    """The worker's end.

    Raises:
        Become: In every process that is not the worker.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            _clear(other.fileno())
            raise Become(_serve(other, config))
        other.close()
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that turns readable when there is a report."""
        return self._socket.fileno()

    def launch(self, run: bytes, fds: list[int]) -> None:
        """Have a job forked, with these as its descriptors 0, 1, 2 and perhaps 3.

        Raises:
            OSError: The spawner is gone, or does not read.
        """
        _pass(self._socket, run, fds)

    def report(self) -> Report | None:
        """Return the next report, or None when there is none now.

        Raises:
            EOFError: The spawner is gone.
        """
        try:
            data = self._socket.recv(64)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError("the spawner is gone")
        return Report(*REPORT.unpack(data))

    def close(self) -> None:
        """Close the worker's end; the spawner exits."""
        self._socket.close()


def _clear(keep: int) -> None:
    """Let go of the worker's descriptors, the host's channel first of all; messages of the spawner still go to 2."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != keep:
            try:
                os.close(int(name))
            except OSError as error:
                if error.errno != errno.EBADF:  # the folder's own descriptor
                    raise


def _serve(link: socket.socket, config: dict[str, Any]) -> Callable[[], None]:
    """Fork jobs until the worker is gone; return, in a job, what it is to do."""
    import gc
    import resource

    # Here, while the host is still busy with READY, and once for all jobs.
    from agentrl.sandboxes.worker import job

    signal.setitimer(signal.ITIMER_REAL, 0)
    # Python ignores two, and whoever started the box may have ignored others, as shells do for what runs behind them.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    job.prepare(config)
    # So that a job knows how many descriptors there can be to close.
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_FDS, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    wake_r, wake_w = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake_w)
    poll = select.poll()
    poll.register(link, select.POLLIN)
    poll.register(wake_r, select.POLLIN)
    runs: dict[int, bytes] = {}
    # A collection in a job would touch, and so copy, every page of these; nothing here makes cycles worth collecting.
    gc.collect()
    gc.freeze()
    gc.disable()
    spare: tuple[int, socket.socket] | None = None
    pause_ms = 0
    while True:
        # Not while a job has just been started: the fork would take the processor that it wants.
        ready = poll.poll(None if spare or not config["split"] else pause_ms)
        pause_ms = SPARE_MS
        if not ready:
            spare = _fork_spare(link)
            if spare and not spare[0]:
                return _wait(spare[1], config)
        for fd, _ in ready:
            if fd == wake_r:
                os.read(wake_r, 4096)
                continue
            try:
                data, fds = _receive(link)
            except EOFError:
                _clear_box(config)
            pid = _hand_over(spare, data, fds)
            if pid:
                spare = None
            else:
                try:
                    pid = os.fork()
                except OSError as error:
                    link.send(REPORT.pack(data, REFUSED, 0, error.errno or errno.EAGAIN, 0.0))
                    pid = -1
                if pid == 0:
                    return lambda: job.run(fds, config)
            if pid > 0:
                runs[pid] = data
                link.send(REPORT.pack(data, STARTED, pid, 0, 0.0))
            for each in fds:
                os.close(each)
        while runs or spare:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            if pid in runs:
                pause_ms = 0
                link.send(REPORT.pack(runs.pop(pid), ENDED, pid, status, usage.ru_utime + usage.ru_stime))
            elif spare and spare[0] == pid:
                spare[1].close()
                spare = None


def _receive(link: socket.socket) -> tuple[bytes, list[int]]:
    """Return a run's nonce and descriptors.

    Raises:
        EOFError: The other end is gone.
    """
    data, rights, _, _ = link.recvmsg(64, socket.CMSG_SPACE(16), socket.MSG_CMSG_CLOEXEC)
    if not data:
        raise EOFError
    return data, [each for _, _, part in rights for each in struct.unpack(f"{len(part) // 4}i", part)]


def _clear_box(config: dict[str, Any]) -> NoReturn:
    """Kill every job, as the worker is dead: bubblewrap's first process waits for all, not only for the worker."""
    from agentrl.sandboxes.worker.lanes import Alive, Lanes

    lanes = Lanes(config["user"], config["lanes"], config["split"])
    lanes.enter()
    for lane in range(len(lanes.uids)):
        with contextlib.suppress(Alive):  # nothing more can be done from in here
            lanes.kill(lane)
    os._exit(0)


def _pass(link: socket.socket, run: bytes, fds: list[int]) -> None:
    link.sendmsg([run], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))])


def _fork_spare(link: socket.socket) -> tuple[int, socket.socket] | None:
    """Fork the next job ahead of its request, which takes 0.5 ms off its start; None when there is no room for it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        pid = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        return None
    if pid:
        theirs.close()
        return pid, ours
    ours.close()
    link.close()
    return 0, theirs


def _wait(link: socket.socket, config: dict[str, Any]) -> Callable[[], None]:
    """Wait, as the spare, for a job; exit with the spawner."""
    from agentrl.sandboxes.worker import job

    job.settle()
    try:
        _, fds = _receive(link)
    except EOFError:
        os._exit(0)
    return lambda: job.run(fds, config)


def _hand_over(spare: tuple[int, socket.socket] | None, run: bytes, fds: list[int]) -> int:
    """Give a run to the spare and return its process id; 0 when there is none, or it is gone."""
    if spare is None:
        return 0
    try:
        _pass(spare[1], run, fds)
    except OSError:
        return 0
    finally:
        spare[1].close()
    return spare[0]
