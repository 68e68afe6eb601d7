"""Keep what was handed to the candidate, and may be changed by it: asserts about that are refused.

Arguments are handed over in copies, so what a candidate does to them is not seen here. An assert that asks for it must
not be dropped, as if it held.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agentrl.envs.code.expressions import Refused, free_names

__all__ = ["Handed"]


class Handed:
    """The objects that a candidate could change, by their identity: names may share them."""

    def __init__(self) -> None:
        self.objects: dict[int, Any] = {}  # held, so that no other gets the identity of one
        self.derived: set[str] = set()  # names whose value was made of such an object after it was handed over

    def hand(self, values: Iterable[Any]) -> None:
        """Note what is handed over."""
        self.objects.update((id(each), each) for each in _changeable(tuple(values)))

    def is_about(self, node: ast.expr, values: Mapping[str, Any]) -> bool:
        """Say whether the value of an expression may depend on what the candidate did to an object."""
        return bool(self._names(node, values))

    def refuse(self, node: ast.expr, values: Mapping[str, Any]) -> None:
        """Refuse an expression about what was handed over.

        Raises:
            Refused: It is about such.
        """
        if names := self._names(node, values):
            raise Refused(f"it asks about {names[0]} after the function had it, and what that did to it is not seen")

    def _names(self, node: ast.expr, values: Mapping[str, Any]) -> list[str]:
        def reaches(name: str) -> bool:
            return any(id(each) in self.objects for each in _changeable(values.get(name)))

        return [name for name in sorted(free_names(node)) if name in self.derived or reaches(name)]

    def refuse_beside(self, judged: ast.expr, values: Mapping[str, Any]) -> None:
        """Refuse a test of what came out (`_`) that also asks what became of an argument.

        What came out may be compared with something made of an argument, as in `_ == sorted(a)`: that asks for the
        values that were handed over.

        Raises:
            Refused: It asks for more.
        """
        if not isinstance(judged, ast.Compare) or len(judged.ops) != 1:
            self.refuse(judged, values)
            return
        for side in (judged.left, judged.comparators[0]):
            if "_" in free_names(side) or isinstance(side, ast.Name):
                self.refuse(side, values)


def _changeable(value: Any) -> Iterator[Any]:
    """Give every list, dict and set in a plain value, itself included."""
    if isinstance(value, list | dict | set):
        yield value
    if isinstance(value, dict):
        for each in value.values():
            yield from _changeable(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _changeable(each)
