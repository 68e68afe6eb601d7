"""Play the episodes of a bench that are still missing, several at once, each written as it ends.

An episode that fails for a reason outside the agent's answers is tried again from its start; one that goes on failing
is stored with its failure, and tried again when the run is resumed. Episodes that end while others are being written
go into the next transaction together, so a process that is killed loses what ended within one write, which is
milliseconds; a power cut may lose what the system had not brought to the disk.
"""

from __future__ import annotations

import hashlib
import inspect
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import gymnasium

from agentrl.bench.agents import Agent, open_agent, source_of
from agentrl.bench.crew import Crew
from agentrl.bench.errors import BenchError, UsageError
from agentrl.bench.faraway import check_workers, places_of
from agentrl.bench.pace import Regulator
from agentrl.bench.plans import KINDS, ModelSettings, pinned, plan_of
from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode, Job, Pace
from agentrl.envs.errors import nearest
from agentrl.envs.functions import source_digest
from agentrl.envs.protocol import SPLITS

if TYPE_CHECKING:
    from agentrl.bench.attempt import Place
    from agentrl.bench.endpoint import EndpointSettings
    from agentrl.bench.faraway import FarPlace

__all__ = ["Settings", "check_env", "run"]

_MOST_AT_ONCE = 64  # of concurrency="auto"; for more, give a number
_MOST_EPISODES = 10_000_000  # of one bench: their jobs are held in memory
_MOST_NUMBER = 2**63 - 1  # that the file can hold
_MOST_FAILURES = 20  # one after another, before a bench stops: the server is gone, not the luck


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is benched, and how it is run.

    Raises:
        UsageError: A value that cannot work.
    """

    envs: tuple[str, ...]
    agent: str  # see `agentrl.bench.agents`
    num_tasks: int  # of each environment and level
    num_samples: int = 1  # episodes of each task
    levels: tuple[int, ...] = ()  # none: the environment's own default
    split: str = "test"
    seed: int = 0  # of the first task; the others follow
    seeds: tuple[int, ...] = ()  # of all tasks of an environment and level, where they do not follow one another
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    deadline_s: float = 60.0  # of one reset or step
    turn_s: float = 300.0  # of one turn of the agent
    endpoint: EndpointSettings | None = None  # of the agent openai:MODEL
    key: str = field(default="", repr=False)  # of the endpoint
    model: ModelSettings | None = None  # of the agents hf:, run: and vllm:
    max_retries: int = 2  # after a failure
    concurrency: int | Literal["auto"] = "auto"  # episodes at once; auto: what the host carries, see `pace`
    memory_mb: float | None = None  # what auto lets the bench and its boxes take; None: what the host has
    workers: Literal["threads", "processes"] = "threads"
    env_workers: str | None = None  # ray:N: environments in N processes on the hosts of a Ray cluster
    ray: Mapping[str, Any] = field(default_factory=dict)  # its settings, as of `agentrl.trainer.workers.RayConfig`

    def __post_init__(self) -> None:
        if not self.envs or len(set(self.envs)) < len(self.envs):
            raise UsageError(f"envs={self.envs!r}: name at least one environment, and each once")
        if len(set(self.levels)) < len(self.levels):
            raise UsageError(f"levels={self.levels!r}: name each level once")
        for name, least in (("num_tasks", 1), ("num_samples", 1), ("seed", 0), ("max_retries", 0)):
            if getattr(self, name) < least:
                raise UsageError(f"{name}={getattr(self, name)!r} must be {least} or more")
        last = max((self.seed + self.num_tasks - 1, *self.seeds, *self.levels))
        if last > _MOST_NUMBER or min((*self.seeds, *self.levels), default=0) < 0:
            raise UsageError(
                f"seed={self.seed!r}, levels={self.levels!r}: the seeds of all tasks and the levels must be 0 to "
                f"{_MOST_NUMBER} (2**63 - 1)"
            )
        num_episodes = len(self.envs) * max(1, len(self.levels)) * self.num_tasks * self.num_samples
        if num_episodes > _MOST_EPISODES:
            raise UsageError(
                f"num_tasks={self.num_tasks!r} and num_samples={self.num_samples!r} make {num_episodes} episodes; one "
                f"bench plays {_MOST_EPISODES} at most: take fewer tasks, or several benches with a seed each"
            )
        if self.concurrency != "auto" and (not isinstance(self.concurrency, int) or self.concurrency < 1):
            raise UsageError(f"concurrency={self.concurrency!r} must be 1 or more, or auto")
        if self.memory_mb is not None and (self.concurrency != "auto" or not self.memory_mb > 0):
            raise UsageError(
                f"memory_mb={self.memory_mb!r} must be above 0, and bounds concurrency='auto' alone, which is "
                f"{self.concurrency!r}"
            )
        for name in ("deadline_s", "turn_s"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)!r} must be above 0")
        if self.seeds and (self.seed or len(self.seeds) != self.num_tasks or len(set(self.seeds)) < len(self.seeds)):
            raise UsageError(
                f"seeds names {len(self.seeds)} tasks, seed={self.seed!r}, num_tasks={self.num_tasks!r}: name each "
                "seed once, as many as tasks, and leave seed out"
            )
        if self.env_workers is not None and self.workers != "threads":
            raise UsageError(
                f"workers={self.workers!r} has no effect with env_workers={self.env_workers!r}, whose environments are "
                "in processes already: leave one of the two out"
            )
        if self.env_workers is not None or self.ray:
            check_workers(self.env_workers, self.ray)
        if self.split not in SPLITS:
            raise UsageError(f"split={self.split!r} does not exist{nearest(self.split, SPLITS)}; there are train, test")

    def jobs(self) -> Iterator[Job]:
        """Yield every episode, samples of a task side by side."""
        for env_id in self.envs:
            for level in self.levels or (0,):
                for seed in self.seeds or range(self.seed, self.seed + self.num_tasks):
                    for sample in range(self.num_samples):
                        yield Job(env_id=env_id, level=level, seed=seed, sample=sample)

    def identity(self) -> dict[str, Any]:
        """Return what makes two runs the same: all that may change a score, and no speed."""
        sources = {env_id: source for env_id in self.envs if (source := _source_of_env(env_id))}
        return {
            "agent": self.agent,
            "agent_settings": self._agent_settings(),
            "envs": list(self.envs),
            "levels": list(self.levels),
            "split": self.split,
            "seed": self.seed,
            **({"seeds": _digest(self.seeds)} if self.seeds else {}),
            "num_tasks": self.num_tasks,
            "num_samples": self.num_samples,
            "env_kwargs": dict(self.env_kwargs),
            **({"env_sources": sources} if sources else {}),
            "deadline_s": self.deadline_s,
            "turn_s": self.turn_s,
            "versions": {
                "agentrl-gym": version("agentrl-gym"),
                "gymnasium": version("gymnasium"),
                "python": platform.python_version(),
            },
        }

    def _agent_settings(self) -> dict[str, Any]:
        if self.endpoint is not None:
            return self.endpoint.identity()
        kind, _, place = self.agent.partition(":")
        if kind in KINDS and place:
            return plan_of(kind, place, self.model or ModelSettings()).identity()
        source = source_of(self.agent)
        return {"source": source} if source else {}


def run(
    settings: Settings,
    folder: Path,
    *,
    on_start: Callable[[int, int], None] | None = None,
    on_episode: Callable[[Episode], None] | None = None,
    is_stopped: Callable[[], bool] | None = None,
) -> int:
    """Play what the folder's run lacks; return how many episodes that were.

    Args:
        settings: The same as before, where the folder holds a run already.
        folder: Made when absent.
        on_start: Told how many episodes there are and how many are done already.
        on_episode: Told of each episode once it is written; in the caller's thread.
        is_stopped: Asked many times a second; once it says so, no episode is begun, and those under way are waited for,
            ten seconds at most.

    Raises:
        UsageError: An agent or environment that cannot be benched.
        StoreError: The folder holds another run, or cannot be written.
        AgentError: The agent's function returned what is no text.
        BenchError: Twenty episodes failed one after another. What was played is kept.
    """
    settings = replace(settings, model=pinned(settings.agent, settings.model))
    with open_agent(
        settings.agent,
        turn_s=settings.turn_s,
        endpoint=settings.endpoint,
        key=settings.key,
        model=settings.model,
        num_at_once=_MOST_AT_ONCE if settings.concurrency == "auto" else settings.concurrency,
    ) as agent:
        for env_id in settings.envs:
            check_env(env_id, settings, agent)
        with BenchStore(folder, settings.identity()) as store:
            done = store.done()
            jobs = list(settings.jobs())
            missing = [job for job in jobs if job not in done]
            if on_start is not None:
                on_start(len(jobs), len(jobs) - len(missing))
            if not missing:
                return 0
            with places_of(settings) as place:
                return _play(missing, settings, agent, store, place, on_episode or (lambda episode: None), is_stopped)


def _play(
    jobs: list[Job],
    settings: Settings,
    agent: Agent,
    store: BenchStore,
    place: Callable[[str], Place | FarPlace],
    on_episode: Callable[[Episode], None],
    is_stopped: Callable[[], bool] | None,
) -> int:
    """Play and write; return how many episodes that were."""
    regulator, at_once = None, settings.concurrency
    if at_once == "auto":
        regulator = Regulator(most=min(_MOST_AT_ONCE, len(jobs)), memory_mb=settings.memory_mb)
        at_once = regulator.plan.at_once
    store.note_pace(Pace(at=time.time(), num_at_once=at_once, why=regulator.plan.why if regulator else "given"))
    crew = Crew(jobs, agent, settings, at_once, place)
    num_played = num_failed = 0  # failed: one after another
    try:
        for episodes in crew.episodes():
            if episodes:
                store.add_all(episodes)
                num_played += len(episodes)
            if regulator is not None and (pace := regulator.look(crew, agent.num_refused)) is not None:
                store.note_pace(pace)
            for episode in episodes:
                on_episode(episode)
                num_failed = num_failed + 1 if episode.failure is not None else 0
                if episode.failure is not None and num_failed >= _MOST_FAILURES:
                    raise BenchError(
                        f"{num_failed} episodes failed one after another, the last in the "
                        f"{episode.failure['boundary']}: {episode.failure['message']}. What was played is in "
                        f"{store.path.parent}; when that is mended, type the same command to go on"
                    )
            if is_stopped is not None and is_stopped():
                break
    finally:
        try:
            crew.close()
        finally:
            if rest := crew.rest():
                store.add_all(rest)
    return num_played + len(rest)


def _source_of_env(env_id: str) -> str:
    """Return a digest of the file that holds an environment; empty where a version says which it is."""
    registering, _, name = env_id.rpartition(":")
    try:
        if registering:
            import_module(registering)
        entry = gymnasium.spec(name).entry_point
    except (gymnasium.error.Error, ImportError, ValueError):  # told when it is made
        return ""
    module = entry.partition(":")[0] if isinstance(entry, str) else str(getattr(entry, "__module__", ""))
    return "" if module.partition(".")[0] in ("", "agentrl", "gymnasium") else source_digest(module)


def _digest(seeds: tuple[int, ...]) -> str:
    return hashlib.sha256(repr(seeds).encode()).hexdigest()[:16]


def check_env(env_id: str, settings: Settings, agent: Agent | None = None) -> None:
    """Make an environment once, so that what cannot work is told before anything is played.

    Args:
        env_id: Of Gymnasium.
        settings: Of the bench.
        agent: Who is to play it; None: a person.

    Raises:
        UsageError: Arguments, a level or an agent that the environment does not know, or no text environment.
    """
    with closing(_made(env_id, settings.env_kwargs)) as env:
        if not isinstance(env.action_space, gymnasium.spaces.Text):
            raise UsageError(
                f"{env_id} takes actions of {env.action_space}, not text; the bench runs text environments only, "
                "which agentrl envs lists"
            )
        known = getattr(env.unwrapped, "levels", None)
        wrong = [level for level in settings.levels if known is not None and level not in known]
        if wrong:
            raise UsageError(f"{env_id} has no level {wrong[0]}; there are {', '.join(map(str, known or ()))}")
        if agent is not None:
            agent.check(env_id, env)


def _made(env_id: str, kwargs: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    try:
        return gymnasium.make(env_id, **kwargs)
    except (TypeError, ValueError) as error:
        known = _arguments(env_id)
        if not kwargs or not known or (isinstance(error, ValueError) and all(name in known for name in kwargs)):
            raise
        wrong = [name for name in kwargs if name not in known]
        what = f"has no argument {wrong[0]!r}{nearest(wrong[0], known)}" if wrong else f"refuses {dict(kwargs)!r}"
        raise UsageError(f"{env_id} {what}; there are {', '.join(known)}") from error


def _arguments(env_id: str) -> list[str]:
    """Return the names of an environment's arguments, those that a class hands on to its bases included."""
    entry = gymnasium.spec(env_id).entry_point
    made: Any = gymnasium.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
    found: list[str] = []
    for each in made.__mro__ if isinstance(made, type) else (made,):
        function = vars(each).get("__init__") if isinstance(made, type) else each
        if not callable(function) or each is object:
            continue
        parameters = inspect.signature(function).parameters.values()
        found += [one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
        if all(one.kind is not one.VAR_KEYWORD for one in parameters):
            break
    return [name for name in dict.fromkeys(found) if name != "self"]
