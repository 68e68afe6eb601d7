"""Where a backend ends a case in another way than the others, by name, with the reason. Empty is the aim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["DEVIATIONS", "Deviation"]


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """What is expected instead, and why."""

    reason: str
    expected: frozenset[str] | None = None
    """Statuses or errors expected in place of the case's; None: the case says nothing here and is left out."""


DEVIATIONS: Mapping[tuple[str, str], Deviation] = MappingProxyType(
    {
        ("bubblewrap", "no_bounding_set"): Deviation(
            reason="bwrap leaves the bounding set of the box's own user namespace as it is; no_new_privs and nosuid "
            "keep what is in it out of reach, and none of it counts outside that namespace",
            expected=frozenset({"nonzero"}),
        ),
    }
)
