"""Stored episodes scored by rubrics of TOML: alone, in groups, against accepted answers, and what changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import agentrl.envs  # noqa: F401  # registers
from agentrl.bench.errors import UsageError
from agentrl.bench.rescore import Scoring, load_scoring, rescore
from agentrl.bench.run import Settings, run
from agentrl.bench.store import BenchStore
from agentrl.bench.stored import open_run
from agentrl.bench.types import Episode
from agentrl.envs.errors import InfrastructureError
from agentrl.envs.rubrics import Component, Rubric, Transcript

MATH = "AgentRL/Math-v0"


def _stored(folder: Path) -> list[Episode]:
    with BenchStore(folder) as store:
        return list(store.episodes())


@pytest.fixture(scope="module")
def benched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bench of three tasks, two samples each, of which the second is wrong."""
    folder = tmp_path_factory.mktemp("benched") / "run"
    run(Settings(envs=(MATH,), agent="oracle", num_tasks=3, num_samples=2), folder)
    with BenchStore(folder) as store:
        identity, episodes = store.identity, list(store.episodes())
    wrong = folder.parent / "wrong"
    with BenchStore(wrong, identity) as store:
        for each in episodes:
            said = {"role": "assistant", "content": "I think so. <answer>no idea</answer>"}
            spoilt = replace(each, messages=(*each.messages[:-1], said), reward=0.0, rewards={}, success=False)
            store.add(spoilt if each.job.sample else each)
    return wrong


def _rubric(folder: Path, text: str) -> Scoring:
    path = folder / "rubric.toml"
    path.write_text(text)
    return load_scoring(str(path))


def test_a_rubric_of_toml(benched: Path, tmp_path: Path) -> None:
    text = (
        "[[component]]\nuse = 'environment'\nweight = 0.5\n"
        "[[component]]\nuse = 'num_turns'\nwith = {soft = 0, hard = 2}\n"
    )
    result = rescore(open_run(benched), _rubric(tmp_path, text), tmp_path / "new")
    assert (result.num_scored, result.num_errors, result.num_changed) == (6, 0, 3)
    found = _stored(tmp_path / "new")
    assert [each.reward for each in found] == [1.0, 0.5] * 3
    assert [each.rewards for each in found[:2]] == [
        {"environment": 1.0, "num_turns": 0.5},
        {"environment": 0.0, "num_turns": 0.5},
    ]
    assert [each.success for each in found] == [True, False] * 3
    assert (tmp_path / "new" / "rubric.toml").read_text() == text


def test_accepted_answers_are_asked_of_the_environment(benched: Path, tmp_path: Path) -> None:
    rescore(open_run(benched), _rubric(tmp_path, "[[component]]\nuse = 'numeric'"), tmp_path / "new")
    assert [each.reward for each in _stored(tmp_path / "new")] == [1.0, 0.0] * 3


def test_a_task_that_has_changed_is_refused(benched: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    with BenchStore(benched) as store:
        identity, episodes = store.identity, list(store.episodes())
    with BenchStore(old, identity) as store:
        for each in episodes:
            system, question, *rest = each.messages
            store.add(replace(each, messages=(system, {**question, "content": "Another?"}, *rest)))
    with pytest.raises(UsageError, match=r"asks .* now, and asked 'Another\?': it has changed since"):
        rescore(open_run(old), _rubric(tmp_path, "[[component]]\nuse = 'numeric'"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_changed_is_told_by_episode(benched: Path, tmp_path: Path) -> None:
    text = "[[component]]\nuse = 'environment'\n[[component]]\nuse = 'f1'\nweight = 0.0\nwith = {reference = 'no idea'}"
    text = text.replace("0.0", "0.25")
    result = rescore(open_run(benched), _rubric(tmp_path, text), tmp_path / "new")
    assert [(each.new.job.sample, each.difference) for each in result.changes] == [(1, 0.25)] * 3
    rows = [json.loads(line) for line in (tmp_path / "new" / "differences.jsonl").read_text().splitlines()]
    assert len(rows) == 3
    assert (rows[0]["seed"], rows[0]["sample"], rows[0]["difference"]) == (0, 1, 0.25)
    assert (rows[0]["reward"], rows[0]["success"]) == ([0.0, 0.25], [False, False])
    assert rows[0]["rewards"] == [{}, {"environment": 0.0, "f1": 1.0}]
    assert not list((tmp_path / "new").glob("*.half"))


def _first_of_group(episodes: Sequence[Transcript]) -> list[float]:
    assert len({episode.seed for episode in episodes}) == 1
    return [float(episode.sample == 0) for episode in episodes]


_first_of_group.sees_group = True  # type: ignore[attr-defined]


def test_samples_of_a_task_are_a_group(benched: Path, tmp_path: Path) -> None:
    rubric = Rubric(components=(Component(name="first", use=_first_of_group),))
    result = rescore(open_run(benched), Scoring(name="mine", source="", rubric=rubric), tmp_path / "new")
    assert [each.reward for each in _stored(tmp_path / "new")] == [1.0, 0.0] * 3
    assert result.num_changed == 0


def test_what_a_judge_cannot_score_is_a_failure_of_its_own_kind(benched: Path, tmp_path: Path) -> None:
    async def judge(episode: Transcript) -> float:
        if episode.seed == 1:
            raise InfrastructureError("the judge is down", kind="unreachable", boundary="judge")
        return 1.0

    rubric = Rubric(components=(Component(name="judge", use=judge),))
    result = rescore(open_run(benched), Scoring(name="mine", source="", rubric=rubric), tmp_path / "new")
    assert (result.num_scored, result.num_errors) == (4, 2)
    failures = [each.failure for each in _stored(tmp_path / "new") if each.failure is not None]
    assert [(each["kind"], each["boundary"]) for each in failures] == [("unreachable", "judge")] * 2


def test_a_file_that_is_no_rubric_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere.toml cannot be read"):
        load_scoring(str(tmp_path / "nowhere.toml"))
    with pytest.raises(ValueError, match="did you mean 'exact_match'"):
        _rubric(tmp_path, "[[component]]\nuse = 'exact_mach'")


def test_a_sample_that_cannot_be_scored_leaves_the_others_a_group(benched: Path, tmp_path: Path) -> None:
    def picky(episode: Transcript) -> float:
        if (episode.seed, episode.sample) == (1, 1):
            raise ValueError("no")
        return float(episode.num_turns)

    parts = Component(name="turns", use=picky, normalise="group"), Component(name="first", use=_first_of_group)
    scoring = Scoring(name="mine", source="", rubric=Rubric(components=parts))
    result = rescore(open_run(benched), scoring, tmp_path / "new")
    assert (result.num_scored, result.num_errors) == (5, 1)
    assert [each.reward for each in _stored(tmp_path / "new") if each.failure is None] == [1.0, 0.0, 1.0, 1.0, 0.0]


def test_what_was_scored_before_a_stop_is_not_scored_again(tmp_path: Path) -> None:
    old = tmp_path / "old"
    run(Settings(envs=(MATH,), agent="oracle", num_tasks=300), old)
    asked: list[int] = []
    stop_at: int | None = 280

    def changing(episode: Transcript) -> float:
        asked.append(episode.seed)
        if len(asked) == stop_at:
            raise KeyboardInterrupt
        return len(asked) / 1000

    scoring = Scoring(name="mine", source="", score=changing)
    with pytest.raises(KeyboardInterrupt):
        rescore(open_run(old), scoring, tmp_path / "new")
    kept = {each.job: each.reward for each in _stored(tmp_path / "new")}
    assert len(kept) == 256
    stop_at = None
    asked.clear()
    result = rescore(open_run(old), scoring, tmp_path / "new")
    assert (result.num_scored, len(asked)) == (300, 44)
    now = {each.job: each.reward for each in _stored(tmp_path / "new")}
    assert kept.items() <= now.items()
    rows = [json.loads(line) for line in (tmp_path / "new" / "differences.jsonl").read_text().splitlines()]
    assert {row["seed"]: row["reward"][1] for row in rows} == {job.seed: reward for job, reward in now.items()}


def test_a_factory_that_was_edited_makes_another_rubric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = tmp_path / "edited_parts_of_mine.py"
    made.write_text("def f():\n    return lambda episode: 1.0\n")
    first = _rubric(tmp_path, "[[component]]\nuse = 'edited_parts_of_mine:f'").source
    made.write_text("def f():\n    return lambda episode: 2.0\n")
    assert _rubric(tmp_path, "[[component]]\nuse = 'edited_parts_of_mine:f'").source != first
