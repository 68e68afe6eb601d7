"""A short soak on each backend; `perf/sandboxes_soak.py` runs the long one."""

from __future__ import annotations

from random import Random

import pytest

from agentrl.sandboxes import open_backend
from agentrl.sandboxes.conformance.soak import soak


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param("docker", marks=pytest.mark.docker), pytest.param("bubblewrap", marks=pytest.mark.bwrap)]
)
def test_jobs_one_in_five_hostile_leave_nothing(name: str) -> None:
    with open_backend(name, warm=0, idle_s=2, max_boxes=8) as backend:
        found = soak(backend, 200, rng=Random(7), num_threads=4)
    assert found.wrong == []
    assert found.num_jobs == 200
    assert found.num_hostile == 40
    assert found.figures()["zombies_after"] == 0
