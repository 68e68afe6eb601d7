"""Examples in docstrings, typed as in Python's prompt, become code blocks of the reference."""

from __future__ import annotations

import re
from typing import Any

import griffe

__all__ = ["Doctests"]

_BLOCK = re.compile(r"(?:^>>>.*\n?)(?:^(?!\s*$).*\n?)*", re.MULTILINE)


class Doctests(griffe.Extension):
    """Fences each example."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object that was loaded."""
        if obj.docstring is not None and ">>>" in obj.docstring.value:
            obj.docstring.value = _BLOCK.sub(lambda found: f"```pycon\n{found[0].rstrip()}\n```\n", obj.docstring.value)
