"""Many jobs, one in five of them hostile, from many leases at once: every one is answered, and nothing stays behind.

Each lease runs four harmless jobs, whose answers are checked, then one case of the suite, which must end as the case
says. At the end the census must be the first one: processes, containers, cgroups, mounts, files, descriptors, threads.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from agentrl.sandboxes.base import Backend, Sandbox
from agentrl.sandboxes.conformance.case import Case, small
from agentrl.sandboxes.conformance.census import HostCensus, excess, take_census
from agentrl.sandboxes.conformance.deviations import DEVIATIONS
from agentrl.sandboxes.conformance.suite import CASES
from agentrl.sandboxes.errors import SandboxError

__all__ = ["Soak", "soak"]

HARMLESS_A_LEASE = 4
SETTLE_S = 60.0
# Longer ones would make the soak a test of patience: their limits are the same code.
LONGEST_S = 10.0
PATIENCE = 6


@dataclass(kw_only=True)
class Soak:
    """What a soak found; `wrong` is empty where all went well."""

    num_jobs: int = 0
    num_hostile: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    """Status or error -> jobs that ended so."""
    wrong: list[str] = field(default_factory=list)
    """What did not end as it should, and what stayed behind."""
    seconds: float = 0.0
    before: HostCensus | None = None
    after: HostCensus | None = None

    def figures(self) -> Mapping[str, float]:
        """Return what there is to print: counts, and the census before and after."""
        assert self.before is not None
        assert self.after is not None
        found: dict[str, float] = {
            "jobs": self.num_jobs,
            "hostile_jobs": self.num_hostile,
            "wrong": len(self.wrong),
            "seconds": self.seconds,
        }
        for name in ("descriptors", "threads", "memory_kb", "quarantined"):
            found[f"{name}_before"] = getattr(self.before, name)
            found[f"{name}_after"] = getattr(self.after, name)
        for name in ("processes", "containers", "cgroups", "mounts", "files"):
            found[f"{name}_before"] = len(getattr(self.before, name))
            found[f"{name}_after"] = len(getattr(self.after, name))
        zombies = [each for names in self.after.processes.values() for each in names if "zombie" in each]
        return found | {"zombies_after": len(zombies)}


def soak(
    backend: Backend,
    num_jobs: int,
    *,
    rng: Random,
    num_threads: int = 8,
    on_job: Callable[[int], None] | None = None,
) -> Soak:
    """Run jobs and compare the host before and after.

    Args:
        backend: Under test; open it with `warm=0` and a small `idle_s`, so that an idle pool comes to hold nothing.
        num_jobs: Harmless and hostile ones together.
        rng: Chooses the hostile cases.
        num_threads: Leases at once.
        on_job: Called with the number of jobs done so far.
    """
    capabilities = backend.capabilities()
    usable = capabilities.held | capabilities.reported
    name = capabilities.backend
    cases = [case for case in CASES if _fits(case) and case.needs <= usable and (name, case.name) not in DEVIATIONS]
    found = Soak()
    _one_lease(backend, cases[0], found, threading.Lock())  # what is made once a process is there before the count
    found = Soak(before=_settled(backend, None))
    plan = [rng.choice(cases) for _ in range(num_jobs // (HARMLESS_A_LEASE + 1))]
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not plan:
                    return
                case = plan.pop()
            _one_lease(backend, case, found, lock)
            if on_job is not None:
                on_job(found.num_jobs)

    began = time.monotonic()
    threads = [threading.Thread(target=work, name=f"soak-{number}") for number in range(num_threads)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    found.seconds = time.monotonic() - began
    found.after = _settled(backend, found.before)
    assert found.before is not None
    left = excess(found.before, found.after)
    if left is not None:
        found.wrong.append(left)
    if found.after.num_boxes > found.before.num_boxes:
        found.wrong.append(f"{found.after.num_boxes} boxes are still there, {found.before.num_boxes} before")
    return found


def _fits(case: Case) -> bool:
    program = case.python is not None or case.shell is not None or case.argv is not None
    return program and case.timeout_s <= LONGEST_S


def _one_lease(backend: Backend, case: Case, found: Soak, lock: threading.Lock) -> None:
    try:
        with backend.lease(small(**case.spec), wait_s=300.0) as box:
            for number in range(HARMLESS_A_LEASE):
                wrong = _harmless(box, number)
                with lock:
                    found.num_jobs += 1
                    found.statuses["ok" if wrong is None else "wrong"] += 1
                    if wrong is not None:
                        found.wrong.append(wrong)
            got, said = _hostile(box, case)
    except SandboxError as error:
        with lock:
            found.wrong.append(f"before {case.name}: {type(error).__name__}: {error}")
        return
    with lock:
        found.num_jobs += 1
        found.num_hostile += 1
        found.statuses[got] += 1
        if got not in case.expected:
            found.wrong.append(f"{case.name} ended as {got}, not {' or '.join(sorted(case.expected))}: {said}")


def _harmless(box: Sandbox, number: int) -> str | None:
    word = f"{id(box)}-{number}"
    if number == 0:
        box.write("note.txt", word.encode())
        result = box.exec("cat note.txt && rm note.txt")
    elif number == 1:
        result = box.run_python(f"print({word!r}, end='')")
    elif number == 2:
        result = box.exec(["cat"], stdin=word.encode())
    else:
        result = box.exec(f"sleep 60 & printf {word}")
    if result.ok and result.stdout == word.encode():
        return None
    return f"harmless job {number}: {result.status} {result.stdout[:100]!r} {result.stderr[:200]!r}"


def _hostile(box: Sandbox, case: Case) -> tuple[str, str]:
    # What should end by itself gets more time: here many share the processors, and the case is not about speed.
    timeout_s = case.timeout_s * (1 if "timeout" in case.expected else PATIENCE)
    try:
        if case.python is not None:
            result = box.run_python(case.python, stdin=case.stdin, timeout_s=timeout_s)
        else:
            command = case.shell if case.shell is not None else case.argv
            assert command is not None
            result = box.exec(command, stdin=case.stdin, timeout_s=timeout_s)
    except SandboxError as error:
        return type(error).__name__, str(error)
    return result.status, f"{result.stdout[-200:]!r} {result.stderr[-500:]!r}"


def _settled(backend: Backend, first: HostCensus | None) -> HostCensus:
    from agentrl.sandboxes.reaper import owner_token

    end = time.monotonic() + SETTLE_S
    while True:
        census = take_census(backend, owner_token())
        same = first is None or (
            excess(first, census) is None
            and census.num_boxes <= first.num_boxes
            and census.threads <= first.threads  # those of the pool end some seconds after their last work
        )
        quiet = same and not census.busy
        if quiet or time.monotonic() > end:
            return census
        time.sleep(0.1)
