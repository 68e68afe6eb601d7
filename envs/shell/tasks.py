"""Generated tasks of levels 1 to 5: the same seed, split and level give the same task on any machine.

Train and test share neither wordings nor the words that names and contents are made of. What a task expects stays on
the host; only its first files, and what makes their permissions, links and history, go into the box.
"""

from __future__ import annotations

import shlex
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentrl.envs.shell.catalogue import FAMILIES
from agentrl.envs.shell.family import Goal
from agentrl.envs.shell.words import Draw

__all__ = ["FAMILIES", "Task", "generate"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be done in a box, and what must have come of it."""

    id: str
    question: str
    files: Mapping[str, bytes]  # path below /work -> content, at the beginning
    goal: Goal
    oracle: Sequence[str]  # commands that solve it
    wrong: Sequence[str]  # commands of which each looks right and is not
    setup: str  # for `sh`, in /work, once the files are there; empty where there is nothing to do
    stdin: bytes  # of the setup
    family: str


def generate(
    seed: int, split: str = "train", level: int = 1, *, family: str | None = None, shared_wordings: bool = False
) -> Task:
    """Make one task.

    Args:
        seed: Decides everything.
        split: "train" or "test".
        level: 1 to 5.
        family: The name of one of `FAMILIES` that is asked at this level; drawn when None.
        shared_wordings: Ask tasks of the test split in training's wordings, too.

    >>> generate(3, "test", 1).id == generate(3, "test", 1).id != generate(4, "test", 1).id
    True
    """
    draw = Draw(seed, split, level, shared_wordings=shared_wordings)
    there = [each for each in FAMILIES.values() if level in each.levels]
    chosen = draw.pick(there) if family is None else FAMILIES[family]
    case = chosen.make(draw)
    question = chosen.wording(draw, case.params)
    folders = f"mkdir -p {shlex.join(case.folders)}\n" if case.folders else ""
    setup = folders + case.setup
    digest = zlib.crc32("\0".join((question, setup)).encode() + case.stdin)
    for name, content in sorted(case.files.items()):
        digest = zlib.crc32(name.encode() + b"\0" + content, digest)
    return Task(
        id=f"shell-{chosen.name}-{digest:08x}",
        question=question,
        files=case.files,
        goal=case.goal,
        oracle=tuple(case.oracle),
        wrong=tuple(case.wrong),
        setup=setup,
        stdin=case.stdin,
        family=chosen.name,
    )
