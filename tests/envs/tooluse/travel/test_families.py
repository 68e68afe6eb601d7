"""The families of travel, played through the environment: the way to do them, and ways that must not pay."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest

from agentrl.envs.scripted import scripted
from agentrl.envs.tooluse.case import Ask, Do
from agentrl.envs.tooluse.env import ToolUseEnv
from agentrl.envs.tooluse.policies import solution
from agentrl.envs.tooluse.scoring import same_rows
from agentrl.envs.tooluse.tasks import Task
from agentrl.envs.tooluse.travel.domain import DOMAIN

CASES = [(family.name, level) for family in DOMAIN.families for level in family.levels]
SPLITS = ("train", "test")
READS = ("find_", "get_", "search_", "list_")
Play = Callable[..., tuple[float, bool]]


def environment(level: int, family: str | None = None) -> ToolUseEnv:
    return ToolUseEnv(domain="travel", family=family, level=level, backend="local")


def started(env: ToolUseEnv, seed: int, split: str) -> tuple[Task, str, dict[str, Any]]:
    observation, info = env.reset(seed=seed, options={"split": split})
    return env._current(), observation, info


def writes(task: Task) -> list[str]:
    """Return the writing calls of a task's way, as text."""
    calls = [call for step in task.case.steps if isinstance(step, Do) for call in step.calls]
    return [json.dumps(call.arguments) for call in calls if not call.tool.startswith(READS)]


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("split", SPLITS)
def test_the_oracle_does_sixty_tasks_of_each_level(level: int, split: str, play: Play) -> None:
    with environment(level) as env:
        for seed in range(60):
            _, observation, info = started(env, seed, split)
            assert play(env, env.oracle(), observation, info) == (1.0, True), seed


@pytest.mark.parametrize(("family", "level"), CASES)
def test_each_family_is_done_by_its_way_and_by_nothing_less(family: str, level: int, play: Play) -> None:
    with environment(level, family) as env:
        for seed, split in itertools.product(range(2), SPLITS):
            task, observation, info = started(env, seed, split)
            turns = solution(task)
            assert play(env, scripted(lambda: turns), observation, info) == (1.0, True), (seed, split)  # noqa: B023
            if seed == 0 and writes(task):
                observation, info = env.reset(seed=seed, options={"split": split})
                short = [turn for turn in turns if turn != turns[-2]]
                assert play(env, scripted(lambda: short), observation, info) == (0.0, False), (seed, split)  # noqa: B023


@pytest.mark.parametrize(("family", "level"), CASES)
def test_noop_and_cheats_get_nothing(family: str, level: int, play: Play) -> None:
    with environment(level, family) as env:
        _, observation, info = started(env, 1, SPLITS[level % 2])
        state = env.snapshot()
        for name, policy in {"noop": env.noop(), **env.cheats()}.items():
            env.restore(state)
            assert play(env, policy, observation, info) == (0.0, False), name


@pytest.mark.parametrize(("family", "level"), CASES)
def test_what_has_to_be_told_or_asked_does_not_stand_in_the_request(family: str, level: int) -> None:
    with environment(level, family) as env:
        for seed, split in itertools.product(range(2), SPLITS):
            task, _, _ = started(env, seed, split)
            known = f"{task.case.request} {task.today}"
            assert not [fact for fact in task.case.tell if fact.value in known]
            assert task.case.tell or not same_rows(DOMAIN.toolset, task.rows, task.rows, task.wanted)
            assert task.case.refuse is None or task.case.tell
            assert len(task.case.reveals) == 0 or any(isinstance(step, Ask) for step in task.case.steps)
            assert len(env.instructions()) < 4000
            assert len(task.case.request) < 300


@pytest.mark.parametrize(
    ("family", "level"),
    [case for case in CASES if case[0] in ("another-fare", "another-flight", "fewer-bags", "other-nights")],
)
def test_who_does_not_ask_to_confirm_misses_a_change_of_mind(family: str, level: int, play: Play) -> None:
    with environment(level, family) as env:
        for seed, split in itertools.product(range(4), SPLITS):
            task, observation, info = started(env, seed, split)
            (reveal,) = task.case.reveals
            asked = [
                turn for step, turn in zip(task.case.steps, solution(task), strict=False) if not isinstance(step, Ask)
            ]
            hasty = _as_requested(task, asked[-1])
            assert hasty != asked[-1], "the request must say something that the user takes back"
            last = solution(task)[-1]
            assert play(env, scripted(lambda: [*asked[:-1], hasty, last]), observation, info) == (0.0, False)  # noqa: B023
            assert reveal.says not in task.case.request


def _as_requested(task: Task, write: str) -> str:
    """Return the writing call with what the user asked for at first."""
    arguments = dict(
        next(call for step in task.case.steps[-1:] if isinstance(step, Do) for call in step.calls).arguments
    )
    request = task.case.request
    if "fare" in arguments:
        arguments["fare"] = next(fare for fare in ("basic", "flex", "business") if fare in request)
    elif "new_flight" in arguments:
        flights = [row[0] for row in task.rows["flights"]]
        arguments["new_flight"] = next(flight for flight in flights if flight in request)
    elif "bags" in arguments:
        arguments["bags"] = next(count for count in range(1, 9) if f"{count} " in request or f" {count}." in request)
    else:
        arguments["nights"] = next((count for count in range(2, 9) if f"{count} nights" in request), 1)
    return write.replace(json.dumps(task.case.steps[-1].calls[0].arguments), json.dumps(arguments))  # type: ignore[union-attr]
