"""Fill the templates: `{{word}}` stands for a value, and imports come out in the order that ruff wants.

A template is a file below `templates/` whose name ends in `.txt`, so that no tool takes it for a module or a page of
ours. What a kind has beside the files of `every-kind`, or in place of one, stands in the kind's own folder.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

__all__ = ["render", "templates"]

_WORD = re.compile(r"\{\{(\w+)\}\}")
_IMPORT = re.compile(r"(?:from|import) (\w+(?:\.\w+)*)")


def templates(*folders: str) -> dict[str, str]:
    """Return path -> text of the templates in these folders; a later folder's file stands in for an earlier one's."""
    found: dict[str, str] = {}
    for folder in folders:
        root = files("agentrl.envs.scaffold") / "templates" / folder
        found.update(_below(root, ""))
    return found


def render(text: str, words: Mapping[str, str], *, own: str) -> str:
    """Fill a template.

    Args:
        text: The template.
        words: What stands for each `{{word}}`.
        own: Top-level package that the file belongs to; its imports come last.
    """
    filled = _WORD.sub(lambda match: words[match[1]], text)
    return _sorted_imports(filled, own)


def _below(folder: Traversable, prefix: str) -> dict[str, str]:
    found = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            found.update(_below(entry, f"{prefix}{entry.name}/"))
        elif entry.name.endswith(".txt"):
            found[f"{prefix}{entry.name.removesuffix('.txt')}"] = entry.read_text(encoding="utf-8")
    return found


def _sorted_imports(text: str, own: str) -> str:
    """Sort the first block of imports, one on each line, into standard library, others, own."""
    lines = text.split("\n")
    start = next((at for at, line in enumerate(lines) if _is_import(line)), None)
    if start is None:
        return text
    stop = start
    while _is_import(lines[stop]) or (not lines[stop] and _is_import(lines[stop + 1])):
        stop += 1
    sections: dict[int, list[str]] = {}
    for line in lines[start:stop]:
        match = _IMPORT.match(line)
        if match:
            sections.setdefault(_section(match[1].partition(".")[0], own), []).append(line)
    blocks = ["\n".join(sorted(sections[number], key=_order)) for number in sorted(sections)]
    return "\n".join([*lines[:start], "\n\n".join(blocks), *lines[stop:]])


def _is_import(line: str) -> bool:
    return _IMPORT.match(line) is not None and not line.startswith("from __future__")


def _section(top: str, own: str) -> int:
    if top in sys.stdlib_module_names:
        return 0
    return 2 if top == own else 1


def _order(line: str) -> tuple[bool, list[tuple[int, int, str]]]:
    match = _IMPORT.match(line)
    assert match is not None
    parts = re.split(r"(\d+)", match[1].lower())  # ruff counts: go2 stands before go10
    keys = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part]
    return line.startswith("from "), keys
