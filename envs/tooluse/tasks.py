"""Draw a task: a world, a family of the level, a case in it, and the database as it must be in the end.

The same generator gives the same task on any machine. A task belongs to `test` when a CRC-32 is divisible by three, at
level 1 of all that the user says, above of what has to be done, too, else to `train`; above level 1 wordings differ.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import import_module

from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.tools.toolset import ToolError
from agentrl.envs.tooluse.case import Case, Do, Domain, Family, Rule
from agentrl.envs.tooluse.tables import Rows

__all__ = ["DOMAINS", "Task", "domain", "draw_task", "families_of"]

DOMAINS = {name: f"agentrl.envs.tooluse.{name}.domain" for name in ("shop", "travel", "workspace")}
"""The domains, and the modules whose `DOMAIN` each is; none is loaded before it is asked for."""
_NUM_TEST = 3  # one in so many; a draw of the other split is drawn again, world and all
_MOST_DRAWS = 1000  # a family that still has none is a mistake of ours, and must not hang
_DISTRACTORS = {1: 1, 2: 4}  # tools beside those that the case needs; above level 2 all tools are offered


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task, with all that decides whether it was done."""

    id: str
    domain: str
    family: str
    case: Case
    today: str
    rows: Rows  # at the beginning
    wanted: Rows  # at the end
    rules: tuple[tuple[str, str], ...]  # (code, text), as they stand in the policy
    refusal: str | None  # the code that has to be named
    tools: tuple[str, ...]  # that the task offers

    @property
    def place(self) -> Domain:
        """The domain of the task."""
        return domain(self.domain)


def domain(name: str) -> Domain:
    """Return a domain by name.

    Raises:
        UsageError: There is no such domain.
    """
    if name not in DOMAINS:
        raise UsageError(f"domain={name!r} does not exist{nearest(name, DOMAINS)}; there are {', '.join(DOMAINS)}")
    found: Domain = import_module(DOMAINS[name]).DOMAIN
    return found


def families_of(name: str, level: int, only: Collection[str] = ()) -> list[Family]:
    """Return a domain's families of a level, of those in `only` where it names any."""
    return [each for each in domain(name).families if level in each.levels and (not only or each.name in only)]


def draw_task(rng: random.Random, name: str, split: str, level: int, only: Collection[str] = ()) -> Task:
    """Draw a task of a domain.

    Args:
        rng: Decides everything.
        name: Of the domain.
        split: "train" or "test".
        level: 1 to 5.
        only: Names of families to choose from; all of the level where it is empty.
    """
    place = domain(name)
    family = rng.choice(families_of(name, level, only))
    for _ in range(_MOST_DRAWS):
        # At level 1, made for tiny models, a wording that was never met would undo what they can.
        world = place.populate(rng, "both" if level == 1 else split, level)
        case = family.draw(rng, world, level)
        if case is None:
            continue
        text = json.dumps([family.name, case.request, repr(case.steps), repr(case.tell), repr(case.reveals)])
        # Where wordings are shared, what is asked must decide alone: it may have another answer in another world. Where
        # they are not, some requests are always the same words, and only what has to be done differs.
        deciding = json.dumps([case.request, *(each.says for each in case.reveals)]) if level == 1 else text
        if (zlib.crc32(deciding.encode()) % _NUM_TEST == 0) == (split == "test"):
            break
    else:
        raise AssertionError(
            f"family {family.name} of {name} has no case of {split} at level {level} in {_MOST_DRAWS} worlds"
        )
    rules = [rule for rule in place.rules if rule.level <= level or rule.key == case.refuse]
    codes = _codes(rng, rules)
    return Task(
        id=f"{name}-{family.name}-{zlib.crc32(text.encode()):08x}",
        domain=name,
        family=family.name,
        case=case,
        today=world.today,
        rows=world.rows,
        wanted=_outcome(place, world.rows, world.today, case),
        rules=tuple((codes[rule.key], rule.text) for rule in rules),
        refusal=codes[case.refuse] if case.refuse is not None else None,
        tools=_tools(rng, place, case, level),
    )


def _codes(rng: random.Random, rules: list[Rule]) -> Mapping[str, str]:
    numbers = rng.sample(range(10, 100), len(rules))
    return {rule.key: f"R-{number}" for rule, number in zip(rules, numbers, strict=True)}


def _outcome(place: Domain, rows: Rows, today: str, case: Case) -> Rows:
    """Return the database after the calls of the case; a call that is refused there is a mistake of its family."""
    tools = place.toolset(rows, today)
    try:
        for step in case.steps:
            for call in step.calls if isinstance(step, Do) else ():
                try:
                    getattr(tools, call.tool)(**call.arguments)
                except ToolError as error:
                    raise AssertionError(f"the way of {case.request!r} is refused at {call}: {error}") from error
        found: Rows = tools.snapshot()["rows"]
        return found
    finally:
        tools.close()


def _tools(rng: random.Random, place: Domain, case: Case, level: int) -> tuple[str, ...]:
    every = list(place.toolset.functions())
    needed = {call.tool for step in case.steps if isinstance(step, Do) for call in step.calls} | {*case.tempts}
    if level not in _DISTRACTORS:
        return tuple(every)
    others = [name for name in every if name not in needed]
    chosen = needed | set(rng.sample(others, min(_DISTRACTORS[level], len(others))))
    return tuple(name for name in every if name in chosen)
