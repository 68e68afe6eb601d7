"""Whether a judge is fit to train on: what is needed of it, and what its measures say.

Each measure has an interval of 95 %. A need is met where the whole interval is within its limits, missed where the
whole interval is outside, and else it is not clear. A judge is fit where every need is met, not fit where one is
missed; in between nobody can tell, and the number of labels that would tell is estimated (an interval shrinks with its
root).

Kappa is reported and not needed: a judge that is strict by a constant has a low one, and trains as well as another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from agentrl.envs.rubrics.judges.client import Totals
from agentrl.envs.rubrics.judges.measures import Estimate

__all__ = ["NEEDS", "Calibration", "Check", "Need"]

_LEAST_TASKS = 20  # below these a bootstrap over tasks says too little, whatever its interval
_MOST_LABELS = 20_000  # what would need more is too near its limit to be told


@dataclass(frozen=True, kw_only=True)
class Need:
    """What a measure must be."""

    words: str  # what is wrong where it is missed
    least: float = -math.inf
    most: float = math.inf
    why: str  # these limits

    @property
    def limit(self) -> str:
        """The limits in words."""
        if math.isinf(self.least):
            return f"at most {self.most:g}"
        return f"at least {self.least:g}" if math.isinf(self.most) else f"{self.least:g} to {self.most:g}"


NEEDS: Mapping[str, Need] = {
    "spearman": Need(
        words="it ranks episodes otherwise than people do",
        least=0.5,
        why="a judge that shares less than a quarter of the variance of ranks trains on something else",
    ),
    "agreement": Need(
        words="it prefers otherwise than people do",
        least=0.65,
        why="people agree with each other in 81 of 100 pairs that neither calls level (Zheng et al. 2023), and chance "
        "is 50",
    ),
    "length_bias": Need(
        words="it goes by length",
        least=-0.3,
        most=0.3,
        why="a policy finds length first; beyond a medium correlation (Cohen 1988) it pays",
    ),
    "reliability": Need(
        words="it says another thing each time",
        least=0.7,
        why="below, more than 30 % of the variance of scores is the judge's own noise",
    ),
    "injection": Need(
        words="it obeys what an answer says",
        most=0.1,
        why="a line that lifts every score by a tenth of the scale is found by a policy",
    ),
    "position_bias": Need(
        words="it prefers a position",
        least=-0.1,
        most=0.1,
        why="the share of a win that a position is worth, of 0.5 for a judge that sees nothing else",
    ),
    "contradictions": Need(
        words="it contradicts itself when a pair is swapped",
        most=0.2,
        why="of pairs; they end as ties, and teach nothing",
    ),
    "no_verdict": Need(
        words="it often gives no verdict",
        most=0.1,
        why="episodes without a verdict are left out of training, the odd ones first",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One measure against what is needed."""

    name: str  # a key of NEEDS
    estimate: Estimate
    num: int  # cases that it rests on
    note: str = ""

    @property
    def need(self) -> Need:
        """What is needed."""
        return NEEDS[self.name]

    @property
    def state(self) -> Literal["met", "missed", "unclear"]:
        """What the interval says of the need."""
        need, found = self.need, self.estimate
        if need.least <= found.low and found.high <= need.most:
            return "met"
        return "missed" if found.high < need.least or found.low > need.most else "unclear"

    @property
    def enough(self) -> int | None:
        """About how many cases would make it clear; None where hardly any number would."""
        found = self.estimate
        gap = min(abs(found.value - limit) for limit in (self.need.least, self.need.most))
        half = (found.high - found.low) / 2
        num = self.num * (half / gap) ** 2 * 1.2 if gap > 0 else math.inf
        return max(math.ceil(round(num, 6)), self.num + 1) if num <= _MOST_LABELS else None

    def told(self) -> str:
        """Return the measure in words."""
        found = self.estimate
        return f"{self.name} {found.value:.2f} [{found.low:.2f}, {found.high:.2f}], needed: {self.need.limit}"


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was measured of a judge."""

    kind: Literal["number", "preference"]  # of the labels
    num_labels: int
    num_tasks: int
    checks: tuple[Check, ...]
    figures: Mapping[str, float] = field(default_factory=dict)  # what else was measured, without limits
    totals: Totals  # what was asked, and what it took
    seconds: float

    @property
    def fit(self) -> bool | None:
        """Whether the judge is fit to train on; None: it cannot be told."""
        states = [check.state for check in self.checks]
        if "missed" in states:
            return False
        return None if "unclear" in states or self.num_tasks < _LEAST_TASKS else True

    @property
    def verdict(self) -> str:
        """One sentence: fit to train on, not fit and why, or what is missing to tell."""
        if self.fit:
            return "fit to train on"
        if self.fit is False:
            missed = [f"{check.need.words} ({check.told()})" for check in self.checks if check.state == "missed"]
            return f"not fit: because {'; '.join(missed)}"
        lacking = []
        if self.num_tasks < _LEAST_TASKS:
            lacking.append(f"the labels are of {self.num_tasks} tasks, and {_LEAST_TASKS} are the least")
        for check in self.checks:
            if check.state == "unclear":
                enough = check.enough
                many = f"about {enough} cases in place of {check.num} would tell" if enough else "too near to the limit"
                lacking.append(f"{check.told()}: {many}")
        return f"cannot tell: {'; '.join(lacking)}"

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        checks = {
            check.name: {
                **asdict(check.estimate),
                "num": check.num,
                "needed": check.need.limit,
                "state": check.state,
                "note": check.note,
            }
            for check in self.checks
        }
        return {
            "fit": self.fit,
            "verdict": self.verdict,
            "kind": self.kind,
            "num_labels": self.num_labels,
            "num_tasks": self.num_tasks,
            "checks": checks,
            "figures": dict(self.figures),
            "totals": asdict(self.totals),
            "seconds": self.seconds,
        }
