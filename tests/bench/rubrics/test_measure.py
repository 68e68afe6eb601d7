"""Labels find their episodes in a bench and in a training run; what cannot be fitted is left out, and counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agentrl.bench.errors import UsageError
from agentrl.bench.rubrics import measure, read_labels
from agentrl.bench.run import Settings, run
from agentrl.bench.stored import open_run
from agentrl.bench.transcripts import transcript_of
from agentrl.envs.errors import InfrastructureError
from agentrl.envs.rubrics import Component, Rubric, Transcript, from_toml
from tests.bench.rubrics.made import RUBRIC, failed, made_run


def written(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def named(seed: int, sample: int) -> dict[str, object]:
    return {"env_id": "Made-v0", "level": 1, "seed": seed, "sample": sample}


def test_values_are_those_of_the_rubric_and_tasks_are_kept_together(tmp_path: Path) -> None:
    episodes = made_run(tmp_path / "run", num_tasks=3)
    rubric = from_toml(RUBRIC)
    rows = [{**named(2, 1), "label": 0.25}, {**named(0, 3), "label": 4}]
    found = measure(open_run(tmp_path / "run"), rubric, read_labels(written(tmp_path / "labels", *rows)))
    examples = found.examples
    assert (examples.kind, examples.names) == ("numbers", ("short", "form", "quick"))
    for label, episode in zip(examples.episodes, (episodes[2 * 4 + 1], episodes[3]), strict=True):
        assert (
            dict(zip(examples.names, examples.values[label], strict=True))
            == rubric.score(transcript_of(episode)).values
        )
    assert examples.labels.tolist() == [0.25, 4.0]
    assert [examples.tasks[at] for at in examples.episodes] == [f"AgentRL/Made-v0 level 1 task {n}" for n in (2, 0)]


def test_stored_success_labels_every_episode_that_did_not_fail(tmp_path: Path) -> None:
    episodes = made_run(tmp_path / "run", num_tasks=5, failure=failed(), success=None)
    found = measure(open_run(tmp_path / "run"), from_toml(RUBRIC), None)
    assert (found.num_failed, found.num_episodes) == (1, 19)
    assert found.examples.labels.tolist() == [float(bool(each.success)) for each in episodes[1:]]


def test_a_closed_gate_takes_episodes_out(tmp_path: Path) -> None:
    episodes = made_run(tmp_path / "run", num_tasks=5)
    gated = from_toml(RUBRIC.replace("weight = 0.1", "weight = 0.1\ngate = 1.0"))
    found = measure(open_run(tmp_path / "run"), gated, None)
    formed = sum(each.reward for each in episodes)
    assert found.num_episodes == formed < 20
    assert found.closed == {"form": 20 - formed}


def test_a_component_that_sees_the_group_sees_unlabelled_episodes_too(tmp_path: Path) -> None:
    made_run(tmp_path / "run", num_tasks=2)
    seen: list[int] = []

    def rank(group: tuple[Transcript, ...]) -> list[float]:
        seen.append(len(group))
        return [float(each.sample) for each in group]

    rank.sees_group = True  # type: ignore[attr-defined]
    rubric = Rubric(components=(Component(name="rank", use=rank),))
    labels = read_labels(written(tmp_path / "labels", {**named(1, 2), "label": True}, {**named(1, 0), "label": False}))
    found = measure(open_run(tmp_path / "run"), rubric, labels)
    assert seen == [4]
    assert found.examples.values[found.examples.episodes, 0].tolist() == [2.0, 0.0]


def test_what_a_rubric_cannot_score_is_counted_and_named(tmp_path: Path) -> None:
    made_run(tmp_path / "run", num_tasks=2)

    async def judge(episode: Transcript) -> float:
        if episode.sample == 1:
            raise InfrastructureError("the judge is gone", kind="unreachable", boundary="judge")
        return 0.5

    rubric = Rubric(components=(Component(name="judge", use=judge),))
    found = measure(open_run(tmp_path / "run"), rubric, None)
    assert (found.num_unscored, found.num_episodes) == (2, 6)
    assert found.unscored[0] == "Made-v0 level 1 seed 0 sample 1: the judge is gone"


def test_episodes_of_a_training_run_are_named_by_their_place_in_it(tmp_path: Path, trained: Path) -> None:
    rubric = from_toml('[[component]]\nuse = "environment"\n')
    rows = [
        {"first": place(0, 0), "second": place(0, 1), "better": "second"},
        {"first": place(1, 0), "second": place(1, 1), "better": "tie"},
    ]
    found = measure(open_run(trained), rubric, read_labels(written(tmp_path / "labels", *rows)))
    examples = found.examples
    assert (examples.kind, examples.labels.tolist()) == ("preferences", [0.0, 0.5])
    assert examples.episodes.shape == (2, 2)
    assert sorted(examples.groups().tolist()) == [0, 1]
    stored = {each.episode.reward for each in open_run(trained, phase="train").episodes()}
    assert set(np.ravel(examples.values).tolist()) <= stored


def place(step: int, member: int) -> dict[str, object]:
    return {"phase": "train", "step": step + 1, "group": 0, "member": member}


def test_success_is_not_fitted_to_itself(tmp_path: Path) -> None:
    made_run(tmp_path / "run", num_tasks=1)
    with pytest.raises(UsageError, match="'success' is the success itself"):
        measure(open_run(tmp_path / "run"), from_toml('[[component]]\nuse = "success"\n'), None)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "holds no labels; write {"),
        ([{**named(0, 0), "label": "good"}], "line 1: label is 'good', but must be true, false, or a number"),
        ([{**named(0, 0), "label": float("nan")}], "label is nan"),
        ([{**named(0, 0), "label": 10**400}], "a number up to 1e+09"),
        ([{**named(0, 0), "label": 1e308}], "a number up to 1e+09"),
        ([{"env_id": "Made-v0", "level": 1, "label": 1}], "seed is None, but must be a whole number"),
        ([{**named(0, 0), "sede": 1, "label": 1}], "has 'sede'; did you mean 'seed'?"),
        ([{"phase": "trian", "step": 1, "group": 0, "member": 0, "label": 1}], "phase is 'trian', but must be one of"),
        (
            [{"first": named(0, 0), "second": named(0, 1), "better": "frist"}],
            "better is 'frist'; did you mean 'first'?",
        ),
        ([{"first": named(0, 0), "second": named(0, 0), "better": "tie"}], "prefers an episode to itself"),
        ([{"first": named(0, 0), "better": "tie"}], "second is None, but must name an episode"),
        (
            [{**named(0, 0), "label": 0.5}, {"first": named(0, 0), "second": named(0, 1), "better": "tie"}],
            "of one kind",
        ),
        ([[1]], "must be an object"),
        ([{**named(7, 0), "label": 1}], "line 1 names an episode that"),
    ],
)
def test_a_line_that_is_no_label_is_named(tmp_path: Path, rows: list[object], told: str) -> None:
    made_run(tmp_path / "run", num_tasks=1)
    run, path = open_run(tmp_path / "run"), written(tmp_path / "labels", *rows)
    with pytest.raises(UsageError) as caught:
        measure(run, from_toml(RUBRIC), read_labels(path))
    assert told in str(caught.value)


def test_true_and_one_are_the_same_label(tmp_path: Path) -> None:
    path = written(tmp_path / "labels", {**named(0, 0), "label": True}, {**named(0, 1), "label": 0})
    labels = read_labels(path)
    assert (labels.kind, [each.value for each in labels.labels]) == ("classes", [1.0, 0.0])


def test_what_is_said_twice_counts_once_and_what_contradicts_is_counted(tmp_path: Path) -> None:
    one, other = {**named(0, 0), "label": True}, {**named(0, 1), "label": False}
    labels = read_labels(written(tmp_path / "labels", one, other, one, one, {**one, "label": False}))
    assert [(each.keys[0][3], each.value) for each in labels.labels] == [(0, 1.0), (1, 0.0), (0, 0.0)]
    assert (labels.num_repeated, labels.num_contradicted) == (2, 2)


def test_a_file_of_windows_and_odd_ends_of_lines_within_a_text_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    line = json.dumps({"env_id": "My\u2028Made\x0c-v0", "level": 1, "seed": 0, "label": 1}, ensure_ascii=False)
    path.write_bytes(b"\xef\xbb\xbf" + line.encode() + b"\r\n" + line.replace(": 0", ": 3").encode())
    assert [each.keys[0][2] for each in read_labels(path).labels] == [0, 3]


def test_a_task_that_is_asked_under_many_seeds_is_one_task(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({"question": f"{n} + 1?", "answer": f"#### {n + 1}"}) + "\n" for n in range(3)))
    run(
        Settings(envs=("AgentRL/Math-v0",), agent="oracle", num_tasks=12, env_kwargs={"data": str(data)}),
        tmp_path / "run",
    )
    rubric = from_toml('[[component]]\nuse = "num_turns"\nwith = {soft = 1, hard = 3}')
    found = measure(open_run(tmp_path / "run"), rubric, None)
    assert found.num_episodes == 12
    assert len(set(found.examples.tasks)) <= 3
