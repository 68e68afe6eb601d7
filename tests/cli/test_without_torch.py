"""What needs no model runs where torch and its kin are not installed, and what needs one says what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# As if they were not there; of the import system a finder at the front is asked first.
SCRIPT = """
import sys

GONE = "huggingface_hub peft safetensors tokenizers torch transformers vllm".split()

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in GONE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])

sys.meta_path.insert(0, Absent())
from agentrl.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *words], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_bench_from_beginning_to_end(tmp_path: Path) -> None:
    for agent in ("oracle", "noop"):
        done = run(tmp_path, "bench", "--env", "AgentRL/Math-v0", "--agent", agent, "-n", "6", "--out", agent)
        assert done.returncode == 0, done.stderr
    compared = run(tmp_path, "compare", "noop", "oracle")
    assert compared.returncode == 0, compared.stderr
    written = run(tmp_path, "export", "noop", "--format", "jsonl", "--out", "noop.jsonl")
    assert written.returncode == 0, written.stderr
    assert len((tmp_path / "noop.jsonl").read_text().splitlines()) == 6


@pytest.mark.parametrize("command", ["envs", "play", "check", "new", "rescore", "view", "sandbox"])
def test_help_of_what_needs_no_model(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, command, "--help")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("train", "quickstart", "--num-steps", "1"),
        ("bench", "--env", "AgentRL/Math-v0", "--agent", "hf:bundled:search-tiny", "-n", "1"),
    ],
)
def test_what_needs_a_model_says_what_to_install(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(tmp_path, *words)
    assert done.returncode == 2, done.stderr
    assert "agentrl-gym[train]" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.sqlite"))
