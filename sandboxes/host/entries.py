"""What the worker says of files, checked: the entries of a folder, and why a file could not be used."""

from __future__ import annotations

import json
import os

from agentrl.sandboxes.errors import SandboxFileError
from agentrl.sandboxes.host.runs import Ended
from agentrl.sandboxes.results import Entry

__all__ = ["LONGEST_ENTRY", "entries_of", "file_error"]

# A name has at most 255 bytes, each six characters in JSON at worst, and the rest of an entry is short.
LONGEST_ENTRY = 1700
KINDS = ("file", "folder", "link", "other")


def entries_of(value: bytes, max_entries: int) -> list[Entry]:
    """Return the entries of a folder, by name.

    Raises:
        ValueError: This is no list of at most so many entries.
    """
    try:
        found = json.loads(value)
    except RecursionError:
        raise ValueError("a folder's list is nested too deep") from None
    if not isinstance(found, list) or len(found) > max_entries:
        raise ValueError("a folder's list is none, or too long")
    return sorted((_entry(each) for each in found), key=lambda entry: entry.name)


def file_error(ended: Ended, path: str) -> SandboxFileError:
    """Return the error for a file that could not be used."""
    if ended.errno is not None:
        # The worker's message begins with the path, which an OSError adds itself.
        said = (ended.message or "").partition(": ")[2]
        return SandboxFileError(ended.errno, said or os.strerror(ended.errno), path)
    return SandboxFileError(None, ended.message or f"the attempt ended with {ended.status}", path)


def _entry(found: object) -> Entry:
    if not isinstance(found, dict):
        raise ValueError("an entry of a folder is no object")
    name, kind, size, mode = (found.get(key) for key in ("name", "kind", "size", "mode"))
    if not isinstance(name, str) or not 0 < len(name) <= 255 or "/" in name or "\0" in name or kind not in KINDS:
        raise ValueError("an entry of a folder has no name or kind")
    if type(size) is not int or type(mode) is not int or not 0 <= size < 2**63 or not 0 <= mode <= 0o7777:
        raise ValueError("an entry of a folder has no size or mode")
    return Entry(name=name, kind=kind, size=size, mode=mode)
