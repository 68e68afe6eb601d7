"""Runs are found, told apart and summed up, whatever else lies in their folders."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from agentrl.bench.errors import UsageError
from agentrl.bench.viewer.parts import progress_text
from agentrl.bench.viewer.runs import Library, Run, find_runs, number, overview
from tests.bench.viewer.stores import ENVS, write_bench, write_training


def _aged(folder: Path) -> None:
    old = time.time() - 3600
    for path in folder.iterdir():
        os.utime(path, (old, old))


def test_runs_are_found_at_any_depth_once(tmp_path: Path) -> None:
    write_bench(tmp_path / "runs" / "a" / "deep", "oracle", share=1.0, num_tasks=8)
    write_training(tmp_path / "runs" / "b")
    (tmp_path / "runs" / "b" / "checkpoints" / "step_1").mkdir(parents=True)
    (tmp_path / "runs" / ".hidden").mkdir()
    shutil.copy(tmp_path / "runs" / "b" / "metrics.jsonl", tmp_path / "runs" / ".hidden")
    found = find_runs([tmp_path / "runs", tmp_path / "runs" / "b", tmp_path / "nothing"])
    assert sorted((run.kind, run.name) for run in found) == [("bench", "a/deep"), ("training", "b")]
    assert all(run.key.isalnum() for run in found)
    assert find_runs([tmp_path / "runs" / "b"])[0].key == next(run.key for run in found if run.name == "b")


def test_a_bench_is_summed_up(tmp_path: Path) -> None:
    write_bench(tmp_path / "bench", "oracle", share=1.0)
    [run] = find_runs([tmp_path])
    found = overview(run)
    assert (found.about, found.envs, found.done, found.total, found.failures) == ("oracle", ENVS, 60, 60, 2)
    assert (found.success.value, found.reward, found.state, found.trouble) == (1.0, 1.0, "finished", "")


def test_a_training_run_is_summed_up(tmp_path: Path) -> None:
    write_training(tmp_path / "run")
    [run] = find_runs([tmp_path])
    found = overview(run)
    assert (found.envs, found.done, found.total, found.state) == (ENVS[1:], 20, 20, "finished")
    assert (found.success.before, found.success.value) == (0.3, 0.8)
    assert (found.greedy.before, found.greedy.value, found.seconds) == (0.4, 0.9, 75.0)
    assert found.reward == pytest.approx(0.6)


def test_whether_a_training_run_goes_on(tmp_path: Path) -> None:
    folder = write_training(tmp_path / "run", done=False)
    [run] = find_runs([tmp_path])
    found = overview(run)
    assert found.state == "running"  # it wrote a moment ago
    assert found.success.value == pytest.approx(0.6)  # of training alone
    assert found.success.before is None
    _aged(folder)
    assert overview(run).state == "stopped"
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        _aged(folder)
        assert overview(run).state == "running"


def test_a_bench_that_lacks_episodes_is_not_finished(tmp_path: Path) -> None:
    folder = write_bench(tmp_path / "run", "a", share=0.5)
    db = sqlite3.connect(folder / "bench.sqlite")
    db.execute("DELETE FROM episodes WHERE seed > 10")
    db.commit()
    db.close()
    [run] = find_runs([tmp_path])
    assert overview(run).state == "running"
    _aged(folder)
    assert (overview(run).state, overview(run).done, overview(run).total) == ("stopped", 44, 60)


@pytest.mark.parametrize(
    "line",
    ['{"step": 1', '{"step": 1}\n{"step": 1}\n', "[" * 100_000 + "\n", '{"step": "<b>"}\n', "\x00\xff\n", '"text"\n'],
)
def test_spoiled_metrics_are_trouble_and_no_traceback(tmp_path: Path, line: str) -> None:
    folder = write_training(tmp_path / "run")
    (folder / "metrics.jsonl").write_text(line, encoding="utf-8")
    [run] = find_runs([tmp_path])
    found = overview(run)
    assert found.done == 0
    assert bool(found.trouble) == ("\n" in line)  # half a line is being written; a whole one is wrong


def test_spoiled_settings_leave_the_rest(tmp_path: Path) -> None:
    folder = write_training(tmp_path / "run")
    (folder / "config.toml").write_bytes(b"env = [1,\n\xff\x00")
    (folder / "summary.json").write_text("[" * 100_000)
    [run] = find_runs([tmp_path])
    assert (overview(run).envs, overview(run).done) == ((), 20)


def test_a_spoiled_bench_says_why(tmp_path: Path) -> None:
    (tmp_path / "bench.sqlite").write_bytes(b"nonsense" * 1000)
    [run] = find_runs([tmp_path])
    assert "damaged" in overview(run).trouble


@pytest.mark.parametrize("value", ["Infinity", "1e999", "NaN", "1" + "0" * 4000, "[]", "[" * 100_000, "null"])
@pytest.mark.parametrize("name", ["num_tasks", "levels", "envs"])
def test_no_bench_hides_the_others(tmp_path: Path, name: str, value: str) -> None:
    folder = write_bench(tmp_path / "run", "a", share=0.5, num_tasks=8)
    db = sqlite3.connect(folder / "bench.sqlite")
    db.execute("UPDATE identity SET value = ? WHERE name = ?", (value, name))
    db.commit()
    db.close()
    found = overview(find_runs([tmp_path])[0])
    assert found.total is None or found.total == 0 or value == "[]"
    assert progress_text(found)


def test_whatever_reading_raises_is_said_of_that_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bench(tmp_path / "run", "a", share=0.5, num_tasks=8)
    [run] = find_runs([tmp_path])
    for error in (OverflowError, MemoryError, AttributeError, RecursionError, KeyError):

        def fail(run: Run, error: type[Exception] = error) -> None:
            raise error("x" * 5000)

        monkeypatch.setattr("agentrl.bench.viewer.runs._bench", fail)
        assert error.__name__ in overview(run).trouble
        assert len(overview(run).trouble) <= 1000


def test_success_is_a_share_of_what_did_not_fail(tmp_path: Path) -> None:
    folder = write_bench(tmp_path / "run", "a", share=0.0, num_tasks=8)
    db = sqlite3.connect(folder / "bench.sqlite")
    db.execute("UPDATE episodes SET success = 1 WHERE failure IS NOT NULL")
    assert db.execute("UPDATE episodes SET success = 7 WHERE seed < 4").rowcount == 16
    assert db.execute("SELECT count(*) FROM episodes WHERE failure IS NOT NULL").fetchone() == (2,)
    db.commit()
    db.close()
    [run] = find_runs([tmp_path])
    assert overview(run).success.value == pytest.approx(16 / 30)
    training = write_training(tmp_path / "training")
    (training / "summary.json").write_text('{"success_before": 0.5, "success_after": 3.0, "greedy_after": -1}')
    [run] = find_runs([training])
    assert overview(run).success.value == pytest.approx(0.6)
    assert overview(run).greedy.value is None


def test_weights_of_environments_are_named(tmp_path: Path) -> None:
    folder = write_training(tmp_path / "run")
    (folder / "config.toml").write_text('[env]\n"A-v0" = 0.5\n"B-v0" = 0.5\n')
    assert overview(find_runs([tmp_path])[0]).envs == ("A-v0", "B-v0")


def test_the_library_keeps_order_and_sees_what_comes_and_goes(tmp_path: Path) -> None:
    write_bench(tmp_path / "one", "a", share=0.5, num_tasks=8)
    library = Library([tmp_path])
    assert [run.name for run in library.runs()] == ["one"]
    write_bench(tmp_path / "two", "a", share=0.5, num_tasks=8)
    os.utime(tmp_path / "one" / "bench.sqlite")  # the older one is written again
    assert [run.name for run in library.runs(within_s=0)] == ["two", "one"]
    key = library.runs()[0].key
    assert library.run(key).name == "two"
    shutil.rmtree(tmp_path / "two")
    assert [run.name for run in library.runs(within_s=0)] == ["one"]
    with pytest.raises(UsageError, match="moved or deleted"):
        library.run(key)


def test_numbers_are_finite_or_none() -> None:
    values = [1, 2.5, True, "3", None, float("nan"), float("inf"), 10**400, b"1"]
    assert [number(value) for value in values] == [1.0, 2.5, None, None, None, None, None, None, None]
    assert json.dumps(number(1)) == "1.0"
