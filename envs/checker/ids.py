"""What a mistyped environment id was meant to be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

__all__ = ["nearest_id"]

_CUTOFF = 0.7  # four letters of which one is wrong are near, of which two are wrong are not
_VERSION = re.compile(r"-v\d+$")


def nearest_id(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'X'?" for an id that is really near, or an empty string.

    Namespace and version are left aside: they make every id of a package like every other.

    >>> nearest_id("Serach-v0", ["AgentRL/Search-v0", "AgentRL/Code-v0"])
    "; did you mean 'AgentRL/Search-v0'?"
    >>> nearest_id("Nope-v0", ["AgentRL/Search-v0", "AgentRL/Code-v0"])
    ''
    """
    # Of several with one stem the last counts: one without a namespace, in its latest version.
    stems = {_stem(each): each for each in sorted(known, key=lambda each: ("/" not in each, each))}
    near = difflib.get_close_matches(_stem(name), stems, n=1, cutoff=_CUTOFF)
    return f"; did you mean {stems[near[0]]!r}?" if near else ""


def _stem(env_id: str) -> str:
    return _VERSION.sub("", env_id.rpartition("/")[2].lower())
