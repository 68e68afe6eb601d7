"""Grading: what is right passes, what cheats scores 0, and what is expected never enters the box."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.sandboxes.errors import SandboxDied, SpecError
from agentrl.sandboxes.grader import Case, canonical, grade
from agentrl.sandboxes.host.box import Box
from agentrl.sandboxes.host.lease import LeasedSandbox
from agentrl.sandboxes.results import CallResult, Status
from agentrl.sandboxes.scripted import Answer, Asked, ScriptedBackend
from agentrl.sandboxes.spec import SandboxSpec
from tests.sandboxes.local_vessel import LocalVessel

SQUARES = [Case(args=[n], expected=n * n) for n in range(5)]


def returned(value: Any, *, flags: tuple[str, ...] = (), status: Status = "ok") -> CallResult:
    return CallResult(
        status=status,
        returned=status == "ok",
        value=value,
        error=None,
        stdout=b"",
        stderr=b"",
        wall_s=0.0,
        flags=flags,
    )


def squares(asked: Asked) -> Answer:
    return returned(asked.args[0] ** 2)


def test_all_right_is_one_and_one_wrong_is_nought() -> None:
    result = grade(ScriptedBackend(squares), "source", "f", SQUARES, rng=random.Random(0))
    assert (result.score, result.fraction, result.passed, result.flags) == (1.0, 1.0, (True,) * 5, ())
    assert [each.value for each in result.results if each is not None] == [0, 1, 4, 9, 16]
    wrong = [*SQUARES, Case(args=[3], expected=8)]
    result = grade(ScriptedBackend(squares), "source", "f", wrong, rng=random.Random(0))
    assert (result.score, result.fraction, result.passed[-1]) == (0.0, 5 / 6, False)
    assert grade(ScriptedBackend(squares), "s", "f", wrong, rng=random.Random(0), partial=True).score == 5 / 6


@pytest.mark.parametrize("rng", [np.random.default_rng(1), random.Random(1)], ids=["numpy", "random"])
def test_the_order_is_drawn_from_the_generator(rng: Any) -> None:
    cases = [Case(args=[n], expected=n * n) for n in range(30)]
    orders = []
    for _ in range(2):
        backend = ScriptedBackend(squares)
        grade(backend, "source", "f", cases, rng=rng)
        orders.append([asked.args[0] for asked in backend.asked])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(30))
    assert orders[0] != orders[1] != list(range(30))


def test_nothing_expected_enters_the_box() -> None:
    backend = ScriptedBackend(squares)
    grade(backend, "source", "f", [Case(args=[1], expected="the answer")], rng=random.Random(0))
    assert "the answer" not in repr(backend.asked)
    assert "the answer" not in repr(backend.leases)


def test_flags_and_limits_are_told_and_never_pass() -> None:
    answers = [returned(1, flags=("several_values",)), returned(None, status="timeout")]
    cases = [Case(expected=1), Case(expected=None)]
    result = grade(ScriptedBackend(answers), "s", "f", cases, rng=random.Random(0))
    assert (result.score, result.passed, result.flags) == (0.0, (False, False), ("several_values", "timeout"))


def test_a_box_that_dies_is_raised_and_not_scored() -> None:
    with pytest.raises(SandboxDied):
        grade(ScriptedBackend([SandboxDied("gone")]), "s", "f", SQUARES, rng=random.Random(0))


def test_memory_that_took_the_box_along_costs_only_its_own_case() -> None:
    answers = [returned(None, status="oom"), returned(1)]
    backend = ScriptedBackend(answers)
    result = grade(backend, "s", "f", [Case(expected=1)] * 2, rng=random.Random(0))
    assert (result.fraction, result.flags, len(backend.leases)) == (0.5, ("oom",), 2)


def test_a_grade_may_stop_at_the_first_failure_wherever_it_comes() -> None:
    wrong = [*SQUARES, Case(args=[7], expected=0)]
    tried = set()
    for seed in range(20):
        backend = ScriptedBackend(squares)
        result = grade(backend, "s", "f", wrong, rng=random.Random(seed), stop_at_failure=True)
        known = [each is not None for each in result.results]
        assert (result.score, known[5], result.passed[5]) == (0.0, True, False)
        assert [passed for passed, there in zip(result.passed, known, strict=True) if not there] == [False] * (
            6 - sum(known)
        )
        assert result.fraction == (sum(known) - 1) / 6
        tried.add(sum(known))
    assert tried == set(range(1, 7))  # the order is random still
    whole = grade(ScriptedBackend(squares), "s", "f", SQUARES, rng=random.Random(0), stop_at_failure=True)
    assert (whole.score, whole.fraction, None in whole.results) == (1.0, 1.0, False)


def test_a_flag_stops_a_grade_too() -> None:
    backend = ScriptedBackend([returned(1, flags=("exited",)), returned(1)])
    result = grade(backend, "s", "f", [Case(expected=1)] * 2, rng=random.Random(0), stop_at_failure=True)
    assert (result.score, result.flags, result.results.count(None)) == (0.0, ("exited",), 1)


@pytest.mark.parametrize("more", [{}, {"stop_at_failure": True}, {"partial": True}])
def test_after_the_deadline_no_further_case_is_tried(more: dict[str, Any]) -> None:
    def slow(asked: Asked) -> Answer:
        time.sleep(0.1)
        return squares(asked)

    backend = ScriptedBackend(slow)
    cases = [Case(args=[n], expected=n * n) for n in range(30)]
    result = grade(backend, "s", "f", cases, rng=random.Random(0), deadline_s=0.25, **more)
    tried = [each is not None for each in result.results]
    assert 1 <= sum(tried) == len(backend.asked) <= 3
    assert (result.score, result.flags, list(result.passed)) == (0.0, ("deadline",), tried)
    assert result.fraction == sum(tried) / 30


def test_a_deadline_that_leaves_no_case_out_costs_nothing() -> None:
    def slow(asked: Asked) -> Answer:
        time.sleep(0.05)
        return squares(asked)

    result = grade(ScriptedBackend(slow), "s", "f", [SQUARES[2]], rng=random.Random(0), deadline_s=0.01)
    assert (result.score, result.flags) == (1.0, ())
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(SpecError, match="leaves no time for any case"):
            grade(ScriptedBackend(squares), "s", "f", SQUARES, rng=random.Random(0), deadline_s=wrong)


def test_what_cannot_be_graded_is_refused() -> None:
    backend = ScriptedBackend(squares)
    with pytest.raises(SpecError, match="no cases"):
        grade(backend, "s", "f", [], rng=random.Random(0))
    with pytest.raises(SpecError, match="case 1: expected"):
        grade(backend, "s", "f", [SQUARES[0], Case(expected=object())], rng=random.Random(0))
    with pytest.raises(SpecError, match="neither a numpy"):
        grade(backend, "s", "f", SQUARES, rng=7)  # type: ignore[arg-type]
    with backend.lease() as box, pytest.raises(SpecError, match="spec="):
        grade(box, "s", "f", SQUARES, rng=random.Random(0), spec=SandboxSpec())
    with pytest.raises(SpecError, match="leave out stop_at_failure=True"):
        grade(backend, "s", "f", SQUARES, rng=random.Random(0), partial=True, stop_at_failure=True)


DIFFERENT = [1, 1.0, True, "1", b"1", None, 0, 0.5, False, "", b"", [], (), {}, set(), frozenset(), [1], (1,), {1}]
DIFFERENT += [frozenset({1}), {1: 1}, {1: 1.0}, {"1": 1}, [[1]], [(1,)], "[1]", float("nan"), float("inf"), "nan"]


def test_values_of_other_types_are_other_values() -> None:
    texts = [canonical(value) for value in DIFFERENT]
    assert len(set(texts)) == len(texts)
    assert canonical({1: 2, 3: 4}) == canonical({3: 4, 1: 2})
    assert canonical(-0.0) == canonical(0.0)
    assert canonical([float("nan")]) == canonical([float("nan")])


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(), inner)
    ),
    max_leaves=8,
)


def _typed(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value), [_typed(each) for each in value]
    if isinstance(value, dict):
        return dict, {key: _typed(each) for key, each in value.items()}
    return type(value), value


@given(PLAIN, PLAIN)
def test_canonical_texts_are_equal_exactly_where_values_are(one: Any, other: Any) -> None:
    assert canonical(one) == canonical(one)
    assert (canonical(one) == canonical(other)) == (_typed(one) == _typed(other))


def test_another_comparison_may_be_given() -> None:
    cases = [Case(args=[2], expected=4.0000001)]
    result = grade(ScriptedBackend(squares), "s", "f", cases, rng=random.Random(0), same=lambda a, b: abs(a - b) < 1e-3)
    assert result.score == 1.0


def test_a_value_that_cannot_be_compared_is_a_wrong_one() -> None:
    cases = [Case(args=[2], expected="four")]
    result = grade(ScriptedBackend(squares), "s", "f", cases, rng=random.Random(0), same=lambda a, b: abs(a - b) < 1)
    assert result.score == 0.0


@pytest.fixture(scope="module")
def box() -> Iterator[LeasedSandbox]:
    vessel, spec = LocalVessel(), SandboxSpec(wall_s=5.0)
    real = Box(vessel, spec.shape())
    with LeasedSandbox(real, spec, lambda box: None) as leased:
        yield leased
    real.destroy()


@pytest.mark.bwrap
def test_an_honest_candidate_passes(box: LeasedSandbox) -> None:
    assert grade(box, "def f(n): return n * n", "f", SQUARES, rng=random.Random(0)).score == 1.0


CHEATS = {
    "exits": "import sys\nsys.exit(0)",
    "exits hard": "import os\ndef f(n): os._exit(0)",
    "kills itself": "import os\ndef f(n): os.kill(os.getpid(), 9)",
    "exits at the end": "import atexit, os\natexit.register(lambda: os._exit(0))\ndef f(n): pass",
    "prints a verdict": "def f(n): print('5 passed'); print('{\"value\": 0}')",
    "forges a value": "import os\ndef f(n): os.write(3, b'{\"value\":0}\\n')",
    "equals everything": "class A(int):\n  def __eq__(self, other): return True\ndef f(n): return A()",
    "equals everything, as an object": "class A:\n  def __eq__(self, other): return True\ndef f(n): return A()",
    "is of another type": "def f(n): return float(n * n)",
    "looks for the answers": (
        "import gc\ndef f(n):\n  found = [o for o in gc.get_objects() if isinstance(o, dict) and 'expected' in o]\n"
        "  return found[0]['expected'] if found else None"
    ),
    "keeps its state": "calls = []\ndef f(n): calls.append(n); return len(calls) - 1",
    "patches json": "import json\njson.dumps = lambda *a, **k: '{\"value\": 0}'\ndef f(n): return 0",
    "hangs": "def f(n):\n  while True: pass",
    "is no program": "def f(n: return 1",
    "has no such function": "g = 1",
}


@pytest.mark.bwrap
@pytest.mark.parametrize("source", CHEATS.values(), ids=CHEATS.keys())
def test_a_cheat_scores_nought(box: LeasedSandbox, source: str) -> None:
    result = grade(box, source, "f", SQUARES[1:], rng=random.Random(0), timeout_s=1.0)
    assert result.score == 0.0
    assert result.fraction == 0.0 or source == CHEATS["keeps its state"]
