"""Make a box as new: its folders empty, no IPC object left; all of it checked, since somebody else comes next."""

from __future__ import annotations

import errno
import os
import stat

__all__ = ["reset"]


def reset(folders: list[str]) -> str | None:
    """Empty the folders and return None, or say why the box cannot be used again. No lane may run meanwhile."""
    try:
        for folder in folders:
            _empty(folder)
        for folder in folders:
            left = os.listdir(folder)
            if left:
                return f"{folder}: {len(left)} names are left, such as {left[0]!r:.100}"
            if _notes(folder):
                return f"{folder}: {len(_notes(folder))} attributes are left"
    except OSError as error:
        return f"{error.filename or folders!r:.300}: {error.strerror}"
    finally:
        _act_as(0)
    for kind in ("shm", "sem", "msg"):
        try:
            with open("/proc/sysvipc/" + kind, "rb") as file:
                if len(file.read(4096).splitlines()) > 1:
                    return f"a System V {kind} object is left"
        except FileNotFoundError:
            continue  # a kernel without them
    return None


def _empty(folder: str) -> None:
    """Remove all that is in a folder, whoever it belongs to and however deep it goes.

    Each folder is opened to all by its owner first, so this needs no capability but SETUID; and what is two levels down
    is moved up to the first before it is gone into, so neither the stack nor the descriptors grow with the depth.
    """
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for note in _notes(top):
            os.removexattr(top, note)
        names = os.listdir(top)
        mark, num_moved = os.urandom(8).hex(), 0
        while names:
            name = names.pop()
            there = os.lstat(name, dir_fd=top)
            if not stat.S_ISDIR(there.st_mode):
                os.unlink(name, dir_fd=top)
                continue
            _act_as(there.st_uid)
            os.chmod(name, 0o777, dir_fd=top)
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
            try:
                for each in os.listdir(below):
                    inner = os.lstat(each, dir_fd=below)
                    if stat.S_ISDIR(inner.st_mode):
                        # To move a folder is to write its "..", which only its owner may be able to.
                        _act_as(inner.st_uid)
                        os.chmod(each, 0o777, dir_fd=below)
                        moved = f"{mark}-{num_moved}"
                        num_moved += 1
                        os.rename(each, moved, src_dir_fd=below, dst_dir_fd=top)
                        names.append(moved)
                    else:
                        os.unlink(each, dir_fd=below)
            finally:
                os.close(below)
            _act_as(0)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)


def _notes(folder: str | int) -> list[str]:
    """Return the extended attributes that a job may have hung on the folder itself: it may write there, so it can."""
    try:
        return [name for name in os.listxattr(folder) if name.startswith("user.")]
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENOSYS):
            return []
        raise


def _act_as(uid: int) -> None:
    """Take on a user, as one may whose saved id is 0; nothing to do in a box of one user."""
    if os.getresuid()[2] == 0 and os.geteuid() != uid:
        os.seteuid(0)
        os.seteuid(uid)
