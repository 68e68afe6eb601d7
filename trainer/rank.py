"""What each rank of a run has: the model, what trains it, the engine that samples from it, and the environments.

A run in one process has one. Of several ranks each has the whole of this, with its part of the model's weights; see
`agentrl.trainer.distributed`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor
from transformers import PreTrainedModel

from agentrl.trainer.chat import Chat
from agentrl.trainer.checkpoint import TrainerState, load_state
from agentrl.trainer.config import TrainConfig
from agentrl.trainer.engines.base import Engine
from agentrl.trainer.engines.opening import open_engine
from agentrl.trainer.lora import FOLDER as ADAPTERS
from agentrl.trainer.lora import merged_weights, save_adapters
from agentrl.trainer.memory import MemoryWatch
from agentrl.trainer.mixture import weights_of
from agentrl.trainer.model import load_model, pick_device
from agentrl.trainer.parity import ParityGate
from agentrl.trainer.policy import load_policy
from agentrl.trainer.rollout import Rollouts, Task
from agentrl.trainer.spread import compute_dtype, tied_names
from agentrl.trainer.types import Episode
from agentrl.trainer.update import Updater
from agentrl.trainer.workers import open_workers

if TYPE_CHECKING:
    from agentrl.trainer.distributed.team import Team
    from agentrl.trainer.distributed.world import World

__all__ = ["Rank", "open_ranks"]


def open_ranks(
    config: TrainConfig, run: Path, checkpoint: Path | None, world: World | None
) -> tuple[Rank | Team, Rank]:
    """Return what does the work of a run, this process alone or all ranks together, and this process's own part.

    Args:
        config: Of the run.
        run: Its folder.
        checkpoint: What it goes on from; None: from the start.
        world: The ranks, where this is the first of several.

    Raises:
        ConfigError: The environment or the model does not fit, or the configuration does not go with several ranks.
        RankError: Another rank failed.
        RunFolderError: The checkpoint is damaged.
    """
    if world is None:
        own = Rank(config, checkpoint)
        return own, own
    from agentrl.trainer.distributed.team import Team

    team = Team(world, config, run, checkpoint)
    return team, team.own


class Rank:
    """One rank's parts; `open` before anything is played, `close` at the end.

    Args:
        config: Of the run.
        checkpoint: One of its checkpoints, to go on from; None: from the start.
        world: The ranks; None: this process alone.

    Raises:
        ConfigError: The environment or the model does not fit.
        RunFolderError: The checkpoint is damaged.
    """

    def __init__(self, config: TrainConfig, checkpoint: Path | None, world: World | None = None) -> None:
        self.config, self._world = config, world
        self._device = world.device if world else pick_device(config.device)
        self.model, self.tokenizer = load_policy(config, checkpoint, device=self._device, precise=world is not None)
        self.chat = Chat(self.tokenizer)
        self._own: PreTrainedModel | None = None
        share = None
        if world is not None:
            from agentrl.trainer.distributed.share import Share

            share = Share(world)
            if config.engine.name == "torch":  # samples on each rank by itself, from whole weights
                self._own = copy.deepcopy(self.model).to(self._device, compute_dtype(self.model))
        self.updater = Updater(self.model, self._reference(), config, share)
        self._opened = ExitStack()
        self._helps = world is not None and not world.leads and config.engine.remote  # and does not sample

    def restore(self, checkpoint: Path, state: TrainerState | None = None) -> None:
        """Take over the optimizer's state of a checkpoint, written by one process or by ranks.

        Args:
            checkpoint: Its folder.
            state: What `load_state` returned of it; None: that is read here.

        Raises:
            RunFolderError: It is damaged.
        """
        state = state or load_state(checkpoint)
        if state.optimizer:
            self.updater.optimizer.load_state_dict(state.optimizer)
            return
        from agentrl.trainer.distributed.shards import SHARDS, load_shards

        load_shards(checkpoint / SHARDS, self.updater.optimizer)

    def open(self, version: int) -> None:
        """Open the engine, give it the weights of a version, and compare it with the trainer.

        Raises:
            ConfigError: The engine is not there or does not fit.
            ParityError: It disagrees with the trainer.
        """
        config = self.config
        with self._opened as opened:
            self.engine = opened.enter_context(self._engine())
            self.push(version)
            self.parity = ParityGate(
                self.model,
                self.engine,
                seed=config.seed,
                temperature=config.temperature,
                max_tokens=config.rollout.max_episode_tokens,
                bound=config.max_probe_difference,
            )
            self.probe(version)
            workers = None if self._helps else opened.enter_context(open_workers(config.env_workers, config.ray))
            self.rollouts = Rollouts(
                env_id=next(iter(weights_of(config.env))),
                env_kwargs=config.env_kwargs,
                engine=self.engine,
                chat=self.chat,
                config=config.rollout,
                wrapper=config.wrapper,
                workers=workers,
            )
            opened.callback(self.rollouts.close)
            self.memory = MemoryWatch(config.max_memory_mb, self.rollouts.close)
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close engine and environments; may be called twice."""
        self._opened.close()

    def play(self, tasks: Sequence[Task]) -> list[Episode]:
        """Play tasks; as of `Rollouts.play`."""
        return self.rollouts.play(tasks)

    def update(self, episodes: Sequence[Episode], step: int) -> dict[str, float]:
        """Train on a step's episodes; as of `Updater.step`."""
        return self.updater.step(episodes, step)

    def kl_to_reference(self, episodes: Sequence[Episode]) -> Mapping[tuple[int, int], Tensor]:
        """Return how far tokens are from the reference; as of `Updater.kl_to_reference`."""
        return self.updater.kl_to_reference(episodes)

    def push(self, version: int) -> None:
        """Give the engine the weights as they are."""
        self.engine.update_weights(version)

    def probe(self, version: int) -> dict[str, float]:
        """Compare engine and trainer; as of `ParityGate.check`."""
        if self._helps:
            self.engine.join_probe()  # type: ignore[attr-defined]
            return {}
        return self.parity.check(version)

    def engine_metrics(self) -> dict[str, float]:
        """Return the engine's figures since the last call."""
        return self.engine.metrics()

    def write(self, folder: Path) -> None:
        """Write the model into the folder of a checkpoint: adapters, and the whole where `lora` says so.

        Of several ranks each writes its part of the state that training needs, and the first the model as a whole.
        """
        writes = self._world is None or self._world.leads
        if self.config.lora.rank:
            save_adapters(self.model, folder / ADAPTERS, writes=writes)
        if self.config.lora.merges:
            weights = dict(merged_weights(self.model)) if self._world is None else self._gathered(keep=writes)
            if writes:
                self.model.save_pretrained(folder, state_dict=weights)
        if self._world is not None:
            from agentrl.trainer.distributed.shards import SHARDS, save_shards

            save_shards(folder / SHARDS, self.updater.optimizer)

    def optimizer_state(self) -> dict[str, object]:
        """Return the optimizer's state for a checkpoint; empty where ranks write it in parts."""
        return {} if self._world is not None else self.updater.optimizer.state_dict()

    def _engine(self) -> Engine:
        config = self.config
        if self._helps:
            from agentrl.trainer.distributed.elsewhere import Elsewhere

            return Elsewhere(self.model)
        return open_engine(
            self.model,
            max_tokens=config.rollout.max_episode_tokens,
            max_sessions=config.rollout.concurrency,
            schedule=config.schedule,
            options=config.engine,
            beside=config.asynchronous,
            own=self._own,
        )

    def _gathered(self, *, keep: bool) -> dict[str, Tensor]:
        """Return the weights as a whole on the CPU, tied ones once; nothing where this rank only helps."""
        tied = tied_names(self.model)
        return {name: value.cpu() for name, value in merged_weights(self.model) if keep and name not in tied}

    def _reference(self) -> PreTrainedModel | None:
        """Return the model that training began with, frozen; none where there is no KL to it."""
        config = self.config
        if config.loss.beta <= 0:
            return None
        reference = load_model(
            config.model,
            device=self._device,
            dtype=config.dtype,
            head_dtype=config.head_dtype,
            precise=self._world is not None,
        )
        return reference.eval().requires_grad_(False)
