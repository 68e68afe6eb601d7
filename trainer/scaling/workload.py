"""What a step plays: episodes as turns of tokens read and sampled, and seconds of the environment."""

from __future__ import annotations

import math
import random
import statistics
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from agentrl.trainer.errors import ConfigError

__all__ = ["Play", "Turn", "Workload"]

_MOST = {
    "turns": 1_000,
    "prompt_tokens": 10_000_000,
    "sampled_tokens": 10_000_000,
    "reply_tokens": 10_000_000,
    "spread": 10,
}
_MOST_S = 1_000_000
_QUANTILES = 64  # episodes that stand for a distribution


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One turn of the model, and what the environment does with it."""

    read: int  # tokens that come before it and were not read yet: the prompt, or a reply
    sampled: int  # tokens, at least 1
    env_s: float  # seconds until the environment has answered, its processor time included
    env_cpu_s: float  # of these, seconds of one processor

    def __post_init__(self) -> None:
        if type(self.read) is not int or type(self.sampled) is not int or self.read < 0 or self.sampled < 1:
            raise ConfigError(
                f"a turn reads {self.read!r} tokens and samples {self.sampled!r}: whole numbers, 0 and 1 or more"
            )
        if not 0 <= self.env_cpu_s <= self.env_s < math.inf:
            raise ConfigError(
                f"a turn takes {self.env_s!r} s, {self.env_cpu_s!r} of them computing: numbers, 0 or more"
            )


@dataclass(frozen=True, kw_only=True)
class Play:
    """One episode."""

    reset_s: float
    reset_cpu_s: float
    turns: tuple[Turn, ...]

    @property
    def tokens(self) -> int:
        """Tokens of the whole episode."""
        return sum(turn.read + turn.sampled for turn in self.turns)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Episodes that stand for all of a run: those of a probe, or made from means.

    Raises:
        ConfigError: There is none, or one without turns.
    """

    plays: tuple[Play, ...]

    def __post_init__(self) -> None:
        if not self.plays or not all(play.turns for play in self.plays):
            raise ConfigError("a workload needs episodes, each with a turn at least")

    @classmethod
    def described(
        cls,
        *,
        turns: float,
        prompt_tokens: int,
        sampled_tokens: float,
        reply_tokens: int = 0,
        env_s: float = 0.0,
        env_cpu_s: float = 0.0,
        reset_s: float = 0.0,
        reset_cpu_s: float = 0.0,
        spread: float = 0.5,
        max_tokens: int | None = None,
    ) -> Self:
        """Return episodes of means: as many turns each, what is sampled and waited for log-normal over episodes.

        Args:
            turns: Of an episode, rounded.
            prompt_tokens: Read before the first turn.
            sampled_tokens: In a turn, on average.
            reply_tokens: Read before each later turn.
            env_s: Seconds of the environment in a turn, on average.
            env_cpu_s: Of these, seconds of one processor.
            reset_s: Seconds of a reset.
            reset_cpu_s: Of these, seconds of one processor.
            spread: Deviation over mean of what is sampled and waited for, between episodes; 0: all are alike.
            max_tokens: Of an episode; longer ones are cut there, and the mean is kept. None: no limit.

        Raises:
            ConfigError: A value is out of range.
        """
        values = dict(locals())
        for name in ("turns", "prompt_tokens", "sampled_tokens"):
            if not 1 <= values[name] <= _MOST[name]:
                raise ConfigError(f"{name} is {values[name]!r}, but must be 1 or more, and {_MOST[name]:,} at most")
        for name in ("reply_tokens", "env_s", "env_cpu_s", "reset_s", "reset_cpu_s", "spread"):
            if not 0 <= values[name] <= (bound := _MOST.get(name, _MOST_S)):
                raise ConfigError(f"{name} is {values[name]!r}, but must be 0 or more, and {bound:,} at most")
        for part, whole in (("env_cpu_s", "env_s"), ("reset_cpu_s", "reset_s")):
            if values[part] > values[whole]:
                raise ConfigError(f"{part} is {values[part]!r}, but is a part of {whole}, which is {values[whole]!r}")
        count = round(turns)
        fixed = prompt_tokens + reply_tokens * (count - 1)
        most = math.inf if max_tokens is None else (max_tokens - fixed) / count
        if not sampled_tokens <= most:
            raise ConfigError(
                f"max_tokens is {max_tokens}, but {count} turns of {sampled_tokens:g} sampled tokens and {fixed} that "
                f"are read are {count * sampled_tokens + fixed:g}; raise it or leave it out"
            )
        factors = _log_normal(spread)
        lengths = _cut(sampled_tokens, factors, most)
        plays = [
            Play(
                reset_s=reset_s,
                reset_cpu_s=reset_cpu_s,
                turns=tuple(
                    Turn(
                        read=reply_tokens if at else prompt_tokens,
                        sampled=max(1, round(length)),
                        env_s=env_s * factor,
                        env_cpu_s=env_cpu_s * factor,
                    )
                    for at in range(count)
                ),
            )
            for length, factor in zip(lengths, factors, strict=True)
        ]
        return cls(plays=tuple(plays))

    @classmethod
    def read(cls, path: Path, *, max_tokens: int | None = None) -> Self:
        """Read the arguments of `described` from a TOML file.

        Args:
            path: Of the file.
            max_tokens: Of an episode, where the file does not say.

        Raises:
            ConfigError: It is not there, is no TOML, or a key is not known or missing.
        """
        known = _arguments()
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; give a TOML file with {', '.join(known)}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is no TOML: {error}") from error
        for key, value in values.items():
            if key not in known:
                raise ConfigError(f"{path} has {key!r}; there are {', '.join(known)}")
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigError(f"{path}: {key} is {value!r}, but must be a number")
        missing = [key for key in ("turns", "prompt_tokens", "sampled_tokens") if key not in values]
        if missing:
            raise ConfigError(f"{path} lacks {', '.join(missing)}; write for example: {missing[0]} = 100")
        try:
            return cls.described(**{"max_tokens": max_tokens, **values})
        except ConfigError as error:
            where = "" if "max_tokens" in values else "; max_tokens is rollout.max_episode_tokens unless it says so"
            raise ConfigError(f"{path}: {error}{where}") from error

    @property
    def tokens(self) -> float:
        """Tokens of an episode, on average."""
        return statistics.fmean(play.tokens for play in self.plays)

    @property
    def sampled(self) -> float:
        """Tokens sampled in an episode, on average."""
        return statistics.fmean(sum(turn.sampled for turn in play.turns) for play in self.plays)

    @property
    def turns(self) -> float:
        """Turns of an episode, on average."""
        return statistics.fmean(len(play.turns) for play in self.plays)

    @property
    def env_s(self) -> float:
        """Seconds of the environment in a turn, on average."""
        return statistics.fmean(turn.env_s for play in self.plays for turn in play.turns)

    @property
    def env_cpu_s(self) -> float:
        """Seconds of one processor that the environment takes in a turn, on average."""
        return statistics.fmean(turn.env_cpu_s for play in self.plays for turn in play.turns)

    def draw(self, num: int, *, seed: int = 0) -> list[Play]:
        """Return so many episodes, all of the workload equally often, in an order that the seed decides."""
        order = random.Random(seed)
        drawn: list[Play] = []
        while len(drawn) < num:
            deck = list(self.plays)
            order.shuffle(deck)
            drawn += deck
        return drawn[:num]

    def as_dict(self) -> list[Any]:
        """Return what `from_dict` takes, for JSON: a row of numbers for each episode."""
        return [
            [play.reset_s, play.reset_cpu_s, *([t.read, t.sampled, t.env_s, t.env_cpu_s] for t in play.turns)]
            for play in self.plays
        ]

    @classmethod
    def from_dict(cls, rows: Sequence[Any]) -> Self:
        """Return what `as_dict` wrote.

        Raises:
            ConfigError: It is something else.
        """
        names = [each.name for each in fields(Turn)]
        try:
            plays = [
                Play(
                    reset_s=float(reset_s),
                    reset_cpu_s=float(reset_cpu_s),
                    turns=tuple(Turn(**dict(zip(names, turn, strict=True))) for turn in turns),
                )
                for reset_s, reset_cpu_s, *turns in rows
            ]
        except (TypeError, ValueError) as error:
            raise ConfigError(f"the episodes of a probe cannot be read ({error}); measure again with --save") from error
        return cls(plays=tuple(plays))


def _arguments() -> list[str]:
    names = Workload.described.__func__.__kwdefaults__  # type: ignore[attr-defined]
    return ["turns", "prompt_tokens", "sampled_tokens", *names]


def _log_normal(spread: float) -> list[float]:
    """Return values in the middle of equal parts of a log-normal distribution of mean 1, scaled to that mean."""
    sigma = math.sqrt(math.log1p(spread**2))
    if sigma == 0:
        return [1.0]
    normal = statistics.NormalDist(0, sigma)
    values = [math.exp(normal.inv_cdf((at + 0.5) / _QUANTILES)) for at in range(_QUANTILES)]
    mean = statistics.fmean(values)
    return [value / mean for value in values]


def _cut(mean: float, factors: Sequence[float], most: float) -> list[float]:
    """Return lengths of a mean, none above `most`: the others are stretched until the mean is right."""
    low, high = mean, mean * 1e6
    if mean * max(factors) <= most:
        return [mean * factor for factor in factors]
    for _ in range(100):
        middle = math.sqrt(low * high)
        if statistics.fmean(min(most, middle * factor) for factor in factors) < mean:
            low = middle
        else:
            high = middle
    return [min(most, high * factor) for factor in factors]
