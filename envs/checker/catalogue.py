"""All checks in the order in which they are run: what others rest on comes first."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agentrl.envs.checker.probes import (
    contract,
    copies,
    hacking,
    isolation,
    leaks,
    protocol,
    resources,
    robustness,
    seeds,
    solving,
    whole,
)
from agentrl.envs.checker.record import Check

__all__ = ["CHECKS"]

_GROUPS = (
    contract.CHECKS,
    seeds.CHECKS,
    solving.CHECKS,
    protocol.CHECKS,
    isolation.CHECKS,
    robustness.CHECKS,
    leaks.CHECKS,
    hacking.CHECKS,
    copies.CHECKS,
    resources.CHECKS,
    whole.CHECKS,
)

CHECKS: Mapping[str, Check] = MappingProxyType({check.id: check for group in _GROUPS for check in group})
"""Every check by its id."""
