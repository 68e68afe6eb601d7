"""The history of one environment as running sums, and what a later step looks like from many references at once.

A reference is a stretch of steps. In it the pay of a success is measured, and a later step is compared with it; all
references of a step are handled together, since a test holds up to a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from agentrl.trainer.watch.signals import Moments, Signals

__all__ = ["FEWEST", "Excess", "Figures"]

FEWEST: Final = 3  # steps of a reference at least
_MOST: Final = 10  # and at most
_NUM_SOLVED: Final = 8  # solved, and unsolved, episodes that a pay is measured from
_ERRORS: Final = 1.5  # of a reference, given away at once
_LEAST: Final = 0.1  # share of unsolved episodes at least, for a figure of theirs alone
_FLOOR: Final = 0.08  # standard deviation of a step's excess at least: curves wobble, whatever their sampling noise
_RECENT: Final = 10  # steps that the deviation is estimated from
_BACK: Final = 25  # steps before a test's date in which the beginning is sought
_SHOWN: Final = 5  # steps of the newest stretch, in what is told


@dataclass(frozen=True, kw_only=True)
class Excess:
    """A step as each reference sees it; rises are in units of what a success paid there, NaN where that is unknown."""

    rise: np.ndarray  # of the figure, less what the change of success explains and the error of the reference
    variance: np.ndarray  # of a step's rise
    total: np.ndarray  # rise of the whole reward
    success: np.ndarray  # rise of success
    unsolved: np.ndarray  # rise of what an unsolved episode has, less the error of the reference
    unsolved_variance: np.ndarray  # of a step's


class _Sums:
    """Running sums of rows; row i holds the sum of the rows before i."""

    def __init__(self, width: int) -> None:
        self._rows = np.zeros((64, width))
        self._num = 0

    def append(self, row: list[float]) -> None:
        if self._num + 1 == len(self._rows):
            self._rows = np.vstack([self._rows, np.zeros_like(self._rows)])
        self._rows[self._num + 1] = self._rows[self._num] + row
        self._num += 1

    def __len__(self) -> int:
        return self._num

    def between(self, first: np.ndarray | int, last: np.ndarray | int) -> np.ndarray:
        """Return the sum of the rows from `first` to before `last`; columns come first."""
        found: np.ndarray = (self._rows[last] - self._rows[first]).T
        return found


_NOTHING: Final = Moments(mean=0.0, solved=0.0, unsolved=0.0, spread=0.0, variance=0.0, covariance=0.0)


def _row(moments: Moments) -> list[float]:
    return [moments.mean, moments.solved, moments.unsolved, moments.spread, moments.variance, moments.covariance]


class Figures:
    """What was measured of one environment, step after step."""

    def __init__(self) -> None:
        self._success = _Sums(4)  # share, its variance, solved episodes, unsolved episodes
        self._reward = _Sums(6)
        self._others: dict[str, _Sums] = {}

    def __len__(self) -> int:
        return len(self._success)

    def append(self, signals: Signals, others: dict[str, Moments]) -> None:
        """Add a step.

        Args:
            signals: Of it.
            others: Further figures; one that was never there before counts as 0 until now.
        """
        for name in others:
            if name not in self._others:
                self._others[name] = _Sums(6)
                for _ in range(len(self)):
                    self._others[name].append(_row(_NOTHING))
        for name, sums in self._others.items():
            sums.append(_row(others.get(name, _NOTHING)))
        self._reward.append(_row(signals.reward))
        unsolved = float(signals.num_episodes - signals.num_solved)
        self._success.append([signals.success or 0.0, signals.success_variance, float(signals.num_solved), unsolved])

    def excess(self, name: str, *, weight: float, origin: int, ends: np.ndarray) -> Excess:
        """Compare the newest step with the references that end before `ends`.

        Args:
            name: One of the further figures; "" is the reward itself.
            weight: Of the figure in the reward.
            origin: The first step that counts.
            ends: Step indices, each at least `origin` + 1.
        """
        figure = self._others[name] if name else self._reward
        now = len(self) - 1
        first = np.maximum(origin, ends - _MOST)
        num = (ends - first).astype(float)
        pay, own = self._pay(self._reward, first, ends, origin), self._pay(figure, first, ends, origin)
        reward, mine, told = (sums.between(first, ends) / num for sums in (self._reward, figure, self._success))
        newest, newest_reward = figure.between(now, now + 1), self._reward.between(now, now + 1)
        scale = np.maximum(pay, reward[3])
        factor = np.where(scale > 1e-9, 1 / np.maximum(scale, 1e-9), np.nan)
        success = float(self._success.between(now, now + 1)[0]) - told[0]
        rise = (newest[0] - mine[0] - own * success) * factor * weight
        early = max(origin, now - _RECENT)
        lately = max(1, now - early)
        of_step, of_success = figure.between(early, now) / lately, float(self._success.between(early, now)[1]) / lately
        # Two errors: that of a step, which the e-process expects, and that of the reference, of which 1.5 deviations
        # are given away at once.
        scaled = (factor * weight) ** 2
        step = (of_step[4] - 2 * own * of_step[5] + own**2 * of_success) * scaled
        reference = (mine[4] - 2 * own * mine[5] + own**2 * told[1]) * scaled / num
        error = np.sqrt(np.maximum(reference, 0.0) + told[1] / num)
        variance = np.maximum(step, 0.0)
        # Of unsolved episodes alone: their share divides, and makes less certain.
        num_unsolved, before = float(self._success.between(now, now + 1)[3]), told[3] * num
        share = 1 - float(self._success.between(early, now + 1)[0]) / (now + 1 - early)
        many = (num_unsolved >= _NUM_SOLVED) & (before >= _NUM_SOLVED) & (share > _LEAST)
        unsolved = newest[2] / max(1.0, num_unsolved) - mine[2] * num / np.maximum(before, 1.0)
        divided = max(share, _LEAST)
        return Excess(
            rise=rise - _ERRORS * error,
            variance=variance + of_success + _FLOOR**2,
            total=(newest_reward[0] - reward[0]) * factor,
            success=success,
            unsolved=np.where(many, unsolved * factor * weight - _ERRORS * error / divided, np.nan),
            unsolved_variance=variance / divided**2 + of_success + _FLOOR**2,
        )

    def told(self, *, origin: int, end: int, start: int) -> dict[str, float]:
        """Return reward, success and the rewards by outcome, in a reference and in the newest steps from `start` on."""
        now = len(self)
        figures: dict[str, float] = {}
        for when, low, high in (
            ("before", max(origin, end - _MOST), end),
            ("after", max(start, now - _SHOWN), now),
        ):
            num = max(1, high - low)
            share, _, solved, unsolved = self._success.between(low, high).tolist()
            mean, of_solved, of_unsolved, *_ = self._reward.between(low, high).tolist()
            figures |= {f"reward_{when}": mean / num, f"success_{when}": share / num}
            if unsolved:
                figures[f"reward_without_success_{when}"] = of_unsolved / unsolved
            if solved:
                figures[f"reward_with_success_{when}"] = of_solved / solved
            for name, sums in self._others.items():
                figures[f"{name}_{when}"] = float(sums.between(low, high)[0]) / num
        return figures

    def began(self, name: str, *, origin: int, end: int, start: int) -> int:
        """Return the step index at which a rise that a test dates to `start` began: a test sees it once it is large.

        It is the knee of the broken line, flat and then rising, that fits what success does not explain best.

        Args:
            name: The figure, "" for the reward itself.
            origin: The first step that counts.
            end: The end of the reference.
            start: Where the test dates it.
        """
        figure, now = self._others[name] if name else self._reward, len(self)
        ends = np.array([end])
        own = float(self._pay(figure, np.maximum(origin, ends - _MOST), ends, origin)[0])
        first = max(origin, start - _BACK)
        steps = np.arange(first, now)
        left = figure.between(steps, steps + 1)[0] - own * self._success.between(steps, steps + 1)[0]
        knees = np.arange(first, min(start + 1, now - 1))
        if len(knees) < 2 or not np.isfinite(left).all():
            return start
        rising = np.maximum(steps[None, :] - knees[:, None], 0.0)
        rising -= rising.mean(axis=1, keepdims=True)
        centred = left - left.mean()
        explained = np.maximum(rising @ centred, 0.0) ** 2 / np.maximum((rising**2).sum(axis=1), 1e-12)
        return int(knees[int(np.argmax(explained))])

    def _pay(self, figure: _Sums, first: np.ndarray, ends: np.ndarray, origin: int) -> np.ndarray:
        """Return how much more a solved episode had than an unsolved one: in the references, or else until now."""
        near = self._difference(figure, first, ends)
        far = self._difference(figure, np.full_like(ends, origin), np.full_like(ends, len(self)))
        return np.where(np.isfinite(near), near, far)

    def _difference(self, figure: _Sums, first: np.ndarray, ends: np.ndarray) -> np.ndarray:
        _, _, solved, unsolved = self._success.between(first, ends)
        _, of_solved, of_unsolved, *_ = figure.between(first, ends)
        enough = (solved >= _NUM_SOLVED) & (unsolved >= _NUM_SOLVED)
        return np.where(enough, of_solved / np.maximum(solved, 1.0) - of_unsolved / np.maximum(unsolved, 1.0), np.nan)
