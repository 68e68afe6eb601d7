"""`agentrl rubric show` and `agentrl train --rubric` as a user meets them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from agentrl.cli.main import main
from agentrl.envs.rubrics import Transcript, from_toml, load_rubric
from agentrl.envs.rubrics.catalogue import CATALOGUE

Run = Callable[..., tuple[int, str, str]]

RUBRIC = """\
name = "brief and right"
clip = [0, 1]

[[component]]
name = "right"
use = "exact_match"
gate = 1.0

[[component]]
use = "num_turns"
weight = 0.25
normalise = "group"
with = {soft = 3, hard = 6}
"""
QUICK = (
    *("train", "quickstart", "--num-steps", "1", "--groups-per-step", "2", "--group-size", "4", "--threads", "1"),
    *("--eval.num-episodes", "0", "--rollout.concurrency", "8"),
)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `agentrl` in this process, in a folder with a rubric."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    Path("rubric.toml").write_text(RUBRIC)

    def call(*words: str) -> tuple[int, str, str]:
        try:
            status = main([*words])
        except SystemExit as exit:
            status = exit.code if isinstance(exit.code, int) else 2
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def test_a_rubric_is_shown_with_its_weights(run: Run) -> None:
    status, out, err = run("rubric", "show", "rubric.toml")
    assert (status, err) == (0, "")
    right, turns = (next(line for line in out.splitlines() if line.startswith(name)) for name in ("right", "num_turns"))
    assert "exact_match(); below 1 the others give nothing" in right
    assert "0.25" in turns
    assert "num_turns(soft=3, hard=6); normalised by its group" in turns
    assert "the reward is their weighted sum, between 0 and 1" in out
    status, out, _ = run("rubric", "show", "rubric.toml", "--json")
    told = json.loads(out)
    assert [(each["name"], each["weight"]) for each in told["components"]] == [("right", 1.0), ("num_turns", 0.25)]
    assert from_toml(run("rubric", "show", "rubric.toml", "--toml")[1]) == load_rubric("rubric.toml")


def test_what_an_environment_rewards_is_shown_and_can_be_started_from(run: Run) -> None:
    status, out, _ = run("rubric", "show", "Search-v0")
    assert status == 0
    assert "Only `exact_match` has weight by default." in out
    assert "agentrl rubric show Search-v0 --toml > rubric.toml" in out
    rubric = from_toml(run("rubric", "show", "Search-v0", "--toml")[1])
    parts = {"exact_match": 1.0, "f1": 0.5, "format": 1.0, "citation": 0.25}
    assert rubric.weights["exact_match"] == 1.0
    assert rubric.score(Transcript(messages=(), rewards=parts)).reward == 1.0
    status, out, _ = run("rubric", "show", "FrozenLake-v1")  # it has no components
    assert (status, out.split()[4]) == (0, "environment")


def test_every_component_is_listed(run: Run) -> None:
    status, out, _ = run("rubric", "show", "--components")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines() if line[:1].strip()][1:-1] == list(CATALOGUE)
    rows = json.loads(run("rubric", "show", "--components", "--json")[1])
    assert [row["name"] for row in rows] == list(CATALOGUE)
    assert all(row["summary"].endswith(".") for row in rows)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("show",), "agentrl rubric show --components"),
        (("show", "Search-v0", "--components"), "name an environment or a file"),
        (("show", "Serch-v0"), "did you mean"),
        (("show", "nowhere.toml"), "cannot be read"),
        (("show", "--components", "--toml"), "--toml has no effect"),
        (("shwo",), "did you mean 'show'"),
    ],
)
def test_a_wrong_word_is_answered_with_what_to_type(run: Run, words: tuple[str, ...], told: str) -> None:
    status, out, err = run("rubric", *words)
    assert (status, out) == (2, "")
    assert told in err


def test_help_names_the_commands(run: Run) -> None:
    assert run("rubric")[0] == 2
    status, out, _ = run("rubric", "--help")
    assert status == 0
    for name in ("show", "design", "tune", "watch"):
        assert f"\n  {name} " in out


def test_a_run_is_trained_on_a_rubric_that_is_saved_with_it(run: Run) -> None:
    status, _, err = run(*QUICK, "--rubric", "rubric.toml", "--name", "one")
    assert status == 0, err
    folder = Path("runs/one")
    assert (folder / "rubric.toml").read_text() == RUBRIC
    config = tomllib.loads((folder / "config.toml").read_text())
    assert config["wrapper"]["kwargs"]["rubric"] == RUBRIC
    (row,) = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {"rewards/right/mean", "rewards/num_turns/mean", "success"} <= set(row)
    assert abs(row["rewards/num_turns/mean"]) < 1e-9  # within its group the mean is 0
    assert row["rewards/right/mean"] == row["success"]
    Path("rubric.toml").unlink()  # the run needs it no more
    status, _, err = run("train", "--resume", "runs/one")
    assert status == 0, err


def test_a_rubric_that_cannot_be_used_is_refused_before_a_folder_is_made(run: Run) -> None:
    Path("wrong.toml").write_text("[[component]]\nuse = 'exact_mach'")
    for words, told in (
        (("--rubric", "wrong.toml"), "did you mean 'exact_match'"),
        (("--rubric", "nowhere.toml"), "cannot be read"),
        (("--rubric",), "--rubric has no value; type: --rubric rubric.toml"),
        (("--rubric", "rubric.toml", "--rubric=rubric.toml"), "one wrapper is what a run has"),
        (("--rubric", "rubric.toml", "--env", "FrozenLake-v1", "--level", "None"), "tells none: give its environment"),
    ):
        status, out, err = run(*QUICK, *words)
        assert (status, out) == (2, ""), err
        assert told in err
    assert not Path("runs").exists()
