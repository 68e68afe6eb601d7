"""The kinds of loss, what sets them apart, and the configuration that chooses one.

grpo     mean over episodes of the mean over an episode's tokens                     arXiv 2402.03300, equation 3
dr_grpo  sum over all tokens / (episodes x longest completion allowed)               arXiv 2503.20783, section 3.2
dapo     mean over all tokens of the batch; clip-higher; overlong masking            arXiv 2503.14476, equation 8
gspo     as grpo, with the ratio of whole episodes and bounds far narrower           arXiv 2507.18071, section 5.1
cispo    mean over all tokens; the ratio is a capped weight, no token is left out    arXiv 2506.13585, equation 4
sapo     as grpo, with a sigmoid in place of the clip                                arXiv 2511.20347, equation 6
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from torch import Tensor

from agentrl.trainer.errors import ConfigError
from agentrl.trainer.objectives import (
    CORRECTIONS,
    Correction,
    Terms,
    clipped,
    detached,
    sequence_clipped,
    soft_gate,
)

__all__ = ["KINDS", "Kind", "LossConfig"]

_CORRECTION_MAX = 3.0  # the default of TRL 1.16


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What sets one kind of loss apart; a new kind is one entry of `KINDS` and its name in `LossConfig.kind`."""

    objective: Callable[[Terms], tuple[Tensor, Tensor]]  # -> gain of each token, to be raised, and its ratio
    weights: Callable[[Tensor, Tensor, int, int, int], Tensor]  # (mask_BT, sampled_B1, sequences, tokens, most) -> BT
    epsilon_low: float | None = 0.2  # default of the lower clip; None: it has none
    epsilon_high: float | None = None  # default of the upper clip; None: the same as the lower
    masks_overlong: bool = False  # whether episodes cut by length can be masked, and are by default
    temperatures: tuple[float, float] | None = None  # defaults of a gate's temperatures; None: it has no gate


def _per_episode(mask: Tensor, sampled: Tensor, sequences: int, _tokens: int, _longest: int) -> Tensor:
    return mask / (sequences * sampled.clamp(min=1))


def _per_token(mask: Tensor, _sampled: Tensor, _sequences: int, tokens: int, _longest: int) -> Tensor:
    return mask / max(tokens, 1)


def _constant(mask: Tensor, _sampled: Tensor, sequences: int, _tokens: int, longest: int) -> Tensor:
    return mask / (sequences * longest)


KINDS: Mapping[str, Kind] = {
    "grpo": Kind(objective=clipped, weights=_per_episode),
    "dr_grpo": Kind(objective=clipped, weights=_constant),
    "dapo": Kind(objective=clipped, weights=_per_token, epsilon_high=0.28, masks_overlong=True),
    "gspo": Kind(objective=sequence_clipped, weights=_per_episode, epsilon_low=3e-4, epsilon_high=4e-4),
    # The paper names no bound: a cap of 5 is what ScaleRL (arXiv 2510.13786) used.
    "cispo": Kind(objective=detached, weights=_per_token, epsilon_low=None, epsilon_high=4.0),
    "sapo": Kind(
        objective=soft_gate,
        weights=_per_episode,
        epsilon_low=None,
        epsilon_high=math.inf,
        temperatures=(1.0, 1.05),
    ),
}


_WORKS: Mapping[str, Callable[[Kind], bool]] = {  # key of LossConfig -> whether it changes anything under a kind
    "epsilon_low": lambda kind: kind.epsilon_low is not None,
    "epsilon_high": lambda kind: kind.epsilon_high != math.inf,
    "temperature_pos": lambda kind: kind.temperatures is not None,
    "temperature_neg": lambda kind: kind.temperatures is not None,
    "mask_overlong": lambda kind: kind.masks_overlong,
}


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Choose the loss.

    Raises:
        ConfigError: a value is out of range, or would change nothing under the chosen kind.
    """

    kind: Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo", "sapo"] = "grpo"
    epsilon_low: float | None = None  # a token that lost more than this part, and should, is left alone; None: 0.2
    epsilon_high: float | None = None  # the same upwards; None: epsilon_low, 0.28 for dapo, 4 for cispo
    temperature_pos: float | None = None  # sapo: of the gate where the advantage is above 0; None: 1
    temperature_neg: float | None = None  # sapo: elsewhere; None: 1.05
    beta: float = 0.0  # weight of the KL to the reference model; 0: no reference model is loaded
    kl_in: Literal["loss", "reward"] = "loss"  # where beta times the KL goes
    entropy_bonus: float = 0.0  # weight of the entropy, which is raised
    mask_overlong: bool | None = None  # dapo: leave out episodes cut by length; None: True for dapo
    correction: Correction = "none"  # importance weights between the engine and the trainer at the start of a step
    correction_max: float | None = None  # bound of those weights; None: 3

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            near = get_close_matches(str(self.kind), KINDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(KINDS)}"
            raise ConfigError(f"loss.kind is {self.kind!r}, which is no loss; {hint}")
        self._check_effect()
        if self.epsilon_low is not None and not 0 < self.epsilon_low < 1:
            raise ConfigError(
                f"loss.epsilon_low is {self.epsilon_low!r}, but must lie between 0 and 1: a ratio never falls below 0, "
                "so that 1 or more would clip nothing; write 0.2"
            )
        if self.epsilon_high is not None and not 0 < self.epsilon_high < math.inf:
            raise ConfigError(
                f"loss.epsilon_high is {self.epsilon_high!r}, but must be a number above 0; leave it out for the "
                f"default of {self.kind}, {KINDS[self.kind].epsilon_high or self.clip_low}"
            )
        for name in ("temperature_pos", "temperature_neg"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"loss.{name} is {value!r}, but must be a number above 0; write 1.0")
        if not 0 <= self.beta < math.inf:
            raise ConfigError(
                f"loss.beta is {self.beta!r}, but must be 0 (no reference model) or a number above it, like 0.04"
            )
        if not 0 <= self.entropy_bonus < math.inf:
            raise ConfigError(
                f"loss.entropy_bonus is {self.entropy_bonus!r}, but must be 0 (none) or a number above it, like 0.001"
            )
        if self.correction_max is not None and not 0 < self.correction_max < math.inf:
            raise ConfigError(
                f"loss.correction_max is {self.correction_max!r}, but must be a number above 0; write 3.0"
            )

    def _check_effect(self) -> None:
        for name, known in (("kl_in", ("loss", "reward")), ("correction", CORRECTIONS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"loss.{name} is {getattr(self, name)!r}; choose one of {', '.join(known)}")
        for name, works in _WORKS.items():
            value = getattr(self, name)
            if value is not None and value is not False and not works(KINDS[self.kind]):
                kinds = " or ".join(other for other, kind in KINDS.items() if works(kind))
                raise ConfigError(
                    f"loss.{name} is {value!r}, which changes nothing under loss.kind {self.kind!r}; leave it out, or "
                    f"set loss.kind to {kinds}"
                )
        if self.kl_in == "reward" and self.beta == 0:
            raise ConfigError("loss.kl_in is 'reward', which changes nothing while loss.beta is 0; leave it out")
        if self.correction_max is not None and self.correction == "none":
            raise ConfigError(
                f"loss.correction_max is {self.correction_max!r}, which changes nothing while loss.correction is "
                "'none'; leave it out, or write correction = 'token_truncate'"
            )

    @property
    def clip_low(self) -> float:
        """The lower clip in force; 1 where the kind has none."""
        if self.epsilon_low is not None:
            return self.epsilon_low
        default = KINDS[self.kind].epsilon_low
        return 1.0 if default is None else default

    @property
    def clip_high(self) -> float:
        """The upper clip in force; infinite where the kind has none."""
        if self.epsilon_high is not None:
            return self.epsilon_high
        default = KINDS[self.kind].epsilon_high
        return self.clip_low if default is None else default

    @property
    def temperatures(self) -> tuple[float, float]:
        """The gate's temperatures in force, for advantages above 0 and for the others; 1 where there is no gate."""
        positive, negative = KINDS[self.kind].temperatures or (1.0, 1.0)
        return (
            positive if self.temperature_pos is None else self.temperature_pos,
            negative if self.temperature_neg is None else self.temperature_neg,
        )

    @property
    def correction_bound(self) -> float:
        """The bound of the importance weights in force."""
        return _CORRECTION_MAX if self.correction_max is None else self.correction_max

    @property
    def kl_weight(self) -> float:
        """The weight of the KL within the loss."""
        return self.beta if self.kl_in == "loss" else 0.0

    @property
    def trains_all(self) -> bool:
        """Whether an episode without advantage has a gradient too."""
        return self.kl_weight > 0 or self.entropy_bonus > 0

    @property
    def drops_overlong(self) -> bool:
        """Whether `drop_overlong` is to be applied to the mask."""
        return KINDS[self.kind].masks_overlong if self.mask_overlong is None else self.mask_overlong
