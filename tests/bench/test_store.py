"""The file of a run: whole episodes whenever it is killed, none twice, and no other run's settings."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from agentrl.bench.errors import StoreError
from agentrl.bench.store import FILE, BenchStore, differences
from agentrl.bench.types import Episode, Job, Pace

IDENTITY = {
    "agent": "oracle",
    "envs": ["A-v0"],
    "levels": [1],
    "num_tasks": 4,
    "num_samples": 1,
    "seed": 0,
    "versions": {"agentrl-gym": "0"},
}


def _made(seed: int = 0, **changes: object) -> Episode:
    job = Job(env_id="A-v0", level=1, seed=seed, sample=0)
    episode = Episode(
        job=job,
        task_id=f"t{seed}\ud800",  # half a surrogate pair, as JSON of an environment may hold
        prompt="0123",
        reward=0.5,
        rewards={"answer": 0.5},
        turn_rewards=(0.0, 0.5),
        turn_components=({}, {"answer": 0.5}),
        success=True,
        truncated=True,
        num_turns=2,
        num_attempts=2,
        seconds=1.25,
        latencies=(0.25, 0.5),
        prompt_tokens=7,
        completion_tokens=0,
        messages=({"role": "user", "content": "half \ud800"},),
    )
    return replace(episode, **changes)  # type: ignore[arg-type]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    with BenchStore(tmp_path / "new" / "run", IDENTITY) as store:
        assert store.add(_made())
        assert store.add(_made(1, success=None, failure={"kind": "k", "boundary": "b", "message": "m"}))
    assert {path.name for path in (tmp_path / "new" / "run").iterdir()} - {f"{FILE}.lock"} == {FILE}
    with BenchStore(tmp_path / "new" / "run") as store:
        assert store.identity == IDENTITY
        first, second = store.episodes()
        assert first == _made(task_id="t0\\ud800")
        assert second.failure == {"kind": "k", "boundary": "b", "message": "m"}
        assert store.done() == {first.job}
        assert [(each.reward, each.messages) for each in store.episodes(with_messages=False)] == [(0.5, ())] * 2


def test_a_file_of_the_first_layout_is_read_and_gone_on_with(tmp_path: Path) -> None:
    with BenchStore(tmp_path, IDENTITY) as store:
        store.add(_made())
    database = sqlite3.connect(tmp_path / FILE)
    database.execute("ALTER TABLE episodes DROP COLUMN turns")
    database.execute("PRAGMA user_version = 1")
    database.commit()
    database.close()
    old = _made(task_id="t0\\ud800", turn_rewards=(), turn_components=())
    with BenchStore(tmp_path) as store:
        assert list(store.episodes()) == [old]
    with BenchStore(tmp_path, IDENTITY) as store:
        assert store.add(_made(1, task_id="t1"))
        assert list(store.episodes()) == [old, _made(1, task_id="t1")]
    with BenchStore(tmp_path) as store:
        assert list(store.episodes()) == [old, _made(1, task_id="t1")]


def test_an_episode_is_there_once_and_only_a_failure_gives_way(tmp_path: Path) -> None:
    with BenchStore(tmp_path, IDENTITY) as store:
        assert store.add(_made(failure={"kind": "k", "boundary": "b", "message": "m"}))
        assert store.add(_made(reward=1.0))
        assert not store.add(_made(reward=0.0))
        assert [each.reward for each in store.episodes()] == [1.0]


def test_episodes_that_ended_together_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    with BenchStore(tmp_path, IDENTITY) as store:
        store.add_all([_made(0), _made(1)])
        with pytest.raises(StoreError, match="NOT NULL"):
            store.add_all([_made(2), _made(3, prompt=None)])
        store.add_all([_made(4)])
        assert [each.job.seed for each in store.episodes()] == [0, 1, 4]


def test_how_many_were_played_at_once_is_kept(tmp_path: Path) -> None:
    paces = [
        Pace(at=1.0, num_at_once=2, why="begin"),
        Pace(at=3.5, num_at_once=4, why="trial", steps_per_s=7.5, taken_mb=80.0),
    ]
    with BenchStore(tmp_path, IDENTITY) as store:
        for each in paces:
            store.note_pace(each)
    with BenchStore(tmp_path) as store:
        assert store.paces() == paces
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("DROP TABLE paces")
    db.close()
    with BenchStore(tmp_path) as store:
        assert store.paces() == []  # as in a run that was written before


def test_many_pages_come_in_order(tmp_path: Path) -> None:
    with BenchStore(tmp_path, IDENTITY) as store:
        for seed in reversed(range(600)):
            store.add(_made(seed))
        assert [each.job.seed for each in store.episodes()] == list(range(600))


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    BenchStore(tmp_path, IDENTITY).close()
    BenchStore(tmp_path, IDENTITY).close()
    with pytest.raises(StoreError, match=r"begun with other settings: seed was 0 and is 7. .*--out"):
        BenchStore(tmp_path, {**IDENTITY, "seed": 7})
    assert differences(IDENTITY, IDENTITY) == []


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"holds no bench.sqlite; give the folder"):
        BenchStore(tmp_path)
    (tmp_path / FILE).write_text("no database, but long enough to be looked at " * 30)
    with pytest.raises(StoreError, match="move it away"):
        BenchStore(tmp_path, IDENTITY)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="choose another folder"):
        BenchStore(tmp_path / "file" / "run", IDENTITY)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("latencies", "no JSON"),
        ("latencies", '{"0": 1}'),
        ("latencies", "[NaN]"),
        ("failure", '{"kind": "k"}'),
        ("failure", "[]"),
        ("messages", "7"),
        ("messages", '[{"content": "no role"}]'),
        ("messages", "[" * 100_000),
        ("rewards", '{"answer": "much"}'),
        ("rewards", "[]"),
        ("turns", '{"rewards": 7}'),
        ("turns", '{"components": [7]}'),
        ("turns", "[]"),
        ("reward", "much"),
        ("reward", b"\x00"),
        ("reward", float("inf")),
        ("seconds", b"1"),
        ("success", "yes"),
        ("truncated", 2),
        ("num_turns", 1.5),
        ("prompt_tokens", "many"),
        ("level", "high"),
        ("task_id", b"\xff"),
    ],
)
def test_a_row_that_no_bench_writes_is_named(tmp_path: Path, column: str, value: object) -> None:
    with BenchStore(tmp_path, IDENTITY) as store:
        store.add(_made())
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute(f"UPDATE episodes SET {column} = ?", (value,))
    db.close()
    with BenchStore(tmp_path) as store, pytest.raises(StoreError, match=rf"bench.sqlite: '{column}' of .*move it away"):
        list(store.episodes())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DELETE FROM identity", "the table identity has no 'agent'"),
        ("DELETE FROM identity WHERE name = 'num_tasks'", "the table identity has no 'num_tasks'"),
        ("UPDATE identity SET value = 'Infinity' WHERE name = 'num_tasks'", "'num_tasks' of the table identity is inf"),
        ("UPDATE identity SET value = '\"1\"' WHERE name = 'versions'", "'versions' of the table identity is '1'"),
        ("UPDATE identity SET value = 'no JSON' WHERE name = 'agent'", "'agent' of the table identity is 'no JSON'"),
        ("UPDATE identity SET value = x'00' WHERE name = 'seed'", "'seed' of the table identity is b"),
        ("DROP TABLE identity", "no such table"),
    ],
)
def test_an_identity_that_no_bench_writes_is_named(tmp_path: Path, change: str, told: str) -> None:
    BenchStore(tmp_path, IDENTITY).close()
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute(change)
    db.close()
    with pytest.raises(StoreError, match=told):
        BenchStore(tmp_path)


def test_a_view_in_the_place_of_a_table_is_refused(tmp_path: Path) -> None:
    BenchStore(tmp_path, IDENTITY).close()
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("DROP TABLE episodes")
        db.execute(
            "CREATE VIEW episodes AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
        )
    db.close()
    for identity in (None, IDENTITY):
        with pytest.raises(StoreError, match=r"episodes is a view, not a table; .*move it away"):
            BenchStore(tmp_path, identity)


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode, Job, Pace
store = BenchStore(Path(sys.argv[1]), {"agent": "oracle"})
for seed in range(1_000_000):
    job = Job(env_id="A-v0", level=1, seed=seed, sample=0)
    store.add(Episode(job=job, task_id=str(seed), prompt="", messages=({"role": "user", "content": "x" * 2000},)))
    print(seed, flush=True)
"""


def test_a_killed_writer_leaves_every_episode_that_it_told_of(tmp_path: Path) -> None:
    stop = time.monotonic() + 60
    told = -1
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while told < 50 and time.monotonic() < stop:
            told = int(process.stdout.readline())
        with pytest.raises(StoreError, match=r"another process is writing this run; wait for it, stop it, or choose"):
            BenchStore(tmp_path, {"agent": "oracle"})
        with BenchStore(tmp_path) as reader:  # who reads may
            assert reader.count() > told
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split("\n")[:-1]
    told = int(rest[-1]) if rest else told
    with BenchStore(tmp_path, {"agent": "oracle"}) as store:
        seeds = [each.job.seed for each in store.episodes()]
    assert seeds == list(range(len(seeds)))
    assert told + 1 <= len(seeds) <= told + 2


def test_reading_in_the_writing_process_leaves_its_locks(tmp_path: Path) -> None:
    """A closed descriptor drops a process's locks; another program would then take the log away under the writer."""
    look = (
        "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM episodes').fetchone())"
    )
    with BenchStore(tmp_path, IDENTITY) as store:
        for seed in range(1, 4):
            store.add(_made(seed))
            with BenchStore(tmp_path) as reader:
                assert reader.count() == seed
            done = subprocess.run(
                [sys.executable, "-c", look, str(tmp_path / FILE)],
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            )
            assert int(done.stdout) == seed
            assert (tmp_path / f"{FILE}-wal").exists()
    with BenchStore(tmp_path) as reader:
        assert reader.count() == 3
