"""What one process of the checker is told to do, and how much each profile asks."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from types import MappingProxyType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import gymnasium
from gymnasium.envs.registration import EnvSpec, load_env_creator

__all__ = ["PROFILES", "Job", "Profile", "fitted", "refusal", "shipped_spec"]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How much is tried."""

    name: str
    seeds: int  # tasks a level that the oracle solves, on "train"; a third as many on "test"
    starts: int  # tasks a level and split that are begun only
    floors: int  # tasks a level for each floor
    cheats: int  # tasks for each cheat, spread over the levels
    fuzz: int  # malformed actions
    cycles: int  # episodes for each way of leaking
    check_s: float  # deadline of one check


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "quick": Profile(name="quick", seeds=3, starts=8, floors=1, cheats=1, fuzz=80, cycles=6, check_s=300.0),
        "full": Profile(name="full", seeds=300, starts=300, floors=50, cheats=50, fuzz=2000, cycles=40, check_s=7200.0),
    }
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One environment on one backend, and the checks that are still to be run."""

    env_id: str
    profile: Profile
    checks: tuple[str, ...]
    failed: tuple[str, ...] = ()  # checks that failed already, in a process before this one
    kwargs: Mapping[str, Any] = field(default_factory=dict)  # of `gymnasium.make`
    backend: str = "auto"
    levels: tuple[int, ...] | None = None  # only these; None: all
    deadline_s: float = 60.0  # of one reset or step
    folder: str = ""  # for files that the processes of this check share
    spec: bytes | None = None  # the EnvSpec by cloudpickle, where its module does not register it by itself
    path: tuple[str, ...] = field(default_factory=lambda: tuple(map(os.path.abspath, sys.path)))

    def settle(self) -> None:
        """Make the environment's id known in this process, as it is in the one that asked."""
        sys.path.extend(each for each in self.path if each not in sys.path)
        if self.spec is not None:
            spec: EnvSpec = cloudpickle.loads(self.spec)
            gymnasium.registry[spec.id] = spec


def shipped_spec(env_id: str) -> bytes | None:
    """Return the registration of an id that a fresh process would not know; None where it would."""
    if ":" in env_id or env_id.startswith("AgentRL/"):
        return None
    try:
        packed: bytes = cloudpickle.dumps(gymnasium.registry[env_id])
    except Exception:  # what a constructor may hold is anybody's guess; `pickling` says more
        return None
    return packed


def fitted(job: Job) -> Job:
    """Settle a job in this process and hand its backend to the environment; "-" where it takes none."""
    job.settle()
    if not _takes_backend(job) or "backend" in job.kwargs:
        return replace(job, backend=str(job.kwargs.get("backend", "-")))
    if job.backend == "auto":
        return job
    return replace(job, kwargs={**job.kwargs, "backend": job.backend})


def refusal(job: Job) -> str:
    """Say why nothing can be checked on this backend; empty where it can."""
    if job.backend == "local" and _runs_code(job):
        return "it runs the model's code, which never happens in this process; check it with --backend docker,bwrap"
    return ""


def _constructor(env_id: str) -> Any:
    """Return what makes the environment; None where it is not to be had, which `starts` will say better."""
    try:
        module, _, name = env_id.rpartition(":")
        if module:
            import_module(module)
        entry = gymnasium.spec(name).entry_point
        return load_env_creator(entry) if isinstance(entry, str) else entry
    except Exception:
        return None


def _takes_backend(job: Job) -> bool:
    constructor = _constructor(job.env_id)
    if isinstance(constructor, type):
        return any(
            "backend" in inspect.signature(kind).parameters for kind in constructor.__mro__ if "__init__" in vars(kind)
        )
    return hasattr(_made(job), "backend")


def _runs_code(job: Job) -> bool:
    constructor = _constructor(job.env_id)
    return bool(getattr(constructor if isinstance(constructor, type) else _made(job), "runs_code", False))


def _made(job: Job) -> Any:
    """Return what a function makes, closed; None where it fails, which `starts` will say better."""
    try:
        env: Any = gymnasium.make(job.env_id, disable_env_checker=True, **job.kwargs)
        env.close()
    except Exception:
        return None
    return env.unwrapped
