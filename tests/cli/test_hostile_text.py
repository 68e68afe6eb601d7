"""What environments, servers and files say neither styles nor moves the terminal; why episodes failed is told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from agentrl.cli.main import main
from agentrl.envs.spaces import Unicode

ENV = "HostileText-v0"
NAME = "Hostile[/red]\x1b[2J"
SAID = "\x1b]0;taken\x07 [/red] the disk is gone"

Run = Callable[..., tuple[int, str, str]]


class Hostile(gymnasium.Env[str, str]):
    """Fails with what a terminal would obey, on all seeds but the first."""

    def __init__(self) -> None:
        self.action_space = Unicode(100)
        self.observation_space = Unicode(100)
        self.seed = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.seed = seed or 0
        return "go", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        if self.seed:
            raise OSError(SAID)
        return "", 1.0, True, False, {"success": True, "rewards": {"[/red]": 1.0}}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `agentrl` in this process, with a hostile environment."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(
        gymnasium.registry,
        ENV,
        gymnasium.envs.registration.EnvSpec(ENV, entry_point=Hostile, disable_env_checker=True),  # type: ignore[arg-type]
    )

    def call(*words: str) -> tuple[int, str, str]:
        status = main([*words])
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def test_why_episodes_failed_is_told_and_is_inert(run: Run) -> None:
    words = ("bench", "--env", ENV, "--agent", "random", "-n", "3", "--retries", "0", "--out")
    status, out, err = run(*words, "one")
    assert status == 1
    assert "2 × environment: OSError: \\x1b]0;taken\\x07 [/red] the disk is gone" in out
    assert run(*words, "two")[0] == 1
    for folder in ("one", "two"):
        with sqlite3.connect(f"{folder}/bench.sqlite") as db:
            db.execute("UPDATE episodes SET env_id = ?", (NAME,))
        db.close()
    status, shown, _ = run("compare", "one", "two")
    assert status == 0
    assert "Hostile[/red]\\x1b[2J" in shown
    assert "\x1b" not in out + shown + err


def test_what_a_file_says_is_inert_in_an_error(run: Run) -> None:
    run("bench", "--env", "Math-v0", "--agent", "oracle", "-n", "1", "--out", "one")
    with sqlite3.connect("one/bench.sqlite") as db:
        db.execute("UPDATE identity SET value = ? WHERE name = 'split'", (json.dumps("\x1b]0;taken\x07"),))
    db.close()
    status, _, err = run("bench", "--env", "Math-v0", "--agent", "oracle", "-n", "1", "--out", "one")
    assert status == 2
    assert "\x1b" not in err
    status, _, err = run("export", "no\x1b]0;taken\x07", "--format", "jsonl")
    assert (status, "\x1b" in err, "\\x1b]0;taken\\x07" in err) == (2, False, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("bench", "--agent", "oracle", "--kwargs", '{"difficulty": 3}'), "has no argument 'difficulty'"),
        (("bench", "--agent", "oracle", "--kwargs", '{"difficulty": 3}'), "; there are "),
        (("bench", "--agent", "hf:"), "names nothing behind the colon; type hf:PATH_OR_ID"),
        (("bench", "--agent", "openai:m", "--temperature", "nan"), "--temperature nan must be 0 or more"),
        (("bench", "--agent", "oracle", "--price", "nan,1"), "must be two numbers, each 0 or more"),
        (("bench", "--agent", "oracle", "--price=-1,1"), "must be two numbers, each 0 or more"),
        (("bench", "--agent", "oracle", "-n", "1000000000000"), "one bench plays 10000000 at most"),
        (("bench", "--agent", "oracle", "--seed", str(2**63)), "2**63 - 1"),
        (("play", "--seed", "-1"), "--seed -1 must be 0 or more"),
        (("play", "--seed", "-1", "--out", "x"), "seed=-1 must be 0 or more"),
        (("play", "--level", "99", "--out", "x"), "has no level 99; there are 1, 2"),
        (("play", "--kwargs", '{"difficulty": 3}', "--out", "x"), "has no argument 'difficulty'"),
    ],
)
def test_what_cannot_work_is_told_and_leaves_nothing(run: Run, words: tuple[str, ...], told: str) -> None:
    env = ("--env", "Math-v0") if words[0] == "bench" else ("Math-v0",)
    status, out, err = run(words[0], *env, *words[1:])
    assert (status, out) == (2, "")
    assert told in err
    assert list(Path().iterdir()) == []


def test_an_environment_that_raises_ends_a_game(run: Run) -> None:
    def raises(self: Hostile, **more: Any) -> Any:
        raise OSError(SAID)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hostile, "reset", raises)
        status, out, _ = run("play", ENV)
    assert status == 1
    assert "no result: the environment raised OSError: \\x1b]0;taken\\x07 [/red] the disk is gone" in out
