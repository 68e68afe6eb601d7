"""What an episode asks: its sites, the state or the answer that is wanted, and a script that gets there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agentrl.envs.browse.site import Rows, Site, same_rows
from agentrl.envs.browse.view import Script, View
from agentrl.envs.browse.words import Draw

__all__ = ["Case", "Kind", "changed", "right_state", "same_text"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A task. The sites' rows are as they are at the beginning."""

    ask: str
    sites: Mapping[str, Site]
    start: str  # name of the site at which it begins
    solve: Callable[[View], Script]  # is given the first observation
    wanted: Mapping[str, Rows] = field(default_factory=dict)  # by site, where it is not the state of the beginning
    answer: str = ""  # where one is asked for


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A family of tasks."""

    name: str
    levels: tuple[int, ...]
    make: Callable[[Draw], Case]


def changed(site: Site, change: Callable[[Rows], None]) -> dict[str, Rows]:
    """Return the wanted state of a site: a copy of its rows with a change."""
    rows = site.copy().rows
    change(rows)
    return {site.name: rows}


def right_state(case: Case, begun: Mapping[str, Rows], sites: Mapping[str, Site]) -> bool:
    """Whether all sites are as they must be: as wanted, or as they were."""
    return all(same_rows(site.rows, case.wanted.get(name, begun[name])) for name, site in sites.items())


def same_text(said: str, wanted: str) -> bool:
    """Whether an answer is the one that is wanted, apart from case, blanks, quotes and a full stop.

    >>> same_text(" 'mira  Falk'. ", "Mira Falk"), same_text("12.50", "12.5")
    (True, False)
    """
    return _plain(said) == _plain(wanted)


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip("\"'. ").casefold()
