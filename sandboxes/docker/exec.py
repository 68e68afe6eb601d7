"""One job over `docker exec`, for boxes that have no worker: some 100 ms more a job, the same limits.

The engine starts the job as the lane's user and carries its output; the caller's thread watches wall time, output and
the kernel's counters, which the box's keeper reads, and kills all of the lane when a limit is met and when the job
has ended. The engine tells one number for how a process ended, so death by a signal cannot be told from an exit code
above 128: it is `nonzero` with that code.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from agentrl.sandboxes.base import OnOutput
from agentrl.sandboxes.docker.channel import DockerChannel, take_socket
from agentrl.sandboxes.docker.engine import Engine, Refused
from agentrl.sandboxes.docker.keeper import Counters, Keeper
from agentrl.sandboxes.errors import SandboxDied, SandboxUnavailable
from agentrl.sandboxes.results import ExecResult, Status
from agentrl.sandboxes.worker.frames import FrameError

__all__ = ["ExecJob"]

# Runs before the job, as the job's user: what `exec` of the engine cannot set.
WRAPPER = (
    "umask 002; echo 1000 2>/dev/null >/proc/self/oom_score_adj; ulimit -c 0; ulimit -n $2 2>/dev/null; "
    '[ $3 = 0 ] || ulimit -t $3; cd -- "$1" || exit 126; shift 3; exec "$@"'
)
# How often the counters are read and the engine is asked whether the job has ended.
COUNT_S, ASK_S = 0.05, 0.25
# How long output may still come after a job's end, and an engine may take over one answer about it.
DRAIN_S, ANSWER_S = 2.0, 10.0


class ExecJob:
    """One job. `run` is called once, by one thread; `kill` and `output` by any."""

    def __init__(
        self,
        engine: Engine,
        keeper: Keeper,
        argv: Sequence[str],
        *,
        user: int,
        group: int,
        stdin: bytes,
        cwd: str,
        environment: Mapping[str, str],
        timeout_s: float,
        cpu_s: float | None,
        open_files: int,
        output_bytes: int,
        end_lane: Callable[[], bool],
        on_output: OnOutput | None = None,
    ) -> None:
        """Say what is to be run; `end_lane` kills all of this job's user and returns whether none is left."""
        self._engine, self._keeper = engine, keeper
        hard_cpu_s = 0 if cpu_s is None else math.ceil(cpu_s) + 1
        self._command = ["sh", "-c", WRAPPER, "sh", cwd, str(open_files), str(hard_cpu_s), *argv]
        self._who = f"{user}:{group}"
        self._stdin: memoryview | None = memoryview(stdin)
        self._environment = [f"{name}={text}" for name, text in environment.items()]
        self._timeout_s, self._cpu_s, self._cap = timeout_s, cpu_s, output_bytes
        self._end_lane = end_lane
        self._on_output = on_output
        self._written: dict[int, bytearray] = {1: bytearray(), 2: bytearray()}
        self._room = output_bytes
        self._overflown = False
        self._killed = threading.Event()
        self._exec = ""
        self.dirty: str | None = None
        """The limit that it met, if one."""
        self.lost = False
        """Whether its processes could not be ended: the box must go."""
        self.began = time.time()

    def kill(self) -> None:
        """Have it killed; `run` returns soon after."""
        self._killed.set()

    def output(self) -> tuple[bytes, bytes]:
        """Return standard output and standard error so far."""
        return bytes(self._written[1]), bytes(self._written[2])

    def end(self) -> bool:
        """Kill all of its lane; return whether that is certain."""
        try:
            return self._end_lane()
        except (SandboxDied, SandboxUnavailable):
            return False

    def ended_for_memory(self) -> ExecResult:
        """Return the result of a job whose whole box the kernel killed for memory."""
        stdout, stderr = self.output()
        wall_s = max(0.0, time.time() - self.began)
        return ExecResult(
            status="oom", exit_code=None, signal=9, stdout=stdout, stderr=stderr, wall_s=wall_s, cpu_s=0.0
        )

    def run(self) -> ExecResult:
        """Run it to its end.

        Raises:
            SandboxDied: The box is gone.
        """
        self.began = time.time()
        before = self._keeper.count()
        began = time.monotonic()
        channel = self._begin()
        try:
            reason = self._watch(channel, began, before)
            wall_s = time.monotonic() - began
            self.lost = not self.end()
            self._drain(channel)
        except FrameError as error:
            raise SandboxDied(f"the engine's stream of output broke: {error}") from error
        finally:
            channel.close()
        code = None if self.lost else self._exit_code()
        after = self._keeper.count()
        status = self._status(reason, code, before, after)
        self.dirty = status if status not in ("ok", "nonzero", "signal") else None
        stdout, stderr = self.output()
        return ExecResult(
            status=status,
            exit_code=code if reason is None else None,
            signal=None if reason is None else signal.SIGKILL,
            stdout=stdout,
            stderr=stderr,
            wall_s=wall_s,
            cpu_s=max(0.0, (after.cpu_s or 0.0) - (before.cpu_s or 0.0)),
        )

    def _begin(self) -> DockerChannel:
        try:
            with self._engine.client() as client:
                made = client.exec_create(
                    self._keeper.vessel.container,
                    self._command,
                    stdin=True,
                    stdout=True,
                    stderr=True,
                    user=self._who,
                    environment=self._environment,
                    workdir="/",
                )
                self._exec = made["Id"]
                return DockerChannel(*take_socket(client.exec_start(self._exec, socket=True)))
        except Refused as error:
            raise SandboxDied(f"box {self._keeper.vessel.id} takes no job: {error}") from error
        except SandboxUnavailable as error:
            raise SandboxDied(f"box {self._keeper.vessel.id} cannot be reached: {error}") from error

    def _watch(self, channel: DockerChannel, began: float, before: Counters) -> str | None:
        """Carry input and output until the job has ended or must be ended; return why, None where it ended itself."""
        next_count = next_ask = began + COUNT_S
        closed = False
        while True:
            now = time.monotonic()
            if self._killed.is_set():
                return "killed"
            if now >= began + self._timeout_s:
                return "timeout"
            if now >= next_count:
                reason = self._over(before)
                if reason is not None:
                    return reason
                next_count = time.monotonic() + COUNT_S
            if now >= next_ask:
                if not self._running():
                    return None
                next_ask = time.monotonic() + ASK_S
            wait_s = max(0.0, min(next_count, next_ask, began + self._timeout_s) - time.monotonic())
            if closed:
                time.sleep(wait_s)
                continue
            ready = channel.wait(wait_s, writable=self._stdin is not None)
            self._feed(channel)
            pieces = channel.receive_both() if ready else None
            if pieces == []:
                # All that held its output has ended, or has closed it and runs on.
                closed, next_ask = True, time.monotonic()
            for stream, piece in pieces or ():
                if not self._take(stream, piece):
                    return "output_limit"

    def _feed(self, channel: DockerChannel) -> None:
        if self._stdin is None:
            return
        try:
            while self._stdin:
                sent = channel.send(self._stdin[:65_536])
                if not sent:
                    return
                self._stdin = self._stdin[sent:]
        except BrokenPipeError:
            pass  # it has closed its input, or ended: its own business
        self._stdin = None
        channel.end_input()

    def _over(self, before: Counters) -> str | None:
        now = self._keeper.count()
        if (now.pids or 0) > (before.pids or 0):
            return "pids"
        if self._cpu_s is not None and (now.cpu_s or 0.0) - (before.cpu_s or 0.0) >= self._cpu_s:
            return "cpu_timeout"
        return None

    def _take(self, stream: int, piece: bytes) -> bool:
        fits = piece[: self._room]
        self._room -= len(fits)
        self._written[stream] += fits
        if fits and self._on_output is not None:
            self._on_output("stdout" if stream == 1 else "stderr", fits)
        self._overflown = self._overflown or len(fits) < len(piece)
        return not self._overflown

    def _drain(self, channel: DockerChannel) -> None:
        """Take what had been written before the end; the lane is dead, so there is little."""
        end = time.monotonic() + DRAIN_S
        while channel.wait(end - time.monotonic()):
            pieces = channel.receive_both()
            if pieces == [] or time.monotonic() > end:
                return
            for stream, piece in pieces or ():
                self._take(stream, piece)

    def _inspect(self) -> tuple[bool, int | None]:
        try:
            with self._engine.client(ANSWER_S) as client:
                found = client.exec_inspect(self._exec)
        except Refused as error:
            raise SandboxDied(f"box {self._keeper.vessel.id} is gone: {error}") from error
        except SandboxUnavailable as error:
            raise SandboxDied(f"box {self._keeper.vessel.id} cannot be reached: {error}") from error
        return bool(found["Running"]), found["ExitCode"]

    def _running(self) -> bool:
        return self._inspect()[0]

    def _exit_code(self) -> int | None:
        end = time.monotonic() + DRAIN_S
        while True:
            running, code = self._inspect()
            if not running or time.monotonic() > end:
                return None if running else code
            time.sleep(0.01)

    def _status(self, reason: str | None, code: int | None, before: Counters, after: Counters) -> Status:
        if (after.oom or 0) > (before.oom or 0):
            return "oom"
        if reason == "pids" or (after.pids or 0) > (before.pids or 0):
            return "pids"
        if self._overflown:
            return "output_limit"
        if reason == "cpu_timeout" or (
            self._cpu_s is not None and (after.cpu_s or 0.0) - (before.cpu_s or 0.0) >= self._cpu_s
        ):
            return "cpu_timeout"
        if reason == "timeout":
            return "timeout"
        if reason == "killed":
            return "signal"
        return "ok" if code == 0 else "nonzero"
