"""Run the checks of an environment in a process of their own, and outlive whatever it does there.

The process is watched by what it is doing: a reset or step that does not come back by the deadline is a hang, and the
process is killed with all that it started. A fresh one goes on with the checks that are left; after a few such ends the
rest is not run.
"""

from __future__ import annotations

import difflib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import gymnasium

from agentrl.envs.checker.catalogue import CHECKS
from agentrl.envs.checker.ids import nearest_id
from agentrl.envs.checker.job import PROFILES, Job, shipped_spec
from agentrl.envs.checker.results import Report, Result
from agentrl.envs.checker.watch import End, Watch
from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.tools.host import BACKENDS

__all__ = ["check"]

_START = "import sys; from agentrl.envs.checker.child import main; sys.exit(main(*sys.argv[1:]))"
_MOST_ENDS = 3  # processes that hung or died, after which the rest is not run

OnEvent = Callable[[str, int, int], None]


def check(
    env: str,
    *,
    profile: str = "quick",
    backend: str = "auto",
    seeds: int | None = None,
    levels: Sequence[int] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    deadline_s: float = 60.0,
    on_event: OnEvent | None = None,
) -> Report:
    """Check an environment for what poisons training.

    Args:
        env: Id of a registered environment, or `module:ID`.
        profile: "quick" (seconds) or "full" (300 seeds a level).
        backend: Where tools and code run: "auto", "local", "docker" or "bwrap"; ignored by an environment without it.
        seeds: Tasks a level that the oracle solves; None: what the profile says.
        levels: Only these; None: all.
        kwargs: Of `gymnasium.make`.
        only: Ids of checks; empty: all. What a check rests on is run too.
        skip: Ids of checks to leave out.
        deadline_s: Seconds of one reset or step, after which it counts as hung.
        on_event: Called with the id of a check that begins, its number and how many there are.

    Raises:
        UsageError: A profile, backend, check, level or environment that does not exist.
    """
    began = time.perf_counter()
    if profile not in PROFILES:
        raise UsageError(
            f"profile={profile!r} does not exist{nearest(profile, PROFILES)}; there are {', '.join(PROFILES)}"
        )
    if backend not in BACKENDS:
        raise UsageError(
            f"backend={backend!r} does not exist{nearest(backend, BACKENDS)}; there are {', '.join(BACKENDS)}"
        )
    if seeds is not None and (not isinstance(seeds, int) or seeds < 1):
        raise UsageError(f"seeds={seeds!r} must be a whole number of at least 1")
    if not deadline_s > 0:
        raise UsageError(f"deadline_s={deadline_s!r} must be a number of seconds above 0")
    chosen = _chosen(only, skip)
    _known(env)
    amount = PROFILES[profile] if seeds is None else replace(PROFILES[profile], seeds=seeds)
    folder = tempfile.mkdtemp(prefix="agentrl-check-")
    job = Job(
        env_id=env,
        profile=amount,
        checks=chosen,
        kwargs=dict(kwargs or {}),
        backend=backend,
        levels=tuple(levels) if levels else None,
        deadline_s=deadline_s,
        folder=folder,
        spec=shipped_spec(env),
    )
    try:
        results, used = _run_all(job, on_event)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ordered = tuple(results[name] for name in CHECKS if name in results)
    return Report(
        env=env,
        backend=used,
        profile=profile,
        seeds=amount.seeds,
        results=ordered,
        seconds=time.perf_counter() - began,
    )


def _run_all(job: Job, on_event: OnEvent | None) -> tuple[dict[str, Result], str]:
    results: dict[str, Result] = {}
    ends: list[End] = []
    backend = job.backend
    while True:
        left = tuple(name for name in job.checks if name not in results)
        if not left:
            return results, backend
        if len(ends) == _MOST_ENDS:
            for name in left:
                results[name] = _not_run(
                    name, f"the environment hung or died {_MOST_ENDS} times, in {ends[-1].check!r} last"
                )
            return results, backend
        failed = tuple(name for name, result in results.items() if result.status == "failed")
        todo = replace(job, checks=left, failed=failed)
        with _Process(todo) as process:
            watch = Watch(process, todo, lambda name: on_event and on_event(name, len(results) + 1, len(job.checks)))
            for result in watch.results():
                results[result.id] = result
            if watch.refused:
                raise UsageError(f"levels={list(job.levels or ())}: {watch.refused}")
            backend = watch.backend or backend
            end = watch.end
        if end is None:
            continue
        ends.append(end)
        if end.check is None:
            name = left[0]
            results[name] = _failed(
                name, end.reason, "see whether the module can be imported: python -c 'import MODULE'"
            )
        elif end.hung and end.check != "deadlines" and "deadlines" in job.checks:
            results["deadlines"] = _failed("deadlines", end.reason, CHECKS["deadlines"].hint)
            results[end.check] = _not_run(end.check, f"{end.what} hung; see deadlines")
        else:
            hint = CHECKS["deadlines"].hint if end.hung else ""
            results[end.check] = _failed(end.check, end.reason, hint or CHECKS[end.check].hint)


def _failed(name: str, reason: str, hint: str) -> Result:
    return Result(id=name, what=CHECKS[name].what, status="failed", reason=reason, hint=hint)


def _not_run(name: str, reason: str) -> Result:
    return Result(id=name, what=CHECKS[name].what, status="not run", reason=reason)


def _chosen(only: Sequence[str], skip: Sequence[str]) -> tuple[str, ...]:
    for name in (*only, *skip):
        if name not in CHECKS:
            near = difflib.get_close_matches(name, CHECKS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise UsageError(f"there is no check {name!r}{hint} Type: agentrl check --list")
    wanted = set(only or CHECKS)
    while more := {need for name in wanted for need in CHECKS[name].needs} - wanted:
        wanted |= more
    chosen = tuple(name for name in CHECKS if name in wanted and name not in skip)
    if not chosen:
        raise UsageError(f"skip={list(skip)!r} leaves no check to be run")
    return chosen


def _known(env: str) -> None:
    module, _, name = env.rpartition(":")
    try:
        import_module(module or "agentrl.envs")
    except ImportError as error:
        raise UsageError(f"env {env!r}: the module {module!r} cannot be imported: {error}") from error
    if name not in gymnasium.registry:
        raise UsageError(
            f"env {env!r} is not registered{nearest_id(name, gymnasium.registry) or '.'} Type: agentrl envs"
        )


class _Process:
    """The process of a job, with a pipe for its results and a folder for its temporary files."""

    def __init__(self, job: Job) -> None:
        self.folder = Path(job.folder)
        (self.folder / "tmp").mkdir(exist_ok=True)
        (self.folder / "job").write_bytes(pickle.dumps(job))
        for name in ("stacks", "printed", "crumbs"):
            (self.folder / name).write_bytes(b"")
        self.results, far = os.pipe()
        environment = {**os.environ, "PYTHONHASHSEED": "0", "TMPDIR": str(self.folder / "tmp")}
        command = [sys.executable, "-c", _START, str(self.folder / "job"), str(far)]
        try:
            with open(self.folder / "printed", "wb") as printed:
                self.child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    pass_fds=(far,),
                    start_new_session=True,
                )
        except BaseException:
            os.close(self.results)
            raise
        finally:
            os.close(far)

    def stack(self) -> str:
        """Return the innermost lines of our own threads' stacks, outermost process first; empty where none comes."""
        if self.child.poll() is None:
            os.kill(self.child.pid, signal.SIGUSR1)
            until = time.monotonic() + 1.0
            while not self._stacks() and time.monotonic() < until:
                time.sleep(0.02)
            time.sleep(0.05)
        return self._stacks()

    def _stacks(self) -> str:
        return (self.folder / "stacks").read_text(errors="replace")

    def printed(self) -> str:
        """Return the end of what it printed."""
        return (self.folder / "printed").read_text(errors="replace")[-500:].strip()

    def kill(self) -> None:
        """Kill it with all that it started and did not put into a session of its own."""
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.child.wait(timeout=15)  # it closes its backends
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()
            self.child.wait()
            os.close(self.results)
