"""Alerts as records and as a file; what a damaged file says; which keys of `[watch]` are refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agentrl.trainer.config import CheckpointConfig, TrainConfig, from_mapping
from agentrl.trainer.errors import ConfigError, RunFolderError
from agentrl.trainer.report import write_report
from agentrl.trainer.watch.alerts import ALERTS, Alert, examples_of, lines_of_alerts, read_alerts
from agentrl.trainer.watch.config import WatchConfig
from tests.trainer.episodes import blank_episode


def an_alert(**changes: Any) -> Alert:
    told: dict[str, Any] = {
        "step": 9,
        "began": 5,
        "env_id": "Toy",
        "kind": "divergence",
        "component": "length",
        "sentence": "It rose.",
        "log_e": 7.5,
        "figures": {"reward_before": 0.1},
        "also": ("so did \u2028 length",),
        "examples": examples_of([blank_episode(reward=1.0, messages=[{"role": "assistant", "content": "\x1b[2J"}])]),
    }
    return Alert(**(told | changes))


def test_the_best_paid_failures_are_shown() -> None:
    episodes = [blank_episode(member=place, reward=place / 10, success=place == 9) for place in range(10)]
    episodes.append(blank_episode(member=10, reward=5.0, failure={"kind": "timeout"}))
    assert [each.member for each in examples_of(episodes)] == [8, 7, 6]
    assert [each.member for each in examples_of(episodes, first=lambda one: float(one.member == 2))] == [2, 8, 7]


def test_long_texts_are_cut_in_the_middle() -> None:
    (one,) = examples_of([blank_episode(messages=[{"role": "assistant", "content": "a" * 999 + "b" * 999}])])
    assert len(one.text) <= 400
    assert one.text.startswith("aaa")
    assert one.text.endswith("bbb")


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    assert read_alerts(tmp_path) == []
    alerts = [an_alert(), an_alert(step=12, kind="tamper", component="", also=(), examples=())]
    (tmp_path / ALERTS).write_text(lines_of_alerts(alerts))
    assert read_alerts(tmp_path) == alerts


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"step": 1}', "[" * 5000])
def test_a_damaged_file_is_refused_by_line(tmp_path: Path, line: str) -> None:
    (tmp_path / ALERTS).write_text(lines_of_alerts([an_alert()]) + line + "\n")
    with pytest.raises(RunFolderError, match=re.escape(f"{ALERTS}, line 2: no alert")):
        read_alerts(tmp_path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"on_alert": "pasue"}, "did you mean 'pause'"),
        ({"on_alert": "off", "tolerance": 0.5}, "watch.tolerance is 0.5, which changes nothing"),
        ({"on_alert": "off", "false_alarms": 0.5}, "watch.false_alarms is 0.5, which changes nothing"),
        ({"false_alarms": 0.0}, "must lie between 0 and 1"),
        ({"tolerance": 0.0}, "must lie between 0.12 and 10"),
        ({"alpha": 0.1}, "there is no key 'watch.alpha'"),
    ],
)
def test_keys_that_cannot_be_right(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        from_mapping(TrainConfig, {"watch": values})


def test_a_rollback_needs_checkpoints_to_go_back_to() -> None:
    watch = WatchConfig(on_alert="rollback")
    with pytest.raises(ConfigError, match=r"reach only 10 steps back.*write checkpoint.keep = 4"):
        TrainConfig(watch=watch)
    for every, keep in ((10, 4), (30, 2), (1, 31)):
        TrainConfig(watch=watch, checkpoint=CheckpointConfig(every=every, keep=keep))


def test_the_report_shows_alerts_and_keeps_them_inert(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>"
    rows = [
        {"step": step, "success": 0.5, "reward": step / 20, "watch/num_alerts": float(step > 8)}
        for step in range(1, 21)
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = an_alert(component=attack, sentence=attack, also=(attack,))
    (tmp_path / ALERTS).write_text(lines_of_alerts([told]))
    page = write_report(tmp_path).read_text()
    assert "Alerts of the watch" in page
    assert "Reward and success" in page
    assert page.count('<line class="flag"') == 1
    assert "step 9: divergence: &lt;script" in page
    assert "\\x1b</span>[2J" in page
    assert "<script" not in page
    (tmp_path / ALERTS).unlink()
    page = write_report(tmp_path).read_text()
    assert "Alerts of the watch" not in page
    assert '<line class="flag"' not in page
