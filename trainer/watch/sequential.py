"""A change-point test that may be read after every step: an e-process for each step at which a change may have begun.

The null hypothesis is about conditional means, so it needs no independence: given the past, the excess of a step is
not above 0 on average. For one start j and one rate a, with s the standard deviation of a step's excess,

    E_j(t) = exp( sum over i from j to t of  (a / s_i^2) x_i  -  a^2 / (2 s_i^2) )

is then (for normal means) a non-negative supermartingale that begins at 1, and so is every mixture. Rates are mixed
equally, and starts m = 1, 2, … with weights 7 / ((m + 6) (m + 7)), which add up to 1 and fall slowly at first. By
Ville's inequality the mixture ever reaches 1 / alpha with a probability of at most alpha, however long the run is. The
start with the largest part in the mixture is the estimate of when the change began.

Sources: Ville, Étude critique de la notion de collectif, 1939; Shin, Ramdas and Rinaldo, E-detectors, arXiv 2203.03532
(section 3, here with weights of starts that add up to 1, which bounds the chance of a false alarm over the whole run
instead of the mean time to it); Robbins, Statistical methods related to the law of the iterated logarithm, 1970, for
the mixture over rates. That the deviation is estimated, and floored, is a departure: the rate of false alarms is
therefore measured too (docs/watch.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Evidence", "Starts"]

RATES = (0.05, 0.12, 0.3)  # excesses that the mixture is made for, in units of what a success pays
_FLAT = 6  # starts over which the weights hardly fall
_NEW = 40  # starts this young are all kept
_EVERY = 8  # of the older ones, one in so many
_MOST = 120  # starts at once


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a test says after a step."""

    log_e: float  # natural logarithm of the mixture
    start: int  # where the change most probably began


@dataclass(kw_only=True)
class Starts:
    """The e-processes of one test."""

    places: list[int] = field(default_factory=list)  # step index at which each begins
    weights: list[float] = field(default_factory=list)  # logarithm of each one's share
    logs: np.ndarray = field(default_factory=lambda: np.zeros((0, len(RATES))))  # log E of each start and rate
    _born: int = 0

    def begin(self, place: int) -> None:
        """Add a start; older ones are thinned, which can only lose evidence."""
        self._born += 1
        self.places.append(place)
        place_of = self._born + _FLAT
        self.weights.append(math.log(_FLAT + 1) - math.log(place_of * (place_of + 1)))
        self.logs = np.vstack([self.logs, np.zeros((1, len(RATES)))])
        keep = [
            index
            for index, start in enumerate(self.places)
            if place - start < _NEW or (start % _EVERY == 0 and len(self.places) - index < _MOST)
        ]
        if len(keep) < len(self.places):
            self.places = [self.places[index] for index in keep]
            self.weights = [self.weights[index] for index in keep]
            self.logs = self.logs[keep]

    def advance(self, excess: np.ndarray, variance: np.ndarray) -> None:
        """Take the excess of a step as each start sees it, with its variance; what is not known is NaN."""
        known = np.isfinite(excess) & np.isfinite(variance) & (variance > 0)
        x, v = np.where(known, excess, 0.0)[:, None], np.where(known, variance, 1.0)[:, None]
        rates = np.array(RATES)[None, :]
        self.logs = self.logs + np.where(known[:, None], rates * x / v - rates**2 / (2 * v), 0.0)

    def evidence(self) -> Evidence | None:
        """Return the mixture and its likeliest start; None without a start."""
        if not self.places:
            return None
        each = np.logaddexp.reduce(self.logs, axis=1) - math.log(len(RATES)) + np.array(self.weights)
        return Evidence(log_e=float(np.logaddexp.reduce(each)), start=self.places[int(np.argmax(each))])
