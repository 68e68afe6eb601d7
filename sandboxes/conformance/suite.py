"""All cases, and how to find one."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from agentrl.sandboxes.conformance import (
    escape,
    exhaustion,
    files,
    grading,
    injection,
    kills,
    network,
    output,
    resources,
    secrets,
    services,
    sessions,
)
from agentrl.sandboxes.conformance.case import Case

__all__ = ["CASES", "pick"]

CASES: tuple[Case, ...] = (
    *resources.CASES,
    *exhaustion.CASES,
    *output.CASES,
    *kills.CASES,
    *sessions.CASES,
    *files.CASES,
    *secrets.CASES,
    *escape.CASES,
    *injection.CASES,
    *network.CASES,
    *services.CASES,
    *grading.CASES,
)


def pick(names: Sequence[str] | None) -> tuple[Case, ...]:
    """Return the cases or groups of these names; None: all.

    Raises:
        ValueError: No case and no group has that name; suggests one.
    """
    if names is None:
        return CASES
    known = {each.name for each in CASES} | {each.group for each in CASES}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise ValueError(f"no case or group is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return tuple(each for each in CASES if each.name in names or each.group in names)
