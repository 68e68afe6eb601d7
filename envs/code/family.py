"""A family of programming tasks: one idea with parameters, so that one record stands for many different tasks.

The same parameters fill the statement, the reference and every other source. What comes out for an input is decided by
running the reference, never written down. Tasks of `train` and `test` differ in their parameters.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Template
from typing import Any, Literal

__all__ = ["TOPICS", "Family", "Params"]

Params = Mapping[str, Any]
"""Plain values (str, int, float, bool, lists of these) that make one task of a family; they fill `$name` in texts."""

TOPICS = (
    "strings",
    "numbers",
    "lists",
    "dictionaries",
    "graphs",
    "grids",
    "dynamic programming",
    "parsing",
    "simulation",
    "dates",
    "repair",
    "refactoring",
    "programs",
)


def _no_edges(params: Params) -> list[tuple[Any, ...]]:
    """Return no inputs."""
    return []


@dataclass(frozen=True, kw_only=True)
class Family:
    """Say how tasks of one kind are drawn, stated, solved and tried.

    All texts are `string.Template`s filled with the parameters: `$k`, `${k}`, and `$$` for a dollar sign.
    """

    name: str  # short-words-with-hyphens, unique over all families
    topic: str  # one of TOPICS
    levels: tuple[int, ...]  # of 1 to 5: where it is asked; 1 is one expression, 3 a short loop, 5 an algorithm
    draw: Callable[[random.Random, int], dict[str, Any]]  # (generator, level) -> params; at least 40 different ones
    signature: str  # "clamp(x: int) -> int": what to write; for a program the empty string
    statement: str  # what it must do, exactly, edge cases included; no examples, they are added
    reference: str  # source of a module that defines the function (or is the program); standard library only
    inputs: Callable[[random.Random, Params], tuple[Any, ...]]  # one ordinary input: the arguments; a program: (stdin,)
    edges: Callable[[Params], list[tuple[Any, ...]]] = _no_edges  # inputs that are always tried: empty, zero, ties, …
    second: str | None = None  # an independent solution by another way, where there is one; checked against the first
    wrong: tuple[str, ...] = ()  # sources that a hurried programmer would write and that must fail; at least one
    kind: Literal["function", "program"] = "function"
    given: str = ""  # repair: the broken source; refactoring: the slow one; shown under the statement
    large: Callable[[random.Random, Params], tuple[Any, ...]] | None = None  # refactoring: an input too big for `given`
    limit_s: float = 5.0  # wall seconds for one input in the box; the reference needs less than a tenth of it

    def fill(self, text: str, params: Params) -> str:
        """Return a text of this family with the parameters in their places."""
        return Template(text).substitute(params)

    @property
    def function(self) -> str:
        """The name of the function that is to be written; empty for a program."""
        return self.signature.partition("(")[0]
