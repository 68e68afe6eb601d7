"""The catalogue: every family of questions by its name, in the order of the modules below."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agentrl.envs.python.families import flights, grades, inventory, letters, library, sales, sensors, weblog
from agentrl.envs.python.family import Family

__all__ = ["FAMILIES"]

_MODULES = (sales, sensors, weblog, inventory, library, letters, grades, flights)


def _catalogue() -> Mapping[str, Family]:
    found: dict[str, Family] = {}
    for module in _MODULES:
        for family in module.FAMILIES:
            assert family.name not in found, f"two families are called {family.name!r}"
            found[family.name] = family
    return MappingProxyType(found)


FAMILIES: Mapping[str, Family] = _catalogue()
"""Family by name."""
