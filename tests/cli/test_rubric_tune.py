"""`agentrl rubric tune` as a user meets it: a tuned rubric with figures, no gain said plainly, or what is missing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agentrl.cli.main import main
from agentrl.envs.rubrics import load_rubric
from tests.bench.rubrics.made import RUBRIC, made_run

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Tune in this process, in a folder with a bench and a rubric."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    made_run(Path("run"))
    Path("mine.toml").write_text(RUBRIC)

    def call(*words: str) -> tuple[int, str, str]:
        try:
            status = main(["rubric", "tune", "mine.toml", "--episodes", "run", *words])
        except SystemExit as exit:
            status = exit.code if isinstance(exit.code, int) else 2
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def test_tuned_weights_are_written_with_the_figures_that_speak_for_them(run: Run) -> None:
    status, out, err = run("--labels", "success")
    assert (status, err) == (0, "")
    assert "ordered rightly: 0." in out
    assert "(240 labels; intervals over 60 tasks hold 95 of 100, that of the gain 99)" in " ".join(out.split())
    assert "Written: mine-tuned.toml" in out
    tuned, given = load_rubric("mine-tuned.toml"), load_rubric("mine.toml")
    head = "# mine.toml with weights tuned on 240 labels: held-out agreement 0."
    assert Path("mine-tuned.toml").read_text().startswith(head)
    assert list(tuned.weights) == list(given.weights)
    assert sum(map(abs, tuned.weights.values())) == pytest.approx(1.0, abs=1e-5)
    expected = {"short": 0.5, "form": 0.5, "quick": 0.0}  # as the episodes were made
    assert tuned.weights == pytest.approx(expected, abs=0.15)
    assert [each.arguments for each in tuned.components] == [each.arguments for each in given.components]
    assert Path("mine.toml").read_text() == RUBRIC


def test_a_weight_that_changes_its_sign_is_named(run: Run) -> None:
    Path("mine.toml").write_text(RUBRIC.replace("weight = 0.5", "weight = -0.5"))
    status, out, _ = run("--labels", "success")
    assert status == 0
    assert load_rubric("mine-tuned.toml").weights["short"] > 0.3
    assert "pays for the opposite now" in out
    assert "short: the sign has changed" in out
    assert "agentrl rubric design --env ID --try mine-tuned.toml" in out


def test_labels_of_chance_keep_the_old_weights_unless_forced(run: Run) -> None:
    rng = np.random.default_rng(1)
    rows = [
        {"env_id": "Made-v0", "level": 1, "seed": seed, "sample": sample, "label": bool(rng.integers(2))}
        for seed in range(60)
        for sample in range(4)
    ]
    Path("labels.jsonl").write_text("\n".join(map(json.dumps, rows)))
    status, out, _ = run("--labels", "labels.jsonl")
    assert status == 1
    assert "Tuning gains nothing" in out
    assert "The old weights are kept; --force writes the tuned ones nevertheless." in out
    assert not Path("mine-tuned.toml").exists()
    status, out, _ = run("--labels", "labels.jsonl", "--force", "--out", "forced.toml")
    assert (status, load_rubric("forced.toml").weights != load_rubric("mine.toml").weights) == (0, True)
    assert "Written all the same: forced.toml" in out


def test_preferences_tune_and_json_says_all_of_it(run: Run) -> None:
    episodes = made_run(Path("other"))  # the same ones
    rows = []
    for first, second in itertools.pairwise(episodes):
        if first.job.seed == second.job.seed:
            keys = [{**vars(each.job), "env_id": "Made-v0"} for each in (first, second)]
            better = "tie" if first.reward == second.reward else "first" if first.reward > second.reward else "second"
            rows.append({"first": keys[0], "second": keys[1], "better": better})
    Path("labels.jsonl").write_text("\n".join(map(json.dumps, rows)))
    status, out, _ = run("--labels", "labels.jsonl", "--json")
    told = json.loads(out)
    assert status == 0
    assert (told["kind"], told["gains"], told["num_labels"], told["num_tasks"]) == ("preferences", True, 180, 60)
    assert told["agreement"]["after"]["value"] > 0.97  # the form decides alone
    assert told["fitted"]["form"] > 0.9
    assert told["out"] == "mine-tuned.toml"


def test_too_little_data_says_how_much_is_missing_and_what_a_gate_took(run: Run) -> None:
    Path("mine.toml").write_text(RUBRIC.replace("weight = 0.1", "weight = 0.1\ngate = 1.0"))
    rows = [{"env_id": "Made-v0", "level": 1, "seed": seed, "label": seed % 2 == 0} for seed in range(40)]
    Path("labels.jsonl").write_text("\n".join(map(json.dumps, rows)))
    status, out, err = run("--labels", "labels.jsonl")
    assert (status, out) == (2, "")
    assert "but tuning needs 20 (10 for each of 2 components that differ)" in err  # behind its gate the form is 1
    assert "The closed gate 'form' takes" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--labels", "none.jsonl"), "labels 'none.jsonl' cannot be read"),
        (("--labels", "success", "--out", "mine.toml"), "--out mine.toml is the rubric itself"),
        (("--labels", "success", "--phase", "train"), "phase='train' has no effect on run, which is a bench"),
    ],
)
def test_what_cannot_work_is_told_with_the_next_thing_to_type(run: Run, words: tuple[str, ...], told: str) -> None:
    status, _, err = run(*words)
    assert status == 2
    assert told in err
