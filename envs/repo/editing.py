"""The two tools that change a file: replace a text that stands in it once, or write it whole. Errors are words."""

from __future__ import annotations

import posixpath

from agentrl.envs.tools.codebox import CodeBox
from agentrl.sandboxes.errors import SandboxFileError

__all__ = ["MOST_BYTES", "create", "edit"]

MOST_BYTES = 1_000_000  # of a file that is edited
MOST_PATH_BYTES = 4095  # the kernel takes 4,096 with the NUL at the end


def edit(box: CodeBox, place: str, path: str, old: str, new: str) -> str:
    """Replace a text that stands exactly once in a file; return what the model reads.

    Raises:
        InfrastructureError: The box failed.
    """
    where = _absolute(place, path)
    if unusable := _unusable(where):
        return unusable
    if not old:
        return "Error: old is empty. Give the exact text that is to be replaced, or write a new file with create."
    if old == new:
        return "Error: old and new are the same text; nothing was changed."
    try:
        text = box.read(where, max_bytes=MOST_BYTES).decode()
    except SandboxFileError as error:
        return f"Error: {path} cannot be read: {_reason(error)}."
    except UnicodeDecodeError:
        return f"Error: {path} is not UTF-8 text."
    count = text.count(old)
    if count == 0:
        return f"Error: old does not stand in {path}. {_hint(text, old)}"
    if count > 1:
        lines = ", ".join(str(1 + text.count("\n", 0, at)) for at in _places(text, old)[:8])
        return (
            f"Error: old stands {count} times in {path}, from lines {lines}. Give more of the text around one of them."
        )
    refused = _written(box, where, path, text.replace(old, new))
    if refused:
        return refused
    first = 1 + text.count("\n", 0, text.index(old))
    return f"{path} was changed at line {first}."


def create(box: CodeBox, place: str, path: str, text: str) -> str:
    """Write a whole file, in place of one that is there; return what the model reads.

    Raises:
        InfrastructureError: The box failed.
    """
    where = _absolute(place, path)
    refused = _unusable(where) or _written(box, where, path, text)
    return refused or f"{path} was written, {text.count(chr(10)) + (not text.endswith(chr(10)) and text != '')} lines."


def _absolute(place: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(place, path))


def _unusable(where: str) -> str:
    """Say why no file can have this path; empty where one can. A box would not take such a path at all."""
    if "\0" in where:
        return "Error: a path cannot hold a NUL character."
    try:
        size = len(where.encode())
    except UnicodeEncodeError:
        return "Error: a path is text that UTF-8 can write; this one holds half of a surrogate pair."
    return f"Error: the path has {size} bytes, and {MOST_PATH_BYTES} are the most." if size > MOST_PATH_BYTES else ""


def _written(box: CodeBox, where: str, path: str, text: str) -> str:
    content = text.encode("utf-8", "replace")
    if len(content) > MOST_BYTES:
        return f"Error: {len(content)} bytes are too much for one file; at most {MOST_BYTES}."
    try:
        box.write(where, content)
    except SandboxFileError as error:
        return f"Error: {path} cannot be written: {_reason(error)}."
    return ""


def _reason(error: SandboxFileError) -> str:
    return str(error).rstrip(".")


def _places(text: str, old: str) -> list[int]:
    found, at = [], text.find(old)
    while at >= 0:
        found.append(at)
        at = text.find(old, at + 1)
    return found


def _hint(text: str, old: str) -> str:
    """Say what may be wrong with a text that is not in the file."""
    first = next((line.strip() for line in old.splitlines() if line.strip()), "")
    if first and any(first == line.strip() for line in text.splitlines()):
        return "A line of it does; blanks and line ends have to be the same, too."
    return "Read the file, and copy the text exactly."
