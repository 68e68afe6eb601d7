"""Costs that are easy to reckon with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentrl.trainer.scaling.costs import Costs, Size


@pytest.fixture
def size() -> Size:
    """A model of a billion parameters in 16 bits."""
    return Size(parameters=10**9, weight_bytes=2 * 10**9, kv_bytes=10**5, hidden=2048, layers=24)


@pytest.fixture
def make_costs() -> Callable[..., Costs]:
    """Return a maker of costs that are 0 but for what is said."""

    def make(**said: float) -> Costs:
        names = ("step_s", "turn_s", "context_s", "prompt_s", "begin_s", "update_s", "trained_s", "clerk_s")
        return Costs(device="none", **{"memory_bytes": 0.0, **dict.fromkeys(names, 0.0), **said})  # type: ignore[arg-type]

    return make
