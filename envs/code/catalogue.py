"""The catalogue: every family of programming tasks by its name.

The order is that of the topics and, within a topic, of the modules below; it does not depend on a file system.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agentrl.envs.code.families import (
    boards,
    calendars,
    choices,
    dates,
    dictionaries,
    dynamic,
    graphs,
    grids,
    list_picks,
    lists,
    lookups,
    machines,
    networks,
    notations,
    number_rules,
    numbers,
    parsing,
    programs,
    refactoring,
    repair,
    reports,
    simulation,
    slips,
    speedups,
    strings,
    text_pieces,
)
from agentrl.envs.code.family import Family

__all__ = ["FAMILIES"]

_MODULES = (
    strings,
    text_pieces,
    numbers,
    number_rules,
    lists,
    list_picks,
    dictionaries,
    lookups,
    graphs,
    networks,
    grids,
    boards,
    dynamic,
    choices,
    parsing,
    notations,
    simulation,
    machines,
    dates,
    calendars,
    repair,
    slips,
    refactoring,
    speedups,
    programs,
    reports,
)


def _catalogue() -> Mapping[str, Family]:
    found: dict[str, Family] = {}
    for module in _MODULES:
        for family in module.FAMILIES:
            assert family.name not in found, f"two families are called {family.name!r}"
            found[family.name] = family
    return MappingProxyType(found)


FAMILIES: Mapping[str, Family] = _catalogue()
"""Family by name."""
