"""A run trained on a rubric whose judges stand behind a server: alone, in groups, and with the server gone."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from agentrl.cli.main import main
from agentrl.envs.rubrics.judges import close_judges
from tests.completions_server import Server, serving
from tests.envs.rubrics.judges.scripted import says, verdict

RUBRIC = """
[judge]
model = "m"
base_url = "{url}"
cache = ""
max_tries = {tries}

[[component]]
name = "kind"
use = "judge"
weight = 0.5
with = {{criteria = "It is kind.", shows = "last_turn"}}

[[component]]
name = "better"
use = "judge_listwise"
with = {{criteria = "The shorter, the better.", shows = "last_turn"}}
"""


def _short(body: dict[str, Any]) -> str:
    return verdict(body, lambda text: -len(text))


def _train(folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch, *, tries: int = 2) -> int:
    monkeypatch.chdir(folder)
    (folder / "rubric.toml").write_text(RUBRIC.format(url=server.url, tries=tries))
    words = ["train", "quickstart", "--rubric", "rubric.toml", "--num-steps", "1", "--groups-per-step", "2"]
    words += ["--group-size", "4", "--threads", "1", "--eval.num-episodes", "0", "--rollout.max-retries", "0"]
    try:
        return main([*words, "--name", "one"])
    finally:
        close_judges()


def _episodes(folder: Path) -> list[dict[str, Any]]:
    with sqlite3.connect(folder / "runs/one/rollouts.sqlite") as db:
        rows = db.execute("SELECT group_id, reward, rewards, messages, failure FROM episodes ORDER BY group_id, member")
        return [
            {"group": group, "reward": reward, **{name: json.loads(text or "null") for name, text in named}}
            for group, reward, *texts in rows.fetchall()
            for named in [list(zip(("rewards", "messages", "failure"), texts, strict=True))]
        ]


def test_judges_of_episodes_and_of_groups_reward_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(says(_short)) as server:
        assert _train(tmp_path, server, monkeypatch) == 0
    episodes = _episodes(tmp_path)
    assert len(episodes) == 8
    assert not any(each["failure"] for each in episodes)
    for each in episodes:
        assert each["reward"] == pytest.approx(0.5 * each["rewards"]["kind"] + each["rewards"]["better"])
    for group in (0, 1):
        lengths = []
        for each in episodes:
            if each["group"] == group:
                last = [message["content"] for message in each["messages"] if message["role"] == "assistant"][-1]
                lengths.append((len(last.strip()), each["rewards"]["better"]))
        shortest, longest = min(lengths), max(lengths)
        assert shortest[1] >= longest[1]
        assert sum(value for _, value in lengths) == pytest.approx(2.0)  # places of four, mapped to 0 … 1


def test_a_judge_that_is_gone_is_no_reward_of_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(says(_short)) as server:
        pass
    status = _train(tmp_path, server, monkeypatch, tries=1)
    told = capsys.readouterr().err
    assert status == 2
    assert "judge" in told
    episodes = _episodes(tmp_path)
    assert {each["failure"]["boundary"] for each in episodes} == {"judge"}
