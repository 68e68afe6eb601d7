"""Training over several hosts: the same as in one process, and what happens when a host or a link fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.distributed.hosts import AGENTRL, Hosts, hosts_of

pytestmark = pytest.mark.slow

# Hosts; the figures of docs/distributed.md are of both.
NUMS = (2, 4) if os.environ.get("AGENTRL_STRIDE") == "1" else (2,)

# Of each packet in each direction: a round trip as netem's delay of 200 ms on one interface gives, or twice that.
DELAY_S = 0.2 if os.environ.get("AGENTRL_STRIDE") == "1" else 0.1

_FLOAT = {"loss": 1e-6, "kl": 1e-6, "grad_norm": 1e-3, "entropy": 1e-5, "reward": 0.0, "num_tokens": 0.0}
"""How far figures of a step may be apart; a loss with a KL term, since without one it is 0 before the first update."""


def _options(out: Path, name: str, *, steps: int, every: int = 10) -> list[str]:
    options = ["quickstart", "--out", str(out), "--name", name, "--num-steps", str(steps), "--threads", "1"]
    options += ["--groups-per-step", "4", "--group-size", "2", "--eval.num-episodes", "0"]
    options += ["--optim.lr", "1e-5", "--loss.beta", "0.05", "--rollout.max-turn-tokens", "32"]
    return [*options, "--checkpoint.every", str(every), "--checkpoint.keep", "9", "--distributed.timeout-s", "6"]


def _rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def _alone(args: list[str]) -> None:
    subprocess.run([str(AGENTRL), "train", *args], check=True, capture_output=True, timeout=280)


def _together(hosts: Hosts, args: list[str], folder: Path, num: int, timeout_s: float = 280) -> None:
    hosts.torchrun(args, folder, hosts=range(num))
    statuses = hosts.wait(timeout_s)
    assert statuses == [0] * num, (folder / "host_0").read_text()[-3000:] + (folder / "host_1").read_text()[-3000:]
    hosts.processes.clear()


def _assert_alike(got: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    assert [row["step"] for row in got] == [row["step"] for row in wanted]
    for one, other in zip(got, wanted, strict=True):
        for name, bound in _FLOAT.items():
            assert one[name] == pytest.approx(other[name], rel=bound, abs=bound), (one["step"], name)


def _episodes(run: Path) -> list[tuple[Any, ...]]:
    import sqlite3

    with sqlite3.connect(run / "rollouts.sqlite") as db:
        return db.execute("SELECT step, group_id, member, seed, token_ids FROM episodes ORDER BY 1, 2, 3").fetchall()


@pytest.mark.timeout(1200)
def test_hosts_train_as_one_process_does_and_go_on_from_each_other(tmp_path: Path) -> None:
    _alone(_options(tmp_path, "one", steps=20))
    with hosts_of(max(NUMS)) as hosts:
        for num in NUMS:
            _together(hosts, _options(tmp_path, f"of{num}", steps=20), tmp_path, num)
            _assert_alike(_rows(tmp_path / f"of{num}"), _rows(tmp_path / "one"))
            assert _episodes(tmp_path / f"of{num}") == _episodes(tmp_path / "one")
        for num in [each for each in (1, *NUMS) if each < max(NUMS)]:
            run = tmp_path / f"on{num}"
            shutil.copytree(tmp_path / f"of{max(NUMS)}", run)
            shutil.rmtree(run / "checkpoints" / "step_20")
            if num == 1:
                _alone(["--resume", str(run)])
            else:
                _together(hosts, ["--resume", str(run)], tmp_path, num)
            _assert_alike(_rows(run), _rows(tmp_path / f"of{max(NUMS)}"))


def _begun(run: Path, hosts: Hosts, folder: Path, *, steps: int = 2) -> None:
    """Wait for some steps."""
    stop = time.monotonic() + 120
    while len(_rows(run) if (run / "metrics.jsonl").exists() else []) < steps:
        assert time.monotonic() < stop, (folder / "host_0").read_text()[-3000:]
        assert all(process.poll() is None for process in hosts.processes.values())
        time.sleep(0.1)


@pytest.mark.timeout(600)
def test_a_cut_link_is_waited_for_and_a_dead_host_named(tmp_path: Path) -> None:
    args = _options(tmp_path, "run", steps=1000, every=1)
    with hosts_of(2) as hosts:
        hosts.torchrun(args, tmp_path)
        _begun(tmp_path / "run", hosts, tmp_path)
        hosts.link(1, "down")  # for less than the deadline
        time.sleep(2)
        hosts.link(1, "up")
        before = len(_rows(tmp_path / "run"))
        stop = time.monotonic() + 60
        while len(_rows(tmp_path / "run")) < before + 2:
            assert time.monotonic() < stop
            time.sleep(0.1)
        hosts.kill(1)
        began = time.monotonic()
        (status,) = hosts.wait(60, hosts=[0])
        assert time.monotonic() - began < 6 + 15  # the deadline, and what torchrun takes to end
        said = (tmp_path / "host_0").read_text()
        assert status != 0
        assert "rank 1 on" in said
        assert "has given no sign of life" in said or "failed" in said
        seen = _episodes(tmp_path / "run")
        assert len({row[:3] for row in seen}) == len(seen)
    # The other host goes on alone.
    run = tmp_path / "run"
    done = len(_rows(run))
    config = run / "config.toml"
    config.write_text(config.read_text().replace("num_steps = 1000", f"num_steps = {done + 1}"))
    _alone(["--resume", str(run)])
    assert [row["step"] for row in _rows(run)] == list(range(1, done + 2))
    seen = _episodes(run)
    assert [row[0] for row in seen] == [step for step in range(1, done + 2) for _ in range(8)]


@pytest.mark.timeout(600)
def test_a_slow_link_that_loses_packets_changes_nothing(tmp_path: Path, model_folder: Path) -> None:
    def options(name: str) -> list[str]:
        small = ["--model", str(model_folder), "--groups-per-step", "2", "--rollout.max-turn-tokens", "8"]
        return [*_options(tmp_path, name, steps=2), *small]

    with hosts_of(2) as hosts:
        hosts.torchrun(options("rough"), tmp_path)
        _begun(tmp_path / "rough", hosts, tmp_path, steps=1)
        with hosts.rough(1, delay_s=DELAY_S, loss=0.02) as frames:
            _alone(options("one"))  # which waits for nothing, while the others wait for packets
            statuses = hosts.wait(200)
    assert statuses == [0, 0], (tmp_path / "host_0").read_text()[-3000:] + (tmp_path / "host_1").read_text()[-3000:]
    assert frames.num_lost > 10
    _assert_alike(_rows(tmp_path / "rough"), _rows(tmp_path / "one"))
    assert _episodes(tmp_path / "rough") == _episodes(tmp_path / "one")
