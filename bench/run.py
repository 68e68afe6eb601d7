"""Play the episodes of a bench that are still missing, several at once, each written as it ends.

Each thread has a runner with one environment. An episode that fails for a reason outside the agent's answers is tried
again from its start; one that goes on failing is stored with its failure, and tried again when the run is resumed.
"""

from __future__ import annotations

import math
import platform
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import gymnasium

from agentrl.bench.agents import Agent, open_agent, source_of
from agentrl.bench.conversation import Conversation, transcript
from agentrl.bench.errors import AgentError, BenchError, UsageError
from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode, Job
from agentrl.envs.errors import nearest
from agentrl.envs.protocol import SPLITS, Failure, Policy
from agentrl.envs.runner import EpisodeRecord, Runner

if TYPE_CHECKING:
    from agentrl.bench.endpoint import EndpointSettings

__all__ = ["Settings", "run"]

_MOST_FAILURES = 20  # one after another, before a bench stops: the server is gone, not the luck
_LEAVE_S = 10.0


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
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    deadline_s: float = 60.0  # of one reset or step
    turn_s: float = 300.0  # of one turn of an endpoint or an async function
    endpoint: EndpointSettings | None = None  # of the agent openai:MODEL
    key: str = field(default="", repr=False)  # of the endpoint
    max_retries: int = 2  # after a failure
    concurrency: int = 4  # episodes at once
    workers: Literal["threads", "processes"] = "threads"

    def __post_init__(self) -> None:
        if not self.envs or len(set(self.envs)) < len(self.envs):
            raise UsageError(f"envs={self.envs!r}: name at least one environment, and each once")
        if len(set(self.levels)) < len(self.levels):
            raise UsageError(f"levels={self.levels!r}: name each level once")
        for name, least in (("num_tasks", 1), ("num_samples", 1), ("seed", 0), ("max_retries", 0), ("concurrency", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name}={getattr(self, name)!r} must be {least} or more")
        for name in ("deadline_s", "turn_s"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name}={getattr(self, name)!r} must be above 0")
        if self.split not in SPLITS:
            raise UsageError(f"split={self.split!r} does not exist{nearest(self.split, SPLITS)}; there are train, test")

    def jobs(self) -> Iterator[Job]:
        """Yield every episode, samples of a task side by side."""
        for env_id in self.envs:
            for level in self.levels or (0,):
                for seed in range(self.seed, self.seed + self.num_tasks):
                    for sample in range(self.num_samples):
                        yield Job(env_id=env_id, level=level, seed=seed, sample=sample)

    def identity(self) -> dict[str, Any]:
        """Return what makes two runs the same: all that may change a score, and no speed."""
        return {
            "agent": self.agent,
            "agent_settings": self._agent_settings(),
            "envs": list(self.envs),
            "levels": list(self.levels),
            "split": self.split,
            "seed": self.seed,
            "num_tasks": self.num_tasks,
            "num_samples": self.num_samples,
            "env_kwargs": dict(self.env_kwargs),
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
        source = source_of(self.agent)
        return {"source": source} if source else {}


def run(
    settings: Settings,
    folder: Path,
    *,
    on_start: Callable[[int, int], None] | None = None,
    on_episode: Callable[[Episode], None] | None = None,
) -> int:
    """Play what the folder's run lacks; return how many episodes that were.

    Args:
        settings: The same as before, where the folder holds a run already.
        folder: Made when absent.
        on_start: Told how many episodes there are and how many are done already.
        on_episode: Told of each episode once it is written; in the caller's thread.

    Raises:
        UsageError: An agent or environment that cannot be benched.
        StoreError: The folder holds another run, or cannot be written.
        AgentError: The agent's function returned what is no text.
        BenchError: Twenty episodes failed one after another. What was played is kept.
    """
    with open_agent(settings.agent, turn_s=settings.turn_s, endpoint=settings.endpoint, key=settings.key) as agent:
        for env_id in settings.envs:
            _check(env_id, settings, agent)
        with BenchStore(folder, settings.identity()) as store:
            done = store.done()
            jobs = list(settings.jobs())
            missing = [job for job in jobs if job not in done]
            if on_start is not None:
                on_start(len(jobs), len(jobs) - len(missing))
            failed_at_once = 0
            for episode in _played(missing, settings, agent):
                store.add(episode)
                if on_episode is not None:
                    on_episode(episode)
                failed_at_once = failed_at_once + 1 if episode.failure is not None else 0
                if episode.failure is not None and failed_at_once >= _MOST_FAILURES:
                    raise BenchError(
                        f"{failed_at_once} episodes failed one after another, the last in the "
                        f"{episode.failure['boundary']}: {episode.failure['message']}. What was played is in {folder}; "
                        "when that is mended, type the same command to go on"
                    )
            return len(missing)


def _check(env_id: str, settings: Settings, agent: Agent) -> None:
    """Make an environment once, so that what cannot work is told before anything is played."""
    with closing(gymnasium.make(env_id, **settings.env_kwargs)) as env:
        if not isinstance(env.action_space, gymnasium.spaces.Text):
            raise UsageError(
                f"{env_id} takes actions of {env.action_space}, not text; the bench runs text environments only, "
                "which agentrl envs lists"
            )
        known = getattr(env.unwrapped, "levels", None)
        wrong = [level for level in settings.levels if known is not None and level not in known]
        if wrong:
            raise UsageError(f"{env_id} has no level {wrong[0]}; there are {', '.join(map(str, known or ()))}")
        agent.check(env_id, env)


def _played(jobs: list[Job], settings: Settings, agent: Agent) -> Iterator[Episode]:
    """Yield episodes as they end; an exception of a thread is raised here."""
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    ended: queue.SimpleQueue[Episode | BaseException] = queue.SimpleQueue()
    stopped = threading.Event()
    benches = [_Bench(settings, agent) for _ in range(min(settings.concurrency, len(jobs)))]

    def work(bench: _Bench) -> None:
        try:
            while not stopped.is_set():
                ended.put(bench.play(waiting.get_nowait()))
        except queue.Empty:
            pass
        except BaseException as error:
            ended.put(error)
        finally:
            bench.close()

    # Daemons, since an agent may wait for ever.
    threads = [threading.Thread(target=work, args=(bench,), name="bench", daemon=True) for bench in benches]
    try:
        for thread in threads:
            thread.start()
        for _ in jobs:
            found = ended.get()
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        stopped.set()
        stop = time.monotonic() + _LEAVE_S
        for thread in threads:
            thread.join(max(0.0, stop - time.monotonic()))


class _Bench:
    """One environment at a time, and who plays it."""

    def __init__(self, settings: Settings, agent: Agent) -> None:
        self._settings = settings
        self._agent = agent
        self._runner: Runner | None = None
        self._env_id = ""

    def play(self, job: Job) -> Episode:
        """Play one episode, again and again while it fails."""
        for attempt in range(1, self._settings.max_retries + 2):
            episode = self._attempt(job, attempt)
            if episode.failure is None:
                break
        return episode

    def close(self) -> None:
        """Close the environment."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()

    def _attempt(self, job: Job, attempt: int) -> Episode:
        player = self._agent.player(job)
        watch = _Watch(player) if callable(player) else None
        options: dict[str, Any] = {"split": self._settings.split, **({"level": job.level} if job.level else {})}
        began = time.monotonic()
        try:
            record = self._open(job.env_id).play(
                player if isinstance(player, str) else lambda seed: watch or player,
                [job.seed],
                options=options,
                max_retries=0,
            )[0]
        except AgentError:
            raise  # the next episode would say the same
        except Exception as error:
            self.close()  # the runner has closed itself
            failure = Failure(kind="error", boundary="agent", message=f"{type(error).__name__}: {error}")
            talk = watch.talk if watch is not None else None
            episode = Episode(
                job=job,
                task_id=str(job.seed),
                prompt=talk.prompt if talk else "",
                failure=failure,
                num_attempts=attempt,
                seconds=time.monotonic() - began,
                messages=tuple(talk.messages) if talk else (),
            )
        else:
            episode = _episode(job, record, attempt, tuple(watch.latencies) if watch is not None else ())
        return replace(
            episode,
            prompt_tokens=getattr(player, "prompt_tokens", None),
            completion_tokens=getattr(player, "completion_tokens", None),
        )

    def _open(self, env_id: str) -> Runner:
        if self._runner is None or self._env_id != env_id:
            self.close()
            self._runner = Runner(
                env_id,
                num_slots=1,
                workers=self._settings.workers,
                deadline_s=self._settings.deadline_s,
                env_kwargs=self._settings.env_kwargs,
            )
            self._env_id = env_id
        return self._runner


class _Watch:
    """A policy that is timed, with what was said so far."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.latencies: list[float] = []
        self.talk: Conversation | None = None

    def __call__(self, observation: str, info: dict[str, Any]) -> str:
        if self.talk is None:
            self.talk = Conversation(observation, info)
        else:
            self.talk.hear(observation, info)
        began = time.monotonic()
        try:
            action = self._policy(observation, info)
        finally:
            self.latencies.append(time.monotonic() - began)
        self.talk.say(action)
        return action


def _episode(job: Job, record: EpisodeRecord, attempt: int, latencies: tuple[float, ...]) -> Episode:
    talk = transcript(record)
    task = record.info.get("task") or {}
    rewards: dict[str, float] = {}
    for step in record.steps:
        for name, value in (step.info.get("rewards") or {}).items():
            rewards[name] = rewards.get(name, 0.0) + float(value)
    failure = record.failure
    if failure is None and not math.isfinite(record.reward):
        failure = Failure(kind="reward", boundary="environment", message=f"the reward is {record.reward}, no number")
    return Episode(
        job=job,
        task_id=str(task.get("id", job.seed)),
        prompt=talk.prompt,
        reward=record.reward if failure is None else 0.0,
        rewards=rewards if failure is None else {},
        success=record.success if failure is None else None,
        truncated=bool(record.steps and record.steps[-1].truncated),
        num_turns=len(record.steps),
        failure=failure,
        num_attempts=attempt,
        seconds=record.seconds,
        latencies=latencies,
        messages=tuple(talk.messages),
    )
