"""The rollout store: what goes in comes out, nothing is there twice, and kills and full disks leave it readable."""

from __future__ import annotations

import math
import os
import random
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.trainer.errors import RunFolderError
from agentrl.trainer.store import PHASES, RolloutStore
from agentrl.trainer.types import Episode

BATCH = 12  # episodes of a batch of the writing process

WRITER = f"""
import random, sys
from agentrl.trainer.store import RolloutStore
from agentrl.trainer.types import Episode

path, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store = RolloutStore(path)
store.drop_after(first - 1)
print("ready", flush=True)
for step in range(first, last + 1):
    rng = random.Random(step)
    tokens = [rng.randrange(500) for _ in range(200)]
    store.add([
        Episode(env_id="E", seed=step, step=step, group=0, member=member, attempt=0, split="train", level=1,
            task_id=str(step), token_ids=tokens, mask=[True] * 200, logprobs=[-0.5] * 200, reward=1.0, rewards={{}},
            success=True, failure=None, truncated_by=None, messages=[{{"role": "user", "content": "x" * 300}}],
            num_turns=1, versions=[step], timings={{}}, advantage=0.0)
        for member in range({BATCH})
    ])
    print(step, flush=True)
print("done", flush=True)
"""


def episode(**changes: Any) -> Episode:
    base = Episode(
        env_id="AgentRL/Search-v0",
        seed=7,
        step=1,
        group=0,
        member=0,
        attempt=0,
        split="train",
        level=2,
        task_id="train-2-7",
        token_ids=[5, 151_642, 0],
        mask=[False, True, True],
        logprobs=[0.0, -0.25, -1.5],
        reward=1.0,
        rewards={"exact_match": 1.0, "f1": 0.5},
        success=True,
        failure=None,
        truncated_by=None,
        messages=[{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "<answer>here</answer>"}],
        num_turns=1,
        versions=[3],
        timings={"env_s": 0.25},
        advantage=-0.5,
        turn_rewards=[0.25, 0.75],
        turn_lengths=[1, 1],
        turn_states=["a3", "ff"],
        turn_advantages=[0.0, -1.0],
    )
    return replace(base, **changes)


def test_an_episode_comes_back_as_it_went_in(tmp_path: Path) -> None:
    failed = {"kind": "timeout", "boundary": "environment", "message": "no answer"}
    written = [
        episode(),
        episode(member=1, success=None, truncated_by="context", attempt=2),
        episode(member=2, failure=failed, token_ids=[], mask=[], logprobs=[], messages=[], versions=[], success=False),
    ]
    with RolloutStore(tmp_path / "rollouts.sqlite") as store:
        store.add(written)
        assert list(store.episodes()) == written
    with RolloutStore(tmp_path / "rollouts.sqlite", read_only=True) as store:
        assert list(store.episodes()) == written


texts = st.text(st.characters(), max_size=20)  # half surrogate pairs and control characters included
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RolloutStore]:
    with RolloutStore(tmp_path_factory.mktemp("store") / "rollouts.sqlite") as store:
        yield store


@settings(deadline=None)
@given(
    tokens=st.lists(
        st.tuples(st.integers(0, 2**31 - 1), st.booleans(), st.floats(-(2.0**99), 0, width=32)), max_size=40
    ),
    messages=st.lists(st.fixed_dictionaries({"role": texts, "content": texts, "extra": jsons}), max_size=3),
    seed=st.integers(0, 2**63 - 1),
)
def test_any_episode_comes_back_bit_for_bit(
    shared: RolloutStore, tokens: list[tuple[int, bool, float]], messages: list[dict[str, Any]], seed: int
) -> None:
    ids, mask, logprobs = [list(column) for column in zip(*tokens, strict=True)] or ([], [], [])
    written = episode(
        token_ids=ids, mask=mask, logprobs=logprobs, messages=messages, seed=seed, step=shared.count(), task_id="t"
    )
    shared.add([written])
    assert list(shared.episodes(step=written.step)) == [written]


def test_sql_can_query_the_file(tmp_path: Path) -> None:
    with RolloutStore(tmp_path / "rollouts.sqlite") as store:
        store.add([episode(), episode(member=1, reward=0.0)])
    database = sqlite3.connect(tmp_path / "rollouts.sqlite")
    query = "SELECT avg(reward), max(json_extract(rewards, '$.f1')), min(token_ids) FROM episodes WHERE phase = 'train'"
    mean, f1, tokens = database.execute(query).fetchone()
    database.close()
    assert (mean, f1) == (0.5, 0.5)
    assert np.frombuffer(tokens, dtype="<i4").tolist() == [5, 151_642, 0]


def test_a_file_of_the_first_layout_is_read_and_written_to(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.sqlite"
    with RolloutStore(path) as store:
        store.add([episode()])
    database = sqlite3.connect(path)
    database.execute("ALTER TABLE episodes DROP COLUMN turns")
    database.execute("PRAGMA user_version = 1")
    database.commit()
    database.close()
    old = episode(turn_rewards=[], turn_lengths=[], turn_states=[], turn_advantages=[])
    with RolloutStore(path, read_only=True) as store:
        assert list(store.episodes()) == [old]
    with RolloutStore(path) as store:
        store.add([episode(member=1)])
        assert list(store.episodes()) == [old, episode(member=1)]
    with RolloutStore(path, read_only=True) as store:
        assert list(store.episodes()) == [old, episode(member=1)]


def test_a_clean_close_leaves_one_file(tmp_path: Path) -> None:
    with RolloutStore(tmp_path / "rollouts.sqlite") as store:
        store.add([episode()])
    store.close()  # twice is allowed
    assert [path.name for path in tmp_path.iterdir()] == ["rollouts.sqlite"]
    with pytest.raises(ValueError, match="is closed"):
        store.count()


def test_phases_are_apart_and_ordered(tmp_path: Path) -> None:
    with RolloutStore(tmp_path / "rollouts.sqlite") as store:
        for phase in PHASES:
            store.add([episode(step=step, group=group) for step in (2, 1) for group in (1, 0)], phase=phase)
        assert store.count() == 16
        assert store.count(phase="eval_before") == 4
        assert store.count(step=1) == 8
        assert [(e.step, e.group) for e in store.episodes(phase="eval")] == [(1, 0), (1, 1), (2, 0), (2, 1)]
        assert [e.group for e in store.episodes(phase="train", step=2)] == [0, 1]
        with pytest.raises(ValueError, match="phase='test' is unknown; there are train, eval_before"):
            store.add([episode()], phase="test")  # type: ignore[arg-type]


def test_more_episodes_than_a_page_come_once_each(tmp_path: Path) -> None:
    with RolloutStore(tmp_path / "rollouts.sqlite") as store:
        store.add([episode(step=number // 64, group=number % 64) for number in range(700)])
        keys = [(e.step, e.group) for e in store.episodes()]
    assert keys == [(number // 64, number % 64) for number in range(700)]


def test_the_same_episode_again_replaces_the_first(tmp_path: Path) -> None:
    with RolloutStore(tmp_path / "rollouts.sqlite") as store:
        store.add([episode(reward=0.0)])
        store.add([episode(reward=1.0, attempt=1)])
        assert [(e.reward, e.attempt) for e in store.episodes()] == [(1.0, 1)]


def test_another_task_in_the_same_place_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    with RolloutStore(tmp_path / "rollouts.sqlite") as store:
        store.add([episode(member=1)])
        with pytest.raises(RunFolderError, match=r"place of 1 of these .*\(train, step 1\); start a new run folder"):
            store.add([episode(member=0), episode(member=1, seed=8)])
        assert [e.member for e in store.episodes()] == [1]
        with pytest.raises(ValueError, match="same \\(step, group, member\\)"):
            store.add([episode(member=2), episode(member=2)])
        assert store.count() == 1


def test_lengths_that_differ_are_refused(tmp_path: Path) -> None:
    with RolloutStore(tmp_path / "rollouts.sqlite") as store, pytest.raises(ValueError, match=r"lengths \(3, 2, 3\)"):
        store.add([episode(mask=[True, False])])


def test_drop_after_keeps_what_an_unbroken_run_had(tmp_path: Path) -> None:
    with RolloutStore(tmp_path / "rollouts.sqlite") as store:
        store.add([episode(step=0)], phase="eval_before")
        for step in (1, 2, 3):
            store.add([episode(step=step)])
        store.add([episode(step=3)], phase="eval_after")
        assert store.drop_after(2) == 2
        assert [e.step for e in store.episodes()] == [0, 1, 2]
        assert store.drop_after(2) == 0


def test_not_a_number_survives(tmp_path: Path) -> None:
    with RolloutStore(tmp_path / "rollouts.sqlite") as store:
        store.add([episode(reward=math.nan)])
        assert math.isnan(next(store.episodes()).reward)


def test_threads_write_and_read_at_once(tmp_path: Path) -> None:
    with RolloutStore(tmp_path / "rollouts.sqlite") as store:

        def write(group: int) -> None:
            for step in range(20):
                store.add([episode(step=step, group=group)])

        writers = [threading.Thread(target=write, args=(group,)) for group in range(4)]
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            keys = [(e.step, e.group) for e in store.episodes()]
            assert len(keys) == len(set(keys))
        assert store.count() == 80


def test_a_run_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.sqlite"
    with RolloutStore(path) as store, RolloutStore(path, read_only=True) as reader:
        for step in range(3):
            store.add([episode(step=step)])
            assert reader.count() == step + 1
        with pytest.raises(RunFolderError, match="readonly"):
            reader.drop_after(0)


def test_a_killed_writer_leaves_whole_batches_and_a_resumed_one_the_full_set(tmp_path: Path) -> None:
    path, rng = tmp_path / "rollouts.sqlite", random.Random(0)
    kept = 0  # the step a checkpoint would hold
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(kept + 1), str(kept + 60)], stdout=subprocess.PIPE
        )
        with process:
            assert process.stdout is not None
            for _ in range(rng.randint(1, 30)):
                process.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.005))  # anywhere within a write
            process.kill()
        with RolloutStore(path, read_only=True) as store:  # readable at once, before anyone repairs it
            keys = [(e.step, e.member) for e in store.episodes(phase="train")]
        assert len(keys) == len(set(keys))
        last = keys[-1][0] if keys else 0
        assert keys == [(step, member) for step in range(1, last + 1) for member in range(BATCH)]
        kept = rng.randint(max(0, last - 3), last)
    assert kept > 8, "no process lived long enough to write: the test has shown nothing"
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(path), str(kept + 1), str(kept + 5)], check=True, capture_output=True
    )
    assert done.stdout.endswith(b"done\n")
    unbroken = tmp_path / "unbroken.sqlite"
    subprocess.run([sys.executable, "-c", WRITER, str(unbroken), "1", str(kept + 5)], check=True, capture_output=True)
    with RolloutStore(path) as broken, RolloutStore(unbroken) as whole:
        assert list(broken.episodes()) == list(whole.episodes())


def test_a_full_disk_is_said_and_whole_batches_stay(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.sqlite"
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(path), "1", "100000"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)),
        check=False,
    )
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert message.startswith(f"agentrl.trainer.errors.RunFolderError: {path}: ")
    assert message.endswith(
        f"the disk is full or failing: free some space, then go on with: agentrl train --resume {tmp_path}"
    )
    with RolloutStore(path) as store:
        assert store.count() > 0
        assert store.count() % BATCH == 0


def test_a_locked_file_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **{**options, "timeout": 0.05}))
    path = tmp_path / "rollouts.sqlite"
    with RolloutStore(path) as store:
        other = connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RunFolderError, match="another process is writing this run: stop it"):
            store.add([episode()])
        other.close()
        store.add([episode()])
        assert store.count() == 1


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.sqlite"
    with pytest.raises(RunFolderError, match="does not exist; give the folder"):
        RolloutStore(path, read_only=True)
    with pytest.raises(RunFolderError, match="make the folder exist and be writable"):
        RolloutStore(tmp_path / "absent" / "rollouts.sqlite")
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(RunFolderError, match="damaged or no rollout store"):
        RolloutStore(path)
    newer = sqlite3.connect(tmp_path / "newer.sqlite")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(RunFolderError, match="has layout 99, this agentrl reads 2"):
        RolloutStore(tmp_path / "newer.sqlite")


def test_a_step_of_a_hundred_episodes_takes_little_time(tmp_path: Path) -> None:
    tokens, mask, logprobs = list(range(250)), [True, False] * 125, [-0.5, 0.0] * 125
    messages = [{"role": "user", "content": "x" * 400}] * 6
    batch = [
        episode(token_ids=tokens, mask=mask, logprobs=logprobs, messages=messages, group=g, member=m)
        for g in range(10)
        for m in range(10)
    ]
    spent = []
    with RolloutStore(tmp_path / "rollouts.sqlite") as store:
        for step in range(20):
            begun = time.thread_time()  # other programs on the machine do not count
            store.add([replace(each, step=step) for each in batch])
            spent.append(time.thread_time() - begun)
        assert store.count() == 2000
    assert min(spent) < 0.02
    assert os.path.getsize(tmp_path / "rollouts.sqlite") < 2000 * 8000
