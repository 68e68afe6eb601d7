"""Workload and costs, measured here in a short run: groups are played, an environment alone, the engine, an update.

Environments are timed by playing stored episodes again, one at a time, so that what they take is not what they wait
for others; processor time is that of the whole machine, less what it does by itself, since boxes are no children of
this process: keep the machine quiet. Costs are fitted to a few sizes of batch, the least of some repeats each.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any, Final, Self, TypeVar

import numpy as np
import torch

from agentrl.trainer.config import TrainConfig
from agentrl.trainer.desk import Allowance, EnvFailure, ThreadDesk
from agentrl.trainer.determinism import torch_settings
from agentrl.trainer.engines.base import Engine, Request
from agentrl.trainer.errors import ConfigError, TrainerError
from agentrl.trainer.loop import Run
from agentrl.trainer.mixture import weights_of
from agentrl.trainer.model import pick_device
from agentrl.trainer.plan import short_run
from agentrl.trainer.progress import Progress
from agentrl.trainer.rundir import RunDir
from agentrl.trainer.scaling.costs import Costs, Size
from agentrl.trainer.scaling.workload import Play, Turn, Workload
from agentrl.trainer.types import Episode
from agentrl.trainer.update import Updater
from agentrl.trainer.wrapping import make_env

__all__ = ["Measured", "measure", "subject"]

T = TypeVar("T")

_GROUPS: Final = 4  # played twice: the first warms up
_ALONE: Final = 8  # episodes that environments are timed on
_ALONE_S: Final = 20.0
_IDLE_S: Final = 0.5
_BATCHES: Final = (1, 4, 16, 64)  # turns at once
_TOKENS: Final = 64  # that a decoding step is timed over
_FIRST: Final = 17  # tokens of a turn that are not: its first passes may be recorded, or computed one by one
_SHORT: Final = 8  # tokens of a prompt
_LONG: Final = 512
_REPEATS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a probe found; `write` keeps it for later, and for other machines."""

    of: str  # model and environments, as one line
    workload: Workload
    costs: Costs
    size: Size

    def write(self, path: Path) -> None:
        """Write it as JSON.

        Raises:
            ConfigError: The file cannot be written.
        """
        told = {
            "of": self.of,
            "costs": self.costs.as_dict(),
            "size": dataclasses.asdict(self.size),
            "plays": self.workload.as_dict(),
        }
        try:
            Path(path).write_text(json.dumps(told) + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; give --save another file") from error

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote.

        Raises:
            ConfigError: It is not there, or is something else.
        """
        try:
            told = json.loads(Path(path).read_text(encoding="utf-8"))
            size, costs = Size(**told["size"]), Costs.from_dict(told["costs"])
            return cls(of=str(told["of"]), workload=Workload.from_dict(told["plays"]), costs=costs, size=size)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; write one with --save {path}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigError(f"{path} is no probe ({error}); write one with --save {path}") from error


def measure(config: TrainConfig) -> Measured:
    """Play some groups in a temporary folder, and return what that says of workload and costs.

    Raises:
        ConfigError: The environment or the model does not fit.
        TrainerError: No episode could be played.
    """
    needed = 2 * _SHORT + _FIRST + _TOKENS + 1
    if config.rollout.max_episode_tokens < needed:
        raise ConfigError(
            f"rollout.max_episode_tokens is {config.rollout.max_episode_tokens}, but a probe of the engine takes "
            f"{needed}; type --rollout.max-episode-tokens {needed} or more"
        )
    groups = min(_GROUPS, config.groups_per_step)
    probe = short_run(config, groups=groups, num_steps=2)
    with tempfile.TemporaryDirectory(prefix="agentrl-plan-") as folder:
        run_dir = RunDir.create(Path(folder), "probe", default="")
        with torch_settings(config.threads, pick_device(config.device)), Run(probe, run_dir, Progress()) as run:
            try:
                run.train_step()
                run.train_step()
            except TrainerError as error:  # there is nothing to resume
                again = f"agentrl train --resume {run_dir.path}"
                raise type(error)(str(error).replace(again, "plan again")) from error
            played = [each for each in run.store.episodes(phase="train") if each.failure is None and each.turn_lengths]
            if not played:
                raise TrainerError("no episode of the probe could be played; look at: agentrl play")
            workload = Workload(plays=tuple(_timed(played, probe)))
            model = run.own.model
            decode = _decoding(run.own.engine, probe, model.config.get_text_config().vocab_size)
            update_s, trained_s = _training(run.own.updater, [each for each in played if each.step == 2] or played)
            began = time.perf_counter()
            run.own.push(3)
            run.own.probe(3)
            proof_s = time.perf_counter() - began
            cuda = model.device.type == "cuda"
            itemsize = model.dtype.itemsize
            costs = Costs(
                device=torch.cuda.get_device_name(model.device) if cuda else "cpu",
                memory_bytes=torch.cuda.get_device_properties(model.device).total_memory if cuda else 0,
                **decode,
                update_s=update_s,
                trained_s=trained_s,
                proof_s=proof_s,
                overlaps=cuda,
            )
            size = Size.counted(model, itemsize=itemsize)
    return Measured(of=subject(config), workload=workload, costs=costs, size=size)


def subject(config: TrainConfig) -> str:
    """Return what a probe of a run is of, in a line: model, adapters and environments."""
    adapters = f" with adapters of rank {config.lora.rank}" if config.lora.rank else ""
    arguments = f" {dict(config.env_kwargs)}" if config.env_kwargs else ""
    level = "" if config.level is None else f" at level {config.level}"
    return f"{Path(config.model).name}{adapters} on {', '.join(weights_of(config.env))}{arguments}{level}"


# -- environments ------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class _Clock:
    """Seconds, and seconds of processors beyond what the machine does by itself."""

    idle_share: float  # processors at work while nothing of ours is
    took: list[float] = field(default_factory=list)
    computed: float = 0.0

    def timed(self, job: Callable[[Any], T], env: Any) -> T:
        began, busy, own = time.perf_counter(), _busy_s(), time.process_time()
        result = job(env)
        taken = time.perf_counter() - began
        self.took.append(taken)
        self.computed += max(time.process_time() - own, _busy_s() - busy - self.idle_share * taken)
        return result

    @property
    def mean_s(self) -> float:
        return fmean(self.took) if self.took else 0.0

    @property
    def share(self) -> float:
        """Processors that are at work meanwhile, of one at most."""
        return min(1.0, self.computed / max(sum(self.took), 1e-9))


def _timed(episodes: Sequence[Episode], config: TrainConfig) -> list[Play]:
    """Return the episodes with what their environments take alone: each its own, with the mean share of processors."""
    began, busy = time.perf_counter(), _busy_s()
    time.sleep(_IDLE_S)
    idle = (_busy_s() - busy) / (time.perf_counter() - began)
    resets, steps = _Clock(idle_share=idle), _Clock(idle_share=idle)
    known: dict[tuple[int, int, int], list[float]] = {}
    for env_id in weights_of(config.env):
        desk = ThreadDesk(partial(make_env, env_id, config.env_kwargs, config.wrapper), round=0)
        try:
            for number, episode in enumerate([each for each in episodes if each.env_id == env_id][:_ALONE]):
                if time.perf_counter() - began > _ALONE_S and known:
                    break
                first = len(steps.took)
                asyncio.run(_again(episode, desk, config, resets, steps, warm=number == 0))
                known[episode.step, episode.group, episode.member] = steps.took[first:]
        except EnvFailure:  # episodes were played before, so that this is no more than a probe that knows less
            continue
        finally:
            desk.abandon()
    if not steps.took:
        waited = [each.timings["env_s"] / max(1, each.num_turns + each.untrained_turns) for each in episodes]
        steps.took, steps.computed = waited, 0.0
    plays = []
    for episode in episodes:
        found = known.get((episode.step, episode.group, episode.member), [])
        lengths = _lengths(episode)
        took = [*found, *[steps.mean_s] * len(lengths)][: len(lengths)]
        turns = [
            Turn(read=read, sampled=max(1, sampled), env_s=env_s, env_cpu_s=env_s * steps.share)
            for (read, sampled), env_s in zip(lengths, took, strict=True)
        ]
        plays.append(Play(reset_s=resets.mean_s, reset_cpu_s=resets.mean_s * resets.share, turns=tuple(turns)))
    return plays


async def _again(
    episode: Episode, desk: ThreadDesk, config: TrainConfig, resets: _Clock, steps: _Clock, *, warm: bool
) -> None:
    """Play a stored episode's turns once more; what is made once is no part of a reset.

    Raises:
        EnvFailure: The environment failed, or took longer than it may.
    """
    allowance = Allowance(turn_s=config.rollout.turn_timeout_s, episode_s=config.rollout.episode_timeout_s)
    options = {"split": episode.split, **({} if config.level is None else {"level": episode.level})}

    def reset(env: Any) -> None:
        env.reset(seed=episode.seed, options=options)

    if warm:
        await desk.call(reset, allowance, "reset")
    await desk.call(partial(resets.timed, reset), allowance, "reset")
    for action in islice(_actions(episode), episode.num_turns + episode.untrained_turns):
        step = partial(steps.timed, partial(_step, action=action))
        if await desk.call(step, allowance, "step"):
            break


def _step(env: Any, action: str) -> bool:
    _, _, terminated, truncated, _ = env.step(action)
    return bool(terminated or truncated)


def _actions(episode: Episode) -> list[str]:
    said = [each for each in episode.messages if each.get("role") == "assistant" and not each.get("given")]
    return [str(message.get("content")) for message in said]


def _lengths(episode: Episode) -> list[tuple[int, int]]:
    """Return tokens read before each turn, and sampled in it."""
    lengths, at = [], 0
    for sampled in (episode.turn_lengths[turn] for turn in episode.turn_order if turn < len(episode.turn_lengths)):
        start = at
        while at < len(episode.mask) and not episode.mask[at]:
            at += 1
        lengths.append((at - start, sampled))
        at += sampled
    return lengths


def _busy_s() -> float:
    """Return seconds that processors of this machine were at work, all together; of this process without /proc."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _, _, irq, softirq, *_ = map(int, file.readline().split()[1:])
    except (OSError, ValueError):
        return time.process_time()
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


# -- the engine --------------------------------------------------------------------------------------------------------


def _decoding(engine: Engine, config: TrainConfig, vocab: int) -> dict[str, float]:
    """Return the costs of sampling, fitted."""
    room = config.rollout.max_episode_tokens - _FIRST - _TOKENS - 1
    long = min(_LONG, room)
    counts = [count for count in _BATCHES if count <= config.rollout.concurrency]
    rng = np.random.default_rng(config.seed)

    def timed(num: int, prompt: int, tokens: int) -> float:
        def once() -> float:
            prompts = [rng.integers(0, vocab, prompt).tolist() for _ in range(num)]
            began = time.perf_counter()
            asyncio.run(_sample(engine, prompts, tokens))
            return time.perf_counter() - began

        once()  # what a size costs once (a graph, a larger cache) is no part of it
        return min(once() for _ in range(_REPEATS))

    steps_s = [(timed(count, _SHORT, _FIRST + _TOKENS) - timed(count, _SHORT, _FIRST)) / _TOKENS for count in counts]
    step_s, turn_s = _line(counts, steps_s)
    most = min(counts[-1], 16)
    brief_s, read_s = timed(most, _SHORT, 1), timed(most, long, 1)
    prompt_s = max(0.0, read_s - brief_s) / (most * (long - _SHORT))
    deep_s = (timed(most, long, _FIRST + _TOKENS) - timed(most, long, _FIRST)) / _TOKENS
    context_s = max(0.0, deep_s - (step_s + most * turn_s)) / (most * (long - _SHORT))
    begin_s = max(0.0, timed(1, _SHORT, _FIRST) - _FIRST * (step_s + turn_s) - _SHORT * prompt_s)
    return {"step_s": step_s, "turn_s": turn_s, "prompt_s": prompt_s, "context_s": context_s, "begin_s": begin_s}


async def _sample(engine: Engine, prompts: Sequence[Sequence[int]], tokens: int) -> None:
    part = engine.probes()[0]  # of several servers one
    sessions = [part.session() for _ in prompts]
    requests = [
        Request(
            prompt_ids=prompt,
            max_new_tokens=tokens,
            temperature=1.0,
            seed=number,
            stop_ids=frozenset(),
            order=(number,),
        )
        for number, prompt in enumerate(prompts)
    ]
    try:
        turns = zip(sessions, requests, strict=True)
        await asyncio.gather(*(session.generate(request) for session, request in turns))
    finally:
        for session in sessions:
            session.close()


def _line(counts: Sequence[int], seconds: Sequence[float]) -> tuple[float, float]:
    """Return seconds of a step at all, and for each turn, neither below 0; short steps count as long ones do."""
    xs, ys = np.asarray(counts, float), np.maximum(np.asarray(seconds), 1e-9)
    if len(xs) == 1:
        return float(ys[0]), 0.0
    slope, start = np.polyfit(xs, ys, 1, w=1 / ys)
    if slope < 0:
        return float(ys.mean()), 0.0
    if start < 0:
        return 0.0, float((ys / xs).mean())
    return float(start), float(slope)


# -- training ----------------------------------------------------------------------------------------------------------


def _training(updater: Updater, episodes: Sequence[Episode]) -> tuple[float, float]:
    """Return seconds of an update whatever its episodes, and for each token."""
    groups = sorted({each.group for each in episodes})
    taught = [
        dataclasses.replace(each, advantage=1.0 if each.member % 2 else -1.0, turn_advantages=[]) for each in episodes
    ]  # else those that teach nothing would not be computed
    few = [each for each in taught if each.group == groups[0]]

    def timed(chosen: list[Episode]) -> tuple[float, int]:
        seconds = []
        for _ in range(_REPEATS):
            began = time.perf_counter()
            updater.step(chosen, 1)
            seconds.append(time.perf_counter() - began)
        return min(seconds), sum(len(each.token_ids) for each in chosen)

    all_s, all_tokens = timed(taught)
    if len(groups) == 1:
        return 0.0, all_s / all_tokens
    few_s, few_tokens = timed(few)
    slope = max(0.0, (all_s - few_s) / max(1, all_tokens - few_tokens))
    if slope * all_tokens > all_s or not slope:
        return 0.0, all_s / all_tokens
    return all_s - slope * all_tokens, slope
