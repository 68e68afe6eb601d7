"""A bench that is killed, again and again, ends as one that was not; one that is asked to end loses nothing."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode

BENCH = [sys.executable, "-m", "agentrl.cli.main", "bench"]
NUM_EPISODES, NUM_KILLS = 500, 10


def _count(folder: Path) -> int:
    """Return how many episodes there are, read beside the process that writes."""
    if not (folder / "bench.sqlite").exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{folder / 'bench.sqlite'}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM episodes").fetchone()[0])
    except sqlite3.OperationalError:  # made, and without its table yet
        return 0


def _episodes(folder: Path) -> list[Episode]:
    """Return what was played, without the timings."""
    with BenchStore(folder) as store:
        return [replace(each, seconds=0.0, latencies=()) for each in store.episodes()]


def _stopped(command: list[str], folder: Path, count: int, number: int) -> subprocess.Popen[str]:
    """Start a bench and send it a signal once so many episodes are there; return the process, which has ended."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=folder.parent)
    stop = time.monotonic() + 60
    while _count(folder) < count and process.poll() is None:
        assert time.monotonic() < stop, f"{_count(folder)} episodes in a minute"
        time.sleep(0.002)
    assert process.poll() is None, process.communicate()[1]
    os.kill(process.pid, number)
    return process


@pytest.mark.docker
@pytest.mark.slow
def test_killed_at_ten_points_under_docker_it_equals_an_unbroken_one(tmp_path: Path) -> None:
    command = [*BENCH, "--env", "Python-v0", "--agent", "oracle", "--level", "1", "-n", str(NUM_EPISODES)]
    command += ["--kwargs", '{"backend": "docker"}', "--concurrency", "4", "--json", "--out"]
    rng = random.Random(6)
    width = NUM_EPISODES // (NUM_KILLS + 1)
    points = [index * width + rng.randrange(width) for index in range(NUM_KILLS)]
    cut, pids, counts = tmp_path / "cut", [], [0]
    for index, point in enumerate(points):
        process = _stopped([*command, str(cut)], cut, max(point, counts[-1] + 5), signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, index
        pids.append(process.pid)
        counts.append(_count(cut))
    assert counts == sorted(set(counts)), "each went on where the one before was killed"
    assert counts[-1] < NUM_EPISODES
    told = _stopped([*command, str(cut)], cut, counts[-1] + 5, signal.SIGTERM)
    assert "type the same command to go on" in told.communicate(timeout=30)[1]
    assert told.returncode == 128 + signal.SIGTERM
    pids.append(told.pid)
    for folder in (cut, tmp_path / "whole"):
        with subprocess.Popen([*command, str(folder)], stdout=subprocess.DEVNULL, text=True) as process:
            assert process.wait(120) == 0
        pids.append(process.pid)
    one, two = _episodes(cut), _episodes(tmp_path / "whole")
    assert len(one) == NUM_EPISODES
    assert one == two
    assert all(each.success for each in one)
    stop = time.monotonic() + 30
    while (left := _boxes_of(pids)) and time.monotonic() < stop:
        time.sleep(0.2)
    assert left == []


def _boxes_of(pids: list[int]) -> list[str]:
    """Return the containers that processes own, by the label that names the process."""
    import docker

    with closing(docker.from_env()) as client:
        boxes: list[dict[str, Any]] = client.api.containers(all=True, filters={"label": "agentrl.owner"})
    return [box["Id"] for box in boxes if int(box["Labels"]["agentrl.owner"].split("-")[3]) in pids]


AGENT = """
import time
def short(messages, seed):
    with open("asked", "a") as file:
        file.write(f"{seed}\\n")
    time.sleep(0.03)
    return f"<answer>{seed}</answer>"
def long(messages, seed):
    if seed >= 10:
        time.sleep(60)
    return f"<answer>{seed}</answer>"
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_bench_that_is_asked_to_end_keeps_what_was_under_way(tmp_path: Path, number: int) -> None:
    (tmp_path / "mine.py").write_text(AGENT)
    command = [*BENCH, "--env", "Math-v0", "--agent", "python:mine:short", "-n", "200", "--concurrency", "4"]
    process = _stopped([*command, "--out", "run"], tmp_path / "run", 10, number)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "stopping: the episodes under way are waited for" in told
    assert "what was played is in run; type the same command to go on" in told
    assert "Traceback" not in told
    kept = _episodes(tmp_path / "run")
    assert 10 <= len(kept) < 200
    assert {each.job.seed for each in kept} == set(map(int, (tmp_path / "asked").read_text().split()))
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"bench.sqlite", "bench.sqlite.lock"}
    subprocess.run([*command, "--out", "run"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL, timeout=60)
    asked = list(map(int, (tmp_path / "asked").read_text().split()))
    assert sorted(asked) == list(range(200))  # none twice


def test_asked_twice_it_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(AGENT)
    command = [*BENCH, "--env", "Math-v0", "--agent", "python:mine:long", "-n", "20", "--concurrency", "2"]
    process = _stopped([*command, "--out", "run"], tmp_path / "run", 10, signal.SIGINT)
    began = time.monotonic()
    time.sleep(0.5)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert time.monotonic() - began < 8
    assert process.returncode == 128 + signal.SIGINT
    assert "Traceback" not in told
    assert [each.job.seed for each in _episodes(tmp_path / "run")] == list(range(10))
