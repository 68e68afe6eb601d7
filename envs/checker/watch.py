"""Read what a checking process says, and find out when it says nothing more."""

from __future__ import annotations

import json
import os
import re
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agentrl.envs.checker.catalogue import CHECKS
from agentrl.envs.checker.crumbs import Crumb, Crumbs
from agentrl.envs.checker.job import Job
from agentrl.envs.checker.results import Result

__all__ = ["End", "Watch"]

_HERE = str(Path(__file__).parent) + "/"
_LOOK_S = 0.1
_SLACK_S = 1.0  # for a machine that is busy with something else
_FRAME = re.compile(r'File "([^"]+)", line (\d+) in (\S+)')


@dataclass(frozen=True, kw_only=True)
class End:
    """How a process ended before its work was done."""

    check: str | None  # the check that was running
    reason: str
    what: str = ""  # the call that did not come back
    hung: bool = False


class Watched(Protocol):
    """A process that can be asked where it is, and killed."""

    results: int
    child: Any
    folder: Path

    def stack(self) -> str:
        """Return the stacks of its threads."""

    def printed(self) -> str:
        """Return the end of what it printed."""

    def kill(self) -> None:
        """Kill it."""


class Watch:
    """Follow a process to its end; afterwards `end` says how it ended, where that was too early."""

    def __init__(self, process: Watched, job: Job, on_begin: Callable[[str], object]) -> None:
        self.end: End | None = None
        self.backend = ""
        self.refused = ""  # why the job cannot be done as asked
        self._process = process
        self._job = job
        self._on_begin = on_begin
        self._running: str | None = None
        self._since = time.monotonic()
        self._done = False

    def results(self) -> Iterator[Result]:
        """Yield the results as they come."""
        crumbs = Crumbs(self._process.folder / "crumbs")
        waiting = b""
        try:
            while not self._done:
                ready, _, _ = select.select([self._process.results], [], [], _LOOK_S)
                if ready:
                    piece = os.read(self._process.results, 1 << 16)
                    if not piece:
                        self.end = self._died(crumbs.read())
                        return
                    *lines, waiting = (waiting + piece).split(b"\n")
                    for line in lines:
                        yield from self._read(json.loads(line))
                    continue
                self.end = self._late(crumbs.read())
                if self.end is not None:
                    self._process.kill()
                    return
        finally:
            crumbs.close()

    def _read(self, line: dict[str, Any]) -> Iterator[Result]:
        self._since = time.monotonic()
        if "refused" in line:
            self.refused, self._done = line["refused"], True
        elif "backend" in line:
            self.backend = line["backend"]
        elif "begin" in line:
            self._running = line["begin"]
            self._on_begin(line["begin"])
        elif "end" in line:
            self._running = None
            name = line.pop("end")
            yield Result(id=name, what=CHECKS[name].what, **line)
        else:
            self._done = True

    def _late(self, crumb: Crumb | None) -> End | None:
        now = time.monotonic()
        if crumb is not None and now - crumb.since > self._job.deadline_s + _SLACK_S * (self._job.deadline_s > 5):
            where = _where(self._process.stack())
            reason = f"{crumb.what} had not come back after {now - crumb.since:.1f} s{where}"
            return End(check=self._running, reason=reason, what=crumb.what, hung=True)
        if now - self._since > self._job.profile.check_s:
            where = _where(self._process.stack())
            doing = f"; it was in {crumb.what}" if crumb is not None else ""
            return End(check=self._running, reason=f"not done after {self._job.profile.check_s:.0f} s{doing}{where}")
        return None

    def _died(self, crumb: Crumb | None) -> End:
        status = self._process.child.wait()
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        doing = f" in {crumb.what}" if crumb is not None else ""
        said = self._process.printed()
        last = f": {said.splitlines()[-1]}" if said and crumb is None else ""
        return End(check=self._running, reason=f"the process {how}{doing}{last}{_where(self._process.stack())}")


def _where(stacks: str) -> str:
    """Return where the main thread is: its innermost line that is not Python's own."""
    main = stacks.rpartition("Current thread")[2] if "Current thread" in stacks else stacks
    frames = _FRAME.findall(main)
    for file, line, function in frames:
        if "/lib/python" not in file and not file.startswith((_HERE, "<")):
            return f", in {function} ({file.rpartition('/')[2]}:{line})"
    return ""
