"""Stored episodes scored anew: what changes, what stays, what cannot be known, and what could not be scored."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import agentrl.envs  # noqa: F401  # registers
from agentrl.bench.compare import NotComparableError, compare
from agentrl.bench.errors import StoreError, UsageError
from agentrl.bench.rescore import STORED, Rescored, Score, Scoring, load_scoring, rescore
from agentrl.bench.run import Settings, run
from agentrl.bench.store import BenchStore
from agentrl.bench.stored import open_run
from agentrl.bench.types import Episode, Job
from agentrl.envs.rubrics import Transcript

TOOLS = "AgentRL/ToolUse-v0"


def _bench(folder: Path, agent: str = "oracle", **changes: Any) -> Path:
    run(replace(Settings(envs=(TOOLS,), agent=agent, num_tasks=6), **changes), folder)
    return folder


def _stored(folder: Path) -> list[Episode]:
    with BenchStore(folder) as store:
        return list(store.episodes())


def _score(old: Path, new: Path, score: Callable[[Transcript], Any], name: str = "mine:rubric") -> Rescored:
    return rescore(open_run(old), Scoring(name=name, source="0", score=score), new)


def test_a_rubric_sees_what_is_stored_and_its_score_is_kept(tmp_path: Path) -> None:
    old = _bench(tmp_path / "old")
    seen: list[Transcript] = []

    def rubric(episode: Transcript) -> dict[str, float]:
        seen.append(episode)
        return {"outcome": 0.5 * episode.reward, "turns": -0.1 * episode.num_turns}

    before = (old / "bench.sqlite").read_bytes()
    result = _score(old, tmp_path / "new", rubric)
    assert (old / "bench.sqlite").read_bytes() == before
    assert (result.num_scored, result.num_changed, result.num_errors, result.num_failed_before) == (6, 6, 0, 0)
    was, now = _stored(old), _stored(tmp_path / "new")
    for one, two, told in zip(was, now, seen, strict=True):
        assert two == replace(one, reward=two.reward, rewards=two.rewards)
        assert two.reward == pytest.approx(0.5 * one.reward - 0.1 * one.num_turns)
        assert two.rewards == pytest.approx({"outcome": 0.5 * one.reward, "turns": -0.1 * one.num_turns})
        assert told.turns == tuple(m["content"] for m in one.messages if m["role"] == "assistant")
        assert (told.system, told.question) == (one.messages[0]["content"], one.messages[1]["content"])
        assert (told.env_id, told.seed, told.success) == (TOOLS, one.job.seed, True)
    with BenchStore(tmp_path / "new") as store:
        rescored = store.identity["rescored"]
    assert (rescored["rubric"], rescored["source"], rescored["from"]["run"]) == ("mine:rubric", "0", str(old))


def test_the_final_answers_are_at_hand(tmp_path: Path) -> None:
    run(Settings(envs=("AgentRL/Math-v0",), agent="oracle", num_tasks=2), tmp_path / "old")
    result = _score(tmp_path / "old", tmp_path / "new", lambda episode: float(len(episode.answers) == 1))
    assert result.num_scored == 2
    assert [each.reward for each in _stored(tmp_path / "new")] == [1.0, 1.0]


@pytest.mark.parametrize("returned", [1, 0.25, True, {"a": 1, "b": -0.5}, Score(reward=2.0, success=False), {}])
def test_what_a_rubric_may_return(returned: Any, tmp_path: Path) -> None:
    _score(_bench(tmp_path / "old", num_tasks=1), tmp_path / "new", lambda episode: returned)
    (found,) = _stored(tmp_path / "new")
    assert found.failure is None
    if isinstance(returned, Score):
        assert (found.reward, found.rewards, found.success) == (2.0, {}, False)
    elif isinstance(returned, dict):
        assert (found.reward, found.rewards, found.success) == (sum(returned.values()), returned, True)
    else:
        assert (found.reward, found.rewards, found.success) == (float(returned), {"rubric": float(returned)}, True)


async def _slowly(episode: Transcript) -> float:
    return float(episode.seed)


def test_an_async_rubric(tmp_path: Path) -> None:
    _score(_bench(tmp_path / "old"), tmp_path / "new", _slowly)
    assert [each.reward for each in _stored(tmp_path / "new")] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (None, "TypeError: rubric is None, but must be a number"),
        ("1", "TypeError: rubric is '1', but must be a number"),
        (float("nan"), "ValueError: rubric is nan, but must be finite"),
        ({"part": float("inf")}, "ValueError: part is inf, but must be finite"),
        ({"part": []}, "TypeError: part is [], but must be a number"),
        (Score(reward=1.0, success="yes"), "TypeError: success is 'yes', but must be True"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_score_is_a_failure_and_no_0(returned: Any, told: str, tmp_path: Path) -> None:
    old = _bench(tmp_path / "old", num_tasks=3)
    result = _score(old, tmp_path / "new", lambda episode: returned if episode.seed == 1 else 1.0)
    assert (result.num_scored, result.num_errors) == (2, 1)
    assert result.errors[0].startswith(f"{TOOLS} level 0 seed 1 sample 0: {told}")
    failures = [each.failure for each in _stored(tmp_path / "new")]
    assert failures[0] is failures[2] is None
    assert failures[1] is not None
    assert (failures[1]["boundary"], failures[1]["kind"]) == ("rubric", "error")
    assert failures[1]["message"].startswith(told)


def test_a_rubric_that_raises_is_named_up_to_a_bound_and_tried_again(tmp_path: Path) -> None:
    old = _bench(tmp_path / "old", num_tasks=30)
    broken = True

    def rubric(episode: Transcript) -> float:
        return 1 / 0 if broken and episode.seed >= 5 else 1.0

    result = _score(old, tmp_path / "new", rubric)
    assert (result.num_scored, result.num_errors, len(result.errors)) == (5, 25, 20)
    broken = False
    assert _score(old, tmp_path / "new", rubric).num_errors == 0
    assert [each.failure for each in _stored(tmp_path / "new")] == [None] * 30


def test_what_had_failed_stays_as_it_is(tmp_path: Path) -> None:
    failed = Episode(
        job=Job(env_id=TOOLS, level=0, seed=0, sample=0),
        task_id="0",
        prompt="",
        failure={"kind": "k", "boundary": "b", "message": "m"},
    )
    with BenchStore(tmp_path / "old", {"agent": "oracle"}) as store:
        store.add(failed)
    result = _score(tmp_path / "old", tmp_path / "new", lambda episode: 1.0)
    assert (result.num_scored, result.num_failed_before) == (0, 1)
    assert _stored(tmp_path / "new") == [failed]


def test_what_is_not_stored_is_told_and_nothing_is_made(tmp_path: Path) -> None:
    old = _bench(tmp_path / "old", num_tasks=1)
    with pytest.raises(UsageError, match=r"cannot score stored episodes: an episode has no 'truth' for rubrics: files"):
        _score(old, tmp_path / "new", lambda episode: episode.truth)
    assert not (tmp_path / "new").exists()
    _score(old, tmp_path / "new", lambda episode: getattr(episode, "truth", 0.5))
    assert _stored(tmp_path / "new")[0].reward == 0.5


def test_old_and_new_compare_and_others_with_another_rubric_do_not(tmp_path: Path) -> None:
    one, two = _bench(tmp_path / "one"), _bench(tmp_path / "two", "noop")
    _score(one, tmp_path / "a", lambda episode: 0.25)
    _score(one, tmp_path / "b", lambda episode: 0.75, name="mine:other")
    _score(two, tmp_path / "c", lambda episode: 0.0)
    for first, second, difference in (("one", "a", -0.75), ("a", "b", 0.5), ("a", "c", -0.25)):
        (found,) = compare([tmp_path / first, tmp_path / second], metric="reward")
        assert found.rows[-1].difference.value == pytest.approx(difference)
        assert found.rows[-1].difference.num_tasks == 6
    for first, second in (("b", "c"), ("two", "b")):
        with pytest.raises(NotComparableError, match=r"rubric was .* and is .*mine:"):
            compare([tmp_path / first, tmp_path / second], metric="reward")


def test_another_rubric_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    old = _bench(tmp_path / "old", num_tasks=1)
    _score(old, tmp_path / "new", lambda episode: 1.0)
    with pytest.raises(StoreError, match=r"rescored was .*mine:rubric.* and is .*mine:other"):
        _score(old, tmp_path / "new", lambda episode: 1.0, name="mine:other")
    with pytest.raises(UsageError, match="is the run itself, which is never changed"):
        _score(old, tmp_path / "new" / ".." / "old", lambda episode: 1.0)


def test_a_stop_in_the_middle_is_gone_on_from(tmp_path: Path) -> None:
    old = _bench(tmp_path / "old", num_tasks=600)
    asked = 0

    def rubric(episode: Transcript) -> float:
        nonlocal asked
        asked += 1
        if asked == 400:
            raise KeyboardInterrupt
        return 2.0

    with pytest.raises(KeyboardInterrupt):
        _score(old, tmp_path / "new", rubric)
    assert len(_stored(tmp_path / "new")) == 256
    assert _score(old, tmp_path / "new", rubric).num_scored == 600
    assert [each.reward for each in _stored(tmp_path / "new")] == [2.0] * 600


def test_parts_of_a_training_run_become_benches_that_compare(trained: Path, tmp_path: Path) -> None:
    before = (trained / "rollouts.sqlite").read_bytes()
    stored = load_scoring(STORED)
    for phase in ("eval_before", "eval_after"):
        result = rescore(open_run(trained, phase=phase), stored, tmp_path / phase)
        assert (result.num_scored, result.num_changed) == (24, 0)  # 12 tasks, sampled and greedily
    # Each by itself scores what the run said.
    told = json.loads((trained / "summary.json").read_text())
    for greedy, name in ((False, "success_after"), (True, "greedy_after")):
        found_run = open_run(trained, phase="eval_after", greedy=greedy)
        assert rescore(found_run, stored, tmp_path / name).num_scored == 12
        scored = _stored(tmp_path / name)
        assert sum(bool(each.success) for each in scored) / len(scored) == pytest.approx(told[name])
    with pytest.raises(UsageError, match="name a phase"):
        open_run(trained, greedy=True)
    with pytest.raises(
        StoreError, match=r"it is a training run, of which this makes a bench: agentrl rescore .* stored"
    ):
        compare([trained, tmp_path / "eval_after"])
    (found,) = compare([tmp_path / "eval_before", tmp_path / "eval_after"], metric="reward")
    assert found.unlike == ()
    assert found.rows[-1].difference.num_tasks == 12
    result = rescore(open_run(trained, phase="train"), stored, tmp_path / "train")
    assert result.num_scored == 8
    assert len(_stored(tmp_path / "train")) == 8  # none took another's place
    assert (trained / "rollouts.sqlite").read_bytes() == before


def test_a_rubric_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rubrics_of_mine.py").write_text("def f(episode):\n    return 1.0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    found = load_scoring("rubrics_of_mine:f")
    assert (found.name, len(found.source)) == ("rubrics_of_mine:f", 16)
    for name, told in (
        ("rubrics_of_mine", "names no function; type --rubric FILE.toml, --rubric MODULE:CALLABLE"),
        ("rubrics_of_mine:g", "has no 'g'"),
        ("nowhere_at_all:g", "cannot be imported"),
    ):
        with pytest.raises(ValueError, match=told):
            load_scoring(name)


def test_what_is_no_run_is_told(tmp_path: Path, trained: Path) -> None:
    with pytest.raises(StoreError, match=r"holds neither bench.sqlite nor rollouts.sqlite"):
        open_run(tmp_path)
    old = _bench(tmp_path / "old", num_tasks=1)
    with pytest.raises(UsageError, match=r"phase='train' has no effect on .*which is a bench"):
        open_run(old, phase="train")
    with pytest.raises(UsageError, match="did you mean 'eval_after'"):
        open_run(trained, phase="eval_aftr")
    BenchStore(tmp_path / "empty", {"agent": "oracle"}).close()
    with pytest.raises(UsageError, match="holds no episodes; there is nothing to score"):
        _score(tmp_path / "empty", tmp_path / "new", lambda episode: 1.0)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "rollouts.sqlite").write_bytes(b"no database at all, but long enough" * 50)
    with pytest.raises(Exception, match="is damaged or no rollout store"):
        open_run(tmp_path / "damaged")
