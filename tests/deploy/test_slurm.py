"""The SLURM script and its helpers: clean shell, the same flags as everywhere, and time for a checkpoint."""

from __future__ import annotations

import re
import shlex
import sysconfig
from pathlib import Path

import pytest
from ray.scripts.scripts import start

from tests.deploy.reading import DEPLOY, run

SLURM = DEPLOY / "slurm"
SCRIPTS = sorted([*SLURM.iterdir(), DEPLOY / "train.sh"])


def _commands(script: Path, first: str) -> list[list[str]]:
    """Return the words of each command that begins so, without shell variables around them."""
    text = script.read_text().replace("\\\n", " ")
    found = re.findall(rf"(?:^|exec |\s)({first} [^\n&|>]*)", re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE))
    return [shlex.split(each) for each in found]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_clean(script: Path) -> None:
    run(["bash", "-n", str(script)])
    run([str(Path(sysconfig.get_path("scripts")) / "shellcheck"), str(script)])
    assert script.stat().st_mode & 0o111


def test_shellcheck_would_see_a_slip(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.sh"
    wrong.write_text("#!/usr/bin/env bash\nrm $1\n")
    with pytest.raises(AssertionError, match="SC2086"):
        run([str(Path(sysconfig.get_path("scripts")) / "shellcheck"), str(wrong)])


@pytest.mark.parametrize("script", [SLURM / "ray.sh", DEPLOY / "train.sh"], ids=lambda script: script.name)
def test_ray_takes_the_options(script: Path) -> None:
    for words in _commands(script, "ray start"):
        numbers = [re.sub(r"^\$\{?[\w#*:]+\}?$", "1", word) for word in words[2:]]
        assert start.make_context("ray start", numbers).params["num_gpus"] == 0


def test_the_scheduler_s_warning_leaves_time_for_a_checkpoint() -> None:
    text = (SLURM / "train.sbatch").read_text()
    signal = re.search(r"^#SBATCH --signal=B:USR1@(\d+)$", text, re.MULTILINE)
    grace = re.search(r"GRACE_S=\$\{GRACE_S:-(\d+)\}", text)
    assert signal is not None
    assert grace is not None
    assert int(signal[1]) > int(grace[1])
    assert f"{{GRACE_S:-{grace[1]}}}" in (DEPLOY / "train.sh").read_text()


def test_what_the_script_calls_is_there() -> None:
    called = set(re.findall(r"\$deploy/([\w./]+)", (SLURM / "train.sbatch").read_text()))
    assert called == {"train.sh", "slurm/serve.sh", "slurm/ray.sh"}
    assert all((DEPLOY / each).is_file() for each in called)
