"""The catalogue: enough families for every topic and level, under names that stay."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from agentrl.envs.code import catalogue
from agentrl.envs.code.catalogue import FAMILIES
from agentrl.envs.code.family import TOPICS


def test_names_are_unique_and_plain() -> None:
    named = [family.name for module in catalogue._MODULES for family in module.FAMILIES]
    assert len(named) == len(set(named)) == len(FAMILIES)
    assert list(FAMILIES) == named
    for name, family in FAMILIES.items():
        assert name == family.name
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)


def test_every_module_of_families_is_in_the_catalogue() -> None:
    folder = catalogue._MODULES[0].__file__
    assert folder is not None
    written = {path.stem for path in Path(folder).parent.glob("*.py")} - {"__init__"}
    assert written == {module.__name__.rpartition(".")[2] for module in catalogue._MODULES}


def test_there_are_families_enough_for_every_topic_and_level() -> None:
    assert len(FAMILIES) >= 122
    topics = Counter(family.topic for family in FAMILIES.values())
    assert set(topics) == set(TOPICS)
    assert min(topics.values()) >= 9
    levels = Counter(level for family in FAMILIES.values() for level in family.levels)
    assert set(levels) == {1, 2, 3, 4, 5}
    assert min(levels.values()) >= 18


def test_statements_are_all_different() -> None:
    assert len({family.statement for family in FAMILIES.values()}) == len(FAMILIES)


def test_the_order_is_that_of_the_topics() -> None:
    order = [TOPICS.index(family.topic) for family in FAMILIES.values()]
    assert order == sorted(order)
