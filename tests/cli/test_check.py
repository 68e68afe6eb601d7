"""`agentrl check` as a user meets it: a table, JSON, an exit status, and the next thing to type."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentrl.cli.main import main
from agentrl.envs.checker.catalogue import CHECKS

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `agentrl check` in this process."""
    monkeypatch.setenv("COLUMNS", "160")

    def call(*words: str) -> tuple[int, str, str]:
        try:
            status = main(["check", *words])
        except SystemExit as exit:
            status = exit.code if isinstance(exit.code, int) else 2
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def test_the_list_names_every_check(run: Run) -> None:
    status, out, _ = run("--list")
    assert status == 0
    for each in CHECKS.values():
        assert each.id in out
        assert each.what in out
    rows = json.loads(run("--list", "--json")[1])
    assert [row["id"] for row in rows] == list(CHECKS)


def test_a_table_for_people_and_json_for_machines(run: Run) -> None:
    words = ("Math-v0", "--only", "oracle,floor", "--level", "1,2", "--backend", "auto,local", "--seeds", "2")
    status, out, _ = run(*words, "--verbose")
    assert status == 0
    assert "AgentRL/Math-v0 on auto, quick, 2 seeds a level" in out
    assert "3 passed, 0 failed, 0 not run, 0 not applicable" in out
    assert '"episodes": 6' in out
    assert f"3/{len(CHECKS)}" in out  # the summary of several
    status, out, err = run(*words, "--json")
    assert (status, err) == (0, "")
    reports = json.loads(out)
    assert [(each["env"], each["backend"], each["ok"]) for each in reports] == [
        ("AgentRL/Math-v0", "auto", True),
        ("AgentRL/Math-v0", "local", True),
    ]
    assert [each["id"] for each in reports[0]["results"]] == ["starts", "oracle", "floor"]


def test_a_failure_says_reason_and_hint_and_exits_with_1(run: Run) -> None:
    status, out, _ = run("tests.envs.checker.broken.envs:Broken/Telling-v0", "--only", "leak")
    assert status == 1
    assert "FAILED" in out
    assert "the answer stands in info at reset" in out
    assert "hint: name tasks by a number drawn for that" in " ".join(out.split())
    assert "--only leak" in out


def test_arguments_of_the_environment(run: Run) -> None:
    mine = ("--only", "oracle", "--level", "1", "--json")
    weights = '{"exact_match": 1, "format": 1}'
    for words in (
        ("--kwargs", f'{{"weights": {weights}}}'),
        ("--env-kwargs.weights", weights),
        (f"--env-kwargs.weights={weights}",),
    ):
        status, out, _ = run("Math-v0", *words, *mine)
        assert status == 0
        assert json.loads(out)[0]["results"][-1]["measured"]["reward"] == 2.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name an environment, or pass --all"),
        (("Maths-v0",), "did you mean 'AgentRL/Math-v0'? Type: agentrl envs"),
        (("Nope-v0",), "env 'Nope-v0' is not registered. Type: agentrl envs"),
        (("Math-v0", "--only", "orakle"), "did you mean 'oracle'? Type: agentrl check --list"),
        (("Math-v0", "--kwargs", "{"), "is not JSON"),
        (("Math-v0", "--kwargs", "3"), "is not a JSON object"),
        (("Math-v0", "--level", "one"), "must be whole numbers; type --level 1,3"),
        (("Math-v0", "--level", "9"), "there are 1, 2, 3, 4, 5"),
        (("Math-v0", "--backend", "podman"), "there are auto, local, docker, bwrap"),
        (("Math-v0", "--env-kwargs.data"), "has no value"),
        (("Math-v0", "--profile", "slow"), "invalid choice"),
    ],
)
def test_wrong_words_exit_with_2(run: Run, words: tuple[str, ...], said: str) -> None:
    status, out, err = run(*words)
    assert status == 2
    assert said in err
    assert out == ""


def test_the_installed_command_prints_json_alone() -> None:
    command = [str(Path(sys.executable).with_name("agentrl")), "check", "Math-v0", "--only", "seed", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)[0]["ok"] is True
