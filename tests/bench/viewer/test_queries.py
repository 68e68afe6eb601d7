"""Filters, order and pages against the same asked of the episodes in Python; counts; values of wrong types."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode
from agentrl.bench.viewer.queries import OUTCOMES, Filters, episode_key, facets, page, parse_key
from agentrl.bench.viewer.runs import Run, find_runs
from tests.bench.viewer.stores import ENVS, write_bench, write_training

Told = tuple[Run, list[Episode]]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """A bench, and its episodes in order."""
    folder = write_bench(tmp_path_factory.mktemp("runs") / "bench", "a", share=0.5)
    [run] = find_runs([folder])
    with BenchStore(folder) as store:
        return run, list(store.episodes())


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A training run."""
    return find_runs([write_training(tmp_path_factory.mktemp("runs") / "run")])[0]


def _outcome(each: Episode) -> str:
    if each.failure is not None:
        return "failed"
    return "unknown" if each.success is None else "solved" if each.success else "unsolved"


ASKED: dict[str, tuple[dict[str, str], Callable[[Episode], bool]]] = {
    "all": ({}, lambda each: True),
    "environment": ({"env": ENVS[0]}, lambda each: each.job.env_id == ENVS[0]),
    "level": ({"level": "2"}, lambda each: each.job.level == 2),
    "solved": ({"outcome": "solved"}, lambda each: _outcome(each) == "solved"),
    "unsolved": ({"outcome": "unsolved"}, lambda each: _outcome(each) == "unsolved"),
    "failed": ({"outcome": "failed"}, lambda each: each.failure is not None),
    "failure": ({"failure": "tool: timeout"}, lambda each: each.failure is not None),
    "another failure": ({"failure": "tool: other"}, lambda each: False),
    "cut": ({"cut": "yes"}, lambda each: each.truncated),
    "not cut": ({"cut": "no"}, lambda each: not each.truncated),
    "reward": ({"component": "reward", "low": "0.5"}, lambda each: each.reward >= 0.5),
    "limits without a part": ({"high": "0.5"}, lambda each: each.reward <= 0.5),
    "component": (
        {"component": "format", "low": "0.25", "high": "0.75"},
        lambda each: 0.25 <= each.rewards["format"] <= 0.75,
    ),
    "no such component": ({"component": "'; DROP TABLE episodes --", "low": "0"}, lambda each: False),
    "turns": ({"turns_low": "3", "turns_high": "5"}, lambda each: 3 <= each.num_turns <= 5),
    "tokens": (
        {"tokens_low": "100", "tokens_high": "500"},
        lambda each: each.completion_tokens is not None and 100 <= each.completion_tokens <= 500,
    ),
    "task": ({"task": "task-1"}, lambda each: "task-1" in each.task_id),
    "seed": ({"task": "11"}, lambda each: each.job.seed == 11 or "11" in each.task_id),
    "several": (
        {"env": ENVS[1], "outcome": "solved", "turns_low": "4"},
        lambda each: each.job.env_id == ENVS[1] and _outcome(each) == "solved" and each.num_turns >= 4,
    ),
}


@pytest.mark.parametrize(("query", "fits"), ASKED.values(), ids=ASKED.keys())
def test_a_filter_finds_what_it_says(bench: Told, query: dict[str, str], fits: Callable[[Episode], bool]) -> None:
    run, episodes = bench
    found = page(run, Filters.parse(query), size=1000)
    wanted = [(each.job.env_id, each.job.level, each.job.seed) for each in episodes if fits(each)]
    assert [(row["env_id"], row["level"], row["seed"]) for row in found.rows] == wanted
    assert found.total == len(wanted)


@pytest.mark.parametrize("sort", ["reward", "turns", "tokens", "seconds"])
@pytest.mark.parametrize("down", [False, True])
def test_the_order_is_what_was_asked(bench: Told, sort: str, down: bool) -> None:
    run, episodes = bench
    found = page(run, Filters.parse({"sort": sort, "down": str(int(down))}), size=1000)
    column = {"turns": "num_turns"}.get(sort, sort)
    values = [row[column] for row in found.rows]
    assert values == sorted(values, reverse=down)
    assert len(values) == len(episodes)


def test_pages_follow_each_other_without_gap(bench: Told) -> None:
    run, episodes = bench
    seen: list[int] = []
    for start in range(0, len(episodes), 7):
        found = page(run, Filters(sort="turns", start=start), size=7)
        seen += [hash((row["env_id"], row["level"], row["seed"])) for row in found.rows]
    assert len(set(seen)) == len(seen) == len(episodes)
    assert page(run, Filters(start=10**9)).start == len(episodes) - 1  # past the end: the last


def test_counts_are_those_of_the_filters(bench: Told) -> None:
    run, episodes = bench
    found = facets(run)
    assert found.total == len(episodes)
    assert found.components == ("correct", "format")
    assert found.failures == {"tool: timeout": 2}
    for name, counts in (("env", found.envs), ("level", found.levels), ("outcome", found.outcomes), ("cut", found.cut)):
        for value, count in counts.items():
            assert page(run, Filters.parse({name: value})).total == count


def test_a_training_run_has_its_own_columns(training: Run) -> None:
    found = facets(training)
    assert found.phases == {"eval_after": 24, "eval_before": 24, "train": 24}
    rows = page(training, Filters.parse({"phase": "train", "sort": "advantage"})).rows
    assert {row["phase"] for row in rows} == {"train"}
    assert {"step", "group_id", "member", "advantage", "tokens"} <= set(rows[0])


def test_a_key_finds_its_episode_again(bench: Told, training: Run) -> None:
    for run in (bench[0], training):
        row = page(run, Filters()).rows[3]
        key = parse_key(run, dict(parse_qsl(episode_key(run, row))))
        assert all(str(row[name]) == value for name, value in key.items())


@given(
    st.dictionaries(
        st.sampled_from([*Filters.__dataclass_fields__, "other"]),
        st.text(max_size=30) | st.sampled_from(["1", "-5", "1e400", "nan", "²", *OUTCOMES]),
    )
)
def test_any_address_is_read_and_written_again(query: dict[str, str]) -> None:
    found = Filters.parse(query)
    assert Filters.parse(dict(parse_qsl(found.query))) == found
    assert found.start >= 0


def test_values_of_wrong_types_are_listed(tmp_path: Path) -> None:
    folder = write_bench(tmp_path / "run", "a", share=0.5)
    db = sqlite3.connect(folder / "bench.sqlite")
    for seed, (column, value) in enumerate(
        [
            ("reward", "much"),
            ("reward", b"\x00\xff"),
            ("rewards", "{"),
            ("rewards", "[1]"),
            ("failure", "no json"),
            ("failure", "7"),
            ("num_turns", "many"),
            ("success", "perhaps"),
            ("level", "deep"),
            ("task_id", b"\xff\xfe"),
            ("completion_tokens", 1e300),
            ("truncated", "no"),
        ]
    ):
        db.execute(f"UPDATE episodes SET {column} = ? WHERE seed = ? AND level = 1", (value, seed))
    db.commit()
    db.close()
    [run] = find_runs([folder])
    counted = facets(run)
    assert counted.total == 60
    assert counted.failures["?"] == 4
    for query in ({}, {"component": "correct", "low": "0"}, {"sort": "reward"}, {"failure": "?"}, {"level": "deep"}):
        found = page(run, Filters.parse(query))
        assert found.rows
        assert all(episode_key(run, row) for row in found.rows)
