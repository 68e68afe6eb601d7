"""Leaderboards over real runs: who shares a table, who a place, and a page on which nothing of a run takes effect."""

from __future__ import annotations

import json
import shlex
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from agentrl.bench import run as bench_run
from agentrl.bench.endpoint import EndpointSettings
from agentrl.bench.errors import UsageError
from agentrl.bench.leaderboard import boards, draw
from agentrl.bench.reproduce import command_of
from agentrl.bench.run import Settings, run
from agentrl.cli.main import main

SCRIPT = "<script>document.title='taken'</script>"


def bench(folder: Path, agent: str, **more: Any) -> Path:
    values: dict[str, Any] = {"envs": ("AgentRL/Math-v0",), "num_tasks": 12, "concurrency": 4} | more
    run(Settings(agent=agent, **values), folder)
    return folder


def test_runs_that_cannot_be_told_apart_share_a_place(tmp_path: Path) -> None:
    for agent in ("noop", "oracle", "random"):
        bench(tmp_path / agent, agent)
    bench(tmp_path / "few", "oracle", num_tasks=5)
    (first, second), troubles = boards([tmp_path])
    assert not troubles
    assert [(entry.agent, entry.place) for entry in first.entries] == [("oracle", 1), ("noop", 2), ("random", 2)]
    assert [(entry.agent, entry.place) for entry in second.entries] == [("oracle", 1)]
    assert first.settings["num_tasks"] == 12
    text = draw([first, second], title="Ours")
    assert text.count("<table>") == 2
    assert "100.0" in text
    assert "<script" not in text


def test_an_unfinished_run_has_no_place(tmp_path: Path) -> None:
    bench(tmp_path / "oracle", "oracle")
    bench(tmp_path / "noop", "noop")
    with sqlite3.connect(tmp_path / "noop" / "bench.sqlite") as db:
        db.execute("DELETE FROM episodes WHERE seed > 8")
    (board,), _ = boards([tmp_path])
    assert [(entry.agent, entry.place, entry.note) for entry in board.entries] == [
        ("oracle", 1, ""),
        ("noop", None, "9 of 12 episodes are played"),
    ]


def test_what_a_run_says_is_text(tmp_path: Path) -> None:
    folder = bench(tmp_path / "run", "oracle")
    with sqlite3.connect(folder / "bench.sqlite") as db:
        for name in ("agent", "split"):
            db.execute("UPDATE identity SET value = ? WHERE name = ?", (json.dumps(SCRIPT), name))
        db.execute("UPDATE identity SET value = ? WHERE name = 'env_kwargs'", (json.dumps({SCRIPT: SCRIPT}),))
    tables, _ = boards([tmp_path])
    text = draw(tables, title=SCRIPT)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "default-src 'none'" in text


def test_a_broken_store_is_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    bench(tmp_path / "runs" / "good", "oracle")
    (tmp_path / "runs" / "bad").mkdir()
    (tmp_path / "runs" / "bad" / "bench.sqlite").write_bytes(b"no database, but long enough to be read as one" * 40)
    assert main(["leaderboard", "--out", "page.html"]) == 1
    told = capsys.readouterr()
    assert "runs/bad" in told.err
    assert "1 run in 1 table: page.html" in told.out
    assert "oracle" in (tmp_path / "page.html").read_text()
    with pytest.raises(UsageError, match=r"no bench in .*agentrl bench --env"):
        boards([tmp_path / "nowhere"])


def test_only_a_leaderboard_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    bench(tmp_path / "runs" / "good", "oracle", num_tasks=1)
    store = tmp_path / "runs" / "good" / "bench.sqlite"
    before = store.read_bytes()
    Path("mine.py").write_text("x = 1\n")
    assert main(["leaderboard", "--out", "new/page.html"]) == 0
    assert main(["leaderboard", "--out", "new/page.html"]) == 0  # one of ours
    capsys.readouterr()
    assert main(["leaderboard", "--out", "mine.py"]) == 2
    assert "mine.py is there and no leaderboard; type --force to replace it" in capsys.readouterr().err
    assert Path("mine.py").read_text() == "x = 1\n"
    assert main(["leaderboard", "--out", "mine.py", "--force"]) == 0
    assert "agentrl leaderboard" in Path("mine.py").read_text()
    for name in ("bench.sqlite", "rollouts.sqlite", "metrics.jsonl"):
        assert main(["leaderboard", "--out", f"runs/good/{name}", "--force"]) == 2
        assert "is named as the file of a run, which is never changed" in capsys.readouterr().err
    assert store.read_bytes() == before
    for out, told in (("mine.py/page.html", "cannot be written"), ("runs", "is a folder; name a file in it")):
        assert main(["leaderboard", "--out", out]) == 2
        assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings",
    [
        Settings(envs=("AgentRL/Math-v0",), agent="oracle", num_tasks=20),
        Settings(
            envs=("AgentRL/Math-v0", "AgentRL/Search-v0"),
            agent="cheat:an answer of blanks",
            num_tasks=7,
            num_samples=4,
            levels=(1, 3),
            split="train",
            seed=11,
            env_kwargs={"max_turns": 3},
            deadline_s=12.5,
            turn_s=7.0,
        ),
        Settings(
            envs=("AgentRL/Math-v0",),
            agent="openai:a model",
            num_tasks=3,
            endpoint=EndpointSettings(base_url="http://127.0.0.1:9/v1", tools="text", temperature=0.25, max_tokens=64),
        ),
    ],
    ids=["plain", "all", "endpoint"],
)
def test_the_command_makes_the_same_run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []

    def watched(given: Settings, folder: Path, **more: Any) -> int:
        seen.append(given)
        raise UsageError("seen")

    monkeypatch.setattr(bench_run, "run", watched)
    words = shlex.split(command_of(settings.identity()))
    assert words[:2] == ["agentrl", "bench"]
    assert main(words[1:]) == 2
    assert seen[0].identity() == settings.identity()


def test_a_command_holds_no_password() -> None:
    identity = {"agent": "openai:m", "envs": ["E"], "num_tasks": 1, "agent_settings": {"base_url": "http://u:p@h/v1"}}
    assert command_of(identity) == "agentrl bench --env E --agent openai:m -n 1 --base-url http://h/v1"


def test_a_person_and_a_rubric_have_their_own_commands() -> None:
    person = {"agent": "person:Ada L", "envs": ["AgentRL/Math-v0"], "num_tasks": 5, "split": "test"}
    assert command_of(person) == "agentrl play AgentRL/Math-v0 --name 'Ada L' -n 5"
    scored = {"agent": "oracle", "envs": ["E"], "num_tasks": 1, "rescored": {"rubric": "mine:brief"}}
    assert command_of(scored).endswith("--out RUN && agentrl rescore RUN --rubric mine:brief")
