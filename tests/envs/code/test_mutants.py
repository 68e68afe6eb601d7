"""Mutants of the references: each is one slip, none runs for ever, and hidden inputs catch what is wrong."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from agentrl.envs.code.catalogue import FAMILIES
from agentrl.envs.code.checks import Check
from agentrl.envs.code.family import Family
from agentrl.envs.code.mutants import Mutant, mutants
from agentrl.envs.code.running import runner
from agentrl.envs.code.tasks import generate

NAMED = (
    "repair-runs",
    "fast-best-gain",
    "weighted-merge",
    "keep-values-between",
    "pack-runs",
    "count-multiples",
    "count-by-digit-sum",
    "stack-program",
)


def _family(reference: str) -> Family:
    return Family(
        name="try-out",
        topic="numbers",
        levels=(1,),
        draw=lambda rng, level: {"k": rng.randint(2, 9)},
        signature="f(n: int) -> int",
        statement="$k",
        reference=reference,
        inputs=lambda rng, params: (rng.randint(0, 9),),
    )


def _fails(run: Mutant, check: Check, program: bool) -> bool:
    try:
        return not check.passes(run(check.args), program=program)
    except Exception:  # as in a box, where it would return nothing
        return True


def test_each_place_has_its_slips() -> None:
    family = _family("def f(n):\n    if 0 < n < $k and n != 2:\n        return n * 3\n    return -1\n")
    found = {each.said: [each((n,)) for n in range(5)] for each in mutants(family, {"k": 4}, [(3,)])}
    assert found["line 2: 4 -> 5"] == [-1, 3, -1, 9, 12]
    assert found["line 2: 0 -> 1"] == [-1, -1, -1, 9, -1]
    assert found["line 2: 0 < n < 4 with LtE"] == [-1, 3, -1, 9, 12]
    assert found["line 2: n != 2 with Eq"] == [-1, -1, 6, -1, -1]
    assert found["line 2: if 0 < n < 4 and n != 2 removed"] == [-1] * 5
    assert found["line 2: if 0 < n < 4 and n != 2 negated"] == [0, -1, 6, -1, 12]
    assert found["line 3: 3 -> 2"] == [-1, 2, -1, 6, -1]
    assert found["line 4: 1 -> 2"] == [-2, 3, -2, 9, -2]


@pytest.mark.parametrize(
    "reference",
    [
        "def f(n):\n    while n > 0:\n        n = n - 1\n    return n\n",
        "def f(n):\n    return 0 if n < 1 else f(n - 1)\n",
        "def f(n):\n    items = [n]\n    for each in items:\n        if each > 0:\n            items.append(each - 1)\n"
        "    return len(items)\n",
        "def f(n):\n    grown = [0, 1]\n    while n > 0:\n        n = n - 1\n        grown = grown + grown\n"
        "    return n\n",
        "def f(n):\n    grown = $k\n    while n > 0:\n        n = n - 1\n        grown = grown * grown\n    return n\n",
    ],
    ids=["loop", "call", "growing list", "doubling", "squares"],
)
def test_a_slip_that_never_ends_is_stopped(reference: str) -> None:
    stopped = 0
    for each in mutants(_family(reference), {"k": 4}, [(5,)]):
        try:
            each((5,))
        except (TimeoutError, RecursionError):
            stopped += 1
        except (TypeError, ZeroDivisionError):
            continue
    assert stopped


def test_with_no_slip_the_tables_are_the_reference() -> None:
    for family in FAMILIES.values():
        rng = random.Random(family.name)
        params = family.draw(rng, family.levels[-1])
        reference = runner(family, family.reference, params)
        plain = Mutant.plain(family, params)
        for args in [*family.edges(params), *(family.inputs(rng, params) for _ in range(4))]:
            assert not _fails(plain, Check(args=args, expected=reference(args)), family.kind == "program")


@pytest.mark.parametrize("name", NAMED)
def test_no_number_that_is_one_off_passes(name: str) -> None:
    family = FAMILIES[name]
    program = family.kind == "program"
    for seed in range(8):
        task = generate(seed, "train", family.levels[0], family=name)
        passing = [
            each
            for each in mutants(family, task.params, [check.args for check in task.hidden])
            if " -> " in each.said and not any(_fails(each, check, program) for check in task.hidden)
        ]
        reference, rng = runner(family, family.reference, task.params), random.Random(seed)
        wrong: Counter[str] = Counter()
        for _ in range(60 if passing else 0):
            args = family.inputs(rng, task.params)
            check = Check(args=args, expected=reference(args))
            wrong.update(each.said for each in passing if _fails(each, check, program))
        assert not [said for said, times in wrong.items() if times > 4], (seed, task.params)
