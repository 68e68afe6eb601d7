"""Which lines a chart has, with what figures; and that no name of a run becomes code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrl.bench.errors import StoreError
from agentrl.bench.store import BenchStore
from agentrl.bench.summary import summarize
from agentrl.bench.viewer.curves import MOST_CHARTS, NUM_POINTS, Picture, options, pictures
from agentrl.bench.viewer.results import read_identity, read_results
from agentrl.bench.viewer.runs import find_runs, overview
from agentrl.bench.viewer.steps import read_steps
from agentrl.trainer.errors import RunFolderError
from tests.bench.viewer.stores import ATTACK, metrics, write_bench, write_training


def _rows(steps: int, **more: float) -> list[dict[str, Any]]:
    return [{"step": step, **metrics(step), **more} for step in range(1, steps + 1)]


def _titled(sections: list[tuple[str, list[Picture]]]) -> dict[str, Picture]:
    return {picture.title: picture for _, drawn in sections for picture in drawn}


def test_one_run_has_a_colour_for_each_metric() -> None:
    found = _titled(pictures([("a", _rows(20))]))
    assert [(line.name, line.color, line.dash) for line in found["Reward"].lines] == [
        ("mean", 0, 0),
        ("deviation", 1, 0),
    ]
    assert found["Reward components"].lines[0].ys[0] == pytest.approx(0.22)
    assert (found["Success"].unit, found["Success"].lines[0].xs[-1]) == ("%", 20.0)


def test_several_runs_share_a_chart_in_a_colour_each() -> None:
    found = _titled(pictures([("a", _rows(20)), ("b", _rows(5))]))
    lines = found["Reward"].lines
    assert [(line.run, line.name, line.color, line.dash) for line in lines] == [
        ("a", "mean", 0, 0), ("a", "deviation", 0, 1), ("b", "mean", 1, 0), ("b", "deviation", 1, 1),
    ]  # fmt: skip
    drawn = options(found["Success"])
    assert [each["name"] for each in drawn["series"] if "name" in each] == ["a", "b"]
    assert drawn["xAxis"]["data"] == [str(step) for step in range(1, 21)]
    short = next(each for each in drawn["series"] if each.get("name") == "b")
    assert short["data"][:2] == [[0, 22.0, "22.0%"], [1, 24.0, "24.0%"]]
    assert [point[0] for point in short["data"]] == [0, 1, 2, 3, 4]


def test_any_metric_is_found_by_its_name() -> None:
    assert list(_titled(pictures([("a", _rows(3))], find="KL"))) == ["KL to the reference"]
    assert "Num tokens" in _titled(pictures([("a", _rows(3))], find="num_tok"))
    assert "Num tokens" not in _titled(pictures([("a", _rows(3))]))
    assert pictures([("a", _rows(3))], find="nothing such") == []


def test_a_long_run_is_thinned() -> None:
    line = _titled(pictures([("a", _rows(10_000))]))["Reward"].lines[0]
    assert NUM_POINTS / 2 <= len(line.xs) <= NUM_POINTS
    assert list(line.xs) == sorted(set(line.xs))


def test_any_number_of_metrics_gives_a_page_that_can_be_shown() -> None:
    rows = _rows(2, **{f"mine/{number}": 1.0 for number in range(1000)})
    assert len(_titled(pictures([("a", rows)]))) == MOST_CHARTS
    assert "Mine/999" in _titled(pictures([("a", rows)], find="mine/999"))


def test_values_that_are_none_are_left_out() -> None:
    rows: list[dict[str, Any]] = [
        {"step": 1, "success": "no", "reward": None},
        {"step": 2, "success": float("nan"), "reward": True},
    ]
    assert pictures([("a", rows), ("b", rows[:0])]) == []
    assert pictures([]) == []


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from _keys(each)
    elif isinstance(value, list):
        for each in value:
            yield from _keys(each)


def test_no_name_becomes_a_key() -> None:
    plain = {key for picture in _titled(pictures([("a", _rows(30))])).values() for key in _keys(options(picture))}
    rows = _rows(30, **{ATTACK: 1.0, f"rewards/{ATTACK}/mean": 0.5, ":formatter": 2.0, "rewards/:x/mean": 0.1})
    for find in ("", "formatter", "rewards"):
        for picture in _titled(pictures([(ATTACK, rows), (":b", rows)], find=find)).values():
            drawn = options(picture)
            assert set(_keys(drawn)) <= plain
            assert not any(key.startswith(":") for key in _keys(drawn))
            assert "\u202e" not in json.dumps(drawn, ensure_ascii=False)


def test_metrics_of_a_run(tmp_path: Path) -> None:
    run = find_runs([write_training(tmp_path / "run")])[0]
    assert len(read_steps(run)[0]) == 20
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 21, "succ')  # half a line, as while it is written
    assert len(read_steps(run)[0]) == 20
    (run.path / "metrics.jsonl").write_text("nonsense\n")
    with pytest.raises(RunFolderError, match="line 1"):
        read_steps(run)
    (run.path / "metrics.jsonl").unlink()
    assert read_steps(run) == ([], "")


def test_metrics_without_end_are_read_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = find_runs([write_training(tmp_path / "run")])[0]
    path = run.path / "metrics.jsonl"
    size = path.stat().st_size
    monkeypatch.setattr("agentrl.bench.viewer.steps.MOST_BYTES", size - 1)
    rows, left_out = read_steps(run)
    assert (len(rows), left_out) == (19, f"{path} is too long to be shown: what follows step 19 is left out")
    assert left_out in overview(run).trouble
    monkeypatch.setattr("agentrl.bench.viewer.steps.MOST_BYTES", size)
    monkeypatch.setattr("agentrl.bench.viewer.steps.MOST_VALUES", 2 * len(rows[0]))
    assert len(read_steps(run)[0]) == 2
    monkeypatch.setattr("agentrl.bench.viewer.steps.MOST_LINE", 20)
    with pytest.raises(StoreError, match=r"a line has \d+ bytes"):
        read_steps(run)


def test_what_is_no_number_takes_no_memory(tmp_path: Path) -> None:
    run = find_runs([write_training(tmp_path / "run")])[0]
    (run.path / "metrics.jsonl").write_text('{"step": 1, "a": [[], []], "b": "text", "c": true, "d": 2.5}\n')
    assert read_steps(run)[0] == [{"step": 1, "a": None, "b": None, "c": None, "d": 2.5}]


def test_scores_are_those_that_the_bench_prints(tmp_path: Path) -> None:
    folder = write_bench(tmp_path / "run", "a", share=0.5)
    [run] = find_runs([folder])
    with BenchStore(folder) as store:
        assert list(read_results(run).summaries) == summarize(store.episodes())
        assert read_identity(run) == store.identity
