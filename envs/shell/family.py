"""A family of tasks: how one is drawn, asked, solved, judged, and done wrong.

The goal is said in data where it can be: what files must hold, which must be gone, which permissions and links there
are. All other first files must be as they were, to the byte. Where something must be run, `Goal.then` gets the bytes
that were copied out and a way to a fresh box.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from string import Template

from agentrl.envs.shell.remains import Remains
from agentrl.envs.shell.trial import Trial
from agentrl.envs.shell.words import Draw

__all__ = ["Case", "Check", "Family", "Goal", "family", "reaches"]

Check = Callable[[bytes], bool]
Then = Callable[[Remains, Trial], bool]


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What must be so at the end. Paths are below /work."""

    files: Mapping[str, bytes] = field(default_factory=dict)  # content; the end of the last line may be missing
    checks: Mapping[str, Check] = field(default_factory=dict)  # files that are right in more ways than one
    gone: Sequence[str] = ()
    modes: Mapping[str, int] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)  # symbolic link -> the path below /work where it leads
    folders: Mapping[str, Sequence[str]] = field(default_factory=dict)  # folder -> all names that are in it
    free: Sequence[str] = ()  # first files that may be changed; one that ends with / means all below
    then: Then | None = None  # asked last


@dataclass(frozen=True, kw_only=True)
class Case:
    """One task of a family."""

    params: Mapping[str, object]  # `$name` in the wordings
    files: Mapping[str, bytes]
    goal: Goal
    oracle: Sequence[str]  # commands that solve it, as a person would type them
    wrong: Sequence[str] = ()  # each does the work in a way that looks right and is not
    setup: str = ""  # run in the box at the reset, in /work
    stdin: bytes = b""  # of the setup
    folders: Sequence[str] = ()  # empty folders at the beginning


@dataclass(frozen=True, kw_only=True)
class Family:
    """Say how tasks of one kind are drawn and asked."""

    name: str
    levels: tuple[int, ...]
    make: Callable[[Draw], Case]
    train: tuple[str, ...]  # wordings of a split, filled with the case's parameters
    test: tuple[str, ...]

    def wording(self, draw: Draw, params: Mapping[str, object]) -> str:
        """Return the task in a wording of the split."""
        return Template(draw.wording(self.train, self.test)).substitute(params)


def family(
    name: str, *levels: int, train: tuple[str, ...], test: tuple[str, ...]
) -> Callable[[Callable[[Draw], Case]], Family]:
    """Make a family of the function that draws a case.

    Args:
        name: Short words with hyphens.
        *levels: Where it is asked.
        train: Wordings.
        test: Wordings, none of which is in train.
    """
    return lambda make: Family(name=name, levels=levels, make=make, train=train, test=test)


def reaches(goal: Goal, first: Mapping[str, bytes], remains: Remains, trial: Trial) -> bool:
    """Return whether the files in the box are what the goal says, and all else is unharmed.

    Args:
        goal: What must be so.
        first: The files as they were at the beginning.
        remains: What is there now.
        trial: Where something can be run.

    Raises:
        InfrastructureError: A box failed.
    """
    for path in goal.gone:
        if not remains.is_gone(path):
            return False
    for path, names in goal.folders.items():
        if not remains.is_folder(path) or set(remains.names(path)) != set(names):
            return False
    for path, mode in goal.modes.items():
        if remains.mode(path) != mode:
            return False
    kept = _kept(goal, first)
    for path, content in (*goal.files.items(), *kept.items()):  # sizes first: most failures are seen without reading
        there = remains.entry(path)
        if there is None or there.kind != "file" or abs(there.size - len(content)) > 1:
            return False
    remains.load([*goal.files, *goal.checks, *kept])
    if any(remains.read(path) != content for path, content in kept.items()):
        return False
    if not all(same(remains.read(path), content) for path, content in goal.files.items()):
        return False
    for path, check in goal.checks.items():
        found = remains.read(path)
        if found is None or not check(found):
            return False
    for path, wanted in goal.links.items():
        if leads(path, remains.link(path)) != wanted:
            return False
    return goal.then is None or goal.then(remains, trial)


def same(found: bytes | None, wanted: bytes) -> bool:
    r"""Return whether a file has this content, apart from one end of line at its end.

    >>> same(b"a\nb", b"a\nb\n"), same(b"a b\n", b"a\nb\n")
    (True, False)
    """
    return found is not None and found.removesuffix(b"\n") == wanted.removesuffix(b"\n")


def leads(path: str, target: str | None) -> str | None:
    """Return the path below /work that a link at `path` leads to; None where it leads elsewhere.

    >>> leads("bin/run", "../lib/run.sh"), leads("a", "/work/b"), leads("a", "/etc/passwd")
    ('lib/run.sh', 'b', None)
    """
    if target is None:
        return None
    parts = [] if target.startswith("/") else path.split("/")[:-1]
    absolute = target.startswith("/")
    for part in target.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    if absolute:
        if parts[:1] != ["work"]:
            return None
        parts = parts[1:]
    return "/".join(parts)


def _kept(goal: Goal, first: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the first files of which the goal does not speak: they must be as they were."""
    spoken = {*goal.files, *goal.checks, *goal.gone, *goal.links, *goal.free}
    below = tuple(each for each in goal.free if each.endswith("/"))
    return {
        path: content for path, content in first.items() if path not in spoken and not path.startswith(below or "/")
    }
