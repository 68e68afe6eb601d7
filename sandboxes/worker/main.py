"""The worker's loop: frames in, jobs driven, frames out; one thread, and nothing that waits without a deadline.

Its own output is written with blocking writes: the host always drains it, and one that does not is gone: the alarm ends
the box. A job cannot make the worker wait: its pipes do not block, and what it sends is capped.
"""

from __future__ import annotations

import errno
import functools
import os
import select
import selectors
import signal
import sys
import time

from agentrl.sandboxes.worker.counters import Counters
from agentrl.sandboxes.worker.frames import (
    BEAT,
    DATA,
    EOF,
    ERR,
    KILL,
    LISTEN,
    NET_CLOSE,
    NET_DATA,
    NET_END,
    NET_MORE,
    NO_RUN,
    OUT,
    READY,
    RESET,
    START,
    VALUE,
    Frame,
    FrameError,
    Reader,
    body_of,
    pack,
    pack_json,
)
from agentrl.sandboxes.worker.lanes import Alive, Lanes, conceal, scoped
from agentrl.sandboxes.worker.runs import MOST_WAITING, Run
from agentrl.sandboxes.worker.spawner import ENDED, HEAD, STARTED, Become, Report, Spawner
from agentrl.sandboxes.worker.wire import answer, fatal, send

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

__all__ = ["Worker", "main"]

MOST_FILES = 16
GRACE_S = 0.2
LOST_S = 2.0
POLL_S = 0.05


def main(config: dict[str, Any]) -> Callable[[], None]:
    """Serve until the host is gone. Returns only in a job, forked from here: what it is to run."""
    try:
        Worker(config).serve()
    except Become as job:
        return job.program


class Worker:
    """All that the worker knows: its runs by nonce, the lanes, the counters, the tunnel."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._silence_s = float(config["silence_s"])
        signal.setitimer(signal.ITIMER_REAL, self._silence_s)
        self._lanes = Lanes(config["user"], config["lanes"], config["split"])
        self._spawner = Spawner(config)
        self._lanes.spared.add(self._spawner.pid)
        self._lanes.enter()
        self._counters = Counters()
        self._runs: dict[bytes, Run] = {}
        self._polled = 0.0
        self._reader = Reader()
        self._selector = selectors.DefaultSelector()
        self._selector.register(0, selectors.EVENT_READ, self._host)
        self._selector.register(self._spawner, selectors.EVENT_READ, self._reports)
        self._tunnel: Any = None
        self._services: list[Any] = []
        self._direct: Any = None

    def serve(self) -> NoReturn:
        """Say READY, then loop."""
        if self._config.get("tunnel_port"):
            from agentrl.sandboxes.worker.tunnel import Tunnel

            self._tunnel = Tunnel(self._config["tunnel_port"], self._selector, send)
        split = "uids" if self._lanes.split else scoped()
        body = {
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "lanes": len(self._lanes.uids),
            "split": split,
            "counters": {"oom": self._counters.oom.there, "pids": self._counters.pids.there},
        }
        send(pack_json(READY, NO_RUN, body))
        # After READY, since these cost milliseconds, and before any job.
        conceal()
        from agentrl.sandboxes.worker.direct import Direct

        self._direct = Direct(self._config, self._lanes)
        try:
            while True:
                for key, mask in self._selector.select(self._pause()):
                    key.data(mask)
                self._tick()
        except (FrameError, Alive, EOFError) as error:
            fatal(str(error))
        except Exception as error:  # a defect of the worker: the box is not to be trusted, and the host should know why
            fatal(f"{type(error).__name__}: {error}")

    def _host(self, mask: int) -> None:
        data = os.read(0, 1 << 16)  # more would be mapped anew each time
        if not data:
            os._exit(0)
        for frame in self._reader.feed(data):
            signal.setitimer(signal.ITIMER_REAL, self._silence_s)
            self._take(frame)

    def _take(self, frame: Frame) -> None:
        kind = frame.kind
        run = self._runs.get(frame.run)
        if kind == START:
            if run is not None or frame.run == NO_RUN:
                raise FrameError("START with a nonce that is taken")
            self._start(Run(frame, send, self._forget))
        elif kind == RESET:
            self._reset(frame.run)
        elif kind == LISTEN:
            self._listen(frame)
        elif kind in (NET_DATA, NET_CLOSE, NET_MORE, NET_END):
            for tunnel in self._services if self._tunnel is None else [self._tunnel, *self._services]:
                tunnel.take(frame)
        elif kind not in (BEAT, DATA, EOF, KILL):
            raise FrameError(f"a frame of kind {kind}")
        elif run is None:
            return  # BEAT; or the run has ended, and this was on its way
        elif kind == DATA:
            self._feed(run, frame.body)
        elif kind == EOF:
            run.end_input()
        elif kind == KILL and not run.stopping:
            self._stop(run, None)

    def _start(self, run: Run) -> None:
        lane = self._free_lane(run)
        if lane is None:
            self._refuse(run, errno.EBUSY, "every lane for such a run is taken")
            return
        run.lane = lane
        self._counters.notice(self._runs.values())  # before this one is there to blame
        if not self._runs:
            self._polled = time.monotonic()
        try:
            fds = run.open()
        except OSError as error:
            self._refuse(run, error.errno or errno.EMFILE, "no pipe")
            return
        self._runs[run.id] = run
        if not self._direct.start(run, fds):
            self._spawner.launch(run.id, fds)
        for fd in fds:
            os.close(fd)
        for kind, fd in run.pipes.items():
            self._selector.register(fd, selectors.EVENT_READ, functools.partial(self._output, run, kind))
        if run.process >= 0:
            self._selector.register(run.process, selectors.EVENT_READ, functools.partial(self._reap, run))
            return
        self._feed(run, HEAD.pack(self._lanes.uids[lane], self._lanes.group, len(run.body)) + run.body)

    def _free_lane(self, run: Run) -> int | None:
        """Return the lane for a run; files have no lane, they only borrow the user of the first."""
        if run.is_file:
            return 0 if sum(each.is_file for each in self._runs.values()) < MOST_FILES else None
        taken = {each.lane for each in self._runs.values() if not each.is_file}
        lanes = range(len(self._lanes.uids)) if not self._lanes.split else range(1, len(self._lanes.uids))
        return next((lane for lane in (lanes if run.back else (0,)) if lane not in taken), None)

    def _refuse(self, run: Run, number: int, why: str) -> None:
        run.error = {"errno": number, "message": f"sandbox: cannot start: {why}: {os.strerror(number)}"}
        if not run.is_file:
            send(pack(ERR, run.id, run.error["message"].encode() + b"\n"))
        run.wait_status = 126 << 8
        self._runs.pop(run.id, None)
        self._counters.blames(run)
        run.finish()

    def _feed(self, run: Run, data: bytes) -> None:
        if run.mode == "session":
            run.new_cell()
        if not run.feed(data):
            run.error = {
                "errno": errno.ENOBUFS,
                "message": f"sandbox: {MOST_WAITING >> 20} MiB of input wait unread",
            }
            run.close_input()
            self._stop(run, None)
        self._watch(run)

    def _watch(self, run: Run) -> None:
        """Have the loop say when a job's full input takes more."""
        if run.waits and run.input not in self._selector.get_map():
            self._selector.register(run.input, selectors.EVENT_WRITE, functools.partial(self._input, run))

    def _input(self, run: Run, mask: int) -> None:
        run.push()
        if run.input >= 0 and not run.waits:
            self._forget(run.input)

    def _forget(self, fd: int) -> None:
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def _output(self, run: Run, kind: int, mask: int) -> None:
        if kind == VALUE and run.mode == "session":
            run.drain(OUT, ERR)  # what a cell printed comes before its reply
        run.pull(kind)
        if "output_limit" in run.causes:
            self._stop(run, "output_limit")

    def _stop(self, run: Run, cause: str | None) -> None:
        """Begin the kill ladder; `Lanes.kill` describes all of it."""
        if cause:
            run.causes.add(cause)
        if run.lost_at is not None or run.wait_status is not None:
            return
        now = time.monotonic()
        run.stopping = True
        if not run.pid:
            run.lost_at = now + LOST_S  # the report that it has started comes next, and it dies then
        elif cause in (None, "timeout", "cpu_timeout") and not run.is_file:
            if run.kill_at is None:
                self._lanes.terminate(run.lane, run.pid)
                run.kill_at = now + GRACE_S
        else:
            self._kill(run)

    def _kill(self, run: Run) -> None:
        run.kill_at = None
        run.lost_at = time.monotonic() + LOST_S
        if run.is_file:
            self._lanes.kill_one(run.pid)
        else:
            run.left |= self._clear(run)

    def _clear(self, run: Run) -> bool:
        left = self._lanes.kill(run.lane, run.pid if run.wait_status is None else 0)
        if not self._lanes.split:
            self._respawn()
        return left

    def _respawn(self) -> None:
        """Start a new spawner where kill(-1) has hit the old one, and give up what it had not reported."""
        try:
            while True:
                report = self._spawner.report()
                if report and report.kind == ENDED and report.run in self._runs:
                    self._note(self._runs[report.run], report)
        except EOFError:
            pass
        self._forget(self._spawner.fileno())
        self._lanes.spared.discard(self._spawner.pid)
        self._spawner.close()
        self._spawner = Spawner(self._config)
        self._lanes.spared.add(self._spawner.pid)
        self._selector.register(self._spawner, selectors.EVENT_READ, self._reports)
        for run in self._runs.values():
            if run.wait_status is None:
                run.wait_status = signal.SIGKILL

    def _reports(self, mask: int) -> None:
        while True:
            report = self._spawner.report()
            if report is None:
                return
            run = self._runs.get(report.run)
            if run is None:
                continue
            if report.kind == STARTED:
                run.pid = report.pid
                if run.stopping:
                    self._kill(run)
            elif report.kind == ENDED:
                self._end(run, report)
            else:
                self._refuse(run, report.status, "no process")

    def _reap(self, run: Run, mask: int) -> None:
        report = self._direct.reap(run) if run.process >= 0 else None
        if report is not None:
            self._forget(run.process)
            os.close(run.process)
            run.process = -1
            self._end(run, report)

    def _end(self, run: Run, report: Report) -> None:
        self._note(run, report)
        if not run.is_file:
            run.left |= self._clear(run)
        self._finish(run)

    def _note(self, run: Run, report: Report) -> None:
        run.wait_status, run.cpu_s = report.status, report.cpu_s

    def _finish(self, run: Run) -> None:
        """Send END. Refused forks are blamed on the job that ends first, kills as `Counters` says."""
        self._counters.notice(self._runs.values())
        run.causes.update(self._counters.causes(run))
        del self._runs[run.id]
        run.finish()

    def _tick(self) -> None:
        now = time.monotonic()
        for run in list(self._runs.values()):
            if run.wait_status is not None:
                self._finish(run)
            elif run.lost_at is not None and now > run.lost_at:
                raise Alive(f"process {run.pid} was killed and its end did not come")
            elif run.kill_at is not None and now >= run.kill_at:
                self._kill(run)
            elif run.deadline is not None and now >= run.deadline and not run.stopping:
                self._stop(run, "timeout")
        if self._polls() and now >= self._polled + POLL_S:
            self._polled = now
            self._poll()

    def _polls(self) -> bool:
        there = self._counters.pids.there or self._counters.oom.there
        return any(not run.is_file and (there or run.cpu_limit_s is not None) for run in self._runs.values())

    def _poll(self) -> None:
        jobs = [run for run in self._runs.values() if not run.is_file]
        for run in jobs:
            if run.cpu_limit_s is not None and run.spent(self._lanes.cpu(run.lane)) >= run.cpu_limit_s:
                self._stop(run, "cpu_timeout")
        self._counters.notice(jobs)
        if jobs and self._counters.pids.rise():
            self._stop(max(jobs, key=lambda run: len(self._lanes.living(run.lane))), "pids")

    def _pause(self) -> float | None:
        times = [self._polled + POLL_S] if self._polls() else []
        for run in self._runs.values():
            if run.wait_status is not None:
                return 0.0
            times += [each for each in (run.kill_at, run.lost_at) if each is not None]
            if run.deadline is not None and not run.stopping:
                times.append(run.deadline)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _listen(self, frame: Frame) -> None:
        """Open the doors of a lease to its services."""
        from agentrl.sandboxes.worker.tunnel import Tunnel

        began, body, why = time.monotonic(), body_of(frame), None
        try:
            for port in body["ports"]:
                room = {"window": body["window"], "most": body["most"]}
                self._services.append(Tunnel(port, self._selector, send, both_ways=True, **room))
        except (OSError, OverflowError) as error:
            why = f"cannot listen on port {port}: {error}"
        answer(frame.run, why, time.monotonic() - began)

    def _reset(self, run: bytes) -> None:
        from agentrl.sandboxes.worker.reset import reset

        began = time.monotonic()
        if self._tunnel is not None:
            self._tunnel.close_all()
        while self._services:
            self._services.pop().shut()
        for each in list(self._runs.values()):
            if each.id in self._runs and each.lost_at is None:
                self._kill(each) if each.pid else self._stop(each, None)
        while self._runs:
            own = [each for each in self._runs.values() if each.process >= 0]
            wait_for: list[Any] = [self._spawner, *(each.process for each in own)]
            select.select(wait_for, [], [], 0.1)
            self._reports(0)
            for each in own:
                self._reap(each, 0)
            self._tick()
        for lane in range(len(self._lanes.uids)):
            self._lanes.kill(lane)
        if not self._lanes.split:
            self._respawn()
        why = reset(self._config["folders"])
        answer(run, why, time.monotonic() - began)
