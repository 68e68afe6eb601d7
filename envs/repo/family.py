"""A kind of repository: its modules as templates, ways to use it, and bugs that were put into it by hand.

What a use gives is decided by running the modules, never written down. Each kind belongs to one split by a stable hash
of its name, and so do the names that fill it.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Bug", "Kind", "Params", "Step", "Steps", "half"]

Params = Mapping[str, str]
"""What was drawn for each `$name` of a kind's templates."""
Step = tuple[str, list[Any]]
"""One use and its arguments, plain values; the argument "@it" is the object. The use is one of
"module:function"; "module:Class=", which makes the object that the next steps are about; ".method" and ".attribute!" of
that object; "$module:main", a command with its arguments, whose exit code and output come out."""
Steps = list[Step]


def half(name: str) -> str:
    """Return the split that a name belongs to: about a quarter of all names are `test`.

    >>> half("invoice"), half("invoice") == half("invoice")
    ('train', True)
    """
    return "test" if zlib.crc32(f"repo {name}".encode()) % 4 == 0 else "train"


@dataclass(frozen=True, kw_only=True)
class Bug:
    """A change of a kind's sources that breaks something. Texts are templates, as the modules are."""

    name: str  # unique in its kind
    module: str
    old: str  # stands once in the module as it should be
    new: str  # what stands there in the broken one
    report: str  # what a user notices: behaviour, never the place; for a feature, all that it has to do
    feature: bool = False  # whether the report asks for something that is missing


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Modules that do one thing together. `$name` is drawn, `@module` in an import is where the layout puts it."""

    name: str
    about: str  # one sentence for the README
    modules: Mapping[str, str]  # short name -> source; the lowest first; the last is what a user calls
    case: Callable[[random.Random, Params], Steps]  # one ordinary use of it
    bugs: tuple[Bug, ...]
    packages: tuple[str, ...] = ()  # what the package may be called; one module alone needs none
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # `$name` -> what may stand there

    def is_far(self, bug: Bug) -> bool:
        """Whether the cause of a bug lies in a module below the one that a user calls."""
        return bug.module != list(self.modules)[-1]

    @property
    def is_small(self) -> bool:
        """Whether it is one module, as level 1 has it."""
        return len(self.modules) == 1
