"""`agentrl new` as an author meets it: in a checkout, outside, and what is said when it cannot work."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentrl.cli.main import main

ROOT = Path(__file__).parents[2]
AGENTRL = Path(sys.executable).with_name("agentrl")


def agentrl(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the installed command, which has no current folder on its path."""
    return subprocess.run([AGENTRL, *words], cwd=folder, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder of a copy of what makes a checkout."""
    shutil.copytree(ROOT / "envs", tmp_path / "envs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.chdir(tmp_path / "envs" / "math")
    return tmp_path


def test_in_a_checkout(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (checkout / "envs" / "__init__.py").read_text()
    assert main(["new", "spelling-bee", "--kind", "single-turn"]) == 0
    told = capsys.readouterr().out
    line = 'register(id="AgentRL/SpellingBee-v0", entry_point="agentrl.envs.spelling_bee.env:SpellingBeeEnv")\n'
    assert (checkout / "envs" / "__init__.py").read_text() == before + line
    wrote = set(re.findall(r"^wrote (.*)$", told, re.MULTILINE))
    assert wrote == {
        *(f"../spelling_bee/{name}" for name in ("README.md", "__init__.py", "env.py", "policies.py", "tasks.py")),
        *(f"../../tests/envs/spelling_bee/{name}" for name in ("test_env.py", "test_tasks.py")),
    }
    assert all((Path.cwd() / path).is_file() for path in wrote)
    for step in (
        "pip install --editable .",  # what runs here is another checkout
        "agentrl check AgentRL/SpellingBee-v0",
        "agentrl play AgentRL/SpellingBee-v0 --oracle",
        "python -m pytest tests/envs/spelling_bee",
        "agentrl train quickstart --env AgentRL/SpellingBee-v0",
    ):
        assert f"  {step}" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("spelling bee",), "try 'spelling-bee'"),
        (("bee", "--kind", "single-trun"), "did you mean 'single-turn'?"),
        (("math",), "has 'math' already"),
        (("Se-arch",), "would be mistaken for 'search'"),
        (("bee", "--to", "numpy"), "choose another folder name"),
    ],
)
def test_what_cannot_work_is_said_in_a_line_and_nothing_is_written(
    checkout: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}
    assert main(["new", *words]) == 2
    told = capsys.readouterr().err
    assert told.startswith("agentrl new: ")
    assert said in told
    assert told.count("\n") == 1
    assert {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()} == before


def test_outside_the_printed_steps_work_from_that_folder(tmp_path: Path) -> None:
    done = agentrl("new", "spelling-bee", "--to", "my_envs", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    env_id = "my_envs:MyEnvs/SpellingBee-v0"
    for step in ("cd my_envs", f"agentrl check {env_id}", "python -m pytest tests/spelling_bee"):
        assert f"  {step}\n" in done.stdout
    played = agentrl("play", env_id, "--oracle", "--seed", "3", folder=tmp_path / "my_envs")
    assert played.returncode == 0, played.stderr
    assert "success: reward 1" in played.stdout
    elsewhere = agentrl("play", env_id, "--oracle", folder=tmp_path)
    assert elsewhere.returncode == 2
    assert "the module 'my_envs' " in elsewhere.stderr


def test_without_a_checkout_it_asks_for_a_folder(tmp_path: Path) -> None:
    done = agentrl("new", "spelling-bee", folder=tmp_path)
    assert done.returncode == 2
    assert "add --to DIR, such as --to my_envs" in done.stderr


def test_help_names_the_kinds(tmp_path: Path) -> None:
    done = agentrl("new", "--help", folder=tmp_path)
    assert done.returncode == 0
    for kind in ("tools", "sandboxed", "single-turn"):
        assert f"\n  {kind} " in done.stdout
