"""`train.sh`, which every trainer is started by: begins, goes on, and ends with a checkpoint, really run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy.reading import DEPLOY, called

MODULES = {"agentrl": "agentrl.cli.main", "torchrun": "torch.distributed.run", "ray": "ray.scripts.scripts"}
SHORT = (
    "--groups-per-step 2 --group-size 2 --rollout.concurrency 4 --eval.num-episodes 2 --checkpoint.every 1000 "
    "--watch.on-alert off"
).split()


@contextmanager
def _training(folder: Path, *words: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start train.sh in a session of its own, with the programs of this interpreter; kill what is left of it."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name, module in MODULES.items():
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        (programs / name).chmod(0o755)
    more = {"RUNS": str(folder / "runs"), "PATH": f"{programs}:{os.environ['PATH']}"}
    process = subprocess.Popen(
        ["bash", str(DEPLOY / "train.sh"), *words],
        env={**os.environ, **more, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _checkpoints(folder: Path) -> list[int]:
    return sorted(int(each.name.partition("_")[2]) for each in folder.glob("runs/mine/checkpoints/step_*"))


@pytest.mark.slow
def test_a_run_that_was_asked_to_end_goes_on_at_the_same_command(tmp_path: Path) -> None:
    lines = tmp_path / "runs" / "mine" / "metrics.jsonl"
    with _training(tmp_path, "mine", "quickstart", "--num-steps", "500", *SHORT) as first:
        end = time.monotonic() + 100
        while time.monotonic() < end and first.poll() is None:
            if lines.exists() and lines.read_text().count("\n") > 0:
                break
            time.sleep(0.2)
        first.send_signal(signal.SIGTERM)
        said, _ = first.communicate(timeout=60)
    assert lines.exists(), said
    (kept,) = _checkpoints(tmp_path)
    assert f"stopped by SIGTERM; step {kept} is kept" in said
    config = tmp_path / "runs" / "mine" / "config.toml"
    config.write_text(config.read_text().replace("num_steps = 500", f"num_steps = {kept + 1}"))
    with _training(tmp_path, "mine", "quickstart", "--num-steps", "500", *SHORT) as second:  # the same command
        said, _ = second.communicate(timeout=100)
    assert second.returncode == 0, said
    assert f"{kept + 1} steps" in said
    assert _checkpoints(tmp_path)[-1] == kept + 1


def test_a_folder_that_holds_no_run_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "mine" / "start").mkdir(parents=True)  # where a tiny model was being made
    (tmp_path / "mine" / "demonstrations.jsonl").write_text("")
    assert called(["train.sh", "mine", "quickstart"], {"NODE_RANK": "1", "NODES": "2"}, tmp_path)[0] == "torchrun"
    assert (tmp_path / "mine").exists()  # the first rank may just be making it
    assert called(["train.sh", "mine", "quickstart"], {}, tmp_path)[1:3] == ["train", "quickstart"]
    (aside,) = tmp_path.iterdir()
    assert aside.name.startswith("mine.unfinished.")
    assert (aside / "start").exists()


@pytest.mark.parametrize("name", ["team", "../team", ".", "a/b"])
def test_a_folder_of_others_is_left_alone(tmp_path: Path, name: str) -> None:
    for folder in (tmp_path / "runs" / "team", tmp_path / "team"):
        (folder / "alice").mkdir(parents=True)
        (folder / "alice" / "config.toml").write_text("")
    with _training(tmp_path, name, "quickstart") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "is no run; choose another NAME" in said or "must be that of a folder in RUNS" in said
    assert sorted(each.name for each in (tmp_path / "runs").iterdir()) == ["team"]
    assert (tmp_path / "team" / "alice").exists()


def test_a_run_that_is_there_is_told_where_servers_are_now(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.toml").write_text("")
    words = called(
        ["train.sh", "mine", "quickstart", "--num-steps", "3"],
        {"SERVERS": "http://b:8000 http://c:8000", "WEIGHTS_HOST": "a:8100"},
        tmp_path,
    )
    where = ["--engine.urls", "http://b:8000", "http://c:8000", "--engine.weights-host", "a:8100"]
    assert words == ["agentrl", "train", "--resume", str(tmp_path / "mine"), *where]


def test_torchrun_takes_the_words(tmp_path: Path) -> None:
    from torch.distributed.run import get_args_parser

    environment = {"NODES": "2", "RANKS": "8", "NODE_RANK": "1", "MASTER": "trainer-0.trainer"}
    words = called(["train.sh", "mine", "quickstart"], environment, tmp_path)
    taken = get_args_parser().parse_args(words[1:])
    assert (taken.nnodes, taken.nproc_per_node, taken.node_rank) == ("2", "8", 1)
    assert (taken.master_addr, taken.master_port, taken.no_python) == ("trainer-0.trainer", 29500, True)
    assert [taken.training_script, *taken.training_script_args][:3] == ["agentrl", "train", "quickstart"]


def test_servers_that_never_answer_are_named(tmp_path: Path) -> None:
    with _training(tmp_path, "mine", "quickstart", SERVERS="http://127.0.0.1:9", WAIT_S="1") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "http://127.0.0.1:9 does not answer" in said
