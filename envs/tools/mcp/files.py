"""Files of this machine that a server finds in its working folder."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from agentrl.envs.errors import UsageError

__all__ = ["checked_path", "contents_of"]


def checked_path(path: str) -> str:
    """Return a path in the server's folder.

    Raises:
        UsageError: It leads out of it.
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise UsageError(f"files: {path!r} is no path in the server's folder; write one such as 'server.py'")
    return path


@lru_cache(maxsize=16)
def contents_of(files: tuple[tuple[str, str], ...]) -> Mapping[str, bytes]:
    """Return what is in files and folders; read once in a process.

    Args:
        files: Each a path in the server's folder, and the file or folder of this machine that is to be there.

    Raises:
        UsageError: One is not there.
    """
    found: dict[str, bytes] = {}
    for path, there in files:
        try:
            if Path(there).is_dir():
                for each in sorted(Path(there).rglob("*")):
                    if each.is_file() and "__pycache__" not in each.parts:
                        found[f"{path}/{each.relative_to(there).as_posix()}"] = each.read_bytes()
            else:
                found[path] = Path(there).read_bytes()
        except OSError as error:
            raise UsageError(
                f"files: {there} cannot be read: {error}; name a file or folder of this machine"
            ) from error
    return MappingProxyType(found)
