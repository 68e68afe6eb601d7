"""Repositories with bugs, drawn from the kinds: the same seed, split and level give the same task on any machine.

What each use must give is computed by running the right sources here. A task is drawn again unless each of its bugs
alone changes the outcome of enough hidden uses, and enough others come out as they should in spite of the bugs.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.repo.catalogue import KINDS
from agentrl.envs.repo.family import Bug, Kind, Steps, half
from agentrl.envs.repo.history import Commit, dated
from agentrl.envs.repo.issues import issue
from agentrl.envs.repo.layouts import STYLES, Layout, Part, lay_out, with_bugs
from agentrl.envs.repo.loading import Loaded
from agentrl.envs.repo.sessions import session, tests
from agentrl.sandboxes.grader import canonical

__all__ = ["PLACE", "Check", "Task", "generate", "kinds_of"]

PLACE = "/work/repo"
"""Where the repository lies in the box."""
NUM_FAILING = 6  # hidden uses that each bug breaks
NUM_KEPT = 6  # hidden uses that no bug breaks
MOST_DRAWS = 900  # uses that are tried for one task
_OTHERS = {4: 2, 5: 3}  # kinds beside the one that has the bug
_PROJECTS = (
    "almanac anvil arbour atrium basalt beacon bellows birch bramble cairn cinder clover cobalt copper coral cypress "
    "delta ember fathom fern flint garnet girder granite hazel heron indigo juniper kestrel lantern larch lichen "
    "lupin marble meadow mica nettle nimbus oakum obsidian onyx osprey pebble pewter quarry rowan saffron sorrel "
    "tamarind tarn thistle timber topaz tundra umber vesper walnut willow yarrow zephyr"
).split()


@dataclass(frozen=True, kw_only=True)
class Check:
    """One hidden use and what each of its steps has to give."""

    steps: Steps
    expected: list[list[Any]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One repository with its issue."""

    id: str
    issue: str
    commits: tuple[Commit, ...]
    files: Mapping[str, str]  # path -> text, as it is at the last commit
    fixes: Mapping[str, str]  # path -> text as it should be, of the files that are wrong
    failing: tuple[Check, ...]  # what does not come out right before the repair
    kept: tuple[Check, ...]  # what does, and has to stay so
    root: str  # below the repository: what is on the path of modules
    command: str  # runs the visible tests
    kind: str
    bugs: tuple[str, ...]
    modules: tuple[str, ...]  # paths of the modules of the kind, the lowest first
    params: Mapping[str, str]  # what was drawn for the kind


def kinds_of(split: str, level: int) -> tuple[Kind, ...]:
    """Return the kinds of which tasks of a split and level are drawn."""
    return tuple(kind for kind in KINDS.values() if half(kind.name) == split and _bugs_for(kind, level))


def generate(seed: int, split: str, level: int, *, kind: str | None = None) -> Task:
    """Draw a task.

    Args:
        seed: Decides everything.
        split: "train" or "test".
        level: 1 to 5.
        kind: Of this kind only; one of `catalogue.KINDS`.

    Raises:
        UsageError: No such kind, or none of this split and level.
    """
    kinds = kinds_of(split, level)
    if kind is not None:
        if not isinstance(kind, str) or kind not in KINDS:
            raise UsageError(f"kind={kind!r} does not exist{nearest(str(kind), KINDS)}; see envs/repo/README.md")
        kinds = tuple(each for each in kinds if each.name == kind)
        if not kinds:
            levels = [each for each in range(1, 6) if _bugs_for(KINDS[kind], each)]
            raise UsageError(f"kind={kind!r} is of split {half(kind)!r} and levels {levels}; not of {split!r}, {level}")
    rng = random.Random(seed)
    while True:
        task = _task(random.Random(rng.getrandbits(62)), kinds, split, level)
        if task is not None:
            return task


def _bugs_for(kind: Kind, level: int) -> tuple[Bug, ...]:
    """Return the bugs of a kind that a level may draw."""
    if level == 1:
        return kind.bugs if kind.is_small else ()
    if kind.is_small:
        return ()
    if level < 4:
        return tuple(bug for bug in kind.bugs if not bug.feature)
    if level == 4:
        return tuple(bug for bug in kind.bugs if kind.is_far(bug) and not bug.feature)
    return kind.bugs if len(kind.bugs) > 1 else ()


def _task(rng: random.Random, kinds: Sequence[Kind], split: str, level: int) -> Task | None:
    main = rng.choice(kinds)
    there = _bugs_for(main, level)
    bugs = rng.sample(there, 2 if level == 5 else 1)
    if len(bugs) == 2 and not _apart(main, bugs):
        return None
    others = [kind for kind in KINDS.values() if half(kind.name) == split and not kind.is_small and kind != main]
    parts = _parts(rng, [main, *rng.sample(others, _OTHERS.get(level, 0))])
    project = rng.choice([name for name in _PROJECTS if half(name) == split])
    style = "modules" if level == 1 else rng.choice(STYLES[1:] if len(parts) > 1 else STYLES)
    layout = lay_out(rng, parts, project, style)
    beside = _sources(layout, parts[1:], ())
    right_sources = {**_sources(layout, parts[:1], ()), **beside}
    broken_sources = {**_sources(layout, parts[:1], bugs), **beside}
    right, broken = Loaded(_dotted(layout, right_sources)), Loaded(_dotted(layout, broken_sources))
    single = [Loaded(_dotted(layout, _sources(layout, parts[:1], [bug]))) for bug in bugs] if bugs[1:] else [broken]
    drawn = _drawn(rng, layout, parts[0], right, broken, single)
    if drawn is None:
        return None
    failing, kept = drawn
    # What an issue shows is the shortest of what fails; no hidden use is the same.
    examples = [min(each, key=lambda check: (len(repr(check.steps)), repr(check.steps))) for each in failing]
    shown = [session(each.steps, broken.outcome(each.steps), each.expected) for each in examples]
    hidden = [
        check for each in failing for check in [c for c in each if c not in examples][: NUM_FAILING + (level < 3)]
    ]
    red = list(examples) if level <= 2 else []
    if level == 2:
        red.append(hidden.pop())
    num_green = {1: 3, 2: 5}.get(level, 7)
    green, kept = kept[:num_green], kept[num_green:]
    visible = _visible(rng, layout, parts, right, green, red)
    files = {**_project(rng, layout, parts, project, style), **broken_sources, **visible}
    kept += [_other(rng, layout, part, right) for part in parts[1:]]
    names = [_name_of(each.steps) for each in examples]
    text = issue(rng, split, level, names=names, reports=[_filled(parts[0], b.report) for b in bugs], sessions=shown)
    commits = _history(rng, split, layout, parts, bugs, files, visible)
    digest = zlib.crc32(repr((text, sorted(files.items()))).encode())
    return Task(
        id=f"repo-{main.name}-{digest:08x}",
        issue=text,
        commits=commits,
        files=files,
        fixes={path: source for path, source in right_sources.items() if source != broken_sources.get(path)},
        failing=tuple(hidden),
        kept=tuple(kept),
        root=layout.root,
        command=f"{'PYTHONPATH=src ' if layout.root else ''}python3 -m unittest",
        kind=main.name,
        bugs=tuple(bug.name for bug in bugs),
        modules=tuple(layout.paths[main.name, module] for module in main.modules),
        params=parts[0].params,
    )


def _apart(kind: Kind, bugs: Sequence[Bug]) -> bool:
    """Say whether two bugs can be in the sources at once: neither changes the lines of the other."""
    texts = dict(kind.modules)
    for bug in bugs:
        if texts[bug.module].count(bug.old) != 1:
            return False
        texts[bug.module] = texts[bug.module].replace(bug.old, bug.new)
    first, second = bugs
    return first.module != second.module or texts[first.module] == kind.modules[first.module].replace(
        second.old, second.new
    ).replace(first.old, first.new)


def _parts(rng: random.Random, kinds: Sequence[Kind]) -> list[Part]:
    parts: list[Part] = []
    for kind in kinds:
        params = {name: rng.choice(values) for name, values in kind.choices.items()}
        taken = {part.package for part in parts}
        names = [name for name in kind.packages if name not in taken]
        parts.append(Part(kind=kind, params=params, package=rng.choice(names) if names else ""))
    return parts


def _sources(layout: Layout, parts: Sequence[Part], bugs: Sequence[Bug], *, docs: str | None = None) -> dict[str, str]:
    """Write the modules of all parts; the bugs are of the first."""
    found: dict[str, str] = {}
    for at, part in enumerate(parts):
        for module, template in with_bugs(part.kind, bugs if at == 0 else ()).items():
            found[layout.paths[part.kind.name, module]] = layout.source(part, module, template, docs=docs)
    return found


def _dotted(layout: Layout, sources: Mapping[str, str]) -> dict[str, str]:
    prefix = f"{layout.root}/" if layout.root else ""
    return {path.removeprefix(prefix).removesuffix(".py").replace("/", "."): source for path, source in sources.items()}


def _drawn(
    rng: random.Random, layout: Layout, part: Part, right: Loaded, broken: Loaded, single: Sequence[Loaded]
) -> tuple[list[list[Check]], list[Check]] | None:
    """Draw uses until each bug breaks enough of them and enough stay right; None where that does not come about."""
    failing: list[list[Check]] = [[] for _ in single]
    kept: list[Check] = []
    seen: set[str] = set()
    num_failing, num_kept = NUM_FAILING + 3, NUM_KEPT + 8
    for _ in range(MOST_DRAWS):
        steps = layout.steps(part, part.kind.case(rng, part.params))
        if repr(steps) in seen:
            continue
        seen.add(repr(steps))
        check = Check(steps=steps, expected=right.outcome(steps))
        wanted = canonical(check.expected)
        got = broken.outcome(steps)
        # What differs in types alone, such as 2 and 2.0, no test of unittest would see: it is neither.
        breaks = [each.outcome(steps) != check.expected for each in single]
        if not any(breaks):
            if len(kept) < num_kept and canonical(got) == wanted:
                kept.append(check)
        elif sum(breaks) == 1 and got != check.expected:
            which = breaks.index(True)
            if len(failing[which]) < num_failing:
                failing[which].append(check)
        if len(kept) == num_kept and all(len(each) == num_failing for each in failing):
            break
    if len(kept) < num_kept or any(len(each) < num_failing for each in failing):
        return None
    return failing, kept


def _visible(
    rng: random.Random, layout: Layout, parts: Sequence[Part], right: Loaded, green: list[Check], red: list[Check]
) -> dict[str, str]:
    """Write the visible tests of every part, those that fail among the others."""
    is_flat = parts[0].kind.is_small
    found = {} if is_flat else {"tests/__init__.py": ""}
    for at, part in enumerate(parts):
        checks = [*green, *red] if at == 0 else [_other(rng, layout, part, right) for _ in range(3)]
        rng.shuffle(checks)
        name = part.package or list(part.kind.modules)[-1]
        title = "".join(word.capitalize() for word in name.split("_")) + "Test"
        names = [f"{_name_of(check.steps).rpartition('.')[2].lower()}_{n}" for n, check in enumerate(checks, 1)]
        path = f"test_{name}.py" if is_flat else f"tests/test_{name}.py"
        found[path] = tests(title, [(each.steps, each.expected) for each in checks], names=names)
    return found


def _other(rng: random.Random, layout: Layout, part: Part, right: Loaded) -> Check:
    steps = layout.steps(part, part.kind.case(rng, part.params))
    return Check(steps=steps, expected=right.outcome(steps))


def _name_of(steps: Steps) -> str:
    """Return what a user would say that a use is about: the function, the class or the command."""
    where = steps[0][0]
    return where.partition(":")[2].rstrip("=")


def _filled(part: Part, text: str) -> str:
    for name, value in part.params.items():
        text = text.replace(f"${name}", value)
    return text


def _project(rng: random.Random, layout: Layout, parts: Sequence[Part], project: str, style: str) -> dict[str, str]:
    """Write what stands beside modules and tests."""
    command = f"{'PYTHONPATH=src ' if layout.root else ''}python3 -m unittest"
    parts_said = "\n".join(f"- `{part.package or next(iter(part.kind.modules))}`: {part.kind.about}" for part in parts)
    readme = f"# {project}\n\n{parts_said}\n\nRun the tests with\n\n    {command}\n"
    return {"README.md": readme, ".gitignore": "__pycache__/\n*.pyc\n", **layout.extra}


def _history(
    rng: random.Random,
    split: str,
    layout: Layout,
    parts: Sequence[Part],
    bugs: Sequence[Bug],
    files: Mapping[str, str],
    visible: Mapping[str, str],
) -> tuple[Commit, ...]:
    """Return the commits that lead to the files. All are made of the broken sources."""
    early = _sources(layout, parts, bugs, docs="bare")
    beside = {path: text for path, text in files.items() if path not in early and path not in visible}
    changes: list[tuple[str, Mapping[str, str]]] = [("Start the project", beside)]
    for part in parts:
        for module in part.kind.modules:
            path = layout.paths[part.kind.name, module]
            changes.append((f"Add {layout.dotted(part.kind.name, module)}", {path: early[path]}))
    changes.append(("Add tests", visible))
    late = {path: files[path] for path in early if files[path] != early[path]}
    if late:
        changes.append(("Write docstrings", late))
    return dated(rng, split, changes)
