"""SIGTERM ends a run with a checkpoint, from which it goes on as if nothing had been."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.stopping import Stopper, Terminated

NUM_STEPS = 6


@pytest.fixture
def stopper() -> Iterator[Stopper]:
    made = Stopper()
    with made.listening():
        yield made


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.01)  # handlers run between two instructions


def test_what_may_be_left_is_left_at_once(stopper: Stopper) -> None:
    went_on = []

    def work() -> None:
        with stopper.may_leave():
            terminate()
            went_on.append(True)

    with pytest.raises(Terminated):
        work()
    assert not went_on


def test_it_comes_out_of_a_task_as_it_is(stopper: Stopper) -> None:
    """Asyncio wraps most of what a task of a group raises."""

    async def task() -> None:
        terminate()

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(10))
            tasks.create_task(task())

    def work() -> None:
        with stopper.may_leave():
            asyncio.run(group())

    with pytest.raises(Terminated):
        work()


def test_what_may_not_be_left_is_finished_first(stopper: Stopper) -> None:
    terminate()
    with pytest.raises(Terminated):
        stopper.check()
    with pytest.raises(Terminated), stopper.may_leave():
        pytest.fail("it began")


def test_what_is_shielded_is_finished_and_then_left(stopper: Stopper) -> None:
    said = []

    def work() -> None:
        with stopper.may_leave():
            with stopper.shielded():
                terminate()
                said.append("all of it")
            said.append("more")

    with pytest.raises(Terminated):
        work()
    assert said == ["all of it"]


def test_a_shield_where_nothing_may_be_left_changes_nothing(stopper: Stopper) -> None:
    with stopper.shielded():
        terminate()
    assert stopper.asked
    stopper.go_on()
    assert not stopper.asked


def test_cleaning_up_is_not_left(stopper: Stopper) -> None:
    cleaned = []

    def work() -> None:
        with stopper.may_leave():
            try:
                terminate()
            finally:
                terminate()
                cleaned.append(True)

    with pytest.raises(Terminated):
        work()
    assert cleaned == [True]


def test_the_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stopper().listening():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_thread_of_its_own_changes_nothing() -> None:
    seen = []

    def work() -> None:
        with Stopper().listening():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def command(model: Path, folder: Path, *words: str) -> list[str]:
    options = (
        f"--env AgentRL/Math-v0 --level 1 --model {model} --out {folder} --num-steps {NUM_STEPS} --groups-per-step 2 "
        "--group-size 2 --rollout.max-turn-tokens 8 --rollout.concurrency 4 --eval.num-episodes 0 --threads 1 "
        "--device cpu --checkpoint.every 1000"
    )
    return [str(Path(sys.executable).parent / "agentrl"), "train", "quickstart", *options.split(), *words]


@pytest.mark.slow
def test_a_run_that_is_terminated_saves_and_goes_on(model_folder: Path, tmp_path: Path) -> None:
    whole = subprocess.run(
        command(model_folder, tmp_path, "--name", "whole"), capture_output=True, text=True, timeout=200, check=False
    )
    assert whole.returncode == 0, whole.stderr
    parted = subprocess.Popen(
        command(model_folder, tmp_path, "--name", "parted"), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    metrics, until = tmp_path / "parted" / "metrics.jsonl", time.monotonic() + 120
    while not (metrics.exists() and metrics.read_bytes().count(b"\n") >= 2):
        assert parted.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    parted.terminate()
    _, said = parted.communicate(timeout=60)
    assert parted.returncode == 143, said
    (kept,) = (tmp_path / "parted" / "checkpoints").iterdir()
    step = int(kept.name.removeprefix("step_"))
    assert 2 <= step < NUM_STEPS
    assert f"step {step} is kept; go on with: agentrl train --resume" in said
    assert len(read_metrics(metrics)) == step
    done = subprocess.run(
        [*command(model_folder, tmp_path)[:2], "--resume", str(tmp_path / "parted")],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    weights = [
        (tmp_path / name / "checkpoints" / f"step_{NUM_STEPS}" / "model.safetensors").read_bytes()
        for name in ("whole", "parted")
    ]
    assert weights[0] == weights[1]
