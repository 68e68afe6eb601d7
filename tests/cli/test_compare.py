"""`agentrl compare` as a user meets it, over benches that were really run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode, Job
from agentrl.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `agentrl` in this process, in a folder with three benches."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    for agent, seed in (("oracle", "0"), ("noop", "0"), ("random", "1")):
        main(["bench", "--env", "Math-v0,ToolUse-v0", "--agent", agent, "-n", "8", "--seed", seed, "--out", agent])
    capsys.readouterr()

    def call(*words: str) -> tuple[int, str, str]:
        status = main(["compare", *words])
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def test_a_table_for_people_json_for_machines_and_a_refusal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, err = run("noop", "oracle", "--flips", "1")
    assert (status, err) == (0, "")
    assert "noop (noop) and oracle (oracle): success" in out
    row = next(line for line in out.splitlines() if line.startswith("all"))
    assert row.split()[:8] == ["all", "16", "0.0", "100.0", "+100.0", "[+61.3,", "+100.0]", "16"]
    assert "the second is better (p = 9.2e-05)" in out  # 3 * 2 / 2**16
    assert "better on AgentRL/Math-v0 level 0 seed 0, and 15 more" in out

    monkeypatch.setenv("COLUMNS", "80")
    narrow = [
        line for line in run("noop", "oracle")[1].splitlines() if line.startswith(("Math-v0", "ToolUse-v0", "all"))
    ]
    assert len(narrow) == 3
    assert all("100.0 [+" in line for line in narrow)

    (found,) = json.loads(run("noop", "oracle", "--json")[1])
    assert [each["env_id"] for each in found["rows"]] == ["AgentRL/Math-v0", "AgentRL/ToolUse-v0", ""]
    assert len(found["flips"]) == 16

    status, out, err = run("noop", "random")
    assert (status, out) == (2, "")
    assert "differ in more than the agent: seed was 0 and is 1" in err
    status, out, err = run("noop", "random", "--force")
    assert status == 0
    assert "forced, though they differ: seed was 0 and is 1" in out
    assert "no difference is shown" in out
    assert "2 tasks could not be paired" not in out
    assert "4 tasks could not be paired" in out


def test_what_interval_and_p_leave_open_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Five tasks of twenty flip up and one failed: the bootstrap leaves 0 out, the exact test does not."""
    for name, right in (("one", 0), ("two", 5)):
        identity = {"agent": name, "envs": ["A-v0"], "levels": [], "num_tasks": 20, "num_samples": 1, "versions": {}}
        with BenchStore(tmp_path / name, identity) as store:
            for seed in range(20):
                spoilt = name == "two" and seed == 19
                store.add(
                    Episode(
                        job=Job(env_id="A-v0", level=0, seed=seed, sample=0),
                        task_id=str(seed),
                        prompt="p",
                        success=None if spoilt else seed < right,
                        failure={"kind": "k", "boundary": "b", "message": "m"} if spoilt else None,
                    )
                )
    assert main(["compare", str(tmp_path / "one"), str(tmp_path / "two")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "no difference is shown (p = 0.062)" in out
    assert "where interval and p disagree" in out
    assert "1 episode has no partner in the other run" in out
