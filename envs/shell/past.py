"""A git history that is made in a box by one `git fast-import`, and whose hashes are known here before.

Dates and authors are fixed, so the same commits have the same names on any machine. Folders of files are flat.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from agentrl.envs.shell.words import EPOCH

__all__ = ["Past", "setup", "tree_of"]

_PERSON = "Robin Gardner <robin@example.org>"


def _named(kind: str, body: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(body)}\0".encode() + body, usedforsecurity=False).hexdigest()


def tree_of(files: Mapping[str, bytes]) -> str:
    """Return git's name of a folder of regular files.

    >>> tree_of({"a": b"1"})
    'dec00055d1aeef644597adecb6680d94b5ed075f'
    """
    body = b"".join(
        f"100644 {name}\0".encode() + bytes.fromhex(_named("blob", files[name]))
        for name in sorted(files, key=lambda name: name.encode())
    )
    return _named("tree", body)


class Past:
    """Commits, as a stream for `git fast-import`."""

    def __init__(self) -> None:
        self.stream = b""
        self._marks: dict[str, int] = {}

    def commit(self, branch: str, message: str, files: Mapping[str, bytes], parents: Sequence[str] = ()) -> str:
        """Add a commit to a branch; return its name.

        Args:
            branch: Its name.
            message: One line.
            files: All files of the commit.
            parents: Names of commits.
        """
        mark = len(self._marks) + 1
        when = f"{_PERSON} {int(EPOCH.timestamp()) + 3600 * mark} +0000"
        said = f"{message}\n".encode()
        parts = [f"commit refs/heads/{branch}\nmark :{mark}\nauthor {when}\ncommitter {when}\n".encode()]
        parts.append(f"data {len(said)}\n".encode() + said)
        for number, parent in enumerate(parents):
            parts.append(f"{'merge' if number else 'from'} :{self._marks[parent]}\n".encode())
        parts.append(b"deleteall\n")
        for name, content in files.items():
            parts.append(f"M 100644 inline {name}\ndata {len(content)}\n".encode() + content + b"\n")
        self.stream += b"".join(parts) + b"\n"
        body = f"tree {tree_of(files)}\n" + "".join(f"parent {parent}\n" for parent in parents)
        name = _named("commit", f"{body}author {when}\ncommitter {when}\n\n".encode() + said)
        self._marks[name] = mark
        return name


def setup(repository: str, then: str = "") -> str:
    """Return the setup that makes a repository of a stream, with `main` checked out.

    Args:
        repository: Folder below /work.
        then: More for `sh`, in the repository.
    """
    made = "git -c fastimport.unpackLimit=1 fast-import --quiet && git reset -q --hard main"
    return f"git init -q -b main {repository}\ncd {repository}\n{made}\n{then}"
