"""Benches whose environments are in worker processes of a real Ray cluster: the same episodes, and failures retried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import agentrl.envs  # noqa: F401  # registers
from agentrl.bench.errors import UsageError
from agentrl.bench.run import Settings, run
from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode
from tests.trainer.workers import toys

ENVS = ("AgentRL/Math-v0", "AgentRL/ToolUse-v0")


def _stored(folder: Path) -> list[Episode]:
    with BenchStore(folder) as store:
        return [replace(each, seconds=0.0, latencies=()) for each in store.episodes()]


def test_workers_play_as_threads_do(ray_cluster: Any, tmp_path: Path) -> None:
    for agent in ("oracle", "random"):
        settings = Settings(envs=ENVS, agent=agent, num_tasks=3, concurrency=3, deadline_s=120.0)
        run(settings, tmp_path / agent / "threads")
        run(replace(settings, env_workers="ray:1"), tmp_path / agent / "ray")
        there = _stored(tmp_path / agent / "ray")
        assert len(there) == 6
        assert [each.failure for each in there] == [None] * 6
        assert there == _stored(tmp_path / agent / "threads")


@pytest.mark.parametrize("fault", ["dies", "hangs"])
def test_an_episode_whose_worker_fails_is_tried_again(
    ray_cluster: Any, tmp_path: Path, module: Callable[[str], None], fault: str
) -> None:
    module("def f(messages):\n    return 'four'\n")
    settings = Settings(
        envs=(toys.ID,),
        agent="python:mine:f",
        num_tasks=4,
        concurrency=2,
        deadline_s=40.0 if fault == "dies" else 2.0,
        env_kwargs={"folder": str(tmp_path), "fault": fault, "num_faulty": 2},  # the first one is made to be looked at
        env_workers="ray:1",
    )
    assert run(settings, tmp_path / "run") == 4
    episodes = _stored(tmp_path / "run")
    assert [each.failure for each in episodes] == [None] * 4
    assert [each.reward for each in episodes] == [0.8] * 4
    again = sum(each.num_attempts > 1 for each in episodes)
    assert again == 1 if fault == "hangs" else 1 <= again <= 2


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another": ({"env_workers": "dask:3"}, r"environments go to Ray alone; write ray:4"),
    "no number": ({"env_workers": "ray:0"}, r"N worker processes of 1 or more"),
    "no effect": ({"ray": {"address": "auto"}}, r"ray\.address is 'auto', which changes nothing without env_workers"),
    "no setting": ({"env_workers": "ray:1", "ray": {"adress": "auto"}}, r"unexpected keyword argument 'adress'"),
    "both": ({"env_workers": "ray:1", "workers": "processes"}, r"leave one of the two out"),
}


@pytest.mark.parametrize(("changes", "told"), WRONG.values(), ids=WRONG)
def test_workers_that_cannot_be_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        Settings(envs=ENVS, agent="oracle", num_tasks=1, **changes)
