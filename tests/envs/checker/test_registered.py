"""Every registered environment passes the quick profile, with its tools and code in Docker and in bubblewrap."""

from __future__ import annotations

import pytest

from agentrl.cli.registry import our_envs
from agentrl.envs.checker import check

BROWSER = "AgentRL/Browse-v0"  # runs its browser on this machine, and refuses boxes
BOXES = {"docker": pytest.mark.docker, "bwrap": pytest.mark.bwrap}
CASES = [
    pytest.param(env_id, backend, marks=mark)
    for env_id in our_envs()
    for backend, mark in BOXES.items()
    if env_id != BROWSER
]


@pytest.mark.slow
@pytest.mark.timeout(900)  # two workers may share a machine with an engine
@pytest.mark.parametrize(("env_id", "backend"), [*CASES, (BROWSER, "auto")])
def test_it_passes_every_check(env_id: str, backend: str) -> None:
    report = check(env_id, backend=backend, skip=["throughput"], deadline_s=200.0)
    failed = {each.id: each.reason for each in report.results if each.status in ("failed", "not run")}
    assert failed == {}
    assert report.backend == backend
