"""`agentrl export` as a user meets it: a file, its name, and the next thing to type."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agentrl.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `agentrl` in this process, in a folder with a bench."""
    monkeypatch.chdir(tmp_path)
    main(["bench", "--env", "Math-v0", "--agent", "oracle", "-n", "3", "--out", "runs/one"])
    capsys.readouterr()

    def call(*words: str) -> tuple[int, str, str]:
        try:
            status = main(["export", *words])
        except SystemExit as exit:
            status = exit.code if isinstance(exit.code, int) else 2
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def test_a_file_in_the_current_folder_is_replaced_by_force_alone(run: Run) -> None:
    assert run("runs/one", "--format", "jsonl") == (0, "3 episodes are in one.jsonl\n", "")
    assert len(Path("one.jsonl").read_text().splitlines()) == 3
    status, out, err = run("runs/one", "--format", "jsonl")
    assert (status, out) == (2, "")
    assert "one.jsonl exists; type --force to replace it, or name another file with --out" in err
    status, out, _ = run("runs/one", "--format", "jsonl", "--force", "--json")
    assert status == 0
    assert json.loads(out) == {"path": "one.jsonl", "format": "jsonl", "num_episodes": 3}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nowhere", "--format", "jsonl"), "holds neither bench.sqlite nor rollouts.sqlite"),
        (("runs/one", "--format", "jsnol"), "invalid choice: 'jsnol'"),
        (("runs/one",), "--format"),
        (("runs/one", "--format", "jsonl", "--phase", "train"), "has no effect on runs/one, which is a bench"),
        (("runs/one", "--format", "jsonl", "--tokens"), "tokens has no effect on runs/one, which is a bench"),
        (("runs/one", "--format", "inspect", "--out", "a.log"), "must end with .eval or .json"),
        (("runs/one", "--format", "jsonl", "--out", "runs"), "name a file in it: runs/one.jsonl"),
        (
            ("runs/one", "--format", "jsonl", "--force", "--out", "runs/one/bench.sqlite"),
            "is the run itself, which is never changed",
        ),
        (
            ("runs/one", "--format", "jsonl", "--force", "--out", "runs/two/bench.sqlite"),
            "is named as the file of a run, which is never changed",
        ),
    ],
)
def test_a_wrong_word_is_answered_with_what_to_type(run: Run, words: tuple[str, ...], told: str) -> None:
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert told in err
    assert "Traceback" not in err
