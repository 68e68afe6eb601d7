"""Generated tasks: the cells find the truth in the files, nothing can be guessed, the splits share nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import product

import pytest

from agentrl.envs.math.answers import numbers_in
from agentrl.envs.protocol import SPLITS
from agentrl.envs.python.answers import matches, show
from agentrl.envs.python.families import FAMILIES
from agentrl.envs.python.tasks import Task, generate
from agentrl.envs.python.words import POOLS, Draw
from agentrl.sandboxes import Backend, SandboxSpec, open_backend

LEVELS = range(1, 6)
PAIRS = [(name, level) for name, family in FAMILIES.items() for level in family.levels]

# Runs in the box: each folder holds the files of a task and its cells, run one after another in names of their own.
DRIVER = """
import contextlib, io, json, os, traceback
for folder in sorted(os.listdir("/work")):
    os.chdir(f"/work/{folder}")
    shown, names = io.StringIO(), {}
    with contextlib.redirect_stdout(shown):
        try:
            for cell in json.load(open(".cells")):
                exec(cell, names)
        except Exception:
            traceback.print_exc(file=shown)
    print(json.dumps(shown.getvalue()))
"""


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with open_backend("bubblewrap") as opened:
        yield opened


def printed(backend: Backend, tasks: list[Task]) -> list[str]:
    """Return what the cells of each task print, all in one box."""
    files: dict[str, bytes] = {}
    for number, task in enumerate(tasks):
        files |= {f"{number:03d}/{path}": content for path, content in task.files.items()}
        files[f"{number:03d}/.cells"] = json.dumps(task.cells).encode()
    with backend.lease(SandboxSpec(files=files, disk_mb=256)) as box:
        done = box.run_python(DRIVER, timeout_s=60)
    assert done.ok, done
    return [json.loads(line) for line in done.stdout_text.splitlines()]


@pytest.mark.bwrap
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("level", LEVELS)
def test_the_cells_find_the_truth_in_the_files(backend: Backend, level: int, split: str) -> None:
    tasks = [generate(seed, split, level) for seed in range(40)]
    for seed, (task, said) in enumerate(zip(tasks, printed(backend, tasks), strict=True)):
        assert matches(said.strip().splitlines()[-1], task.answer), (seed, task.id, said, show(task.answer))


@pytest.mark.bwrap
def test_the_cells_of_every_family_find_the_truth(backend: Backend) -> None:
    tasks = [generate(97, split, level, family=name) for (name, level), split in product(PAIRS, SPLITS)]
    for task, said in zip(tasks, printed(backend, tasks), strict=True):
        assert matches(said.strip().splitlines()[-1], task.answer), (task.id, said, show(task.answer))
