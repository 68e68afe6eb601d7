"""An observation as a scripted player reads it: what can be acted on, by role, name and the line in which it stands."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from agentrl.envs.scripted import call

__all__ = ["Item", "Script", "View", "answered", "click", "goto", "scroll", "select", "tab", "type_in"]

_ITEM = re.compile(
    r'\[(\d+)\] ([a-z]+)(?: "([^"]*)")?(?: = "([^"]*)")?(?: options ((?:"[^"]*"(?: \(disabled\))?(?:, )?)*))?'
)


@dataclass(frozen=True, kw_only=True)
class Item:
    """Something that can be acted on."""

    ref: int
    role: str
    name: str
    value: str
    options: tuple[str, ...]
    line: str  # in which it stands
    index: int  # of that line


class View:
    """A parsed observation.

    Args:
        text: The observation.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.splitlines()

    def items(self) -> Iterator[Item]:
        """Yield all that can be acted on, from top to bottom."""
        for index, line in enumerate(self.lines):
            for match in _ITEM.finditer(line):
                ref, role, name, value, options = match.groups()
                yield Item(
                    ref=int(ref),
                    role=role,
                    name=name or "",
                    value=value or "",
                    options=tuple(re.findall(r'"([^"]*)"', options or "")),
                    line=line,
                    index=index,
                )

    def all(self, role: str, name: str | None = None, *, near: str = "") -> list[Item]:
        """Return the items of a role and a name whose line, or one above it since the last heading, holds `near`."""
        found = [each for each in self.items() if each.role == role and (name is None or each.name == name)]
        if not near:
            return found
        same = [each for each in found if near in each.line]
        if same:
            return same
        starts = [index for index, line in enumerate(self.lines) if near in line]
        return [
            each for start in starts for each in found if each.index > start and not self._parted(start, each.index)
        ]

    def has(self, role: str, name: str | None = None, *, near: str = "") -> bool:
        """Whether there is such an item."""
        return bool(self.all(role, name, near=near))

    def ref(self, role: str, name: str | None = None, *, near: str = "") -> int:
        """Return the reference of the first such item.

        Raises:
            LookupError: There is none; the message holds what was seen.
        """
        found = self.all(role, name, near=near)
        if not found:
            raise LookupError(f"no {role} {name!r} near {near!r} in:\n{self.text}")
        return found[0].ref

    def after(self, label: str) -> str:
        """Return what stands behind a label in its line.

        Raises:
            LookupError: There is no such label.
        """
        line = next((each for each in self.lines if label in each), None)
        if line is None:
            raise LookupError(f"no {label!r} in:\n{self.text}")
        return line.partition(label)[2].strip()

    def rows(self) -> list[list[str]]:
        """Return the cells of all rows."""
        return [[cell.strip() for cell in line.split(" | ")] for line in self.lines if " | " in line]

    def _parted(self, start: int, end: int) -> bool:
        """Whether a heading or an article begins between two lines."""
        return any(each.strip().startswith(("heading ", "article")) for each in self.lines[start + 1 : end])


Script = Generator[str, View, None]
"""Yields turns, is sent what each showed."""


def click(ref: int) -> str:
    """Write a click."""
    return call("click", ref=ref)


def type_in(ref: int, text: str, submit: bool = False) -> str:
    """Write the typing of a text."""
    return call("type", ref=ref, text=text, submit=True) if submit else call("type", ref=ref, text=text)


def select(ref: int, option: str) -> str:
    """Write the choice of an option."""
    return call("select", ref=ref, option=option)


def scroll(direction: str = "down") -> str:
    """Write a scroll."""
    return call("scroll", direction=direction)


def tab(index: int) -> str:
    """Write a turn to another tab."""
    return call("tab", index=index)


def goto(path: str) -> str:
    """Write the visit of an address."""
    return call("goto", path=path)


def answered(text: str = "ok") -> str:
    """Write the last turn."""
    return f"<answer>{text}</answer>"
