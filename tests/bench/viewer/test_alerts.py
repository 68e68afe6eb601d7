"""Alerts of the watch in the viewer: marks on the chart of reward and success, and a list that leads to episodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentrl.bench.errors import StoreError
from agentrl.bench.viewer.alerts import MOST_ALERTS, read_shown, strokes_of
from agentrl.bench.viewer.curves import Picture, Stroke, options, pictures
from agentrl.bench.viewer.runs import Run, find_runs
from agentrl.trainer.errors import RunFolderError
from tests.bench.viewer.stores import metrics, write_training

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

ALERT: dict[str, Any] = {
    "step": 12,
    "began": 7,
    "env_id": "AgentRL/Search-v0",
    "kind": "divergence",
    "component": "length",
    "sentence": "since step 7 the mean reward rose while success fell.",
    "log_e": 8.0,
    "figures": {"reward_before": 0.2},
    "also": ["episodes went from 20 to 90 sampled tokens"],
    "examples": [{"step": 2, "group": 1, "member": 0, "reward": 0.9, "success": False, "text": "so many words"}],
}


def write_watched(folder: Path, *alerts: dict[str, Any]) -> Path:
    """Write a training run that was watched."""
    write_training(folder)
    rows = [{"step": step, **metrics(step), "watch/num_alerts": float(step >= 12)} for step in range(1, 21)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "alerts.jsonl").write_text("".join(json.dumps(alert) + "\n" for alert in alerts))
    return folder


def found_in(folder: Path) -> Run:
    (run,) = find_runs([folder])
    return run


def test_reward_and_success_share_the_first_chart() -> None:
    rows = [{"step": step, **metrics(step), "watch/num_alerts": 1.0} for step in range(1, 21)]
    stroke = Stroke(step=12, label="alert 1")
    first, *others = [picture for _, drawn in pictures([("a", rows)], strokes=(stroke,)) for picture in drawn]
    assert first.title == "Reward and success"
    assert [line.name for line in first.lines] == ["reward", "success"]
    assert first.strokes == (stroke,)
    assert not any(picture.strokes for picture in others)
    (mark,) = options(first)["series"][0]["markLine"]["data"]
    assert (mark["xAxis"], mark["label"]["formatter"]) == (11, "alert 1")
    assert options(first)["xAxis"]["data"][11] == "12"


def test_a_run_that_was_not_watched_has_no_such_chart() -> None:
    rows = [{"step": step, **metrics(step)} for step in range(1, 21)]
    assert "Reward and success" not in [each.title for _, drawn in pictures([("a", rows)]) for each in drawn]


def test_a_mark_of_an_averaged_run_is_at_the_nearest_step() -> None:
    rows = [{"step": step, **metrics(1), "watch/num_alerts": 0.0} for step in range(1, 2001)]
    sections = pictures([("a", rows)], strokes=(Stroke(step=1004, label="alert 1"),))
    picture: Picture = sections[0][1][0]
    drawn = options(picture)
    (mark,) = drawn["series"][0]["markLine"]["data"]
    assert abs(float(drawn["xAxis"]["data"][mark["xAxis"]]) - 1004) <= 3


def test_alerts_are_read_up_to_a_limit(tmp_path: Path) -> None:
    run = found_in(write_watched(tmp_path / "run", *[ALERT] * (MOST_ALERTS + 5)))
    alerts, left_out = read_shown(run, 0)
    assert len(alerts) == MOST_ALERTS
    assert "is too long to be shown" in left_out
    assert strokes_of(alerts)[-1] == Stroke(step=12, label=f"alert {MOST_ALERTS}")


def test_what_is_no_alert_is_said(tmp_path: Path) -> None:
    run = found_in(write_watched(tmp_path / "run", {**ALERT, "sentence": 7}))
    with pytest.raises(RunFolderError, match="line 1: no alert"):
        read_shown(run, 0)
    (tmp_path / "elsewhere").write_text("{}\n")
    (run.path / "alerts.jsonl").unlink()
    (run.path / "alerts.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is a link to another place"):
        read_shown(found_in(run.path), 0)
    (run.path / "alerts.jsonl").unlink()
    assert read_shown(run, 0) == ([], "")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a viewer of a hacked run and a clean one is."""
    from tests.bench.viewer.site import serve

    folder = tmp_path_factory.mktemp("watched")
    write_watched(folder / "hacked", ALERT)
    write_watched(folder / "clean")
    with serve(folder) as address:
        yield address


def test_marks_and_list_lead_to_the_episodes(day: BrowserContext, address: str) -> None:
    from playwright.sync_api import expect

    from tests.bench.viewer.site import watched

    with watched(day, address) as view:
        page = view.open("/")
        page.get_by_role("link", name="hacked").first.click()
        chart = page.locator(".chart-card.wide").first
        expect(chart).to_contain_text("Reward and success")
        expect(chart.locator("svg text", has_text="alert 1")).to_have_count(1)
        alert = page.locator(".alert")
        expect(alert).to_have_count(1)
        expect(alert).to_contain_text("divergence: length")
        expect(alert).to_contain_text(ALERT["sentence"])
        expect(alert).to_contain_text("episodes went from 20 to 90 sampled tokens")
        assert view.overflow() == 0
        alert.get_by_role("link", name="step 2, group 1, member 0: reward 0.9").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("train-1")
        page = view.open("/")
        page.get_by_role("link", name="clean").first.click()
        expect(page.locator(".chart-card.wide").first).to_contain_text("Reward and success")
        expect(page.locator(".alert")).to_have_count(0)
        expect(page.locator("svg text", has_text="alert 1")).to_have_count(0)
