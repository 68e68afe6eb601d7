"""The change-point test keeps its promise: the chance of a false alarm over a whole sequence, and a quick finding."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentrl.trainer.watch.sequential import RATES, Starts

ALPHA = 0.05


def largest(excess: np.ndarray, deviation: float) -> float:
    """Return the largest evidence over a sequence, read after every step."""
    starts, best = Starts(), -math.inf
    for place, value in enumerate(excess):
        starts.begin(place)
        size = len(starts.places)
        starts.advance(np.full(size, value), np.full(size, deviation**2))
        evidence = starts.evidence()
        assert evidence is not None
        best = max(best, evidence.log_e)
    return best


def test_one_step_by_hand() -> None:
    starts = Starts()
    starts.begin(0)
    starts.advance(np.array([0.5]), np.array([0.04]))
    wanted = np.mean([math.exp(rate * 0.5 / 0.04 - rate**2 / 0.08) for rate in RATES]) / 8  # the first start's share
    evidence = starts.evidence()
    assert evidence is not None
    assert evidence.log_e == pytest.approx(math.log(wanted))


def test_noise_at_the_bound_is_seldom_an_alarm() -> None:
    """The mean is 0, the hardest case of the null hypothesis; each sequence is read 200 times."""
    rng = np.random.default_rng(1)
    alarms = sum(largest(rng.normal(0, 0.1, 200), 0.1) >= math.log(1 / ALPHA) for _ in range(120))
    assert alarms <= 120 * ALPHA


def test_steps_that_hang_together_are_allowed() -> None:
    """What counts is the mean given the past: innovations may have any history of sizes."""
    rng = np.random.default_rng(2)
    alarms = 0
    for _ in range(60):
        noise, last = [], 0.0
        for _ in range(200):
            last = rng.normal(0, 0.03 + 0.07 * math.tanh(abs(last) * 10))
            noise.append(last)
        alarms += largest(np.array(noise), 0.1) >= math.log(1 / ALPHA)
    assert alarms <= 60 * ALPHA


@pytest.mark.parametrize("begins", [0, 30, 150])
def test_a_shift_is_found_soon_and_dated(begins: int) -> None:
    rng = np.random.default_rng(begins)
    excess = rng.normal(-0.1, 0.1, 180)
    excess[begins:] += 0.35
    starts = Starts()
    for place, value in enumerate(excess):
        starts.begin(place)
        size = len(starts.places)
        starts.advance(np.full(size, value), np.full(size, 0.01))
        evidence = starts.evidence()
        assert evidence is not None
        if evidence.log_e >= math.log(1 / ALPHA):
            assert begins <= place <= begins + 12
            assert abs(evidence.start - begins) <= 4
            return
    pytest.fail("not found")


def test_what_is_not_known_changes_nothing() -> None:
    starts = Starts()
    starts.begin(0)
    before = starts.evidence()
    starts.advance(np.array([np.nan]), np.array([0.01]))
    starts.advance(np.array([9.0]), np.array([np.nan]))
    assert starts.evidence() == before


def test_long_runs_keep_few_starts() -> None:
    starts = Starts()
    for place in range(3000):
        starts.begin(place)
    assert len(starts.places) < 160
    assert starts.places[-40:] == list(range(2960, 3000))
    assert Starts().evidence() is None
