"""Files of the box, written, read and listed by a process that is the first lane's user: it may what a job may.

What goes wrong is told on standard error as one JSON object, {"errno", "message"}, which the worker puts into END. The
process is not dumpable, so a job of the same user can kill it but not make it say something else.
"""

from __future__ import annotations

import errno
import json
import os
import stat

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["run"]

PIECE = 1 << 16
RESULT = 3


def run(request: dict[str, Any]) -> NoReturn:
    """Do what a "write", "read" or "list" asks, and exit."""
    try:
        path = os.path.join(request.get("cwd", "/work"), request["path"])
        {"write": _write, "read": _read, "list": _list}[request["mode"]](path, request)
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else errno.EINVAL
        text = os.strerror(number) if number else str(error)
        if isinstance(error, Refused):
            text = str(error.strerror)
        body = {"errno": number, "message": f"{request['path']!r:.500}: {text}"}
        os.write(2, json.dumps(body).encode())
        os._exit(1)
    os._exit(0)


class Refused(OSError):
    """Something that the system would allow, and this does not."""


def _write(path: str, request: dict[str, Any]) -> None:
    folder, name = os.path.split(path)
    if not name or name in (".", ".."):
        raise Refused(errno.EISDIR, "a folder's name")
    os.makedirs(folder, mode=0o775, exist_ok=True)
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        pass
    else:
        if not stat.S_ISREG(there.st_mode):
            raise Refused(errno.EEXIST, "not a regular file")
    # Beside it, then renamed: a reader sees the old content or the new, and a full disk leaves the old.
    part = os.path.join(folder, f".agentrl-{os.urandom(8).hex()}")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        while True:
            data = os.read(0, PIECE)
            if not data:
                break
            _put(fd, data)
        os.fchmod(fd, request["permissions"] & 0o777)
        os.rename(part, path)
    except BaseException:
        os.unlink(part)
        raise


def _read(path: str, request: dict[str, Any]) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket
            raise Refused(errno.EINVAL, "not a regular file") from None
        raise
    there = os.fstat(fd)
    if stat.S_ISDIR(there.st_mode):
        raise IsADirectoryError(errno.EISDIR, "")
    if not stat.S_ISREG(there.st_mode):
        raise Refused(errno.EINVAL, "not a regular file")
    most = request["max_bytes"]
    rest = most + 1  # counted, not believed: it may grow meanwhile
    if there.st_size <= most:
        while rest:
            data = os.read(fd, min(PIECE, rest))
            if not data:
                return
            rest -= len(data)
            _put(RESULT, data if rest else data[:-1])
    raise Refused(errno.EFBIG, f"more than {most} bytes")


def _list(path: str, request: dict[str, Any]) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    found: list[dict[str, Any]] = []
    with os.scandir(fd) as entries:
        for entry in entries:
            if len(found) == request["max_entries"]:
                raise Refused(errno.EFBIG, f"more than {len(found)} names")
            try:
                there = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            mode = there.st_mode
            kind = "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"
            kind = "link" if stat.S_ISLNK(mode) else kind
            size = there.st_size if kind == "file" else 0
            found.append({"name": entry.name, "kind": kind, "size": size, "mode": stat.S_IMODE(mode)})
    found.sort(key=lambda each: str(each["name"]))
    _put(RESULT, json.dumps(found).encode())


def _put(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
