"""Generated tasks: fresh hidden inputs for each seed, splits apart, and inputs that tell right from wrong."""

from __future__ import annotations

import itertools
import json
import pickle
import subprocess
import sys

import pytest

from agentrl.envs.code.catalogue import FAMILIES
from agentrl.envs.code.checks import Check, same_output, same_value
from agentrl.envs.code.family import TOPICS
from agentrl.envs.code.running import Runner, runner
from agentrl.envs.code.tasks import Task, families_of, generate, large_check
from agentrl.envs.errors import UsageError
from agentrl.sandboxes.grader import canonical


def inputs(task: Task) -> set[str]:
    return {canonical(check.args) for check in task.hidden}


DRAWN = """
import hashlib
from agentrl.envs.code.catalogue import FAMILIES
from agentrl.envs.code.tasks import generate
from agentrl.sandboxes.grader import canonical
tasks = [generate(5, "test", family.levels[0], family=family.name) for family in FAMILIES.values()]
told = [(task.id, task.question, [canonical((check.args, check.expected)) for check in task.hidden]) for task in tasks]
print(hashlib.sha256(repr(told).encode()).hexdigest())
"""


def test_the_same_seed_is_the_same_task_in_another_process() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", DRAWN], capture_output=True, text=True, env={"PYTHONHASHSEED": number}
        ).stdout
        for number in ("1", "2")
    }
    assert len(said) == 1
    assert len(said.pop()) == 65


def test_two_seeds_with_the_same_parameters_have_different_hidden_inputs() -> None:
    by_id: dict[str, list[Task]] = {}
    for seed in range(400):
        task = generate(seed, "train", 1, family="stretch-ends" if "stretch-ends" in FAMILIES else "frame-text")
        by_id.setdefault(task.id, []).append(task)
    pairs = [pair for tasks in by_id.values() for pair in itertools.combinations(tasks, 2)]
    assert len(pairs) >= 20
    for one, other in pairs:
        assert one.params == other.params
        assert inputs(one) != inputs(other)
        assert one.examples != other.examples


@pytest.mark.parametrize("level", range(1, 6))
def test_train_and_test_share_no_task(level: int) -> None:
    train, test = ({generate(seed, split, level).id for seed in range(100)} for split in ("train", "test"))
    assert not train & test
    assert len(train) > 60


@pytest.mark.parametrize("level", [1, 5])
def test_every_family_of_a_level_comes_up(level: int) -> None:
    missing = {family.name for family in families_of(level)}
    for seed in range(400):
        missing.discard(generate(seed, "test", level).family)
        if not missing:
            break
    assert not missing


@pytest.mark.parametrize("level", range(1, 6))
def test_a_task_is_plain_data_and_its_parts_are_as_said(level: int) -> None:
    for seed in range(40):
        task = generate(seed, "train", level)
        assert pickle.loads(pickle.dumps(task)) == task
        assert json.loads(json.dumps(dict(task.params))) == task.params
        family = FAMILIES[task.family]
        assert task.examples
        assert not inputs(task) & {canonical(check.args) for check in task.examples}
        assert {canonical(args) for args in family.edges(task.params)} <= inputs(task)
        assert len(inputs(task)) == len(task.hidden)
        for check in task.examples:
            assert (check.args[0] if task.kind == "program" else check.said(task.function)) in task.question
        assert task.solution not in task.question


def _right(run: Runner, check: Check, task: Task) -> bool:
    try:
        return check.passes(run(check.args), program=task.kind == "program")
    except Exception:  # as in a box, where it would return nothing
        return False


@pytest.mark.parametrize("level", range(1, 6))
def test_what_is_known_to_be_wrong_fails_on_every_seed(level: int) -> None:
    for seed in range(60):
        task = generate(seed, ("train", "test")[seed % 2], level)
        family = FAMILIES[task.family]
        same = same_output if task.kind == "program" else same_value
        for source in family.wrong:
            run = runner(family, source, task.params)
            assert not all(_right(run, check, task) for check in task.hidden), (task.id, source)
        for each in [task.hidden[0].expected, *(check.expected for check in task.examples)]:  # a constant
            assert not all(same(each, check.expected) for check in task.hidden)
        for k in range(len(task.hidden[0].args)):  # what came in
            assert not all(same(check.args[k], check.expected) for check in task.hidden)


def test_large_inputs_belong_to_refactoring_and_to_their_seed() -> None:
    for seed in range(3):
        task = generate(seed, "train", 4, topic="refactoring")
        check, again = large_check(task), large_check(task)
        assert check is not None
        assert check == again
        assert len(repr(check.args)) > 50_000
    assert large_check(generate(1, "train", 2, topic="strings")) is None


def test_a_topic_or_family_is_all_that_comes() -> None:
    for topic in TOPICS:
        level = next(
            level for level in range(1, 6) if any(level in f.levels for f in FAMILIES.values() if f.topic == topic)
        )
        assert FAMILIES[generate(3, "train", level, topic=topic).family].topic == topic
    with pytest.raises(UsageError, match="did you mean 'strings'"):
        generate(1, "train", 1, topic="string")
    with pytest.raises(UsageError, match="family='frame-txt' does not exist; did you mean 'frame-text'"):
        generate(1, "train", 1, family="frame-txt")
    with pytest.raises(UsageError, match=r"family='frame-text' at level 5; its levels are \[1\]"):
        generate(1, "train", 5, family="frame-text")
