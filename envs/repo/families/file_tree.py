"""The kind file-tree: a disk that is only remembered: folders, files, sizes."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_PATHS = '''
"""Paths in a tree of folders."""


def parts(path, here=()):
    """Return the parts of a path; one without a slash at its head begins here."""
    out = [] if path.startswith("/") else list(here)
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part == "..":
            if out:
                out.pop()
        else:
            out.append(part)
    return out


def joined(names):
    """Return parts as a path."""
    return "/" + "/".join(names)
'''

_NODES = '''
"""Folders and files."""


class Folder:
    """Names and what they stand for: a folder or the text of a file."""

    def __init__(self):
        self.names = {}

    def at(self, names):
        """Return what is at a place; an error where there is nothing."""
        found = self
        for name in names:
            if not isinstance(found, Folder) or name not in found.names:
                raise KeyError("/".join(names))
            found = found.names[name]
        return found

    def size(self):
        """Return the letters of all files below."""
        return sum(each.size() if isinstance(each, Folder) else len(each) for each in self.names.values())

    def walk(self, above=()):
        """Return the places of all files below, by name."""
        out = []
        for name, each in sorted(self.names.items()):
            if isinstance(each, Folder):
                out += each.walk((*above, name))
            else:
                out.append((*above, name))
        return out
'''

_DISK = '''
"""A disk that is only remembered."""

from @nodes import Folder
from @paths import joined, parts


class $cls:
    """Folders and files, with a folder where one is."""

    def __init__(self, room=$room):
        self.root = Folder()
        self.here = []
        self.room = room

    def go(self, path):
        """Go to a folder; return its path."""
        names = parts(path, self.here)
        if not isinstance(self.root.at(names), Folder):
            raise ValueError("no folder: " + path)
        self.here = names
        return joined(names)

    def make(self, path):
        """Make a folder, and those above it."""
        found = self.root
        for name in parts(path, self.here):
            found = found.names.setdefault(name, Folder())
            if not isinstance(found, Folder):
                raise ValueError("a file is there: " + name)

    def write(self, path, text):
        """Write a file; return whether there was room for it."""
        *above, name = parts(path, self.here)
        folder = self.root.at(above)
        before = folder.names.get(name, "")
        if isinstance(before, Folder):
            raise ValueError("a folder is there: " + name)
        if self.root.size() - len(before) + len(text) > self.room:
            return False
        folder.names[name] = text
        return True

    def move(self, source, target):
        """Move a file or folder; into a folder where the target is one."""
        *above, name = parts(source, self.here)
        *over, last = parts(target, self.here)
        thing = self.root.at([*above, name])
        place = self.root.at(over)
        if isinstance(place.names.get(last), Folder):
            place, last = place.names[last], name
        del self.root.at(above).names[name]
        place.names[last] = thing

    def files(self, path="/"):
        """Return the paths of all files below a folder."""
        names = parts(path, self.here)
        return [joined((*names, *place)) for place in self.root.at(names).walk()]

    def size(self, path="/"):
        """Return the letters of all files below a folder."""
        return self.root.at(parts(path, self.here)).size()
'''


def _disk(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [(f"disk:{params['cls']}=", [])]
    steps.append((".make", [rng.choice(["/a/b", "a/b/../c", "/a/./b"])]))
    folders = ["/a", "a", "/a/b", "b", "..", "/", "../..", "/x", "."]
    files = ["/a/f", "g", "/a/b/h", "../k", "b/f", "./m", "/a/b"]
    for _ in range(rng.randrange(3, 8)):
        there: Steps = [
            (".go", [rng.choice(folders)]),
            (".write", [rng.choice(files), "x" * rng.choice([1, 3, 8, int(params["room"])])]),
            (".write", [rng.choice(files), "y" * rng.randrange(0, 9)]),
            (".move", [rng.choice(files), rng.choice([*files, "/a/b", "/a/z"])]),
            (".make", [rng.choice(folders[:4])]),
        ]
        steps.append(rng.choice(there))
    return [*steps, (".files", []), (".size", []), (".files", [rng.choice(["/a", ".", "b"])])]


KIND = Kind(
    name="file-tree",
    about="A disk that is only remembered: folders, files, sizes.",
    modules={"paths": _PATHS, "nodes": _NODES, "disk": _DISK},
    case=_disk,
    packages=("memdisk", "foldertree", "ramfiles"),
    choices={"cls": ("Disk", "Tree"), "room": ("12", "20")},
    bugs=(
        Bug(
            name="up",
            module="paths",
            old="            if out:\n                out.pop()\n",
            new="            out = out[:-2]\n",
            report="Paths with .. lead to the wrong place.",
        ),
        Bug(
            name="here",
            module="paths",
            old='out = [] if path.startswith("/") else list(here)',
            new="out = list(here)",
            report="Paths that begin with a slash do not always mean the same place.",
        ),
        Bug(
            name="deep-size",
            module="nodes",
            old="each.size() if isinstance(each, Folder) else len(each)",
            new="0 if isinstance(each, Folder) else len(each)",
            report="The size of a folder does not count what is in the folders below it.",
        ),
        Bug(
            name="above",
            module="nodes",
            old="out += each.walk((*above, name))",
            new="out += each.walk((name,))",
            report="The paths of files are incomplete.",
        ),
        Bug(
            name="before",
            module="disk",
            old="self.root.size() - len(before) + len(text)",
            new="self.root.size() + len(text)",
            report="Writing a file anew is refused although there is room.",
        ),
        Bug(
            name="into",
            module="disk",
            old="        if isinstance(place.names.get(last), Folder):\n"
            "            place, last = place.names[last], name\n",
            new="",
            report="Moving something to a folder should put it into the folder, but the folder is replaced.",
        ),
    ),
)
"""A disk that is only remembered: folders, files, sizes."""
