"""A cluster's head is killed and started again at its address: the run ends with its reason, and can be resumed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agentrl.trainer.metrics import read_metrics
from tests.trainer.distributed.hosts import AGENTRL, Hosts, hosts_of

pytestmark = pytest.mark.slow

# Without a token, which a Ray on this machine may have left in its user's home.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
}

# On the head's host; and on another, whose workers outlive the head. The figures of docs/distributed.md are of both.
LONG = os.environ.get("AGENTRL_STRIDE") == "1"
FAR = (False, True) if LONG else (False,)


@contextlib.contextmanager
def ray_node(hosts: Hosts, host: int, *, cpus: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `ray start` on a host, the head on host 0; all of it ends with the process that is yielded, by SIGKILL."""
    with tempfile.TemporaryDirectory(prefix="ray") as folder:  # its sockets want a short path
        yield from _ray_node(hosts, host, Path(folder), cpus)


def _ray_node(hosts: Hosts, host: int, folder: Path, cpus: int) -> Iterator[subprocess.Popen[bytes]]:
    # Processes of its own, since Ray looks through those of the machine for a head that it would not start beside.
    command = ["ip", "netns", "exec", f"{hosts.prefix}{host}", "unshare", "--pid", "--fork", "--mount-proc"]
    command += ["--kill-child", sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
    address = f"{hosts.address(0)}:6379"
    command += ["--address", address] if host else ["--head", "--port", "6379", "--include-dashboard", "false"]
    command += ["--node-ip-address", hosts.address(host), "--num-cpus", str(cpus)]
    command += ["--object-store-memory", str(80 * 2**20), *([] if host else ["--temp-dir", str(folder)])]
    said = folder / "said"
    with said.open("wb") as output:
        node = subprocess.Popen(command, env=ENVIRONMENT, stdout=output, stderr=subprocess.STDOUT)
    try:
        stop = time.monotonic() + 100
        while "Ray runtime started" not in said.read_text():
            assert node.poll() is None, said.read_text()
            assert time.monotonic() < stop, said.read_text()
            time.sleep(0.1)
        yield node
    finally:
        node.kill()
        node.wait(30)


def _train(hosts: Hosts, host: int, args: list[str], output: Path) -> subprocess.Popen[bytes]:
    command = ["ip", "netns", "exec", f"{hosts.prefix}{host}", str(AGENTRL), "train", *args]
    with output.open("wb") as said:
        return subprocess.Popen(command, env=ENVIRONMENT, stdout=said, stderr=subprocess.STDOUT)


def _num_steps(run: Path) -> int:
    return len(read_metrics(run / "metrics.jsonl")) if (run / "metrics.jsonl").exists() else 0


def _episodes(run: Path) -> list[tuple[int, int, int]]:
    with contextlib.closing(sqlite3.connect(run / "rollouts.sqlite")) as store:
        return store.execute("SELECT step, group_id, member FROM episodes ORDER BY 1, 2, 3").fetchall()


def _prepared(folder: Path) -> tuple[Path, Path, list[str]]:
    """Return the folder of a run, where it says what it says, and its arguments."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: make .venv/installed-dev")
    args = ["quickstart", "--num-steps", "1000", "--eval.num-episodes", "0", "--threads", "1", "--name", "run"]
    args += ["--groups-per-step", "2", "--group-size", "2", "--checkpoint.every", "1", "--out", str(folder)]
    return folder / "run", folder / "output", [*args, "--env-workers", "ray:2"]


def _begun(hosts: Hosts, host: int, args: list[str], run: Path, output: Path) -> subprocess.Popen[bytes]:
    """Start a run, and wait for its second step."""
    training = _train(hosts, host, args, output)
    while _num_steps(run) < 2:
        assert training.poll() is None, output.read_text()
        time.sleep(0.1)
    return training


@pytest.mark.timeout(280)
@pytest.mark.parametrize("far", FAR)
def test_a_head_that_is_started_again_ends_the_run(tmp_path: Path, far: bool) -> None:
    run, output, args = _prepared(tmp_path)
    with hosts_of(2) as hosts, ExitStack() as other:
        args += ["--ray.address", f"{hosts.address(0)}:6379"]
        cpus = 0 if far else 2
        with ray_node(hosts, 0, cpus=cpus) as head:
            if far:
                other.enter_context(ray_node(hosts, 1, cpus=2))
            training = _begun(hosts, int(far), args, run, output)
            head.kill()
        with ray_node(hosts, 0, cpus=cpus):
            began = time.monotonic()
            assert training.wait(60) == 2
            assert time.monotonic() - began < 45
            said = output.read_text()
            assert f"the Ray head at {hosts.address(0)}:6379 was started again" in said
            assert "agentrl train --resume RUN" in said
            done = _num_steps(run)
            assert len(_episodes(run)) == len({*_episodes(run)})
            if far:
                other.close()
                other.enter_context(ray_node(hosts, 1, cpus=2))
            config = run / "config.toml"
            config.write_text(config.read_text().replace("num_steps = 1000", f"num_steps = {done + 1}"))
            assert _train(hosts, int(far), ["--resume", str(run)], output).wait(100) == 0, output.read_text()
    assert [row["step"] for row in read_metrics(run / "metrics.jsonl")] == list(range(1, done + 2))
    assert [row[0] for row in _episodes(run)] == [step for step in range(1, done + 2) for _ in range(4)]


if LONG:  # it waits for half a minute

    @pytest.mark.timeout(280)
    def test_a_head_that_stays_away_ends_the_run(tmp_path: Path) -> None:
        run, output, args = _prepared(tmp_path)
        with hosts_of(2) as hosts, ray_node(hosts, 0, cpus=2) as head:
            training = _begun(hosts, 0, [*args, "--ray.address", f"{hosts.address(0)}:6379"], run, output)
            head.kill()
            began = time.monotonic()
            assert training.wait(100) == 2
            assert time.monotonic() - began < 60
        assert "has not answered for 30 s" in output.read_text()
        assert len(_episodes(run)) == len({*_episodes(run)})
