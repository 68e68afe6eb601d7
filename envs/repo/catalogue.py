"""All kinds of repositories by name."""

from __future__ import annotations

from collections.abc import Mapping

from agentrl.envs.repo.families import numbers, small_text
from agentrl.envs.repo.family import Kind

__all__ = ["KINDS"]

_MODULES = (small_text, numbers)

KINDS: Mapping[str, Kind] = {kind.name: kind for module in _MODULES for kind in module.KINDS}
"""Name -> kind, in a fixed order."""
