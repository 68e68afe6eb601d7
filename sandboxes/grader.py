"""Grade a candidate's function: inputs go into a box one by one, outputs come out, and are compared here.

Nothing expected ever enters the box, so nothing there can find it, print it or patch what compares. Each input meets
a fresh process, in an order drawn anew; files stay between the calls, so a candidate may know how many came before, and
gains nothing by it. A box that dies is an error to raise, never a score. Not covered: a candidate that is wrong on
inputs that are not among the cases.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from agentrl.sandboxes.base import Backend, Sandbox
from agentrl.sandboxes.errors import SpecError
from agentrl.sandboxes.results import CallResult
from agentrl.sandboxes.spec import SandboxSpec
from agentrl.sandboxes.worker.values import ValueNotCarried, dump

__all__ = ["Case", "Grade", "Permutes", "Samples", "canonical", "grade"]


@runtime_checkable
class Permutes(Protocol):
    """The part of `numpy.random.Generator` that is used."""

    def permutation(self, x: int, /) -> Any:
        """Return the numbers below x in random order."""


@runtime_checkable
class Samples(Protocol):
    """The part of `random.Random` that is used."""

    def sample(self, population: Sequence[int], k: int) -> list[int]:
        """Return k of them in random order."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One input and what must come out."""

    args: Sequence[Any] = ()
    expected: Any
    """Of None, bool, int, float, str, bytes, list, tuple, dict, set, frozenset; compared with its exact type."""
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Grade:
    """What a candidate is worth."""

    score: float
    """1.0 where every case passed, else 0.0; with `partial`, the fraction."""
    fraction: float
    """Share of the cases that passed."""
    passed: tuple[bool, ...]
    """In the order of the cases; False too for one that was not tried."""
    results: tuple[CallResult | None, ...]
    """In the order of the cases; None for one that was not tried."""
    flags: tuple[str, ...]
    """What was seen in any case, sorted: the flags of `CallResult`, and limits that were met, such as "timeout"; and
    "deadline" where that left cases untried."""


def grade(
    where: Backend | Sandbox,
    source: str,
    function: str,
    cases: Sequence[Case],
    *,
    rng: Permutes | Samples,
    timeout_s: float | None = None,
    spec: SandboxSpec | None = None,
    partial: bool = False,
    stop_at_failure: bool = False,
    deadline_s: float | None = None,
    same: Callable[[Any, Any], bool] | None = None,
) -> Grade:
    """Call a candidate's function once for each case and compare.

    Args:
        where: A backend, of which a box is leased for this; or a box, which should have had no other use.
        source: The candidate's module.
        function: The name of its function.
        cases: At least one.
        rng: Draws the order: a `numpy.random.Generator` or a `random.Random`.
        timeout_s: Seconds for one case.
        spec: Of the box, where a backend is given.
        partial: Give the fraction as score.
        stop_at_failure: Try no further case after the first that fails; `fraction` is then a lower bound.
        deadline_s: Seconds for all cases together, from when the box is there. Once they have passed no further case is
            tried; where that leaves any out, the score is 0, with `partial` too, and "deadline" is among the flags.
        same: Compares (value, expected) where exact equality is not what is meant; gets plain values only, of any type,
            and a value over which it raises is a wrong one.

    Raises:
        SpecError: No case, a case that cannot be carried, a spec with a box, `partial` with `stop_at_failure`, or a
            deadline that is not positive.
        SandboxError: The infrastructure failed; nothing was learnt of the candidate.
    """
    wanted = _checked(cases)
    if spec is not None and isinstance(where, Sandbox):
        raise SpecError("spec= goes with a backend; this box has its own")
    if partial and stop_at_failure:
        raise SpecError("partial=True counts the cases that pass, so all are tried; leave out stop_at_failure=True")
    if deadline_s is not None and not deadline_s > 0:
        raise SpecError(f"deadline_s={deadline_s!r} leaves no time for any case; give seconds above 0, or leave it out")
    results: dict[int, CallResult] = {}
    passed = [False] * len(cases)
    late = False
    with ExitStack() as stack:
        box = where if isinstance(where, Sandbox) else stack.enter_context(where.lease(spec))
        start = time.monotonic()
        for index in _order(rng, len(cases)):
            if deadline_s is not None and time.monotonic() - start >= deadline_s:
                late = True
                break
            case = cases[index]
            result = box.call(function, case.args, case.kwargs, source=source, timeout_s=timeout_s)
            results[index] = result
            passed[index] = _passes(result, case, wanted[index], same)
            if stop_at_failure and not passed[index]:
                break
            if result.status == "oom" and isinstance(where, Backend):
                # The kernel may have taken the worker along: the candidate's doing, and no error of the next case.
                stack.close()
                box = stack.enter_context(where.lease(spec))
    flags = {flag for result in results.values() for flag in result.flags}
    flags |= {result.status for result in results.values() if result.status not in ("ok", "nonzero")}
    if late:
        flags.add("deadline")
    fraction = sum(passed) / len(passed)
    return Grade(
        score=fraction if partial and not late else float(all(passed)),
        fraction=fraction,
        passed=tuple(passed),
        results=tuple(results.get(index) for index in range(len(cases))),
        flags=tuple(sorted(flags)),
    )


def canonical(value: Any) -> str:
    """Return a text that is equal for equal values of equal types, all the way down, and for no others.

    A dict or set has no order, nan equals nan, and 0.0 equals -0.0. A bool is no int, and 1.0 is not 1.

    >>> canonical([1, (True, {"b": 1.0, "a": {2, 1}})])
    '[1,(true,{"a":<1,2>,"b":1.0})]'
    """
    kind = type(value)
    if kind is float:
        return "nan" if math.isnan(value) else repr(value + 0.0)
    if kind is bytes:
        return "x" + repr(value)
    if kind is list:
        return "[" + ",".join(map(canonical, value)) + "]"
    if kind is tuple:
        return "(" + ",".join(map(canonical, value)) + ")"
    if kind is dict:
        return "{" + ",".join(sorted(f"{canonical(key)}:{canonical(each)}" for key, each in value.items())) + "}"
    if kind in (set, frozenset):
        return ("<" if kind is set else "frozen<") + ",".join(sorted(map(canonical, value))) + ">"
    if value is None or kind in (bool, int, str):
        return json.dumps(value)
    raise ValueNotCarried(f"a value of type {kind.__name__}")


def _checked(cases: Sequence[Case]) -> list[str]:
    if not cases:
        raise SpecError("no cases: a candidate that meets none cannot be graded")
    wanted = []
    for number, case in enumerate(cases):
        try:
            dump(case.expected)
            wanted.append(canonical(case.expected))
        except ValueNotCarried as error:
            raise SpecError(f"case {number}: expected: {error}; only plain values can be compared") from None
    return wanted


def _order(rng: Permutes | Samples, count: int) -> list[int]:
    if isinstance(rng, Permutes):
        return [int(each) for each in rng.permutation(count)]
    if isinstance(rng, Samples):
        return rng.sample(range(count), count)
    raise SpecError(f"rng={rng!r:.60} is neither a numpy.random.Generator nor a random.Random")


def _passes(result: CallResult, case: Case, wanted: str, same: Callable[[Any, Any], bool] | None) -> bool:
    if not result.returned or result.flags or result.status != "ok":
        return False
    if same is None:
        return canonical(result.value) == wanted
    try:
        return bool(same(result.value, case.expected))
    except Exception:  # a value that cannot be compared, such as a text where a number is expected, is a wrong one
        return False
