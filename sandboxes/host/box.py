"""A live box: a vessel, the link to its worker, and what becomes of it when it dies.

`begin` and `finish` carry one run. Where the box dies under a run, the vessel is examined and destroyed at once, and
the run ends in one of two ways: as an "oom" where the kernel says that it killed for memory, else as `SandboxDied` with
the diagnosis. A box on which a limit was met is `dirty`: its lease may go on, but nobody else gets it.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from agentrl.sandboxes.base import OnOutput
from agentrl.sandboxes.errors import SandboxDied
from agentrl.sandboxes.host.link import GRACE_S, Link, Ready
from agentrl.sandboxes.host.runs import Ended, Run
from agentrl.sandboxes.spec import SandboxSpec
from agentrl.sandboxes.vessel import Vessel
from agentrl.sandboxes.worker.frames import LISTEN, RESET, START

__all__ = ["Box"]

READY_S = 30.0
RESET_S = 10.0
LISTEN_S = 5.0
SOILING = frozenset({"timeout", "cpu_timeout", "oom", "pids", "output_limit"})


class Box:
    """One started box. Safe from several threads."""

    def __init__(self, vessel: Vessel, shape: SandboxSpec, *, ready_s: float = READY_S) -> None:
        """Take over a vessel and wait for its worker.

        Args:
            vessel: Started; what it has as `first` (bytes) is sent before anything else.
            shape: What it was made for.
            ready_s: Seconds that the worker may take to come up.

        Raises:
            SandboxDied: It did not come up; the vessel has been destroyed.
        """
        self.vessel = vessel
        self.shape = shape
        self.id = vessel.id
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._soiled: str | None = None
        self._death: tuple[str, bool] | None = None
        self._last_begun = time.time()
        self.link = Link(vessel.channel, first=getattr(vessel, "first", b""))
        try:
            self.ready: Ready = self.link.ready(ready_s)
        except SandboxDied:
            raise SandboxDied(self._examine()[0]) from None
        except BaseException:
            self.destroy()
            raise

    @property
    def dirty(self) -> str | None:
        """Why it must not be handed to anybody else, or None."""
        return self._soiled or self.link.dead

    def alive(self) -> bool:
        """Say whether its worker is there, as far as is known already."""
        return self.link.dead is None

    def foreign(self) -> bool:
        """Say whether it belongs to the process that this one was forked from."""
        return os.getpid() != self._pid

    def soil(self, reason: str) -> None:
        """Have it destroyed at the end of its lease."""
        self._soiled = self._soiled or reason

    def begin(
        self,
        body: dict[str, Any],
        *,
        data: bytes = b"",
        eof: bool = True,
        output_bytes: int = 0,
        value_bytes: int = 0,
        eager: bool = False,
    ) -> Run:
        """Start a run; see `Link.begin`. Its limit is the body's `timeout_s`.

        Raises:
            SpecError: The request is too large.
            SandboxDied: The box is gone.
            SandboxClosed: It belongs to the process that this one was forked from.
        """
        self._last_begun = time.time()
        try:
            return self.link.begin(
                START,
                body,
                data=data,
                eof=eof,
                output_bytes=output_bytes,
                value_bytes=value_bytes,
                limit_s=body["timeout_s"],
                eager=eager,
            )
        except SandboxDied:
            raise self.death() from None

    def send(self, run: Run, data: bytes) -> None:
        """Send more of a run's input.

        Raises:
            SandboxDied: The box is gone, and not for memory (`outcome` says it where it was).
        """
        try:
            self.link.feed(run, data)
        except SandboxDied:
            self.outcome(run)

    def finish(self, run: Run, on_output: OnOutput | None = None) -> Ended:
        """Wait for a run's end. Whatever is raised meanwhile, by a signal or by `on_output`, stops the run first.

        Raises:
            SandboxDied: The box died, and not for memory.
        """
        try:
            if on_output is None:
                run.wait()
            else:
                _stream(run, on_output)
        except BaseException as error:
            self.soil(f"a run was interrupted by {type(error).__name__}")
            self.stop(run)
            raise
        return self.outcome(run)

    def stop(self, run: Run) -> None:
        """Kill a run and wait till it has ended, at most the grace; the link fails where it does not."""
        self.link.stop(run)
        if not run.wait(GRACE_S):
            self.link.fail("a run that was killed did not end within its grace")

    def outcome(self, run: Run) -> Ended:
        """Return how a run ended whose wait is over.

        Raises:
            SandboxDied: It has not ended, or the box died, and not for memory.
        """
        if not run.done:
            self.link.fail(f"a run did not end within its limit and {GRACE_S:g} s of grace")
        if run.ended is not None:
            if run.ended.status in SOILING:
                self.soil(f"a job ended with {run.ended.status}")
            return run.ended
        _, oom = self._examine()
        if oom:
            return Ended(status="oom", signal=9, wall_s=max(0.0, time.time() - run.began))
        raise self.death()

    def death(self) -> SandboxDied:
        """Return the error that says how it died; destroys what is left of it."""
        return SandboxDied(self._examine()[0])

    def listen(self, doors: dict[str, Any]) -> None:
        """Have the worker listen on ports of the box until the reset.

        Args:
            doors: The body of LISTEN.

        Raises:
            SandboxDied: It cannot, so something of an earlier lease may be there: the box is gone.
        """
        try:
            run = self.link.begin(LISTEN, doors, limit_s=LISTEN_S)
        except SandboxDied:
            raise self.death() from None
        run.wait()
        if run.ended is None or run.ended.status != "ok":
            said = (run.ended.message or run.ended.status) if run.ended else "no answer"
            self.link.fail(f"its services have no port: {said}")
            raise self.death()

    def reset(self, deadline_s: float = RESET_S) -> bool:
        """Make it as new, with no process, file or IPC object of its lease left; return whether that was verified."""
        if self.dirty is not None:
            return False
        try:
            run = self.link.begin(RESET, {}, limit_s=max(0.0, deadline_s - GRACE_S))
        except SandboxDied:
            return False
        run.wait()
        if run.ended is None or run.ended.status != "ok" or self.link.num_runs():
            said = (run.ended.message or run.ended.status) if run.ended else "no answer"
            self.link.fail(f"the box could not be reset: {said}")
            return False
        # Whatever the last lease's tunnels had under way came before the answer to RESET.
        self.link.on_tunnel = None
        return True

    def destroy(self, deadline_s: float = 10.0) -> bool:
        """Kill it and remove all of it; idempotent. False where that was not confirmed: never reuse its slot.

        In a process forked since, it does nothing: the box is the parent's.
        """
        if self.foreign():
            return True
        self.link.close()
        return self.vessel.destroy(deadline_s)

    def _examine(self) -> tuple[str, bool]:
        """Say why it is gone, and whether for memory; once, before what is left of it is destroyed."""
        with self._lock:
            if self._death is None:
                reason = self.link.dead or "it was given up"
                self.link.fail(reason)
                words, oom = self.vessel.autopsy(self._last_begun)
                # A worker that lied is no witness: only a box that went by itself may have gone for memory.
                oom = oom and self.link.ended_itself
                confirmed = self.destroy()
                unsure = "" if confirmed else "; its removal was not confirmed"
                self._death = f"box {self.id} died: {reason}; {words}{unsure}", oom
            return self._death


def _stream(run: Run, on_output: OnOutput) -> None:
    out = err = 0
    while True:
        done = run.done
        new_out, new_err = run.pieces((out, err))
        if new_out:
            out += len(new_out)
            on_output("stdout", new_out)
        if new_err:
            err += len(new_err)
            on_output("stderr", new_err)
        if new_out or new_err:
            continue
        if done or not run.wait_news(out + err + len(run.value), run.until):
            return
