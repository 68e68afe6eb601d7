"""`agentrl play --out`: a person's episodes are a bench, which goes on where it was left and compares with others."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import gymnasium
import pytest

from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode
from agentrl.cli.main import main

Run = Callable[..., tuple[int, str, str]]

CALL = '<tool_call>{"name": "search", "arguments": {"query": "Henvis Shore", "k": 3}}</tool_call>\n\n'
ANSWER = "<answer>Tata Nana</answer>\n\n"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `agentrl` in this process with what a person types."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def call(*words: str, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        try:
            status = main([*words])
        except SystemExit as exit:
            status = exit.code if isinstance(exit.code, int) else 2
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def _stored(folder: str = "me") -> list[Episode]:
    with BenchStore(Path(folder)) as store:
        return list(store.episodes())


def test_a_session_is_left_gone_on_with_and_compared(run: Run) -> None:
    words = ("play", "Search-v0", "--out", "me", "-n", "2", "--name", "Ada")
    status, out, err = run(*words, typed=CALL + ANSWER + CALL)
    assert (status, err) == (0, "")
    assert "task 1 of 2" in out
    assert "tool> [d2] Henvis Shore: Its governor is Tata Nana." in out
    assert "success: reward 1 (exact_match 1" in out
    assert "left before the end; what was finished is in me; type the same command to go on" in out
    (episode,) = _stored()  # half an episode is none
    assert (episode.success, episode.num_turns, len(episode.latencies)) == (True, 2, 2)
    assert [message["role"] for message in episode.messages] == ["system", "user", "assistant", "tool", "assistant"]

    status, out, _ = run(*words, typed="I say\n<answer>nothing</answer>\n\n")
    assert status == 0
    assert "task 2 of 2" in out
    assert "task 1 of 2" not in out
    assert "1 episode played, all 2 are in me" in out
    assert [each.success for each in _stored()] == [True, False]
    assert _stored()[1].messages[2]["content"] == "I say\n<answer>nothing</answer>"
    assert "0 episodes played, all 2 are in me" in run(*words)[1]

    assert run("bench", "--env", "Search-v0", "--agent", "oracle", "-n", "2", "--out", "oracle")[0] == 0
    status, out, err = run("compare", "me", "oracle")
    assert (status, err) == (0, "")  # the same tasks under the same settings
    assert "me (person:Ada) and oracle (oracle): success" in out


def test_another_session_in_the_same_folder_is_refused(run: Run) -> None:
    run("play", "Math-v0", "--out", "me", "-n", "1", typed="<answer>1</answer>\n\n")
    status, _, err = run("play", "Math-v0", "--out", "me", "-n", "1", "--level", "2", typed="<answer>1</answer>\n\n")
    assert status == 2
    assert "levels was [] and is [2]" in err


def test_what_fails_is_recorded_as_that_and_the_session_goes_on(run: Run) -> None:
    class Flaky(gymnasium.Env[str, str]):
        def __init__(self) -> None:
            self.action_space = self.observation_space = gymnasium.spaces.Text(100)
            self.seed = 0

        def reset(self, *, seed: int | None = None, options: object = None) -> tuple[str, dict[str, object]]:
            super().reset(seed=seed)
            self.seed = seed or 0
            return "go", {}

        def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, object]]:
            if self.seed == 0:
                raise OSError("the disk is gone")
            return "\x1b[2Jbye", 1.0, True, False, {"success": True}

    gymnasium.register(id="PlayFlaky-v0", entry_point=lambda **kwargs: Flaky(), disable_env_checker=True)
    try:
        status, out, _ = run("play", "PlayFlaky-v0", "--out", "me", "-n", "2", typed="a\n\nb\n\n")
        assert status == 1
        assert "no result: OSError: the disk is gone" in out
        assert "user> \\x1b[2Jbye" in out
        assert "\x1b" not in out
        first, second = _stored()
        assert first.failure is not None
        assert second.success is True
        assert run("play", "PlayFlaky-v0", "--out", "me", "-n", "2")[1].count("task 1 of 2") == 0  # one is left to play
    finally:
        del gymnasium.registry["PlayFlaky-v0"]


def test_ctrl_c_keeps_what_was_finished(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(io.StringIO):
        def __next__(self) -> str:  # type: ignore[override]  # as a text file's
            line = super().readline()
            if line == "^C\n":
                raise KeyboardInterrupt
            return line

    typed = Interrupted("<answer>1</answer>\n\n^C\n")
    made = main

    def call() -> int:
        monkeypatch.setattr(sys, "stdin", typed)
        return made(["play", "Math-v0", "--out", "me", "-n", "3"])

    assert call() == 130
    assert len(_stored()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("Math-v0", "-n", "3"), "-n has no effect on a game that is not kept; add --out"),
        (("Math-v0", "--name", "Ada"), "--name has no effect on a game that is not kept; add --out"),
        (("Math-v0", "--out", "me", "--oracle"), "agentrl bench --env Math-v0 --agent oracle --out DIR"),
        (("Math-v0", "--out", "me", "-n", "0"), "num_tasks=0 must be 1 or more"),
        (("Math-v0", "--out", "me", "--kwargs", "[]"), "--kwargs '[]' is not a JSON object"),
        (("Math-v0", "--out", "me", "--split", "tset"), "did you mean 'test'"),
    ],
)
def test_a_wrong_word_is_answered_with_what_to_type(run: Run, words: tuple[str, ...], told: str) -> None:
    status, out, err = run("play", *words)
    assert (status, out) == (2, "")
    assert told in err
    assert not Path("me").exists()
