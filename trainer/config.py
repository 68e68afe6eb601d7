"""What a run is made of: nested dataclasses, read from a TOML recipe, checked at once, saved beside the run."""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import tomli_w

from agentrl.trainer.advantage import ADVANTAGES, NORMALISED, TURN_ADVANTAGES
from agentrl.trainer.curriculum import CurriculumConfig
from agentrl.trainer.distributed.config import DistributedConfig
from agentrl.trainer.engines.base import Schedule
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.groups import GroupsConfig
from agentrl.trainer.lora import LoraConfig
from agentrl.trainer.loss import LossConfig
from agentrl.trainer.mixture import EnvWeights, weights_of
from agentrl.trainer.replay import ReplayConfig
from agentrl.trainer.rollout import RolloutConfig
from agentrl.trainer.watch.config import WatchConfig
from agentrl.trainer.workers.config import RayConfig
from agentrl.trainer.wrapping import WrapperConfig

__all__ = [
    "CheckpointConfig",
    "EvalConfig",
    "OptimConfig",
    "Scalar",
    "TrainConfig",
    "from_mapping",
    "load_recipe",
    "recipes",
    "to_toml",
]

T = TypeVar("T")
Scalar = bool | int | float | str  # in the order in which an option is read
DTYPES = ("auto", "float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW."""

    lr: float = 1e-6
    warmup_steps: int = 0  # the rate rises to `lr` over so many steps
    final_lr_share: float = 1.0  # share of `lr` at the last step, reached linearly; 1: constant
    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    updates_per_step: int = 1  # parts a step's groups are split into, with an optimizer step each
    max_skipped: int = 3  # updates in a row that may be skipped, since their loss or gradient is not finite

    def __post_init__(self) -> None:
        _positive(self, "optim", "lr", "max_grad_norm", "updates_per_step")
        if min(self.warmup_steps, self.max_skipped) < 0 or not 0 <= self.weight_decay < math.inf:
            raise ConfigError(
                f"optim.warmup_steps, weight_decay and max_skipped are {self.warmup_steps}, {self.weight_decay} and "
                f"{self.max_skipped}, but must be 0 or more"
            )
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"optim.{name} is {getattr(self, name)!r}, but must be 0 or more and below 1")
        if not 0 <= self.final_lr_share <= 1:
            raise ConfigError(f"optim.final_lr_share is {self.final_lr_share!r}, but must lie between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """Held-out success, before, during and after training."""

    num_episodes: int = 256  # tasks of the split; 0: no evaluation
    split: str = "test"
    temperature: float = 1.0  # of the sampled episodes, whatever training samples at
    greedy: bool = True  # play each task a second time with the most likely tokens
    every: int = 0  # also every so many steps; 0: only before and after

    def __post_init__(self) -> None:
        _positive(self, "eval", "temperature")
        if self.num_episodes < 0 or self.every < 0:
            raise ConfigError(
                f"eval.num_episodes and eval.every are {self.num_episodes} and {self.every}, but must be 0 or more"
            )
        if self.every and not self.num_episodes:
            raise ConfigError(
                f"eval.every is {self.every}, which changes nothing while eval.num_episodes is 0; leave it out"
            )


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """Where a killed run goes on."""

    every: int = 10  # steps
    keep: int = 2  # newest ones kept; the last step's always is

    def __post_init__(self) -> None:
        _positive(self, "checkpoint", "every", "keep")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A GRPO run.

    Raises:
        ConfigError: A value is out of range, or would change nothing.
    """

    env: EnvWeights = "AgentRL/Search-v0"  # any Gymnasium id; "module:id" imports the module first; or weights by id
    env_kwargs: dict[str, Scalar] = field(default_factory=dict)  # passed to gymnasium.make, of each environment
    level: int | None = None  # difficulty; none: the environment's default
    model: str = "bundled:search-tiny"  # folder, Hugging Face name, bundled:NAME; tiny: `agentrl train` makes one
    name: str | None = None  # of the run folder; none: the recipe's name and the next free number
    out: str = "runs"  # where run folders are
    seed: int = 0  # decides tasks and draws
    device: str = "auto"  # auto, cpu, cuda
    dtype: str = "auto"  # auto: bfloat16 on CUDA, float32 on CPU
    head_dtype: str | None = None  # float32: of the output layer and the logits of a bfloat16 model; none: as it says
    threads: int = 0  # of torch on the CPU; 0: torch's default
    num_steps: int = 100
    groups_per_step: int = 8  # tasks of a step
    group_size: int = 8  # episodes of a task
    temperature: float = 1.0  # of sampling, and of the log-probabilities that are trained
    advantage: str = "grpo"  # grpo, dr_grpo, dapo, rloo, maxrl, reinforce++, reinforce++_baseline, turn, gigpo
    gamma: float | None = None  # turn, gigpo: discount a turn; none: 1 for turn, 0.95 for gigpo
    step_weight: float | None = None  # gigpo: weight of the advantage among turns before one state; none: 1
    overlong_buffer: int | None = None  # tokens before rollout.max_episode_tokens that cost up to 1 of the reward
    asynchronous: bool = False  # play later steps while one is trained on; needs loss.correction
    max_staleness: int | None = None  # asynchronous: steps that rollouts may run ahead; none: 1
    micro_batch_tokens: int = 16_384  # of one forward and backward pass, padding included
    gradient_checkpointing: bool = False  # keep no activations within layers; compute them again going back
    compile: bool | None = None  # the passes that are trained, by torch.compile; none: on CUDA
    max_logp_difference: float = 0.1  # the run stops when engine and trainer differ by more, on average over a step
    max_probe_difference: float | None = None  # after each update, on fixed prompts; none: 1e-4 in float32, else 0.1
    max_memory_mb: float | None = None  # of this process; past it environments are made anew; none: 0.9 of all there is
    stop_at_success: float | None = None  # end early once the mean success of the last ten steps is above
    tensorboard: bool = False
    env_workers: str | None = (
        None  # ray:N: environments in N processes on the hosts of a Ray cluster; none: threads here
    )
    ray: RayConfig = field(default_factory=RayConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    wrapper: WrapperConfig = field(default_factory=WrapperConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    groups: GroupsConfig = field(default_factory=GroupsConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)
    distributed: DistributedConfig = field(default_factory=DistributedConfig)

    def __post_init__(self) -> None:
        weights_of(self.env)
        _positive(self, "", "num_steps", "groups_per_step", "temperature", "micro_batch_tokens", "max_logp_difference")
        _positive(
            self, "", *(name for name in ("max_probe_difference", "max_memory_mb") if getattr(self, name) is not None)
        )
        if self.group_size < 2:
            raise ConfigError(f"group_size is {self.group_size}, but a group of one has no baseline; write 8")
        self._check_advantage()
        self._check_asynchronous()
        if self.engine.adapters and not self.lora.rank:
            raise ConfigError(
                "engine.adapters is true, but there are no adapters: write lora.rank = 16, or leave engine.adapters out"
            )
        self.ray.check(self.env_workers)
        self.curriculum.check(self.level)
        self.replay.check(self.groups_per_step)
        self.watch.check(every=self.checkpoint.every, keep=self.checkpoint.keep)
        if self.optim.updates_per_step > self.groups_per_step:
            raise ConfigError(
                f"optim.updates_per_step is {self.optim.updates_per_step}, more than groups_per_step "
                f"({self.groups_per_step})"
            )
        if self.seed < 0 or self.threads < 0:
            raise ConfigError(f"seed and threads are {self.seed} and {self.threads}, but must be 0 or more")
        if self.dtype not in DTYPES:
            raise ConfigError(f"dtype is {self.dtype!r}{_near(self.dtype, DTYPES)}; there are {', '.join(DTYPES)}")
        if self.head_dtype not in (None, "float32"):
            raise ConfigError(f"head_dtype is {self.head_dtype!r}, but must be 'float32'; leave it out for the model's")
        if self.head_dtype and self.dtype == "float32":
            raise ConfigError(
                f"head_dtype is {self.head_dtype!r}, which changes nothing with dtype 'float32'; leave it out, or "
                "write dtype = 'bfloat16'"
            )
        if self.stop_at_success is not None and not 0 <= self.stop_at_success < 1:
            raise ConfigError(
                f"stop_at_success is {self.stop_at_success}, but must be 0 or more and below 1: success is never above "
                "1; leave it out to train to the end"
            )

    @property
    def ahead(self) -> int:
        """Steps that rollouts may run ahead; 0: a step is sampled from the weights it is trained on."""
        return (1 if self.max_staleness is None else self.max_staleness) if self.asynchronous else 0

    @property
    def schedule(self) -> Schedule:
        """When waiting turns join the engine's batch."""
        free = self.asynchronous or self.engine.remote
        return self.rollout.schedule or ("eager" if free else "exact")

    def _check_asynchronous(self) -> None:
        if self.max_staleness is not None and not self.asynchronous:
            raise ConfigError(
                f"max_staleness is {self.max_staleness}, which changes nothing without asynchronous; leave it out, or "
                "write asynchronous = true"
            )
        if self.max_staleness is not None and self.max_staleness < 1:
            raise ConfigError(
                f"max_staleness is {self.max_staleness}, but must be 1 or more; for 0 leave asynchronous out"
            )
        if self.asynchronous and self.rollout.schedule == "exact":
            raise ConfigError(
                "asynchronous is true, but rollout.schedule is 'exact': rollouts that run beside the training are "
                "never the same twice; leave rollout.schedule out"
            )
        if self.asynchronous and self.loss.correction == "none":
            raise ConfigError(
                "asynchronous is true, but loss.correction is 'none': tokens are then sampled from older weights than "
                "those that are trained; write loss.correction = 'token_truncate'"
            )

    def _check_advantage(self) -> None:
        known = {**ADVANTAGES, **TURN_ADVANTAGES}
        if self.advantage not in known:
            raise ConfigError(
                f"advantage is {self.advantage!r}{_near(self.advantage, known)}; there are {', '.join(known)}"
            )
        if self.loss.kind == "dr_grpo" and self.advantage in NORMALISED:
            raise ConfigError(
                f"loss.kind is 'dr_grpo' but advantage is {self.advantage!r}; Dr. GRPO divides by no deviation: "
                "write advantage = 'dr_grpo'"
            )
        longest = self.rollout.max_episode_tokens
        if self.overlong_buffer is not None and not 0 < self.overlong_buffer < longest:
            raise ConfigError(
                f"overlong_buffer is {self.overlong_buffer}, but must lie between 0 and rollout.max_episode_tokens "
                f"({longest}); write {longest // 4}"
            )
        if self.advantage == "maxrl" and (self.loss.kl_in == "reward" or self.overlong_buffer is not None):
            raise ConfigError(
                "advantage is 'maxrl', which needs rewards of 0 or more, but loss.kl_in = 'reward' or overlong_buffer "
                "takes something off: leave them out, or choose another advantage"
            )
        turn = TURN_ADVANTAGES.get(self.advantage)
        if self.gamma is not None and turn is None:
            raise ConfigError(
                f"gamma is {self.gamma}, which changes nothing under advantage {self.advantage!r}; leave it out, or "
                f"set advantage to {' or '.join(TURN_ADVANTAGES)}"
            )
        if self.step_weight is not None and (turn is None or turn.step_weight is None):
            raise ConfigError(
                f"step_weight is {self.step_weight}, which changes nothing under advantage {self.advantage!r}; leave "
                "it out, or set advantage to gigpo"
            )
        if self.gamma is not None and not 0 <= self.gamma <= 1:
            raise ConfigError(f"gamma is {self.gamma}, but must lie between 0 and 1; write 0.95")
        if self.step_weight is not None and not 0 < self.step_weight < math.inf:
            raise ConfigError(f"step_weight is {self.step_weight}, but must be a number above 0; write 1.0")


def recipes() -> dict[str, Path]:
    """Return the recipes that come with the package, by name."""
    folder = Path(str(resources.files("agentrl.trainer") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_recipe(name: str) -> TrainConfig:
    """Read a recipe by name or path.

    Raises:
        ConfigError: There is none, it is no TOML, or a key or value is wrong.
    """
    known = recipes()
    path = known.get(name, Path(name))
    if not path.is_file():
        raise ConfigError(
            f"recipe {name!r} does not exist{_near(name, known)}; there are {', '.join(known)}, or give the path of "
            "a .toml file"
        )
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"recipe {name!r} is no TOML: {error}") from error
    return from_mapping(TrainConfig, values)


def from_mapping(kind: type[T], values: dict[str, Any], prefix: str = "") -> T:
    """Build a configuration from a table; every key must exist and have the right type.

    Raises:
        ConfigError: Names the key and the nearest that exists.
    """
    hints = get_type_hints(kind)
    built: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            raise ConfigError(
                f"there is no key {prefix + key!r}{_near(key, hints)}; {prefix or 'the recipe'} has {', '.join(hints)}"
            )
        if dataclasses.is_dataclass(hints[key]):
            if not isinstance(value, dict):
                raise ConfigError(f"{prefix + key} is {value!r}, but must be a table; write [{prefix + key}]")
            value = from_mapping(hints[key], value, f"{prefix}{key}.")
        elif hints[key] is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        elif hints[key] == tuple[str, ...] and isinstance(value, list) and all(isinstance(each, str) for each in value):
            value = tuple(value)
        elif not _fits(hints[key], value):
            raise ConfigError(f"{prefix + key} is {value!r}, but must be {getattr(hints[key], '__name__', hints[key])}")
        built[key] = value
    return kind(**built)


def to_toml(config: Any) -> str:
    """Write a configuration as TOML that `from_mapping` reads back."""
    told = _without_none(dataclasses.asdict(config))
    text = tomli_w.dumps(told, multiline_strings=True)  # a text of several lines, such as a rubric, is read as it is
    return text if tomllib.loads(text) == told else tomli_w.dumps(told)  # where lines end in an odd way


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }


def _fits(hint: Any, value: object) -> bool:
    if hint is int or hint is bool or hint is str:
        return type(value) is hint
    if hint is float:
        return isinstance(value, float) and math.isfinite(value)
    arms = getattr(hint, "__args__", ())
    origin = getattr(hint, "__origin__", None)
    if origin is tuple:
        return False  # TOML has lists, which were turned into tuples before
    if origin is dict:
        return isinstance(value, dict) and all(isinstance(each, Scalar) for each in value.values())
    if arms and all(isinstance(arm, str) for arm in arms):
        return isinstance(value, str)  # Literal: the configuration itself checks it with a better message
    return any(_fits(arm, value) or (arm is float and type(value) is int) for arm in arms)


def _positive(config: object, prefix: str, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not value > 0 or not math.isfinite(value):
            raise ConfigError(f"{prefix + '.' if prefix else ''}{name} is {value!r}, but must be above 0")


def _near(value: str, known: Iterable[str]) -> str:
    match = difflib.get_close_matches(value, list(known), n=1)
    return f"; did you mean {match[0]!r}?" if match else ""
