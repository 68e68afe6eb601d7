"""Tasks drawn from the families: the same seed, split and level give the same task, with the same hidden inputs.

`train` and `test` share no parameters of any family. The hidden inputs are drawn anew for every seed, beside the
family's edges, and then tried: every wrong source of the family, every constant and every argument handed back fails
on at least one of them, or further inputs are drawn, or other parameters. The reference with a small slip
(`mutants.py`) fails too, unless it was right on all further inputs that were drawn.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agentrl.envs.code.catalogue import FAMILIES
from agentrl.envs.code.checks import Check, same_output, same_value
from agentrl.envs.code.family import TOPICS, Family, Params
from agentrl.envs.code.mutants import mutants
from agentrl.envs.code.running import Runner, key_of, runner
from agentrl.envs.errors import UsageError, nearest
from agentrl.sandboxes.grader import canonical

__all__ = ["Task", "families_of", "generate", "large_check", "split_of"]

NUM_EXAMPLES = {1: 2, 2: 3, 3: 3, 4: 3, 5: 3}
NUM_HIDDEN = {1: 10, 2: 12, 3: 14, 4: 16, 5: 16}  # ordinary inputs, beside edges; the README says what they catch
MOST_MORE = 60  # further inputs that are drawn for a wrong source that has passed so far
MORE_FOR_SLIPS = 60  # further inputs; a mutant that is right on all of them counts as right
MOST_STEPS = 3_000  # of mutants on further inputs: about two milliseconds
SMALL_LIMIT_S = 2.0  # where no input is large, a run is some milliseconds of starting and microseconds of work
LONGEST_EXAMPLE = 160  # characters of its call and value


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task, as plain data."""

    id: str
    question: str
    kind: Literal["function", "program"] = "function"
    function: str = ""  # its name; empty for a program
    examples: tuple[Check, ...] = ()  # public
    hidden: tuple[Check, ...] = ()
    solution: str = ""  # a source that is right; empty where none is known
    prelude: str = ""  # source that stands before the answer when it is graded
    plain: bool = False  # whether a value of a derived type counts as its base: a Counter is a dict
    limit_s: float = 5.0  # seconds of processor time for one input
    family: str = "data"
    params: Mapping[str, Any] = field(default_factory=dict)
    large: int | None = None  # seed of the large input; it is made when it is needed


def families_of(level: int, family: str | None = None, topic: str | None = None) -> tuple[Family, ...]:
    """Return the families of a level, in the catalogue's order.

    Raises:
        UsageError: No such family or topic, or none at this level.
    """
    if family is not None and family not in FAMILIES:
        raise UsageError(f"family={family!r} does not exist{nearest(str(family), FAMILIES)}; see envs/code/README.md")
    if topic is not None and topic not in TOPICS:
        raise UsageError(
            f"topic={topic!r} does not exist{nearest(str(topic), TOPICS)}; there are {', '.join(map(repr, TOPICS))}"
        )
    chosen = [
        each for each in FAMILIES.values() if family in (None, each.name) and topic in (None, each.topic)
    ]  # of all levels
    found = tuple(each for each in chosen if level in each.levels)
    if not found:
        asked = ", ".join(f"{key}={value!r}" for key, value in (("family", family), ("topic", topic)) if value)
        levels = sorted({each for one in chosen for each in one.levels})
        raise UsageError(f"there is no task with {asked} at level {level}; its levels are {levels}")
    return found


def split_of(family: Family, params: Params) -> str:
    """Return the split that a family's parameters belong to: a quarter of them, by their CRC-32, is `test`."""
    return "test" if zlib.crc32(f"{family.name} {key_of(params)}".encode()) % 4 == 0 else "train"


def generate(seed: int, split: str, level: int, *, family: str | None = None, topic: str | None = None) -> Task:
    """Draw a task.

    Raises:
        UsageError: No such family, topic or level, or a family that has no parameters in this split.
    """
    rng = random.Random(seed)
    families = families_of(level, family, topic)
    for _ in range(50):
        chosen = families[rng.randrange(len(families))]
        for _ in range(200):
            params = chosen.draw(rng, level)
            if split_of(chosen, params) == split:
                task = _task(rng, chosen, params, level)
                if task is not None:
                    return task
    raise UsageError(f"family={family!r} has no parameters in split {split!r} at level {level}; leave family out")


def large_check(task: Task) -> Check | None:
    """Return the check with the large input of a refactoring task; None for all others."""
    if task.large is None:
        return None
    family = FAMILIES[task.family]
    assert family.large is not None
    args = family.large(random.Random(task.large), task.params)
    return Check(args=args, expected=runner(family, family.reference, task.params)(args))


def _task(rng: random.Random, family: Family, params: Params, level: int) -> Task | None:
    """Return a task whose hidden inputs tell right from wrong; None where these parameters do not let them."""
    reference = runner(family, family.reference, params)
    edges = list({canonical(args): args for args in family.edges(params)}.values())
    seen = {canonical(args) for args in edges}
    examples = _examples(rng, family, params, reference, seen, NUM_EXAMPLES[level])
    if not examples:
        return None

    def fresh() -> Check | None:
        args = family.inputs(rng, params)
        name = canonical(args)
        if name in seen:
            return None
        seen.add(name)
        return Check(args=args, expected=reference(args))

    hidden = [Check(args=args, expected=reference(args)) for args in edges]
    hidden += [each for each in (fresh() for _ in range(NUM_HIDDEN[level])) if each is not None]
    constant = hidden[0].expected  # so that any constant fails
    for lazy in [*_wrong(family, params, examples), lambda args: constant]:
        if any(_fails(lazy, check, family) for check in hidden):
            continue
        for _ in range(MOST_MORE):
            check = fresh()
            if check is not None and _fails(lazy, check, family):
                hidden.append(check)
                break
        else:
            return None
    hidden += _for_slips(family, params, hidden, fresh)
    key = key_of(params)
    return Task(
        id=f"code-{family.name}-{zlib.crc32(key.encode()):08x}",
        question=_question(family, params, examples),
        kind=family.kind,
        function=family.function,
        examples=tuple(examples),
        hidden=tuple(hidden),
        solution=family.fill(family.reference, params),
        limit_s=family.limit_s if family.large else min(family.limit_s, SMALL_LIMIT_S),
        family=family.name,
        params=dict(params),
        large=rng.getrandbits(62) if family.large is not None else None,
    )


def _for_slips(family: Family, params: Params, hidden: list[Check], fresh: Callable[[], Check | None]) -> list[Check]:
    """Draw inputs for the mutants of the reference that pass all hidden ones, as far as such are found."""
    left = mutants(family, params, [check.args for check in hidden])
    for check in reversed(hidden):
        said = repr(check.expected)
        left = [run for run in left if not _slips(run, check, said, family)]
    found: list[Check] = []
    steps = 0
    for _ in range(MORE_FOR_SLIPS):
        if not left or steps > MOST_STEPS:
            break
        check_or_none = fresh()
        if check_or_none is None:
            continue
        check = check_or_none
        said = repr(check.expected)
        still = [run for run in left if not _slips(run, check, said, family)]
        steps += sum(run.steps for run in left)
        if len(still) < len(left):
            found.append(check)
            left = still
    return found


def _slips(run: Runner, check: Check, said: str, family: Family) -> bool:
    """Say whether a mutant fails, as `_fails` does, and sooner; `said` is the expected value as `repr` writes it."""
    try:
        value = run(check.args)
    except Exception:
        return True
    if repr(value) == said:
        return False
    if family.kind == "program":
        return not same_output(value, check.expected)
    if type(value) in (int, str, bool):
        return True
    return not same_value(value, check.expected)


def _examples(
    rng: random.Random, family: Family, params: Params, reference: Runner, seen: set[str], count: int
) -> list[Check]:
    """Draw the public examples: short, and of different values as far as that goes."""
    found: list[Check] = []
    values: set[str] = set()
    for attempt in range(40):
        args = family.inputs(rng, params)
        name = canonical(args)
        if name in seen:
            continue
        check = Check(args=args, expected=reference(args))
        value = canonical(check.expected)
        length = len(name) + len(value)
        if (value in values or length > LONGEST_EXAMPLE) and attempt < 20:
            continue
        if length > 8 * LONGEST_EXAMPLE:
            continue
        seen.add(name)
        values.add(value)
        found.append(check)
        if len(found) == count:
            break
    return found


def _wrong(family: Family, params: Params, examples: list[Check]) -> list[Runner]:
    """Return what must fail: the wrong sources, each argument handed back, and the values of the examples."""
    runners = [runner(family, source, params) for source in family.wrong]
    runners += [lambda args, k=k: args[k] for k in range(len(examples[0].args))]  # type: ignore[misc]  # bound now
    runners += [lambda args, value=each.expected: value for each in examples]  # type: ignore[misc]
    return runners


def _fails(run: Runner, check: Check, family: Family) -> bool:
    try:
        value = run(check.args)
    except Exception:
        return True
    if family.kind == "program":
        return not same_output(value, check.expected)
    return not same_value(value, check.expected)


def _question(family: Family, params: Params, examples: list[Check]) -> str:
    parts = [family.fill(family.statement, params)]
    if family.kind == "program":
        parts[0] = "Write a Python program that reads standard input and writes standard output. " + parts[0]
        parts += [f"Input:\n{each.args[0]}\nOutput:\n{each.expected}" for each in examples]
        return "\n\n".join(parts)
    calls = "\n".join(f"{each.said(family.function)}" for each in examples)
    parts.append(f"def {family.fill(family.signature, params)}\n{calls}")
    if family.given:
        parts.append(f"```python\n{family.fill(family.given, params).strip()}\n```")
    return "\n\n".join(parts)
