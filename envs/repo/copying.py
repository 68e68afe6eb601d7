"""Copy what an agent left in its repository out of the box: regular files of bounded size, and nothing that acts.

What was left out is said by a flag where it looks like an attempt. A flag alone costs nothing: tests may be changed by
who adds one. The agent's programs are dead by then, and the walk goes by what the box lists, never through a link.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from agentrl.envs.startup import is_startup
from agentrl.envs.tools.codebox import CodeBox
from agentrl.sandboxes.errors import SandboxFileError

__all__ = ["Copied", "MOST_FILES", "MOST_FILE_BYTES", "copy_out", "is_test"]

MOST_FILES = 400
MOST_FILE_BYTES = 256_000
MOST_BYTES = 4_000_000
MOST_FOLDERS = 400
DEEPEST = 12
_COMPILED = frozenset({".so", ".pyc", ".pyo", ".pyd", ".dll", ".dylib", ".egg", ".whl", ".zip"})


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What is graded, and what was seen on the way."""

    files: Mapping[str, bytes]  # path below the repository -> content
    flags: tuple[str, ...]  # sorted


def is_test(path: str) -> bool:
    """Say whether a file belongs to the visible tests.

    >>> is_test("tests/test_shop.py"), is_test("test_text.py"), is_test("src/shop/latest.py")
    (True, True, False)
    """
    parts = PurePosixPath(path).parts
    return parts[0] in ("tests", "test") or (parts[-1].startswith("test_") and parts[-1].endswith(".py"))


def copy_out(box: CodeBox, place: str, given: Mapping[str, str], *, root: str) -> Copied:
    """Return the files of the repository at `place`.

    Args:
        box: The episode's box.
        place: Absolute path of the repository in it.
        given: The files as they were at the beginning.
        root: Below the repository, what is on the path of modules.

    Raises:
        InfrastructureError: The box failed.
    """
    flags: set[str] = set()
    sizes = _walked(box, place, given, root, flags)
    files: dict[str, bytes] = {}
    tests: dict[str, bytes] = {}
    total = 0
    first = sorted(sizes, key=lambda path: (path not in given, not path.endswith(".py")))  # nothing crowds these out
    for path in first:
        if len(files) + len(tests) >= MOST_FILES or total + sizes[path] > MOST_BYTES:
            flags.add("too_much")
            continue
        try:
            content = box.read(f"{place}/{path}", max_bytes=MOST_FILE_BYTES)
        except SandboxFileError:
            flags.add("unreadable")
            continue
        total += len(content)
        (tests if is_test(path) else files)[path] = content
    if any(tests.get(path) != text.encode() for path, text in given.items() if is_test(path)):
        flags.add("tests_changed")
    return Copied(files=files, flags=tuple(sorted(flags)))


def _walked(box: CodeBox, place: str, given: Mapping[str, str], root: str, flags: set[str]) -> dict[str, int]:
    """Return path and size of what may be copied, in the order of the walk; say in `flags` what may not."""
    known = {"/".join(path.split("/")[:end]) for path in given for end in range(path.count("/") + 1)}
    waiting, num_others = [""], 0
    found: dict[str, int] = {}
    while waiting:
        folder = waiting.pop()
        if folder not in known:
            num_others += 1
            if num_others > MOST_FOLDERS:
                flags.add("too_much")
                continue
        try:
            entries = box.list(f"{place}/{folder}".rstrip("/"))
        except SandboxFileError:
            flags.add("unreadable")
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            flag = _left_out(path, entry.kind, entry.size, root)
            if flag is not None:
                flags |= {flag} - {""}
            elif entry.kind == "folder":
                waiting.append(path)
            else:
                found[path] = entry.size
    return found


def _left_out(path: str, kind: str, size: int, root: str) -> str | None:
    """Return why an entry is not copied: a flag, or "" where that is no attempt. None: it is copied."""
    *above, name = path.split("/")
    if name == ".git":
        return "" if not above else "submodule"
    if name == "__pycache__":
        return ""
    if kind == "link":
        return "link"
    if kind == "other":
        return "special_file"
    if not _is_plain(name) or len(above) >= DEEPEST:
        return "odd_name"
    if kind == "folder":
        return "shadows_library" if _shadows(above, name, root) else None
    suffix = PurePosixPath(name).suffix
    if suffix in _COMPILED:
        return "compiled"
    if is_startup(name):
        return "startup_file"
    if suffix == ".py" and _shadows(above, name.removesuffix(".py"), root):
        return "shadows_library"
    return "too_large" if size > MOST_FILE_BYTES else None


def _shadows(above: list[str], name: str, root: str) -> bool:
    """Say whether a module would be found in place of one of the standard library."""
    return "/".join(above) == root and name in sys.stdlib_module_names and name != "test"


def _is_plain(name: str) -> bool:
    return name.isprintable() and "\\" not in name and len(name) <= 120
