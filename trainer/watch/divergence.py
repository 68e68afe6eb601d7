"""Whether the reward rises without success: the test behind the main alert.

For every step at which a divergence may have begun there is a reference, the steps before it. There the pay of a
success is measured: how much more a solved episode earned than an unsolved one. A later step's *unexplained rise* is
the rise of the mean reward since the reference, less what the change of success explains (change of success times its
pay), in units of that pay. Rising success, a penalty that goes away (rewards below 0 count as 0) and a share of
`tolerance` for shaping are innocent; so `unpaid` tests, for the reward and for the part of each component in it,

    min(rise - tolerance - change of success,  rise - 0.12,  total rise - 0.05)

`unsolved` tests the same of the unsolved episodes alone, of whose mean reward shaping may move more,

    min(rise of it - 1.5 * tolerance - change of success,  total rise - 0.05)

and `opposed` tests the milder rise that comes with a loss, where nothing is innocent:

    min(rise - 0.12,  total rise - 0.05,  loss of success - 0.08)

A component's part is its value times its weight, which is fitted, since a rubric's weights are not in an episode.
Before the first eight solved episodes there is nothing to compare with, and nothing is tested.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from agentrl.trainer.watch.figures import FEWEST, Figures
from agentrl.trainer.watch.sequential import Starts
from agentrl.trainer.watch.signals import Signals

__all__ = ["REWARD", "TOLERANCE", "Divergence", "Finding"]

TOLERANCE: Final = 0.25
REWARD: Final = "reward"
_UNSOLVED: Final = 1.5  # times the tolerance, for unsolved episodes alone
_MIN_RISE: Final = 0.12  # in units of what a success pays
_MIN_TOTAL: Final = 0.05
_MIN_LOSS: Final = 0.08  # of success
_GAPS: Final = (0, 8)  # steps between reference and start, so that a slow rise does not hide in its own reference
_LINEAR: Final = 0.98  # share of the reward's variance that components must explain to be tested one by one
_PAID: Final = "paid"  # the reward, without what is below 0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A test that has become significant."""

    test: str  # unpaid, opposed
    component: str  # or "reward"
    start: int  # index of the step at which it most probably began
    log_e: float  # less the logarithm of the number of tests
    figures: dict[str, float]  # before and after, by name


class Divergence:
    """The tests of one environment; takes the figures of one step after the other.

    Args:
        tolerance: Unexplained rise that is taken for shaping, in units of what a success pays.
    """

    def __init__(self, *, tolerance: float = TOLERANCE) -> None:
        self._tolerance = tolerance
        self._figures = Figures()
        self._origin = 0  # steps before it are forgotten
        self._tests: dict[tuple[str, str, int], Starts] = {}
        self._products: np.ndarray | None = None
        self._names: list[str] = []
        self.weights: dict[str, float] = {}  # of components in the reward, as fitted; empty where it is not their sum
        self.statistic = 0.0  # largest log e-value after the last step, less the logarithm of the number of tests

    def forget(self) -> None:
        """Begin anew with the next step: what was found is said once, and tasks of another level are other tasks."""
        self._origin, self._tests, self.statistic = len(self._figures), {}, 0.0

    def note(self, signals: Signals, threshold: float) -> Finding | None:
        """Take a step; return what has become significant, the strongest if several.

        Args:
            signals: Of the step; one without success is not tested.
            threshold: Logarithm of the e-value to reach.
        """
        self.weights = self._fitted(signals)
        components = {f"component {name}": moments for name, moments in signals.components.items()}
        self._figures.append(signals, {_PAID: signals.paid, **components})
        if signals.success is None:
            return None
        now = len(self._figures) - 1
        for test in ("opposed", "unpaid", "unsolved"):
            self._test(test, REWARD, 1.0, now)
        for name, weight in self.weights.items():
            self._test("unpaid", name, weight, now)
        found = self._found(now, threshold)
        return max(found, key=lambda each: (each.component != REWARD, each.log_e), default=None)

    def _test(self, test: str, component: str, weight: float, now: int) -> None:
        figure = _figure_of(test, component)
        for gap in _GAPS:
            starts = self._tests.setdefault((test, component, gap), Starts())
            if now - gap - self._origin >= FEWEST:
                starts.begin(now)
            if not starts.places:
                continue
            ends = np.array(starts.places) - gap
            seen = self._figures.excess(figure, weight=weight, origin=self._origin, ends=ends)
            if test == "opposed":
                excess, variance = np.minimum(seen.rise - _MIN_RISE, -seen.success - _MIN_LOSS), seen.variance
            elif test == "unsolved":
                excess, variance = seen.unsolved - _UNSOLVED * self._tolerance - seen.success, seen.unsolved_variance
            else:
                excess = np.minimum(seen.rise - self._tolerance - seen.success, seen.rise - _MIN_RISE)
                variance = seen.variance
            starts.advance(np.minimum(excess, seen.total - _MIN_TOTAL), variance)

    def _found(self, now: int, threshold: float) -> list[Finding]:
        found: list[Finding] = []
        many = float(np.log(max(1, len(self._tests))))
        self.statistic = 0.0
        for (test, component, gap), starts in self._tests.items():
            evidence = starts.evidence()
            if evidence is None:
                continue
            log_e = evidence.log_e - many
            self.statistic = max(self.statistic, log_e)
            if log_e >= threshold:
                place = {"origin": self._origin, "end": evidence.start - gap, "start": evidence.start}
                start = self._figures.began(_figure_of(test, component), **place)
                figures = self._figures.told(**place)
                found.append(Finding(test=test, component=component, start=start, log_e=log_e, figures=figures))
        return found

    def _fitted(self, signals: Signals) -> dict[str, float]:
        """Fit the weight of each component to all steps until now."""
        names = list(signals.components)
        products = np.array(signals.products)
        if self._products is None or names != self._names:
            self._products, self._names = np.zeros_like(products), names
        self._products = self._products + products
        left, right = self._products[:-1, :-1], self._products[:-1, -1]
        num, mean, squares = self._products[0, 0], self._products[0, -1], self._products[-1, -1]
        scale = np.sqrt(np.maximum(np.diag(left), 1e-12))
        solution = np.linalg.lstsq(left / np.outer(scale, scale), right / scale, rcond=1e-8)[0] / scale
        spread = float(squares - mean**2 / num)
        left_over = float(squares - 2 * solution @ right + solution @ left @ solution)
        if spread <= 1e-12 or left_over > (1 - _LINEAR) * spread:
            return {}
        found = dict(zip(names, solution[1:].tolist(), strict=True))
        return {name: weight for name, weight in found.items() if weight > 1e-3}


def _figure_of(test: str, component: str) -> str:
    """Return the name of the figure that a test is about."""
    if component == REWARD:
        return "" if test == "opposed" else _PAID
    return f"component {component}"
