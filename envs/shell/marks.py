"""What a box's own snapshot does not take along of the files below /work: when they were changed, and hard links.

Some tasks are about these. They are read by one `find`, and given back by one shell once the files are there again; a
path of the agent's is only ever a quoted word of that shell, in the agent's own box.
"""

from __future__ import annotations

import shlex

from agentrl.envs.tools.codebox import CodeBox

__all__ = ["give_marks", "take_marks"]

_FORM = r"%T@ %i %n %y %p\0"


def take_marks(box: CodeBox) -> str:
    """Return the marks of all files as a text; an empty one where there is no GNU find, or too much to tell.

    Raises:
        InfrastructureError: The box failed.
    """
    found = box.exec(["/usr/bin/find", "/work", "-mindepth", "1", "-printf", _FORM])
    return found.stdout.decode("utf-8", "surrogateescape") if found.exit_code in (0, 1) else ""


def give_marks(box: CodeBox, marks: str) -> None:
    """Give the files their marks again; one that is not there has none.

    Raises:
        InfrastructureError: The box failed.
    """
    links: list[str] = []
    times: list[str] = []
    first: dict[str, str] = {}
    for mark in marks.split("\0")[:-1]:
        time, inode, num_names, kind, path = mark.split(" ", 4)
        word = shlex.quote(path)
        if kind == "f" and num_names != "1" and first.setdefault(inode, word) != word:
            links.append(f"ln -f -- {first[inode]} {word}")
        times.append(f"touch -hcm -d @{time} -- {word}")
    script = "\n".join([*links, *times])  # times last, since a new link changes that of its folder
    box.exec(["/bin/sh"], stdin=script.encode("utf-8", "surrogateescape"), timeout_s=60.0)
