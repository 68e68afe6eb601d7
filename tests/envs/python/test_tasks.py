"""Generated tasks: the cells find the truth in the files, nothing can be guessed, the splits share nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from agentrl.envs.math.answers import numbers_in
from agentrl.envs.protocol import SPLITS
from agentrl.envs.python.answers import matches, show
from agentrl.envs.python.catalogue import FAMILIES
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
    tasks = [generate(97, SPLITS[at % 2], level, family=name) for at, (name, level) in enumerate(PAIRS) if level < 5]
    for task, said in zip(tasks, printed(backend, tasks), strict=True):
        assert matches(said.strip().splitlines()[-1], task.answer), (task.id, said, show(task.answer))


def test_there_are_families_for_every_level() -> None:
    assert len(FAMILIES) >= 30
    assert len({name.partition("-")[0] for name in FAMILIES}) >= 6
    for level in LEVELS:
        assert sum(level in family.levels for family in FAMILIES.values()) >= 10


@pytest.mark.parametrize("level", [1, 2])
def test_every_family_of_a_level_is_drawn(level: int) -> None:
    drawn = Counter(generate(seed, "train", level).family for seed in range(400))
    assert set(drawn) == {name for name, family in FAMILIES.items() if level in family.levels}
    assert max(drawn.values()) < 60


@pytest.mark.parametrize(("name", "level"), [(name, family.levels[0]) for name, family in FAMILIES.items()])
def test_no_answer_of_a_family_is_frequent(name: str, level: int) -> None:
    num_seeds = {1: 200, 2: 100, 3: 40}.get(level, 16)  # all had 200 once; see the card
    answers = Counter(show(generate(seed, SPLITS[seed % 2], level, family=name).answer) for seed in range(num_seeds))
    assert answers.most_common(1)[0][1] < 0.2 * num_seeds, answers.most_common(3)


def test_the_splits_share_no_wording_and_no_name() -> None:
    for family in FAMILIES.values():
        assert len(family.train) >= 2
        assert len(family.test) >= 2
        assert set(family.train).isdisjoint(family.test)
    assert len({wording for family in FAMILIES.values() for wording in family.train + family.test}) == sum(
        len(family.train + family.test) for family in FAMILIES.values()
    )
    for kind in POOLS:
        halves = [set(Draw(1, split, 1).some(kind, 1000)) for split in SPLITS]
        assert halves[0].isdisjoint(halves[1])
        assert min(map(len, halves)) >= 15, kind


@pytest.mark.parametrize("level", [1, 2, 3])
def test_the_splits_share_no_question(level: int) -> None:
    tasks = [[generate(seed, split, level) for seed in range(60)] for split in SPLITS]
    asked = [{task.question for task in each} for each in tasks]
    assert asked[0].isdisjoint(asked[1])
    assert len({task.id for each in tasks for task in each}) == 120


def test_the_first_level_is_short_and_the_others_cannot_be_read_at_once() -> None:
    for name, level in PAIRS:
        task = generate(5, "train", level, family=name)
        sizes = [len(content) for path, content in task.files.items() if path != "README.txt"]
        if level == 1:
            assert sum(sizes) < 1200
            assert len(sizes) == 1
            assert len(task.question) < 260
            assert len("".join(task.cells)) < 600
        else:
            assert max(sizes) > (0, 0, 8_000, 12_000, 25_000, 60_000)[level], name
            assert len(task.cells) == (1 if level == 2 else 2)
        assert len(sizes) >= (0, 1, 1, 1, 2, 3)[level]
        assert ("README.txt" in task.files) == (level > 2)
        if level == 5:
            assert len({path.rpartition(".")[2] for path in task.files}) >= 3


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("level", [1, 2, 3])
def test_the_answer_stands_in_no_question_and_is_no_guess(level: int, split: str) -> None:
    for seed in range(30):
        task = generate(seed, split, level)
        for guess in ("0", "1", "2", "10", "42", "100", task.question):
            assert not matches(guess, task.answer)
        assert not any(matches(str(float(each)), task.answer) for each in numbers_in(task.question))
        for path, content in task.files.items():
            if not path.endswith(".db"):
                lines = content.decode().splitlines()
                assert not matches(str(len(lines)), task.answer)
                assert not any(
                    matches(word.strip('",'), task.answer) for word in (lines[0] + " " + lines[-1]).split()[:1]
                )


TOLD = """
import sys
from agentrl.envs.python.tasks import generate
for level in range(1, 6):
    for split in ("train", "test"):
        for seed in range(2):
            task = generate(seed, split, level)
            files = {name: content for name, content in task.files.items() if not name.endswith(".db")}
            print(task.id, task.question, task.answer, task.cells, files)
"""


def test_every_process_draws_the_same_tasks() -> None:
    said = set()
    for number in ("0", "77"):
        done = subprocess.run(
            [sys.executable, "-c", TOLD], capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": number}
        )
        assert done.returncode == 0, done.stderr
        said.add(done.stdout)
    assert len(said) == 1
    assert len(said.pop()) > 100_000
