"""Files of a box without Python: read as a tar stream, written through `cat`, listed by `find`; as the job's user.

What the box answers is its own word about its own files: parsed, capped, and never made a file on the host.
"""

from __future__ import annotations

import errno
import posixpath
import stat
from collections.abc import Callable, Sequence
from typing import Literal

from agentrl.sandboxes.base import OnOutput
from agentrl.sandboxes.docker.tar import BadTar, FileTooLarge, NotRegular, OneFile
from agentrl.sandboxes.errors import SandboxFileError
from agentrl.sandboxes.host.requests import path_of
from agentrl.sandboxes.results import Entry, ExecResult

__all__ = ["Run", "list_folder", "read_file", "write_file"]

Run = Callable[[Sequence[str], bytes, int, OnOutput | None], ExecResult]
"""Runs argv with a standard input and an output limit in bytes, streamed to a callback."""

WRITE = (
    'if [ -L "$1" ] || { [ -e "$1" ] && [ ! -f "$1" ]; }; then echo "not a regular file" >&2; exit 1; fi; '
    'mkdir -p -- "${1%/*}/" && cat >"$1" && chmod "$2" "$1"'
)
# A name cannot hold a slash, so two of them and the line's end can only be the end of an entry.
LIST = (
    'if [ ! -d "$1" ]; then echo "no such folder" >&2; exit 1; fi; '
    'cd -- "$1" && exec find . -mindepth 1 -maxdepth 1 -exec stat -c "%f %s %n//" {} +'
)
# Blocks, padding and long names that a tar stream has beside the content.
AROUND = 65_536
# A name of 255 bytes, and what stands around it.
LONGEST_ENTRY = 300


def write_file(run: Run, path: str, content: bytes, mode: int) -> None:
    """Write a regular file; folders on the way are made.

    Raises:
        SandboxFileError: Not permitted, no space, or something that is not a regular file is there.
    """
    result = run(["sh", "-c", WRITE, "sh", path_of(path), f"{mode & 0o777:o}"], content, 4096, None)
    if result.status != "ok":
        raise _error(path, "written", result)


def read_file(run: Run, path: str, max_bytes: int) -> bytes:
    """Return a regular file.

    Raises:
        SandboxFileError: Missing, not a regular file, not permitted, or more than `max_bytes` long.
    """
    folder, name = posixpath.split(path_of(path))
    found = OneFile(max_bytes)
    wrong: list[BadTar] = []

    def take(stream: str, piece: bytes) -> None:
        if stream == "stdout" and not wrong:
            try:
                found.feed(piece)
            except BadTar as error:
                wrong.append(error)

    result = run(["tar", "-c", "-f", "-", "-C", folder, f"./{name}"], b"", max_bytes + AROUND, take)
    if wrong and isinstance(wrong[0], FileTooLarge):
        raise SandboxFileError(errno.EFBIG, f"too large, {wrong[0]}; raise max_bytes", path)
    if wrong and isinstance(wrong[0], NotRegular):
        raise SandboxFileError(errno.EINVAL, f"{wrong[0]}, not a regular file", path)
    if wrong or not found.done:
        raise _error(path, "read", result)
    return found.content


def list_folder(run: Run, path: str, max_entries: int) -> list[Entry]:
    """Return what is in a folder, by name.

    Raises:
        SandboxFileError: Missing, not a folder, not permitted, or more than `max_entries` names.
    """
    result = run(["sh", "-c", LIST, "sh", path_of(path)], b"", max_entries * LONGEST_ENTRY, None)
    if result.status not in ("ok", "output_limit"):
        raise _error(path, "listed", result)
    lines = [line for line in result.stdout.split(b"//\n") if line]
    if result.status != "ok" or len(lines) > max_entries:
        raise SandboxFileError(errno.EFBIG, f"more than {max_entries} names; raise max_entries", path)
    return sorted((_entry(line, path) for line in lines), key=lambda entry: entry.name)


def _entry(line: bytes, path: str) -> Entry:
    bits_text, _, rest = line.partition(b" ")
    size_text, _, name = rest.partition(b" ./")
    try:
        bits, size = int(bits_text, 16), int(size_text)
    except ValueError:
        raise SandboxFileError(None, f"the box lists {line!r:.100}, which is no entry", path) from None
    regular = stat.S_ISREG(bits)
    kind: Literal["file", "folder", "link", "other"] = (
        "file" if regular else "folder" if stat.S_ISDIR(bits) else "link" if stat.S_ISLNK(bits) else "other"
    )
    return Entry(
        name=name.decode("utf-8", "surrogateescape"),
        kind=kind,
        size=size if regular else 0,
        mode=stat.S_IMODE(bits),
    )


def _error(path: str, what: str, result: ExecResult) -> SandboxFileError:
    said = result.stderr_text.strip()[:300] or f"the attempt ended with {result.status}"
    for text, code in (
        ("No such file", errno.ENOENT),
        ("no such folder", errno.ENOENT),
        ("Permission denied", errno.EACCES),
        ("No space left", errno.ENOSPC),
        ("Read-only file system", errno.EROFS),
        ("not a regular file", errno.EINVAL),
    ):
        if text in said:
            return SandboxFileError(code, f"could not be {what}: {said}", path)
    return SandboxFileError(None, f"could not be {what}: {said}", path)
