"""Every registered environment passes the quick profile, with its tools and code in Docker and in bubblewrap."""

from __future__ import annotations

import pytest

from agentrl.cli.registry import our_envs
from agentrl.envs.checker import check

IDS = our_envs()
BOXES = [pytest.param("docker", marks=pytest.mark.docker), pytest.param("bwrap", marks=pytest.mark.bwrap)]


@pytest.mark.slow
@pytest.mark.timeout(900)  # two workers may share a machine with an engine
@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize("backend", BOXES)
def test_it_passes_every_check(env_id: str, backend: str) -> None:
    report = check(env_id, backend=backend, skip=["throughput"], deadline_s=200.0)
    failed = {each.id: each.reason for each in report.results if each.status in ("failed", "not run")}
    assert failed == {}
    assert report.backend == backend
