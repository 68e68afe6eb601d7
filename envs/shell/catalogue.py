"""The catalogue: every family of tasks by its name, in the order of the modules below."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agentrl.envs.shell.families import (
    build,
    edit,
    find,
    first,
    history,
    logs,
    packing,
    rewriting,
    rights,
    scripts,
    service,
    system,
    tables,
)
from agentrl.envs.shell.family import Family

__all__ = ["FAMILIES"]

_MODULES = (first, find, edit, tables, logs, packing, rights, history, rewriting, build, scripts, service, system)


def _catalogue() -> Mapping[str, Family]:
    found: dict[str, Family] = {}
    for module in _MODULES:
        for family in module.FAMILIES:
            assert family.name not in found, f"two families are called {family.name!r}"
            found[family.name] = family
    return MappingProxyType(found)


FAMILIES: Mapping[str, Family] = _catalogue()
"""Family by name."""
