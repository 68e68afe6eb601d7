"""`perf/gpu.py` end to end: on the CPU with a tiny model, which is how it is tried where there is no GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "perf" / "gpu.py"
SMALL = ("--device", "cpu", "--shape", "tiny", "--threads", "1", "--steps", "1", "--tokens", "96")
PARTS = ["probe", "agentrl.train", "trl.train", "agentrl.generate", "trl.generate", "trl.generate_in_trainer"]


def run(*options: str) -> tuple[int, list[dict[str, Any]]]:
    """Return the exit status and the lines of JSON that the script printed."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *SMALL, *options],
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.slow
def test_every_part_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    status, lines = run("--json", str(path))
    assert status == 0
    assert [line for line in lines if "ended" in line] == []
    assert list(dict.fromkeys(line["part"] for line in lines)) == PARTS
    figures = json.loads(path.read_text())["figures"]
    for name in ("training_throughput", "training_mixed_throughput", "training_memory", "generation"):
        ours, theirs = {
            "training_throughput": ("train_agentrl_apart_tokens_per_s", "train_trl_apart_tokens_per_s"),
            "training_mixed_throughput": ("train_agentrl_mixed_tokens_per_s", "train_trl_mixed_tokens_per_s"),
            "training_memory": ("train_agentrl_apart_peak_mb", "train_trl_apart_peak_mb"),
            "generation": ("generate_agentrl_single_tokens_per_s", "generate_hf_single_tokens_per_s"),
        }[name]
        assert figures[f"tiny_{name}_ratio"] == figures[f"tiny_{ours}"] / figures[f"tiny_{theirs}"] > 0
    both = {figures[f"tiny_train_{who}_mixed_tokens"] for who in ("agentrl", "trl")}
    assert len(both) == 1, "both train on the same tokens"


def test_a_spent_budget_is_said_and_what_was_measured_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    status, lines = run("--json", str(path), "--budget-s", "16")
    assert status == 0
    assert lines[0]["part"] == "probe"
    assert "budget" in lines[-1]["ended"]
    assert json.loads(path.read_text())["figures"]["device_cpu_cores"] >= 1
