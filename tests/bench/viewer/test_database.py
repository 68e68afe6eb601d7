"""Reading leaves a run as it is: no file comes, none changes, no writer waits; what cannot be read says why."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agentrl.bench.compare import compare
from agentrl.bench.errors import StoreError
from agentrl.bench.store import BenchStore
from agentrl.bench.viewer.database import reading, stamp
from tests.bench.viewer.stores import ENVS, identity, played, write_bench

KILLED = """
import os, signal, sys
from pathlib import Path
from agentrl.bench.store import BenchStore
from tests.bench.viewer.stores import ENVS, identity, played
store = BenchStore(Path(sys.argv[1]), identity("a", 3))
store.add(played(ENVS[0], 1, 0, right=True))
os.kill(os.getpid(), signal.SIGKILL)
"""


def _files(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(folder.iterdir())}


def _count(path: Path) -> int:
    with reading(path) as db:
        return int(db.execute("SELECT count(*) FROM episodes").fetchone()[0])


def test_a_finished_run_is_not_touched(tmp_path: Path) -> None:
    folder = write_bench(tmp_path / "run", "a", share=0.5)
    before = _files(folder)
    assert _count(folder / "bench.sqlite") == 60
    assert _files(folder) == before


def test_a_file_left_in_write_ahead_mode_is_not_touched(tmp_path: Path) -> None:
    folder = write_bench(tmp_path / "run", "a", share=0.5)
    db = sqlite3.connect(folder / "bench.sqlite")
    db.execute("PRAGMA journal_mode = WAL")
    db.close()  # the last to leave takes log and index away; the mode stays
    before = _files(folder)
    assert not {"bench.sqlite-wal", "bench.sqlite-shm"} & set(before)
    assert _count(folder / "bench.sqlite") == 60
    assert _files(folder) == before


def test_a_run_that_goes_on_is_read_and_does_not_wait(tmp_path: Path) -> None:
    with BenchStore(tmp_path / "run", identity("a", 3)) as store:
        path = store.path
        store._connection().execute("PRAGMA busy_timeout = 0")  # whoever makes it wait makes it fail
        store.add(played(ENVS[0], 1, 0, right=True))
        before = sorted(each.name for each in path.parent.iterdir())
        first = stamp(path)
        with reading(path) as db:
            assert db.execute("SELECT count(*) FROM episodes").fetchone()[0] == 1
            store.add(played(ENVS[0], 1, 1, right=True))
        assert _count(path) == 2
        assert stamp(path) != first
        assert sorted(each.name for each in path.parent.iterdir()) == before


def test_a_killed_run_is_read_with_what_stands_in_its_log(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "run")]
    assert subprocess.run(command, cwd=root, env=environment, check=False).returncode == -signal.SIGKILL
    before = _files(tmp_path / "run")
    assert {"bench.sqlite-wal", "bench.sqlite-shm"} < set(before)
    assert _count(tmp_path / "run" / "bench.sqlite") == 1
    assert _files(tmp_path / "run") == before


def test_a_killed_run_without_its_index_is_read_and_gets_none(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "run")]
    assert subprocess.run(command, cwd=root, env=environment, check=False).returncode == -signal.SIGKILL
    (tmp_path / "run" / "bench.sqlite-shm").unlink()  # as in a copy that left it out
    before = _files(tmp_path / "run")
    assert _count(tmp_path / "run" / "bench.sqlite") == 1
    assert _files(tmp_path / "run") == before


def test_nothing_can_be_written(tmp_path: Path) -> None:
    folder = write_bench(tmp_path / "run", "a", share=0.5)
    with pytest.raises(StoreError, match="readonly"), reading(folder / "bench.sqlite") as db:
        db.execute("DELETE FROM episodes")


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database at all, " * 400)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _other(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE VIEW episodes AS SELECT 1 AS env_id")
    db.close()


def _torn(path: Path) -> None:
    write_bench(path.parent / "whole", "a", share=0.5, num_tasks=60)
    raw = (path.parent / "whole" / "bench.sqlite").read_bytes()
    path.write_bytes(raw[: len(raw) // 2])


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("spoil", [_garbage, _empty, _other, _torn, _folder])
def test_what_is_no_run_says_so(tmp_path: Path, spoil: object) -> None:
    path = tmp_path / "bench.sqlite"
    spoil(path)  # type: ignore[operator]
    with pytest.raises(StoreError, match=r"bench\.sqlite"), reading(path) as db:
        db.execute("SELECT * FROM episodes ORDER BY seed").fetchall()


def test_a_run_that_went_away_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="moved or deleted"), reading(tmp_path / "bench.sqlite"):
        pass


def test_a_training_run_without_episodes_says_so(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(StoreError, match="no episodes are stored in") as caught, reading(tmp_path / "rollouts.sqlite"):
        pass
    assert "moment ago" not in str(caught.value)


def test_a_query_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentrl.bench.viewer.database._CHUNK", 1000)
    monkeypatch.setattr("agentrl.bench.viewer.database._MOST_STEPS", 10_000)
    folder = write_bench(tmp_path / "run", "a", share=0.5)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(StoreError, match="too long"), reading(folder / "bench.sqlite") as db:
        db.execute(endless).fetchone()


def test_comparing_leaves_runs_as_they_are(tmp_path: Path) -> None:
    folders = [write_bench(tmp_path / name, name, share=0.5) for name in ("one", "two")]
    db = sqlite3.connect(folders[0] / "bench.sqlite")
    db.execute("PRAGMA journal_mode = WAL")
    db.close()
    before = [_files(folder) for folder in folders]
    assert compare(folders)
    assert [_files(folder) for folder in folders] == before
