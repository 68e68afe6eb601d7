"""Every registered environment passes the quick profile, with its tools and code in Docker and in bubblewrap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import pytest

from agentrl.cli.registry import our_envs
from agentrl.envs.checker import check

# Nothing of these runs in a box: the browser is on this machine and its environment refuses one, games have no code.
BOXLESS = ("agentrl.envs.browse", "agentrl.envs.games")
BOXES: dict[str, Any] = {"docker": pytest.mark.docker, "bwrap": pytest.mark.bwrap, "auto": ()}


def _cases() -> Iterator[Any]:
    for env_id in our_envs():
        boxless = str(gymnasium.spec(env_id).entry_point).startswith(BOXLESS)
        for backend in ["auto"] if boxless else ["docker", "bwrap"]:
            yield pytest.param(env_id, backend, marks=BOXES[backend])


@pytest.mark.slow
@pytest.mark.timeout(900)  # two workers may share a machine with an engine
@pytest.mark.parametrize(("env_id", "backend"), list(_cases()))
def test_it_passes_every_check(env_id: str, backend: str) -> None:
    report = check(env_id, backend=backend, skip=["throughput"], deadline_s=200.0)
    failed = {each.id: each.reason for each in report.results if each.status in ("failed", "not run")}
    assert failed == {}
    assert report.backend == backend
