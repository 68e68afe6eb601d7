"""Two ranks on this machine, started by torchrun: updates, a whole run, and the reasons of one that fails."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from agentrl.trainer.distributed.shards import load_shards
from agentrl.trainer.metrics import read_metrics
from agentrl.trainer.optimizer import Optimizer
from agentrl.trainer.store import RolloutStore
from tests.trainer.distributed.hosts import AGENTRL
from tests.trainer.distributed.updates_on_ranks import CASES
from tests.trainer.updates import config

ROOT = Path(__file__).parents[3]


def torchrun(words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run something on two ranks."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    return subprocess.run(
        [*command, *words],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=ROOT,
    )


@pytest.mark.slow
def test_updates_are_those_of_one_process(tmp_path: Path, tiny_model: Any) -> None:
    done = torchrun([str(Path(__file__).with_name("updates_on_ranks.py")), str(tmp_path)])
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.splitlines() == [f"{name} ok" for name in CASES]
    # What two ranks wrote is read by one process, without any.
    model = tiny_model(layers=2)
    optimizer = Optimizer(copy.deepcopy(model), config().optim)
    load_shards(tmp_path / "one micro-batch", optimizer)
    kept = torch.load(tmp_path / "one micro-batch.pt", weights_only=True)
    assert optimizer.tensors().keys() == kept.keys()
    for key, value in optimizer.tensors().items():
        assert torch.equal(value, kept[key]), key


_BROKEN = """
import os
import gymnasium
if os.environ["RANK"] == "1":
    raise RuntimeError("this host lacks a library")
gymnasium.register("BrokenHere-v0", entry_point="agentrl.envs.math.env:MathEnv")
"""


@pytest.mark.slow
def test_all_ranks_say_which_one_failed_and_why(tmp_path: Path) -> None:
    (tmp_path / "broken_here.py").write_text(_BROKEN)
    words = ["train", "quickstart", "--env", "broken_here:BrokenHere-v0", "--out", str(tmp_path), "--name", "run"]
    done = torchrun(["--no-python", str(AGENTRL), *words], PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.startswith("agentrl train:")]
    assert any("this host lacks a library" in line for line in told), done.stderr[-3000:]
    assert any("rank 1 on" in line and "this host lacks a library" in line for line in told), done.stderr[-3000:]


_DIES_ONCE = """
import os, signal
import gymnasium
from agentrl.envs.math.env import MathEnv

class DiesOnce(MathEnv):
    def reset(self, **more):
        first = os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
        if first and os.path.isdir(os.environ["CHECKPOINTS"] + "/step_2"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().reset(**more)

gymnasium.register("DiesOnce-v0", entry_point=DiesOnce)
"""


@pytest.mark.slow
def test_ranks_that_are_started_again_go_on(tmp_path: Path) -> None:
    (tmp_path / "dies_once.py").write_text(_DIES_ONCE)
    words = ["train", "quickstart", "--env", "dies_once:DiesOnce-v0", "--level", "1", "--out", str(tmp_path)]
    words += ["--name", "run", "--num-steps", "4", "--groups-per-step", "2", "--group-size", "2", "--threads", "1"]
    words += ["--eval.num-episodes", "0", "--checkpoint.every", "1", "--rollout.max-turn-tokens", "8"]
    done = torchrun(
        ["--max-restarts", "1", "--no-python", str(AGENTRL), *words],
        PYTHONPATH=f"{tmp_path}:{ROOT}",
        CHECKPOINTS=str(tmp_path / "run" / "checkpoints"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert [row["step"] for row in read_metrics(tmp_path / "run" / "metrics.jsonl")] == [1, 2, 3, 4]
    assert done.stderr.count("run folder") == 2  # it was begun, and gone on with
    with RolloutStore(tmp_path / "run" / "rollouts.sqlite") as store:
        assert store.count(phase="train") == 16


@pytest.mark.slow
def test_what_ranks_cannot_do_is_refused(tmp_path: Path) -> None:
    words = ["train", "quickstart", "--engine.name", "vllm", "--out", str(tmp_path), "--name", "run"]
    done = torchrun(["--no-python", str(AGENTRL), *words])
    assert done.returncode != 0
    assert "start vLLM servers and name them: --engine.urls" in done.stderr
    assert not (tmp_path / "run").exists()  # the name is free for the next try
