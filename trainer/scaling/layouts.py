"""Ways to use so many devices, what a step takes in each, and what would make it shorter.

    together    every device trains and samples, in turn: ranks with the torch engine, or one process
    apart       some sample as vLLM servers, the others train; in turn, or at once where the run is asynchronous

The bottleneck is found by asking: the model is computed again with each part twice as fast.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self

from agentrl.trainer.config import TrainConfig
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.scaling.costs import Costs, Size
from agentrl.trainer.scaling.simulate import Flow, Rollout, simulate
from agentrl.trainer.scaling.workload import Workload

__all__ = ["PARTS", "Cluster", "Layout", "Part", "Prediction", "ScalingModel", "Step"]

Part = Literal["sampling", "environments", "processors", "training", "weights"]
PARTS: Final[tuple[Part, ...]] = ("sampling", "environments", "processors", "training", "weights")
"""What a step's time is asked for: sampling, waiting for environments, their processors, training, passing weights."""

_SPLITS: Final = 32  # ways to share out so many devices that are looked at, at most about twice as many
_NEAR: Final = 1.03  # a step that is no longer than the best times this is as good
_CACHE_SHARE: Final = 0.9  # of a device's memory, for weights and cache of a server
_TRAINED_SHARE: Final = 0.9  # of a device's memory, for training
_MOST_SLOTS: Final = 1024  # of a vLLM server, as it comes


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a run wants of a step."""

    groups: int
    group_size: int
    micro_batch_tokens: int
    max_episode_tokens: int
    keeps_activations: bool
    exact: bool  # the schedule of the torch engine
    passes: float = 1.0  # of training; more where a reference is read too: a third for each
    may_run_ahead: bool = False  # asynchronous

    @classmethod
    def of(cls, config: TrainConfig, *, passes: float = 1.0) -> Self:
        """Return what a run's configuration wants."""
        return cls(
            groups=config.groups_per_step,
            group_size=config.group_size,
            micro_batch_tokens=config.micro_batch_tokens,
            max_episode_tokens=config.rollout.max_episode_tokens,
            keeps_activations=not config.gradient_checkpointing,
            exact=config.schedule == "exact",
            passes=passes,
            may_run_ahead=config.loss.correction != "none",
        )

    @property
    def episodes(self) -> int:
        """Episodes of a step."""
        return self.groups * self.group_size


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What there is."""

    devices: int
    per_host: int  # devices of one host
    processors: float  # for environments, on all hosts together
    inside: float  # bytes a second between devices of one host
    network: float  # bytes a second that a host sends, or receives

    def link(self, devices: int) -> float:
        """Return bytes a second between so many devices, which share as few hosts as they can."""
        return self.inside if devices <= self.per_host else self.network


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way to use devices."""

    trainers: int
    servers: int  # 0: each trainer samples
    tensor_parallel: int  # devices of one server
    environments: int  # episodes at once, over all
    asynchronous: bool = False

    @property
    def devices(self) -> int:
        """Devices that are used."""
        return self.trainers + self.servers * self.tensor_parallel


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A step of a layout, in seconds."""

    layout: Layout
    rollout: Rollout
    update_s: float
    push_s: float

    @property
    def step_s(self) -> float:
        """Seconds of a step."""
        if self.layout.asynchronous:
            return max(self.rollout.seconds, self.update_s) + self.push_s
        return self.rollout.seconds + self.update_s + self.push_s

    def ahead(self) -> Self:
        """Return the same with rollouts that run ahead."""
        return dataclasses.replace(self, layout=dataclasses.replace(self.layout, asynchronous=True))

    @property
    def processors(self) -> float:
        """Processors that environments keep at work while episodes are played."""
        return self.rollout.computing / max(self.rollout.seconds, 1e-12)


@dataclass(frozen=True, kw_only=True)
class ScalingModel:
    """What a step costs on so many devices.

    Raises:
        ConfigError: The costs of one device are not there.
    """

    workload: Workload
    costs: Mapping[int, Costs]  # of a server of so many devices each; 1: also those of a trainer
    size: Size
    step: Step
    cluster: Cluster
    together: bool = True  # whether devices may train and sample in turn

    def __post_init__(self) -> None:
        if 1 not in self.costs:
            raise ConfigError(f"the costs are of servers of {', '.join(map(str, self.costs))} devices; give those of 1")

    def predict(self, layout: Layout) -> Prediction:
        """Return what a step takes."""
        plays, trained = self.workload.draw(self.step.episodes), self.costs[1]
        if layout.servers:
            # First passes are the torch engine's, and what was measured is that engine or vLLM.
            served = dataclasses.replace(self.costs[layout.tensor_parallel], begin_s=0.0)
            slots = self._slots(layout.tensor_parallel)
        else:
            served, slots = dataclasses.replace(trained, step_s=trained.step_s + trained.own_step_s), math.inf
        flow = Flow(
            servers=layout.servers or layout.trainers,
            environments=layout.environments,
            processors=self.cluster.processors,
            slots=slots,
            exact=self.step.exact and not layout.servers,
            apart=not layout.servers,
        )
        rollout = simulate(plays, served, flow, group_size=self.step.group_size)
        update_s = self.step.passes * trained.training(
            sum(play.tokens for play in plays),
            trainers=layout.trainers,
            size=self.size,
            micro_batch_tokens=self.step.micro_batch_tokens,
            link=self.cluster.link(layout.trainers),
        )
        push_s = trained.pushing(
            layout.servers * layout.tensor_parallel,  # each worker of a server fetches the weights
            trainers=layout.trainers,
            size=self.size,
            link=self.cluster.link(layout.trainers),
            out=self.cluster.link(layout.devices),
        )
        return Prediction(layout=layout, rollout=rollout, update_s=update_s, push_s=push_s)

    def best(self) -> list[Prediction]:
        """Return layouts for many ways to share out devices: the best, and then the others, the shortest step first.

        The first is that with the fewest devices, and then environments, which costs no more than three in a hundred.

        Raises:
            ConfigError: The model fits into no share of the devices.
        """
        found = [
            self.predict(
                Layout(trainers=trainers, servers=servers, tensor_parallel=width, environments=self.step.episodes)
            )
            for trainers, servers, width in self._shares()
        ]
        if self.step.may_run_ahead:
            found += [each.ahead() for each in found if each.layout.servers]
        if not found:
            memory, devices = self.costs[1].memory_bytes, self.cluster.devices
            raise ConfigError(
                f"a model of {self.size.parameters:,} parameters does not fit: to train it takes "
                f"{self._trained_bytes(devices, copies=False) / 1e9:,.0f} GB of each of {devices} devices, a server "
                f"{self.size.weight_bytes / 1e9:,.0f} GB and its cache, and a device has {memory / 1e9:,.1f}, of which "
                "nine tenths are counted on; give more --gpus, --gradient-checkpointing, or less --micro-batch-tokens"
            )
        found.sort(key=lambda each: each.step_s)
        near = [each for each in found if each.step_s <= _NEAR * found[0].step_s]
        best = min(near, key=lambda each: each.layout.devices)
        return [self._with_fewer_environments(best), *(each for each in found if each is not best)]

    def _shares(self) -> Iterator[tuple[int, int, int]]:
        """Yield trainers, servers and devices of a server: of all devices, of half of them, of a quarter, …"""
        total = self.cluster.devices
        while total:
            for width in sorted(self.costs):
                most = total // width
                for servers in range(0, most + 1, max(1, most // _SPLITS)):
                    if self._fits(trainers=total - servers * width, servers=servers, width=width):
                        yield total - servers * width, servers, width
            total //= 2

    def gains(self, prediction: Prediction) -> dict[Part, float]:
        """Return by which share a step would be shorter were a part twice as fast, the others as they are."""
        served = ("step_s", "turn_s", "context_s", "prompt_s", "begin_s", "own_step_s")
        cluster, replace = self.cluster, dataclasses.replace
        wider = replace(cluster, inside=2 * cluster.inside, network=2 * cluster.network)
        others: dict[Part, ScalingModel] = {
            "sampling": self._with_costs(dict.fromkeys(served, 0.5)),
            "environments": replace(self, workload=_shorter(self.workload)),
            "processors": replace(self, cluster=replace(cluster, processors=2 * cluster.processors)),
            "training": self._with_costs(dict.fromkeys(("update_s", "trained_s"), 0.5)),
            "weights": replace(self._with_costs({"pushed_bytes_per_s": 2.0}), cluster=wider),
        }
        return {part: 1 - other.predict(prediction.layout).step_s / prediction.step_s for part, other in others.items()}

    def _with_costs(self, factors: Mapping[str, float]) -> ScalingModel:
        """Return the same with some costs multiplied."""
        changed = {
            width: dataclasses.replace(costs, **{name: getattr(costs, name) * by for name, by in factors.items()})
            for width, costs in self.costs.items()
        }
        return dataclasses.replace(self, costs=changed)

    def _with_fewer_environments(self, prediction: Prediction) -> Prediction:
        best, count = prediction, prediction.layout.environments
        least = 1 if prediction.layout.servers else prediction.layout.trainers  # each plays
        while count // 2 >= least:
            count //= 2
            fewer = self.predict(dataclasses.replace(prediction.layout, environments=count))
            if fewer.step_s > _NEAR * prediction.step_s:
                break
            best = fewer
        return best

    def _fits(self, *, trainers: int, servers: int, width: int) -> bool:
        if trainers < 1 or (servers == 0 and (width > 1 or not self.together)):
            return False
        per_host = self.cluster.per_host  # torchrun starts as many ranks on each host; a server has one host
        if (trainers > per_host and trainers % per_host) or width > per_host:
            return False
        room = self.costs[1].memory_bytes
        if not room:
            return True
        if servers and self._cache_bytes(width) < self.size.kv_bytes * self.step.max_episode_tokens:
            return False
        return self._trained_bytes(trainers, copies=not servers) <= _TRAINED_SHARE * room

    def _trained_bytes(self, trainers: int, *, copies: bool) -> float:
        return self.size.trained_bytes(
            trainers,
            micro_batch_tokens=self.step.micro_batch_tokens,
            keeps_activations=self.step.keeps_activations,
            copies=copies and trainers > 1,
        )

    def _cache_bytes(self, width: int) -> float:
        return _CACHE_SHARE * self.costs[width].memory_bytes * width - self.size.weight_bytes

    def _slots(self, width: int) -> float:
        """Return how many episodes a server holds keys and values of."""
        if not self.costs[width].memory_bytes:
            return _MOST_SLOTS
        room = self._cache_bytes(width)
        return max(1, min(_MOST_SLOTS, int(room / (self.size.kv_bytes * self.workload.tokens))))


def _shorter(workload: Workload) -> Workload:
    """Return a workload whose environments wait half as long, and compute as much as before."""
    plays = [
        dataclasses.replace(
            play,
            reset_s=(play.reset_s + play.reset_cpu_s) / 2,
            turns=tuple(dataclasses.replace(turn, env_s=(turn.env_s + turn.env_cpu_s) / 2) for turn in play.turns),
        )
        for play in workload.plays
    ]
    return Workload(plays=tuple(plays))
