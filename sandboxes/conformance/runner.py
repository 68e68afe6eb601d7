"""Run cases against a backend, and hold the four invariants after each.

The call came back in time with a typed result; a fresh lease works; the host has nothing more than before; a neighbour
that ran at the same time went on. One runner keeps one neighbour and one first census for all its cases.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from agentrl.sandboxes.base import Backend, Sandbox
from agentrl.sandboxes.conformance.case import Case, CaseFailed, small
from agentrl.sandboxes.conformance.census import HostCensus, excess, take_census
from agentrl.sandboxes.conformance.deviations import DEVIATIONS
from agentrl.sandboxes.errors import SandboxError
from agentrl.sandboxes.results import ExecResult

__all__ = ["Outcome", "Runner", "report"]

# Beyond a case's own limit: a lease, the host's grace for a kill, and a busy machine.
GRACE_S = 20.0
SETTLE_S = 60.0
HEARTBEAT = "import time\nwhile True:\n    print('.', flush=True)\n    time.sleep(0.1)"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one case ended on one backend."""

    name: str
    group: str
    item: str
    passed: bool
    skipped: bool = False
    """Whether the backend cannot hold here what the case is about; `reason` says what."""
    expected: str
    got: str
    seconds: float
    reason: str = ""
    """What is wrong, or why the case was left out or deviates."""


@dataclass
class _Seen:
    got: str = ""
    wrong: str | None = None


class Runner:
    """One backend under test. Close it, or leave its `with` block; the backend stays open."""

    def __init__(self, backend: Backend) -> None:
        """Start the neighbour and take the first census.

        Raises:
            SandboxUnavailable: Nothing can run here.
        """
        from agentrl.sandboxes.reaper import owner_token

        self.backend = backend
        self.capabilities = backend.capabilities()
        self._token = owner_token()
        self._neighbour = backend.lease(small())
        try:
            self._neighbour.write("/work/canary", b"alive")
            self._heart = self._neighbour.start(["python3", "-c", HEARTBEAT], timeout_s=36_000)
            self._next_lease()
            self._before = self._settled()
        except BaseException:
            self._neighbour.close()
            raise

    def run(self, case: Case) -> Outcome:
        """Run one case."""
        begun = time.monotonic()
        name = self.capabilities.backend
        deviation = DEVIATIONS.get((name, case.name))
        expected = case.expected if deviation is None or deviation.expected is None else deviation.expected

        def outcome(got: str, wrong: str | None, *, skipped: bool = False) -> Outcome:
            return Outcome(
                name=case.name,
                group=case.group,
                item=case.item,
                passed=wrong is None and not skipped,
                skipped=skipped,
                expected=" or ".join(sorted(expected)),
                got=got,
                seconds=time.monotonic() - begun,
                reason=wrong or (deviation.reason if deviation else ""),
            )

        lacking = case.needs - self.capabilities.held - self.capabilities.reported
        if lacking:
            why = "; ".join(
                f"{each}: {self.capabilities.missing.get(each, 'not held here')}" for each in sorted(lacking)
            )
            return outcome("", why, skipped=True)
        if deviation is not None and deviation.expected is None:
            return outcome("", deviation.reason, skipped=True)
        seen = _Seen()
        thread = threading.Thread(target=self._try, args=(case, expected, seen), name=f"case-{case.name}", daemon=True)
        beats = self._beats()
        thread.start()
        thread.join(case.timeout_s + GRACE_S)
        if thread.is_alive():
            return outcome("", f"the call had not returned {case.timeout_s + GRACE_S:.0f} s after it began")
        wrong = seen.wrong
        if wrong is None and seen.got not in expected:
            wrong = f"ended as {seen.got}"
        return outcome(seen.got, wrong or self._invariants(beats))

    def close(self) -> None:
        """Give the neighbour's box back; idempotent."""
        self._neighbour.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _try(self, case: Case, expected: frozenset[str], seen: _Seen) -> None:
        try:
            result = self._program(case)
            seen.got = result.status if result else "ok"
            if result is not None and case.check is not None and seen.got in case.expected:
                seen.wrong = case.check(result)
            if result is not None and seen.got not in expected:
                seen.wrong = f"ended as {seen.got}, exit {result.exit_code}, signal {result.signal}: " + (
                    (result.stdout_text[-200:] + " " + result.stderr_text[-500:]).strip()
                )
        except CaseFailed as error:
            seen.got, seen.wrong = "failed", str(error)
        except (SandboxError, TimeoutError) as error:
            seen.got = type(error).__name__
            if seen.got not in expected:
                seen.wrong = f"{seen.got}: {error}"
        except Exception as error:
            seen.got, seen.wrong = type(error).__name__, f"an error that is not typed: {type(error).__name__}: {error}"

    def _program(self, case: Case) -> ExecResult | None:
        if case.backend_steps is not None:
            case.backend_steps(self.backend)
            return None
        with self.backend.lease(small(**case.spec)) as box:
            if case.candidate is not None:
                from agentrl.sandboxes.conformance.grading import judge

                judge(box, case.candidate)
                return None
            if case.steps is not None:
                return case.steps(box)
            if case.python is not None:
                return box.run_python(case.python, stdin=case.stdin, timeout_s=case.timeout_s)
            command = case.shell if case.shell is not None else case.argv
            assert command is not None
            return box.exec(command, stdin=case.stdin, timeout_s=case.timeout_s)

    def _invariants(self, beats: int) -> str | None:
        try:
            self._next_lease()
            ended = self._heart.poll()
            if ended is not None:
                return f"the neighbour's job ended: {ended.status} {ended.stderr_text[-200:]}"
            if not _soon(lambda: self._beats() > beats):
                return "the neighbour's job stands still"
            if self._neighbour.read("/work/canary") != b"alive":
                return "the neighbour's file is another"
            if any(each.name != "canary" for each in self._neighbour.list("/work")):
                return "the neighbour's folder has new files"
            census = self._settled()
            wrong = excess(self._before, census)
            if wrong is not None:
                self._before = census  # so that the next case is judged by what it leaves itself
            return wrong
        except (CaseFailed, SandboxError) as error:
            return f"after the case: {type(error).__name__}: {error}"

    def _next_lease(self) -> None:
        with self.backend.lease(small()) as box:
            _fresh(box)

    def _settled(self) -> HostCensus:
        census = take_census(self.backend, self._token)
        end = time.monotonic() + SETTLE_S
        first = getattr(self, "_before", None)
        while (census.busy or (first is not None and excess(first, census))) and time.monotonic() < end:
            time.sleep(0.05)
            census = take_census(self.backend, self._token)
        return census

    def _beats(self) -> int:
        return len(self._heart.output()[0])


def report(outcomes: Iterable[Outcome]) -> list[tuple[str, int, int, int]]:
    """Return a row for each group: its name, and how many cases passed, failed and were left out."""
    rows: dict[str, list[int]] = {}
    for each in outcomes:
        row = rows.setdefault(each.group, [0, 0, 0])
        row[2 if each.skipped else 0 if each.passed else 1] += 1
    return [(group, *counts) for group, counts in rows.items()]  # type: ignore[misc]


def _fresh(box: Sandbox) -> None:
    result = box.exec("cat && ls -A /work /tmp /dev/shm | grep -v : | grep . | wc -l", stdin=b"fresh ")
    if result.status != "ok" or result.stdout.split() != [b"fresh", b"0"]:
        raise CaseFailed(
            f"the next lease is not fresh: {result.status} {result.stdout[:200]!r} {result.stderr[:200]!r}"
        )


def _soon(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
