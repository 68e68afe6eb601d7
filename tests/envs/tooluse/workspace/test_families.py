"""Every family of the workspace: its oracle, its floor and cheats, its facts, and the spread of the levels."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from agentrl.envs.tooluse.case import Ask, Case
from agentrl.envs.tooluse.env import ToolUseEnv
from agentrl.envs.tooluse.words import FIRST_NAMES, LAST_NAMES
from agentrl.envs.tooluse.workspace.domain import DOMAIN
from agentrl.envs.tooluse.workspace.tools import WorkspaceTools
from tests.envs.tooluse.workspace.helpers import EACH, calls_of, played, task_of

WRITES = {
    "send_mail",
    "send_draft",
    "reply_mail",
    "forward_mail",
    "mark_mail",
    "create_event",
    "move_event",
    "cancel_event",
    "answer_event",
    "invite",
    "book_room",
    "share_file",
    "unshare_file",
    "delete_file",
    "restore_version",
}
SEEDS = 3  # of a level and split; level 1 is played with 60 by a slow test


def _sweep(name: str, level: int, num_seeds: int) -> None:
    for split in ("train", "test"):
        env = ToolUseEnv(domain="workspace", family=name, level=level, split=split)
        for seed in range(num_seeds):
            last = played(env, env.oracle(), seed)
            assert (last["reward"], last["success"]) == (1.0, True), (name, level, split, seed)
            assert not any("Error:" in each for each in last["heard"]), (name, level, split, seed)
        env.close()


@pytest.mark.parametrize(("name", "level"), EACH)
def test_the_oracle_solves_every_task(name: str, level: int) -> None:
    _sweep(name, level, SEEDS)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [family.name for family in DOMAIN.families if 1 in family.levels])
def test_the_oracle_solves_sixty_seeds_of_level_one(name: str) -> None:
    _sweep(name, 1, 60)


@pytest.mark.parametrize(("name", "level"), [(family.name, family.levels[0]) for family in DOMAIN.families])
def test_the_floor_and_every_cheat_earn_nothing(name: str, level: int) -> None:
    env = ToolUseEnv(domain="workspace", family=name, level=level)
    for cheat, policy in {**env.cheats(), "noop": env.noop()}.items():
        last = played(env, policy, 3)
        assert (last["reward"], bool(last.get("success"))) == (0.0, False), (name, level, cheat)
    env.close()


@pytest.mark.parametrize("name", [family.name for family in DOMAIN.families])
def test_what_is_told_is_not_in_the_request(name: str) -> None:
    level = next(family.levels[-1] for family in DOMAIN.families if family.name == name)
    env = ToolUseEnv(domain="workspace", family=name, level=level)
    for seed in range(8):
        case = task_of(env, seed).case
        said = case.request + " ".join(each.says for each in case.reveals)
        assert not any(fact.value in said for fact in case.tell), case
        changes = any(call.tool in WRITES for call in calls_of(case))
        assert changes or case.tell, f"nothing has to be done for {case.request!r}"
        assert bool(case.reveals) == any(isinstance(step, Ask) for step in case.steps)
    env.close()


def test_there_are_enough_tools_families_and_levels() -> None:
    levels = Counter(level for family in DOMAIN.families for level in family.levels)
    assert len(WorkspaceTools.functions()) >= 12
    assert len(DOMAIN.families) >= 25
    assert all(levels[level] >= 6 for level in range(1, 6)), levels
    assert len({family.name for family in DOMAIN.families}) == len(DOMAIN.families)


def test_there_are_enough_families_of_every_kind() -> None:
    kinds: Counter[str] = Counter()
    for family in DOMAIN.families:
        for kind in _kinds(_case(family.name, family.levels[-1])):
            kinds[kind] += 1
    wanted = {"refused": 4, "reads first": 5, "asked": 4, "changed": 3, "question": 4, "in part": 2, "two writes": 3}
    assert all(kinds[kind] >= number for kind, number in wanted.items()), kinds


def test_a_refusal_names_a_rule_and_rests_on_a_fact() -> None:
    keys = {rule.key for rule in DOMAIN.rules}
    for family in DOMAIN.families:
        for level in family.levels:
            case = _case(family.name, level)
            if family.name.endswith("refused"):
                assert level >= 2, family.name
                assert case.refuse in keys, family.name
                assert case.tell, family.name
                assert not any(call.tool in WRITES for call in calls_of(case)), family.name


def test_level_one_has_short_prompts_and_no_rules() -> None:
    longest = 0
    for family in DOMAIN.families:
        if 1 in family.levels:
            env = ToolUseEnv(domain="workspace", family=family.name, level=1)
            for seed in range(5):
                observation, info = env.reset(seed=seed)
                assert "Policy:" not in info["system"]
                longest = max(longest, len(info["system"]) + len(str(info["tools"])) + len(observation))
            env.close()
    assert longest < 2000, f"{longest} characters of system, tools and request"


def test_both_splits_of_level_one_have_the_same_words() -> None:
    words: dict[str, set[str]] = {"train": set(), "test": set()}
    for split, found in words.items():
        for family in DOMAIN.families:
            if 1 in family.levels:
                env = ToolUseEnv(domain="workspace", family=family.name, level=1, split=split)
                for seed in range(30):
                    task = task_of(env, seed)
                    given = {word for lines in task.rows.values() for line in lines for word in str(line).split("'")}
                    text = " ".join(each for each in task.case.request.split() if each.strip(".:?") not in given)
                    found |= set(re.findall(r"[a-z]+", text.lower())) - _name_words()
                env.close()
    assert words["test"] <= words["train"], words["test"] - words["train"]


def _name_words() -> set[str]:
    return {name.lower() for name in (*FIRST_NAMES, *LAST_NAMES)}


def _case(name: str, level: int) -> Case:
    env = ToolUseEnv(domain="workspace", family=name, level=level)
    try:
        return task_of(env, 1).case
    finally:
        env.close()


def _kinds(case: Case) -> set[str]:
    calls = [call.tool for call in calls_of(case)]
    writes = [tool for tool in calls if tool in WRITES]
    asked = [each for each in case.reveals if not each.says.startswith("Yes, please")]
    return {
        *(["refused"] if case.refuse and not writes else []),
        *(["in part"] if case.refuse and writes else []),
        *(["reads first"] if writes and len(calls) - len(writes) >= 2 else []),
        *(["asked"] if case.reveals else []),
        *(["changed"] if any("keep" in each.says or "leave out" in each.says for each in asked) else []),
        *(["question"] if case.tell and not writes and not case.refuse else []),
        *(["two writes"] if len(writes) >= 2 else []),
    }
