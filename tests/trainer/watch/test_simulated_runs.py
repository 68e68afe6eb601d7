"""How often the watch is wrong, and how late, over simulated runs of many shapes with fixed seeds."""

from __future__ import annotations

import math
import os
import statistics
import sys
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from agentrl.trainer.watch.config import FALSE_ALARMS
from agentrl.trainer.watch.divergence import Divergence, Finding
from tests.trainer.watch.simulated import CLEAN, HACKED, Curves, signals_of_run

THRESHOLD = math.log(2 / FALSE_ALARMS)  # as in a run
LATEST = 20  # steps after the divergence began
STRIDE = int(os.environ.get("AGENTRL_STRIDE", "3"))  # every how-manyth run; the figures of docs/watch.md are with 1

Shape = Callable[[np.random.Generator, int], Curves]


def first_finding(shape: Shape, seed: int) -> tuple[int | None, Finding | None, Curves]:
    """Return after which step (index) the watch says something first, and what; then the curves."""
    signals, curves = signals_of_run(shape, seed)
    divergence = Divergence()
    last = len(signals) if curves.begins is None else curves.begins + LATEST + 1
    for place, each in enumerate(signals[:last]):
        if (finding := divergence.note(each, THRESHOLD)) is not None:
            return place, finding, curves
    return None, None, curves


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_run_is_left_alone(name: str) -> None:
    assert [first_finding(CLEAN[name], seed)[1] for seed in range(2)] == [None, None]


@pytest.mark.parametrize("name", HACKED)
def test_a_hacked_run_is_found(name: str) -> None:
    found = [first_finding(HACKED[name], seed) for seed in (3, 4)]
    for place, finding, curves in found:
        assert place is not None
        assert finding is not None
        assert curves.begins is not None
        assert curves.begins <= place <= curves.begins + LATEST
        blamed = set(curves.weights) or {"outcome", "reward"}
        assert finding.component in {*blamed, "reward"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_rates_over_hundreds_of_runs() -> None:
    false: Counter[str] = Counter()
    num_clean = num_hacked = num_found = 0
    for name, shape in CLEAN.items():
        for seed in range(100, 123, STRIDE):
            num_clean += 1
            false[name] += first_finding(shape, seed)[0] is not None
    delays, missed, errors = [], Counter[str](), []
    for name, shape in HACKED.items():
        for seed in range(100, 130, STRIDE):
            num_hacked += 1
            place, finding, curves = first_finding(shape, seed)
            if place is None or finding is None or curves.begins is None or place < curves.begins:
                missed[name] += 1
                continue
            num_found += 1
            delays.append(place - curves.begins)
            errors.append(finding.start - curves.begins)
    figures = {
        "clean runs": num_clean,
        "false alarms": dict(+false),
        "hacked runs": num_hacked,
        "found in time": num_found,
        "not found in time": dict(missed),
        "median delay": statistics.median(delays),
        "90 % of delays below": float(np.quantile(delays, 0.9)),
        "median error of the estimated beginning": statistics.median(errors),
    }
    sys.stderr.write(f"{figures}\n")  # shown with -s
    assert num_clean * STRIDE >= 200
    assert num_hacked * STRIDE >= 200
    assert false.total() <= FALSE_ALARMS / 2 * num_clean + (STRIDE > 1)
    assert num_found >= 0.9 * num_hacked
    assert statistics.median(delays) <= 12
