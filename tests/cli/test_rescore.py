"""`agentrl rescore` as a user meets it: a table, a folder that is found again, and the next thing to type."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentrl.cli.main import main

Run = Callable[..., tuple[int, str, str]]

RUBRICS = """
def brief(episode):
    return {"outcome": episode.reward, "length": -0.1 * episode.num_turns}
def picky(episode):
    return episode.reward if episode.seed else 1 / 0
def truth(episode):
    return episode.expected
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `agentrl` in this process, in a folder with a bench and a module of rubrics."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "graders", raising=False)
    Path("graders.py").write_text(RUBRICS)
    main(["bench", "--env", "ToolUse-v0", "--agent", "oracle", "-n", "4", "--out", "one"])
    capsys.readouterr()

    def call(*words: str) -> tuple[int, str, str]:
        try:
            status = main([*words])
        except SystemExit as exit:
            status = exit.code if isinstance(exit.code, int) else 2
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def test_a_table_a_folder_and_a_comparison(run: Run) -> None:
    status, out, err = run("rescore", "one", "--rubric", "graders:brief", "--out", "two")
    assert (status, err) == (0, "")
    assert "4 episodes scored by graders:brief, 4 of them differently; all are in two" in out
    status, out, _ = run("compare", "one", "two", "--metric", "reward")
    assert status == 0
    assert "one (oracle) and two (oracle): reward" in out


def test_the_same_command_finds_its_folder_again_and_says_what_it_could_not_score(run: Run) -> None:
    words = ("rescore", "one", "--rubric", "graders:picky", "--json")
    status, out, err = run(*words)
    assert (status, err) == (1, "")
    told = json.loads(out)
    assert (told["num_scored"], told["num_errors"]) == (3, 1)
    assert Path(told["folder"]).name.startswith("one-graders-picky-")
    assert json.loads(run(*words)[1]) == told
    assert sorted(path.name for path in Path().iterdir() if path.is_dir()) == sorted(
        ["one", Path(told["folder"]).name, *(["__pycache__"] if Path("__pycache__").exists() else [])]
    )
    status, out, _ = run(*words[:-1])
    assert status == 1
    assert "level 0 seed 0 sample 0: ZeroDivisionError: division by zero" in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nowhere", "--rubric", "stored"), "holds neither bench.sqlite nor rollouts.sqlite"),
        (("one", "--rubric", "stored", "--out", "one"), "is the run itself, which is never changed"),
        (("one", "--rubric", "graders:breif"), "did you mean 'brief'"),
        (("one", "--rubric", "graders:truth"), "an episode has no 'expected' for rubrics"),
        (("one", "--rubric", "stored", "--phase", "train"), "has no effect on one, which is a bench"),
        (("one",), "--rubric"),
    ],
)
def test_a_wrong_word_is_answered_with_what_to_type(run: Run, words: tuple[str, ...], told: str) -> None:
    status, out, err = run("rescore", *words)
    assert (status, out) == (2, "")
    assert told in err
    assert "Traceback" not in err
