"""The name of an environment, as it is typed and in the forms that code needs; and the kinds that there are.

`spelling-bee`, `spelling_bee` and `SpellingBee` are the same name: folder `spelling_bee`, class `SpellingBeeEnv`, id
`<namespace>/SpellingBee-v0`. A name that cannot work is refused with one that can.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agentrl.envs.errors import UsageError, nearest

__all__ = ["KINDS", "Name", "checked_kind"]

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "tools": "several turns with a toolset, in process or in a box by backend=",
        "sandboxed": "several turns, in which the model's code runs in a box",
        "single-turn": "one question, one answer, no tools",
    }
)
"""Kind of environment -> what it is."""

_LONGEST = 32
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, kw_only=True)
class Name:
    """A name in its forms."""

    folder: str
    """Of the folder and module: `spelling_bee`."""

    @classmethod
    def of(cls, typed: str) -> Name:
        """Read a name as somebody typed it.

        Raises:
            UsageError: It cannot be the name of a module and of a class; the message has one that can.

        >>> Name.of("spelling-bee").folder, Name.of("SpellingBee").camel
        ('spelling_bee', 'SpellingBee')
        """
        words = [word.lower() for word in re.split(r"[-_]", _CAMEL.sub("-", typed))]
        folder = "_".join(words)
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", typed) or not all(words) or typed in ("-", "_"):
            raise UsageError(
                f"NAME={typed!r} must be words of the letters a to z and digits, joined by '-', and begin with a letter"
                f"{_hint(_mended(typed))}"
            )
        if re.fullmatch(r"v\d+", words[-1]) and len(words) > 1:
            raise UsageError(
                f"NAME={typed!r} ends with a version, but every environment begins as -v0{_hint(_mended(typed))}"
            )
        if len(folder) > _LONGEST:
            raise UsageError(f"NAME={typed!r} has {len(folder)} letters; take at most {_LONGEST}")
        if _is_reserved(folder):
            raise UsageError(f"NAME={typed!r} is a word of Python itself{_hint(_mended(folder))}")
        return cls(folder=folder)

    @property
    def camel(self) -> str:
        """The name in ids and classes: `SpellingBee`."""
        return "".join(word.capitalize() for word in self.folder.split("_"))

    @property
    def typed(self) -> str:
        """The name as it is typed: `spelling-bee`."""
        return self.folder.replace("_", "-")

    @property
    def words(self) -> str:
        """The name in prose: `spelling bee`."""
        return self.folder.replace("_", " ")

    def refuse_taken(self, taken: Iterable[str], where: str) -> None:
        """Refuse a name that is there already, or that nobody could tell from one that is.

        Raises:
            UsageError: See above.
        """
        for other in sorted(taken):
            if other == self.folder:
                raise UsageError(f"{where} has {other!r} already; choose another NAME, or remove that first")
            if other.replace("_", "").lower() == self.folder.replace("_", ""):
                raise UsageError(f"{self.folder!r} would be mistaken for {other!r} in {where}; choose another NAME")


def checked_kind(kind: str) -> str:
    """Return the kind when there is such a one.

    Raises:
        UsageError: There is none; names the nearest.
    """
    if kind not in KINDS:
        raise UsageError(f"--kind {kind} does not exist{nearest(kind, KINDS)}; there are {', '.join(KINDS)}")
    return kind


def _mended(typed: str) -> str:
    """Return the nearest name that works, or an empty string."""
    bare = re.sub(r"[-_]v\d+$", "", typed.rpartition("/")[2].rpartition(":")[2].strip())
    words = re.sub(r"[^A-Za-z0-9]+", "-", _CAMEL.sub("-", bare)).strip("-").lower()
    if words and not words[0].isalpha():
        words = f"task-{words}"
    if _is_reserved(words):
        words = f"{words}-task"
    return words[:_LONGEST].strip("-")


def _is_reserved(word: str) -> bool:
    return keyword.iskeyword(word) or keyword.issoftkeyword(word)


def _hint(name: str) -> str:
    return f"; try {name!r}" if name else "; try 'spelling-bee'"
