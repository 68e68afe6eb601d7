"""A toolset: a class of typed Python functions over one state, which can run in process or inside a sandbox.

Every public method that a subclass defines is a tool; its hints and docstring become the schema. Arguments of
`__init__`, what a method returns and `snapshot()` are plain JSON data, since all of them may travel into a box. This
module, and that of every toolset, imports the standard library alone: their sources are sent there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["ToolError", "Toolset", "ToolsetSpec"]


class ToolError(ValueError):
    """A tool refuses: no such order, a date in the past. The message is written for the model, without "Error:"."""


class Toolset:
    """Base of all toolsets.

    A subclass that keeps its state in plain attributes needs no more than its methods; one with a connection or a file
    says how its state is taken and given back.
    """

    def snapshot(self) -> Any:
        """Return the whole state as plain JSON data; by default all attributes."""
        return dict(vars(self))

    def restore(self, state: Any) -> None:
        """Go back to a state that `snapshot` gave."""
        vars(self).clear()
        vars(self).update(state)

    def close(self) -> None:
        """Let go of what is open; may be called twice."""

    @classmethod
    def functions(cls) -> dict[str, Callable[..., Any]]:
        """Return the tools by name, unbound, in the order in which they are written; bases come first."""
        found = {}
        for kind in reversed(cls.__mro__):
            if issubclass(kind, Toolset) and kind is not Toolset:
                for name, member in vars(kind).items():
                    if not name.startswith("_") and inspect.isfunction(member) and not hasattr(Toolset, name):
                        found[name] = getattr(cls, name)
        return found

    @classmethod
    def spec(cls, **arguments: Any) -> ToolsetSpec:
        """Say which toolset to start, with which arguments."""
        return ToolsetSpec(kind=cls, arguments=arguments)


class ToolsetSpec(NamedTuple):
    """A toolset that is still to be started, here or in a box."""

    kind: type[Toolset]  # its class
    arguments: dict[str, Any]  # of `__init__`, plain JSON data
