"""A run's figures, worked by hand from few episodes, and the tables that show them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from rich.console import Console
from rich.table import Table

from agentrl.bench.errors import UsageError
from agentrl.bench.stats import wilson
from agentrl.bench.summary import summarize
from agentrl.bench.table import notes_of, passes_of, table_of
from agentrl.bench.types import Episode, Job
from agentrl.envs.protocol import Failure

GONE = Failure(kind="timeout", boundary="environment", message="m")


def _made(
    env_id: str = "AgentRL/A-v0",
    level: int = 1,
    seed: int = 0,
    sample: int = 0,
    *,
    success: bool | None = True,
    failure: Failure | None = None,
    latencies: tuple[float, ...] = (),
    turns: int = 1,
) -> Episode:
    return Episode(
        job=Job(env_id=env_id, level=level, seed=seed, sample=sample),
        task_id=str(seed),
        prompt="",
        reward=1.0 if success else 0.25,
        success=None if failure else success,
        failure=failure,
        num_turns=turns,
        latencies=latencies,
    )


def _shown(table: Table, width: int) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def test_rows_are_levels_environments_and_all() -> None:
    episodes = [_made(level=level, seed=seed) for level in (2, 1) for seed in range(2)]
    episodes += [_made("AgentRL/B-v0", 0, seed) for seed in range(2)]
    rows = summarize(episodes)
    assert [(each.env_id, each.level, each.num_episodes) for each in rows] == [
        ("AgentRL/A-v0", 1, 2),
        ("AgentRL/A-v0", 2, 2),
        ("AgentRL/A-v0", None, 4),
        ("AgentRL/B-v0", 0, 2),
        ("", None, 6),
    ]
    assert [each.env_id for each in summarize(episodes[:1])] == ["AgentRL/A-v0"]
    with pytest.raises(UsageError, match="no episodes yet"):
        summarize([])


def test_the_figures_by_hand() -> None:
    outcomes = [(True, True), (True, False), (False, False)]
    episodes = [
        _made(seed=seed, sample=sample, success=right, turns=seed + 1, latencies=(0.1 * (seed + 1),))
        for seed, task in enumerate(outcomes)
        for sample, right in enumerate(task)
    ]
    (row,) = summarize(episodes, ks=(1, 2, 3))
    assert row.success is not None
    assert row.reward is not None
    assert (row.success.value, row.success.num_tasks) == (0.5, 3)
    assert row.reward.value == 0.5 * 1.0 + 0.5 * 0.25
    assert row.pass_at == {1: 0.5, 2: pytest.approx(2 / 3)}  # no task has three episodes
    assert row.pass_hat == {1: 0.5, 2: pytest.approx(1 / 3)}
    assert row.num_turns == 2.0
    assert row.latency_p50_s == pytest.approx(0.2)
    assert row.latency_p99_s == pytest.approx(0.3)


def test_failures_stand_apart_with_the_bounds_of_the_score() -> None:
    episodes = [_made(seed=seed, success=seed < 6, failure=GONE if seed >= 8 else None) for seed in range(10)]
    (row,) = summarize(episodes)
    assert (row.num_episodes, row.num_failures, row.failures) == (8, 2, {"environment: timeout": 2})
    assert row.success is not None
    assert (row.success.low, row.success.high) == pytest.approx(wilson(6, 8))
    assert row.bounds == (0.6, 0.8)
    (note,) = notes_of([row])
    assert note == (
        "AgentRL/A-v0: 2 episodes failed and count for nothing (2 environment: timeout); success is 60.0 % if they "
        "count as failures, 80.0 % if as successes"
    )


def test_nothing_but_failures_and_nothing_said_of_success() -> None:
    (row,) = summarize([_made(failure=GONE)])
    assert (row.success, row.reward, row.bounds, row.num_turns) == (None, None, None, None)
    (row,) = summarize([_made(success=None)])
    assert row.success is None
    assert row.reward is not None
    assert "-" in _shown(table_of([row]), 120)


def test_a_row_depends_on_its_own_episodes_alone() -> None:
    one = [_made(seed=seed, success=seed % 3 == 0) for seed in range(30)]
    other = [_made("AgentRL/B-v0", seed=seed, success=seed % 2 == 0) for seed in range(30)]
    assert summarize(one)[0] == summarize([*other, *reversed(one)])[1]
    assert json.loads(json.dumps(summarize(one)[0].as_dict()))["success"]["value"] == pytest.approx(1 / 3)


def test_a_narrow_terminal_keeps_every_figure_whole() -> None:
    rows = summarize([_made("AgentRL/ToolUse-v0", seed=seed, success=seed < 7) for seed in range(10)], ks=(1,))
    narrow, wide = _shown(table_of(rows, width=80), 80), _shown(table_of(rows, width=140), 140)
    for shown in (narrow, wide):
        assert "ToolUse-v0" in shown
        assert "70.0 [39.7, 89.2]" in shown
        assert len(shown.strip().splitlines()) == 2
    assert "turns" in wide
    assert "turns" not in narrow
    passes = passes_of(rows)
    assert passes is not None
    assert "pass@1" in _shown(passes, 80)
    assert passes_of(summarize([_made()])) is None


def test_traps_that_were_touched_are_told_apart() -> None:
    episodes = [replace(_made(seed=seed, success=False), rewards={"tamper": float(seed < 2)}) for seed in range(3)]
    (row,) = summarize(episodes)
    assert row.num_tampered == 2
    assert notes_of([row]) == ["AgentRL/A-v0: 2 episodes touched a trap (tamper), and earned 0"]
    (row,) = summarize(episodes[1:])
    assert notes_of([row]) == ["AgentRL/A-v0: 1 episode touched a trap (tamper), and earned 0"]
