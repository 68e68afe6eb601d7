"""Drawing tasks: what decides them, which split they belong to, what is offered at a level."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agentrl.envs.errors import UsageError
from agentrl.envs.tooluse.case import Call, Case, Do, Fact, Family, Rule, World, wording
from agentrl.envs.tooluse.env import ToolUseEnv
from agentrl.envs.tooluse.tasks import Task, domain, draw_task, families_of
from tests.envs.tooluse import toy as module
from tests.envs.tooluse.toy import DOMAIN

ROOT = Path(__file__).parents[3]


def drawn(seed: int, split: str = "train", level: int = 2, *families: str) -> Task:
    return draw_task(random.Random(seed), "toy", split, level, families)


def test_the_same_generator_gives_the_same_task_in_another_process(toy: str) -> None:
    mine = [repr(drawn(seed, split, 3)) for seed in range(5) for split in ("train", "test")]
    code = (
        "import random\n"
        "from agentrl.envs.tooluse.tasks import DOMAINS, draw_task\n"
        "DOMAINS['toy'] = 'tests.envs.tooluse.toy'\n"
        "for seed in range(5):\n"
        "    for split in ('train', 'test'):\n"
        "        print(repr(draw_task(random.Random(seed), 'toy', split, 3)))\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines() == mine
    assert len(set(mine)) == len(mine)


def test_no_task_is_in_both_splits(toy: str) -> None:
    """There are about 5000 codes: of so many draws, dozens would be in both if nothing kept them apart."""
    seen: dict[str, set[str]] = {"train": set(), "test": set()}
    for split, requests in seen.items():
        for seed in range(500):
            requests.add(drawn(seed, split, 1, "shut").case.request)
    assert not seen["train"] & seen["test"]
    assert min(map(len, seen.values())) > 300


def test_a_task_holds_the_database_as_it_must_be_in_the_end(toy: str) -> None:
    task = drawn(3, "train", 2, "shut")
    step = task.case.steps[0]
    assert isinstance(step, Do)
    box = step.calls[0].arguments["box"]
    assert [[*row[:1], row[1]] for row in task.rows["boxes"]] == [[row[0], "open"] for row in task.rows["boxes"]]
    assert [row[1] for row in task.wanted["boxes"]] == [
        "shut" if row[0] == box else "open" for row in task.rows["boxes"]
    ]


def test_a_way_that_a_tool_refuses_is_a_mistake_of_the_family(toy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DOMAIN", replace(DOMAIN, families=(Family(name="bad", levels=(1,), draw=_bad),)))
    with pytest.raises(AssertionError, match="there is no box 'none'"):
        drawn(1, "train", 1)


def _bad(rng: random.Random, world: World, level: int) -> Case:
    return Case(request=f"Shut it {rng.random()}.", steps=(Do((Call("shut", {"box": "none"}),)),))


def test_a_world_that_does_not_fit_is_drawn_anew(toy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DOMAIN", replace(DOMAIN, families=(Family(name="cheap", levels=(1,), draw=_cheap),)))
    prices = [drawn(seed, "train", 1).case.tell for seed in range(5)]
    assert all(fact.value.startswith("1.") for tell in prices for fact in tell)


def _cheap(rng: random.Random, world: World, level: int) -> Case | None:
    row = world.rows["boxes"][0]
    return Case(request=f"Shut {row[0]}.", steps=(Do((Call("shut", {"box": row[0]}),)),)) if row[2] < "2" else None


@pytest.mark.parametrize(("level", "number"), [(1, 2), (2, 3), (3, 3), (5, 3)])
def test_few_tools_are_offered_at_first_and_always_those_that_are_needed(toy: str, level: int, number: int) -> None:
    offers = {drawn(seed, "train", level, "shut").tools for seed in range(20)}
    assert all("shut" in tools and len(tools) == number for tools in offers)
    assert len(offers) == (2 if level == 1 else 1)  # at level 1 another tool stands beside it now and then


def test_what_tempts_is_offered_like_what_is_needed(toy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DOMAIN", replace(DOMAIN, families=(Family(name="no", levels=(1,), draw=_tempting),)))
    assert all({"look", "add"} <= set(drawn(seed, "train", 1).tools) for seed in range(20))


def _tempting(rng: random.Random, world: World, level: int) -> Case:
    row = rng.choice(world.rows["boxes"])
    look = Do((Call("look", {"box": row[0]}),))
    fact = Fact(value=row[2], kind="amount")
    return Case(request="Add a box.", steps=(look,), tell=(fact,), refuse="no-boxes", tempts=("add",))


def test_rules_stand_from_their_level_on_and_the_rule_of_a_refusal_always(
    toy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, later = Rule(key="no-boxes", text="No.", level=4), Rule(key="later", text="Later.", level=4)
    monkeypatch.setattr(module, "DOMAIN", replace(DOMAIN, rules=(late, later)))
    assert drawn(1, "train", 3, "shut").rules == ()
    assert [text for _, text in drawn(1, "train", 3, "refused").rules] == ["No."]
    assert [text for _, text in drawn(1, "train", 4, "shut").rules] == ["No.", "Later."]


def test_a_rule_has_another_code_in_another_episode(toy: str) -> None:
    tasks = [drawn(seed, "train", 2, "refused") for seed in range(30)]
    codes = {task.refusal for task in tasks}
    assert len(codes) > 10
    assert all(code is not None and re.fullmatch(r"R-[1-9]\d", code) for code in codes)
    assert all(task.refusal in dict(task.rules) for task in tasks)


def test_families_are_those_of_the_level(toy: str) -> None:
    assert [family.name for family in families_of("toy", 1)] == ["shut", "price"]
    assert [family.name for family in families_of("toy", 2)] == ["shut", "price", "refused"]
    assert [family.name for family in families_of("toy", 2, ("price",))] == ["price"]


def test_an_unknown_domain_is_named_with_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"domain='shp' does not exist.*shop.*; there are shop, travel, workspace"):
        domain("shp")


def test_each_split_has_wordings_of_its_own() -> None:
    texts = ["a", "b", "c", "d", "e", "f", "g"]
    found = {split: {wording(random.Random(seed), split, *texts) for seed in range(80)} for split in ("train", "test")}
    assert found == {"train": {"a", "b", "c", "d", "e"}, "test": {"f", "g"}}


def test_nothing_is_asked_in_both_splits_at_level_1() -> None:
    """There the wordings are shared, and what is asked may have another answer in another world."""
    asked = []
    for split in ("train", "test"):
        env = ToolUseEnv(level=1, split=split)
        asked.append({env.reset(seed=seed)[0] for seed in range(600)})
    assert len(asked[0]) > 500
    assert not asked[0] & asked[1]
