"""The process in which an environment is checked; `runner.py` starts it with a job and a pipe.

It reads a job and writes a line of JSON before and after each check. Whatever the environment does to this process is
seen by the one that started it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import pickle
import signal
import threading
import time
from pathlib import Path
from typing import IO, Any

from agentrl.envs.checker.catalogue import CHECKS
from agentrl.envs.checker.crumbs import Crumbs
from agentrl.envs.checker.episodes import last_line
from agentrl.envs.checker.job import Job, fitted, refusal
from agentrl.envs.checker.record import Check, Failed, NotApplicable
from agentrl.envs.checker.subject import Subject

__all__ = ["main"]


def _follow(parent: int) -> None:
    """End this process, and what it started, when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os.killpg(0, signal.SIGKILL)  # the parent gave it a group of its own


def main(job_path: str, results_fd: str) -> int:
    """Run the checks of a job; return 0, whatever they found."""
    threading.Thread(target=_follow, args=(os.getppid(),), name="agentrl-parent", daemon=True).start()
    job: Job = pickle.loads(Path(job_path).read_bytes())
    stacks = open(Path(job.folder) / "stacks", "w")  # noqa: SIM115  # as long as the process
    faulthandler.enable(stacks)
    faulthandler.register(signal.SIGUSR1, stacks, all_threads=True)
    results = os.fdopen(int(results_fd), "w", buffering=1)
    os.set_inheritable(results.fileno(), False)
    job = fitted(job)
    _say(results, {"backend": job.backend})
    subject = Subject(job, Crumbs(Path(job.folder) / "crumbs"))
    why_not = refusal(job)
    failed = set(job.failed)
    if job.levels and not why_not and (wrong := _wrong_levels(subject)):
        _say(results, {"refused": wrong})
        return 0
    for check in CHECKS.values():
        if check.id in job.checks:
            _say(results, {"begin": check.id})
            found = {"status": "not applicable", "reason": why_not} if why_not else _run(check, subject, failed)
            if found["status"] == "failed":
                failed.add(check.id)
            _say(results, {"end": check.id, **found})
    _say(results, {"done": True})
    return 0


def _wrong_levels(subject: Subject) -> str:
    """Say which levels were asked for and are not there; an environment that cannot be made is told by `starts`."""
    try:
        wrong = subject.facts.unknown_levels
        env: Any = subject.make().unwrapped
        there = ", ".join(map(str, getattr(env, "levels", ())))
    except Exception:
        return ""
    finally:
        subject.release()
    if not wrong:
        return ""
    return f"level {wrong[0]} was asked for, which the environment does not have; there are {there or 'none'}"


def _run(check: Check, subject: Subject, failed: set[str]) -> dict[str, Any]:
    blocked = sorted(failed & set(check.needs))
    if blocked:
        return {"status": "not run", "reason": f"{blocked[0]} failed, without which this check says nothing"}
    before = time.perf_counter()
    found: dict[str, Any]
    try:
        found = {"status": "passed", "measured": dict(check.run(subject) or {})}
    except NotApplicable as error:
        found = {"status": "not applicable", "reason": str(error)}
    except Failed as error:
        found = {"status": "failed", "reason": error.reason, "hint": error.hint or check.hint}
    except Exception as error:
        found = {"status": "failed", "reason": f"it raised {last_line(error)}", "hint": check.hint}
    subject.release()
    return {**found, "seconds": time.perf_counter() - before}


def _say(results: IO[str], line: dict[str, Any]) -> None:
    results.write(json.dumps(line, default=str) + "\n")
    results.flush()
