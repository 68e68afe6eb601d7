"""What rank 0 has in place of a single rank: the same methods, done by all ranks together.

The others `follow`: they wait for what rank 0 tells them, do their part, and answer. Tasks are split by groups, so that
which tasks there are does not depend on the number of ranks; a group stays on one rank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from agentrl.trainer.checkpoint import TrainerState
from agentrl.trainer.config import TrainConfig
from agentrl.trainer.determinism import torch_settings
from agentrl.trainer.distributed.world import World
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.rank import Rank
from agentrl.trainer.rollout import Task
from agentrl.trainer.stopping import Stopper, Terminated
from agentrl.trainer.types import Episode

__all__ = ["Team", "check_spread", "follow"]


def check_spread(config: TrainConfig) -> None:
    """Refuse what does not work on several ranks.

    Raises:
        ConfigError: As said.
    """
    if config.engine.name == "vllm" and not config.engine.remote:
        raise ConfigError(
            "engine.name is 'vllm' in the trainer's own process, which does not go with several ranks; start vLLM "
            "servers and name them: --engine.urls http://HOST:8000; or have the run start some: --engine.servers 2"
        )
    if config.asynchronous and not config.engine.remote:
        raise ConfigError(
            "asynchronous is true, but several ranks that sample by themselves cannot sample while they train; leave "
            "it out, or sample on vLLM servers: --engine.name vllm --engine.urls http://HOST:8000"
        )
    if config.compile:
        raise ConfigError("compile is true, but was not tried with weights that are spread over ranks; leave it out")


class Team:
    """All ranks as rank 0 sees them.

    Args:
        world: The line to the others.
        config: Of the run.
        run: Its folder, which all ranks must see.
        checkpoint: What the ranks go on from; None: from the start.

    Raises:
        ConfigError: The configuration does not go with several ranks, or with the host of one of them.
        RankError: A rank failed.
    """

    def __init__(self, world: World, config: TrainConfig, run: Path, checkpoint: Path | None) -> None:
        check_spread(config)
        self._world = world
        world.command("begin", config, run.resolve(), checkpoint and checkpoint.resolve())
        world.settle(config.device, config.distributed.timeout_s)
        self.own = Rank(config, checkpoint, world)
        world.collect()

    def restore(self, checkpoint: Path, state: TrainerState) -> None:
        """As of `Rank.restore`."""
        self._world.command("restore", checkpoint.resolve())
        self.own.restore(checkpoint, state)
        self._world.collect()

    def open(self, version: int) -> None:
        """As of `Rank.open`."""
        self._all("open", version)

    def play(self, tasks: Sequence[Task]) -> list[Episode]:
        """Play tasks, each group on one rank; return the episodes in the order of the tasks.

        Raises:
            Terminated: A rank was asked to end.
            RankError: One failed.
        """
        if self._world.leaving:
            raise Terminated
        if self.own.config.engine.remote:  # servers sample for all, and one process can talk to them
            return self.own.play(tasks)
        places = _split(tasks, self._world.size)
        self._world.command("play", each=[[tasks[index] for index in part] for part in places])
        answers = [self.own.play([tasks[index] for index in places[0]]), *self._world.collect()]
        if any(episodes is None for episodes in answers):
            raise Terminated
        found = {
            index: episode
            for part, episodes in zip(places, answers, strict=True)
            for index, episode in zip(part, episodes, strict=True)
        }
        return [found[index] for index in range(len(tasks))]

    def update(self, episodes: Sequence[Episode], step: int) -> dict[str, float]:
        """As of `Rank.update`."""
        self._world.command("update", list(episodes), step)
        learnt = self.own.update(episodes, step)
        self._world.collect()
        return learnt

    def kl_to_reference(self, episodes: Sequence[Episode]) -> Mapping[tuple[int, int], Tensor]:
        """As of `Rank.kl_to_reference`."""
        self._world.command("kl_to_reference", list(episodes))
        found = self.own.kl_to_reference(episodes)
        self._world.collect()
        return found

    def push(self, version: int) -> None:
        """As of `Rank.push`."""
        self._all("push", version)

    def probe(self, version: int) -> dict[str, float]:
        """As of `Rank.probe`; the largest difference of all ranks."""
        return self._joined("probe", version, join=max)

    def engine_metrics(self) -> dict[str, float]:
        """As of `Rank.engine_metrics`, summed over the ranks."""
        return self._joined("engine_metrics", join=sum)

    def write(self, folder: Path) -> None:
        """As of `Rank.write`."""
        self._all("write", folder)

    def close(self) -> None:
        """Close rank 0's own parts; the others close theirs when the run ends."""
        self.own.close()

    def _all(self, name: str, *args: Any) -> None:
        self._world.command(name, *args)
        getattr(self.own, name)(*args)
        self._world.collect()

    def _joined(self, name: str, *args: Any, join: Callable[[list[float]], float]) -> dict[str, float]:
        self._world.command(name, *args)
        answers = [getattr(self.own, name)(*args), *self._world.collect()]
        keys = {key: None for answer in answers for key in answer}
        return {key: join([answer[key] for answer in answers if key in answer]) for key in keys}


def follow(world: World, check: Callable[[TrainConfig], TrainConfig]) -> None:
    """Do what rank 0 says until the run is over.

    Args:
        world: The line to rank 0.
        check: Refuses a configuration that cannot work on this host, and registers its environments.

    Raises:
        RankError: Rank 0 or another rank failed.
        TrainerError: This one did.
    """
    name, args = world.receive()
    if name == "end":
        world.answer(None)
        return
    config, run, checkpoint = args
    world.settle(config.device, config.distributed.timeout_s)
    if not run.is_dir():
        raise ConfigError(
            f"the run folder {run} is not there on this host; all hosts must see it: type --out FOLDER with one on a "
            "shared file system"
        )
    stopper = Stopper()
    with torch_settings(config.threads, world.device), stopper.listening():
        rank = Rank(check(config), checkpoint, world)
        try:
            while name != "end":
                world.answer(_done(rank, stopper, name, args), leaving=stopper.asked)
                name, args = world.receive()
            world.answer(None)
        finally:
            rank.close()


def _done(rank: Rank, stopper: Stopper, name: str, args: list[Any]) -> Any:
    """Do a command; return what rank 0 needs to know of it."""
    if name == "begin":  # done
        return None
    if name == "play":
        try:
            with stopper.may_leave():
                rank.memory.check(", ".join({task.env_id or "" for task in args[0]}))
                return rank.play(args[0])
        except Terminated:  # rank 0 has left, or is told to by this answer
            stopper.go_on()
            return None
    result = getattr(rank, name)(*args)
    return result if name in ("probe", "engine_metrics") else None


def _split(tasks: Sequence[Task], size: int) -> list[list[int]]:
    """Return which tasks each rank plays: whole groups, in turn."""
    groups: dict[tuple[str | None, int], int] = {}
    parts: list[list[int]] = [[] for _ in range(size)]
    for index, task in enumerate(tasks):
        place = groups.setdefault((task.env_id, task.group), len(groups))
        parts[place % size].append(index)
    return parts
