"""What an agent left in its box, as bytes: listed and read one by one, and believed in nothing else.

Every folder on the way to a file is seen to be a real folder, so a link leads nowhere; what is no regular file, may not
be read or is too large is as good as not there. Nothing of the agent runs meanwhile: commands run in the foreground,
and what they leave is killed with them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence

from agentrl.envs.tools.codebox import CodeBox
from agentrl.sandboxes import Entry
from agentrl.sandboxes.errors import SandboxFileError

__all__ = ["MOST_BYTES", "Remains"]

MOST_BYTES = 4 << 20
"""Of one file; the largest that a task asks for has a hundredth of it."""
_MOST_ENTRIES = 4000  # of a tree
_MOST_AT_ONCE = 1 << 19  # bytes, half of what a job may write
_MOST_NAMES = 60_000  # characters of names that are handed to one program
_NONE: Mapping[str, Entry] = {}


class Remains:
    """The files below /work at the end of an episode. Each is read once at most.

    Args:
        box: Of the episode. Its failure is an InfrastructureError of every method.
    """

    def __init__(self, box: CodeBox) -> None:
        self._box = box
        self._folders: dict[str, Mapping[str, Entry] | None] = {}
        self._files: dict[str, bytes | None] = {}
        self._links: dict[str, str | None] = {}

    def names(self, folder: str = "") -> Mapping[str, Entry]:
        """Return what is in a folder; nothing where it is none, or may not be listed."""
        if folder not in self._folders:
            self._folders[folder] = self._listed(folder)
        return self._folders[folder] or _NONE

    def is_folder(self, path: str) -> bool:
        """Return whether a real folder is there, and can be listed."""
        self.names(path)
        return self._folders[path] is not None

    def entry(self, path: str) -> Entry | None:
        """Return what is at a path, None where nothing is."""
        folder, _, name = path.rpartition("/")
        return self.names(folder).get(name)

    def is_gone(self, path: str) -> bool:
        """Return whether surely nothing is at a path; a folder that cannot be listed says nothing, nor does a link."""
        above = path.rpartition("/")[0]
        if self.is_folder(above):
            return self.entry(path) is None
        if not above or self.is_gone(above):
            return bool(above)
        there = self.entry(above)
        return there is not None and there.kind == "file"

    def read(self, path: str) -> bytes | None:
        """Return a regular file's content, None where there is no such one."""
        if path not in self._files:
            there = self.entry(path)
            self._files[path] = None
            if there is not None and there.kind == "file" and there.size <= MOST_BYTES:
                with contextlib.suppress(SandboxFileError):
                    self._files[path] = self._box.read(f"/work/{path}", max_bytes=MOST_BYTES)
        return self._files[path]

    def load(self, paths: Iterable[str]) -> None:
        """Read several files in one round trip, for `read` to find.

        They are told apart by the sizes that were listed; where these do not add up, each is read by itself.
        """
        there = {path: entry for path in paths if (entry := self.entry(path)) is not None and path not in self._files}
        sizes = {path: entry.size for path, entry in there.items() if entry.kind == "file"}
        if len(sizes) < 2 or sum(sizes.values()) > _MOST_AT_ONCE or sum(map(len, sizes)) > _MOST_NAMES:
            return
        result = self._box.exec(["/usr/bin/cat", "--", *(f"/work/{path}" for path in sizes)])
        if not result.ok or len(result.stdout) != sum(sizes.values()):
            return
        at = 0
        for path, size in sizes.items():
            self._files[path] = result.stdout[at : at + size]
            at += size

    def mode(self, path: str) -> int | None:
        """Return the permission bits of a file or folder."""
        there = self.entry(path)
        return None if there is None or there.kind not in ("file", "folder") else there.mode & 0o777

    def link(self, path: str) -> str | None:
        """Return where a symbolic link says that it leads, None where there is no link."""
        if path not in self._links:
            there = self.entry(path)
            self._links[path] = None
            if there is not None and there.kind == "link":
                said = self._box.exec(["/usr/bin/readlink", "-n", "--", f"/work/{path}"])
                self._links[path] = said.stdout_text if said.ok else None
        return self._links[path]

    def are_one(self, paths: Sequence[str]) -> bool:
        """Return whether these are names of one and the same regular file."""
        if any((there := self.entry(path)) is None or there.kind != "file" for path in paths):
            return False
        said = self._box.exec(["/usr/bin/stat", "-c", "%d:%i", "--", *(f"/work/{path}" for path in paths)])
        lines = said.stdout.split()
        return said.ok and len(lines) == len(paths) and len(set(lines)) == 1

    def tree(self, folder: str) -> dict[str, Entry] | None:
        """Return all that is below a folder, by its path from there; None where that is too much or cannot be seen."""
        if not self.is_folder(folder):
            return None
        found: dict[str, Entry] = {}
        waiting = [""]
        while waiting:
            at = waiting.pop()
            for name, entry in self.names(f"{folder}/{at}".strip("/")).items():
                path = f"{at}/{name}".lstrip("/")
                found[path] = entry
                if entry.kind == "folder":
                    if not self.is_folder(f"{folder}/{path}".strip("/")):
                        return None
                    waiting.append(path)
            if len(found) > _MOST_ENTRIES:
                return None
        return found

    def files(self, folder: str) -> dict[str, bytes] | None:
        """Return the content of all regular files below a folder; None where one of them cannot be had."""
        tree = self.tree(folder)
        if tree is None:
            return None
        found: dict[str, bytes] = {}
        for path, entry in tree.items():
            if entry.kind == "file":
                content = self.read(f"{folder}/{path}".strip("/"))
                if content is None or sum(map(len, found.values())) > 4 * MOST_BYTES:
                    return None
                found[path] = content
        return found

    def _listed(self, folder: str) -> Mapping[str, Entry] | None:
        if folder:
            there = self.entry(folder)
            if there is None or there.kind != "folder":
                return None
        try:
            return {entry.name: entry for entry in self._box.list(f"/work/{folder}".rstrip("/"))}
        except SandboxFileError:
            return None
