"""What an agent that is a model in this process means: which weights, sampled how. Nothing here needs torch.

`hf:NAME` and `vllm:NAME` are a folder or a name of the Hugging Face hub, `run:DIR` is a checkpoint of a training run,
which is sampled as the run evaluated it unless told otherwise.
"""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agentrl.bench.errors import UsageError
from agentrl.bench.types import Episode
from agentrl.bench.weights import digest_of, find_weights, places_of

__all__ = ["KINDS", "HeldOutTasks", "ModelSettings", "Plan", "held_out", "num_changed", "pinned", "plan_of"]

KINDS = ("hf", "run", "vllm")
"""Kinds of agents that are models in this process."""

_MAX_TOKENS = 512  # of a turn
_MAX_CONTEXT = 16_384  # of an episode, where the model has so many places


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """How a model is loaded and sampled. None: as the run was, or the default that stands beside it.

    Raises:
        UsageError: A value that cannot work.
    """

    checkpoint: str | None = None  # of run:DIR: best, last or a step; last
    temperature: float | None = None  # 0: the most likely token; that of the run's evaluation, else 1
    max_tokens: int | None = None  # of one turn; 512
    max_context: int | None = None  # of a whole episode, prompt included; all the model has places for, at most 16,384
    device: str | None = None  # auto, cpu or cuda; auto
    dtype: str | None = None  # auto, float32 or bfloat16; auto: bfloat16 on CUDA, float32 on a CPU
    threads: int = 0  # of torch on a CPU; 0: its own choice

    def __post_init__(self) -> None:
        for name in ("max_tokens", "max_context"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name}={value!r} must be 1 or more")
        if self.temperature is not None and not 0 <= self.temperature < math.inf:
            raise UsageError(f"temperature={self.temperature!r} must be 0 (the most likely token) or more")
        if self.threads < 0:
            raise UsageError(f"threads={self.threads!r} must be 0 (torch's own choice) or more")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is sampled from, and how: all that is needed to load it, and all that may change a score."""

    engine: str  # torch or vllm
    weights: Path  # folder of the checkpoint or model
    run: Path | None  # folder of the training run
    base: Path | None  # of a checkpoint that holds adapters alone: the model that they are added to
    temperature: float
    max_tokens: int
    max_context: int
    device: str
    dtype: str
    threads: int

    def identity(self) -> dict[str, Any]:
        """Return what may change a score, as plain data.

        Raises:
            UsageError: The weights cannot be read.
        """
        folders = {"weights": digest_of(self.weights), **({"base": digest_of(self.base)} if self.base else {})}
        if self.run is not None:
            folders["checkpoint"] = self.weights.name
        sampling = ("engine", "temperature", "max_tokens", "max_context", "device", "dtype")
        return {**{name: getattr(self, name) for name in sampling}, **folders}


def plan_of(kind: str, place: str, settings: ModelSettings) -> Plan:
    """Return what an agent of `KINDS` means, defaults filled in; needs no torch.

    Args:
        kind: Of the agent.
        place: What stands behind the colon: a folder or a name of the hub, of `run` a training run's folder.
        settings: As the user gave them.

    Raises:
        UsageError: There is no such model or run.
        TrainerError: The run has no such checkpoint.
    """
    run = Path(place).expanduser() if kind == "run" else None
    trained: Mapping[str, Any] = {} if run is None else _trained(run)
    if run is None:
        if settings.checkpoint is not None:
            raise UsageError(f"checkpoint={settings.checkpoint!r} has no effect on {kind}:{place}; it is of run:DIR")
        weights = find_weights(place)
    else:
        from agentrl.trainer.policy import find_checkpoint

        weights = find_checkpoint(run, settings.checkpoint or "last")
    rollout, evaluation = trained.get("rollout") or {}, trained.get("eval") or {}
    alone = run is not None and not (weights / "config.json").is_file()
    base = find_weights(str(trained.get("model"))) if alone else None
    places = places_of(base or weights)
    longest = min(_MAX_CONTEXT, places or _MAX_CONTEXT)
    chosen = ModelSettings(
        temperature=_first(settings.temperature, evaluation.get("temperature"), 1.0),
        max_tokens=_first(settings.max_tokens, rollout.get("max_turn_tokens"), _MAX_TOKENS),
        max_context=_first(settings.max_context, rollout.get("max_episode_tokens"), longest),
        device=_first(settings.device, trained.get("device"), "auto"),
        dtype=_first(settings.dtype, trained.get("dtype"), "auto"),
    )
    assert chosen.temperature is not None
    assert chosen.max_tokens is not None
    assert chosen.max_context is not None
    if places is not None and chosen.max_context > places:
        raise UsageError(
            f"max_context={chosen.max_context} is more than the {places} tokens that the model in {weights} has places "
            f"for; type --max-context {places}, or leave it out"
        )
    return Plan(
        engine="vllm" if kind == "vllm" else "torch",
        weights=weights,
        run=run,
        base=base,
        temperature=chosen.temperature,
        max_tokens=chosen.max_tokens,
        max_context=chosen.max_context,
        device=chosen.device or "auto",
        dtype=chosen.dtype or "auto",
        threads=settings.threads,
    )


def pinned(agent: str, settings: ModelSettings | None) -> ModelSettings | None:
    """Return the settings with the checkpoint that `last` or `best` means now, which a run that goes on may change.

    Raises:
        UsageError: There is no such run.
        TrainerError: It has no such checkpoint.
    """
    kind, _, place = agent.partition(":")
    if kind != "run" or not place:
        return settings
    chosen = settings or ModelSettings()
    plan = plan_of(kind, place, chosen)
    return replace(chosen, checkpoint=plan.weights.name.removeprefix("step_"))


@dataclass(frozen=True, kw_only=True)
class HeldOutTasks:
    """The tasks that a training run was evaluated on."""

    envs: tuple[str, ...]
    levels: tuple[int, ...]  # none: the environment's own default
    split: str
    seeds: tuple[int, ...]  # of each environment's tasks
    env_kwargs: Mapping[str, Any]


def held_out(run: Path) -> HeldOutTasks:
    """Return the held-out tasks of a training run.

    Raises:
        UsageError: It is no run, or was not evaluated.
    """
    from agentrl.trainer.groups import Draw
    from agentrl.trainer.mixture import weights_of

    config = _trained(run)
    evaluation = config.get("eval") or {}
    num_tasks = int(evaluation.get("num_episodes", 0))
    if not num_tasks:
        raise UsageError(f"{run} has no held-out tasks (eval.num_episodes is 0); name tasks with --env and -n")
    level = (config.get("curriculum") or {}).get("max_level") or config.get("level")
    envs = weights_of(config["env"])
    drawn = Draw(seed=int(config["seed"]), envs=envs, groups_per_step=1, group_size=1, temperature=0.0).held_out(
        0, num_tasks=num_tasks, split=str(evaluation["split"]), level=level, member=0, temperature=0.0
    )
    return HeldOutTasks(
        envs=tuple(envs),
        levels=() if level is None else (int(level),),
        split=str(evaluation["split"]),
        seeds=tuple(task.seed for task in drawn[:num_tasks]),
        env_kwargs=config.get("env_kwargs") or {},
    )


def num_changed(run: Path, episodes: Iterable[Episode]) -> int:
    """Return how many tasks are others now than the run was evaluated on: its environment has changed since.

    Args:
        run: Of the training.
        episodes: Of a bench on the run's held-out tasks, with their messages.

    Raises:
        RunFolderError: The run's episodes cannot be read.
    """
    from agentrl.trainer.store import RolloutStore

    if not (run / "rollouts.sqlite").is_file():
        return 0
    with RolloutStore(run / "rollouts.sqlite", read_only=True) as rollouts:
        own = {
            (_plain_id(each.env_id), each.seed): (each.task_id, _opening(each.messages))
            for each in rollouts.episodes(phase="eval_before")
            if each.failure is None
        }
    told = {
        (_plain_id(each.job.env_id), each.job.seed): (each.task_id, _opening(each.messages))
        for each in episodes
        if each.failure is None
    }
    return sum(task in own and own[task] != read for task, read in told.items())


def _plain_id(env_id: str) -> str:
    return env_id.rpartition(":")[2]


def _opening(messages: Iterable[Mapping[str, Any]]) -> list[Any]:
    return [each.get("content") for each in itertools.takewhile(lambda each: each.get("role") != "assistant", messages)]


def _trained(run: Path) -> Mapping[str, Any]:
    path = run / "config.toml"
    if not path.is_file():
        model = " (a model's folder is named hf:PATH)" if (run / "config.json").is_file() else ""
        raise UsageError(f"{run} is no training run: it has no config.toml{model}; give what agentrl train made")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}; give a run that agentrl train made") from error


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
