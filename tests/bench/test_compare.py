"""Runs paired by task: figures by hand, and runs that must not be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from agentrl.bench.compare import NotComparableError, compare
from agentrl.bench.errors import StoreError, UsageError
from agentrl.bench.stats import holm, mcnemar
from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode, Job
from agentrl.envs.protocol import Failure

ENVS = ("AgentRL/A-v0", "AgentRL/B-v0")
GONE = Failure(kind="timeout", boundary="environment", message="m")


def _write(
    folder: Path,
    right: Mapping[str, Sequence[bool | None]],
    *,
    samples: int = 1,
    fail: frozenset[int] = frozenset(),
    prompt: str = "p",
    success: bool = True,
    **changes: Any,
) -> Path:
    """Write a run: for each environment whether each task succeeds; None leaves an episode out."""
    num = len(next(iter(right.values())))
    identity = {"agent": folder.name, "envs": list(right), "levels": [], "num_tasks": num, "num_samples": samples}
    identity |= {"versions": {"agentrl-gym": "1", "gymnasium": "1"}, **changes}
    with BenchStore(folder, identity) as store:
        for env_id, outcomes in right.items():
            for seed, outcome in enumerate(outcomes):
                for sample in range(samples if outcome is not None else 0):
                    job = Job(env_id=env_id, level=0, seed=seed, sample=sample)
                    store.add(
                        Episode(
                            job=job,
                            task_id=f"{env_id} {seed}",
                            prompt=prompt,
                            reward=0.5 if outcome else 0.25,
                            success=bool(outcome) and sample < 2 if success else None,
                            failure=GONE if seed in fail else None,
                        )
                    )
    return folder


def test_a_pair_by_hand(tmp_path: Path) -> None:
    one = _write(tmp_path / "one", {ENVS[0]: [True] * 10 + [False] * 10, ENVS[1]: [False] * 20})
    two = _write(tmp_path / "two", {ENVS[0]: [False] * 2 + [True] * 18, ENVS[1]: [True] * 8 + [False] * 12})
    (found,) = compare([one, two])
    assert (found.agents, found.num_unpaired, found.unlike) == (("one", "two"), 0, ())
    a, b, both = found.rows
    assert (a.env_id, a.first, a.second) == (ENVS[0], 0.5, 0.9)
    assert a.difference.value == pytest.approx(0.4)
    assert (a.difference.num_up, a.difference.num_down, a.difference.p) == (10, 2, mcnemar(10, 2))
    assert (b.env_id, b.difference.num_up, b.difference.p) == (ENVS[1], 8, mcnemar(8, 0))
    assert (both.env_id, both.difference.num_tasks) == ("", 40)
    assert both.difference.value == pytest.approx(16 / 40)
    p_values = [row.difference.p for row in found.rows]
    assert [row.p_adjusted for row in found.rows] == holm(p_values)
    assert [(flip.env_id, flip.seed) for flip in found.flips[:3]] == [(ENVS[0], 0), (ENVS[0], 1), (ENVS[0], 10)]
    assert len(found.flips) == 20
    assert found.flips[0].task_id == f"{ENVS[0]} 0"


def test_by_reward_and_with_several_episodes_a_task(tmp_path: Path) -> None:
    one = _write(tmp_path / "one", {ENVS[0]: [False] * 8}, samples=4)
    two = _write(tmp_path / "two", {ENVS[0]: [True] * 8}, samples=4)
    (row,) = compare([one, two])[0].rows
    assert (row.first, row.second, row.difference.num_tasks) == (0.0, 0.5, 8)
    assert row.difference.p == 2 / 2**8
    (row,) = compare([one, two], metric="reward")[0].rows
    assert (row.first, row.second, row.difference.value) == (0.25, 0.5, 0.25)


def test_several_runs_are_corrected_together(tmp_path: Path) -> None:
    runs = [
        _write(tmp_path / f"run{index}", {ENVS[0]: [True] * up + [False] * (20 - up)})
        for index, up in enumerate((0, 7, 9))
    ]
    found = compare(runs)
    assert [each.second for each in found] == [str(runs[1]), str(runs[2])]
    assert [each.rows[0].p_adjusted for each in found] == holm([mcnemar(7, 0), mcnemar(9, 0)])


def test_a_task_that_failed_in_one_is_left_out_and_counted(tmp_path: Path) -> None:
    one = _write(tmp_path / "one", {ENVS[0]: [True] * 10}, fail=frozenset({3}))
    two = _write(tmp_path / "two", {ENVS[0]: [True] * 10}, fail=frozenset({3, 4}))
    (found,) = compare([one, two])
    assert (found.rows[0].difference.num_tasks, found.num_unpaired) == (8, 1)
    assert found.rows[0].p_adjusted == 1.0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"split": "train"}, r'split was null and is "train"'),
        ({"versions": {"agentrl-gym": "2", "gymnasium": "1"}}, r'agent: agentrl-gym was "1" and is "2"\. Type'),
        ({"prompt": "q"}, r"10 tasks read differently: AgentRL/A-v0 level 0 seed 0, .*, …"),
        ({"num_tasks": 12}, r"num_tasks was 10 and is 12; .*two is not finished, with 10 of 12 episodes"),
    ],
)
def test_what_differs_is_refused_by_name_unless_forced(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    one = _write(tmp_path / "one", {ENVS[0]: [True] * 10})
    two = _write(tmp_path / "two", {ENVS[0]: [True] * 10}, **changes)
    with pytest.raises(NotComparableError, match=told) as refused:
        compare([one, two])
    assert "--force" in str(refused.value)
    (found,) = compare([one, two], force=True)
    assert found.rows[0].difference.num_tasks == 10
    assert found.unlike


def test_a_run_that_is_not_finished_is_refused(tmp_path: Path) -> None:
    one = _write(tmp_path / "one", {ENVS[0]: [True] * 10})
    two = _write(tmp_path / "two", {ENVS[0]: [True] * 9 + [None]})
    with pytest.raises(NotComparableError, match="not finished, with 9 of 10 episodes"):
        compare([one, two])


def test_what_cannot_be_compared_at_all(tmp_path: Path) -> None:
    one = _write(tmp_path / "one", {ENVS[0]: [True] * 3})
    two = _write(tmp_path / "two", {ENVS[1]: [True] * 3})
    with pytest.raises(NotComparableError, match="share no task"):
        compare([one, two], force=True)
    for folders in ([one], [one, one]):
        with pytest.raises(UsageError, match="agentrl compare runs/one runs/two"):
            compare(folders)
    with pytest.raises(StoreError, match="holds no bench"):
        compare([one, tmp_path / "none"])
    with pytest.raises(UsageError, match="metric='f1'"):
        compare([one, two], metric="f1")  # type: ignore[arg-type]
    silent = [_write(tmp_path / name, {ENVS[0]: [True] * 3}, success=False) for name in ("three", "four")]
    with pytest.raises(UsageError, match="says nothing of success; type --metric reward"):
        compare(silent)
    assert compare(silent, metric="reward")[0].rows[0].difference.value == 0


def test_an_episode_that_failed_in_one_run_is_left_out_of_both(tmp_path: Path) -> None:
    for name, failing in (("one", ()), ("two", ((1, 1), (3, 1)))):
        identity = {"agent": name, "envs": [ENVS[0]], "levels": [], "num_tasks": 4, "num_samples": 2, "versions": {}}
        with BenchStore(tmp_path / name, identity) as store:
            for seed in range(4):
                for sample in range(2):
                    failure = GONE if (seed, sample) in failing else None
                    job = Job(env_id=ENVS[0], level=0, seed=seed, sample=sample)
                    right = sample == 0  # in both runs alike
                    store.add(
                        Episode(job=job, task_id=str(seed), prompt="p", success=right and not failure, failure=failure)
                    )
    (found,) = compare([tmp_path / "one", tmp_path / "two"])
    assert found.rows[0].difference.value == 0  # and not better by two samples that were spoilt
    assert (found.num_left_out, found.num_unpaired, found.flips) == (2, 0, ())
