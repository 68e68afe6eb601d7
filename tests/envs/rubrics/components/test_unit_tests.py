"""The agent's code is run in a box, and judged outside of it."""

from __future__ import annotations

import time

import pytest

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.rubrics.components import unit_tests as module
from agentrl.envs.rubrics.components.unit_tests import unit_tests
from agentrl.envs.rubrics.transcript import Transcript
from agentrl.sandboxes import SandboxDied
from agentrl.sandboxes.scripted import ScriptedBackend

TESTS = ["assert add(1, 2) == 3", "assert add(0, 0) == 0", "assert add('a', 'b') == 'ab'"]


def said(text: str, references: tuple[str, ...] = ()) -> Transcript:
    return Transcript(messages=({"role": "assistant", "content": text},), references=references)


@pytest.mark.bwrap
@pytest.mark.parametrize(
    ("text", "whole", "share"),
    [
        ("<answer>def add(a, b): return a + b</answer>", 1.0, 1.0),
        ("<answer>```python\ndef add(a, b):\n    return a + b\n```</answer>", 1.0, 1.0),
        ("<answer>def add(a, b): return 0</answer>", 0.0, 1 / 3),
        ("<answer>def add(a, b): return '</answer>' and a + b</answer>", 1.0, 1.0),
        ("<answer>def add(a, b): raise SystemExit(0)</answer>", 0.0, 0.0),
        ("<answer>import os\ndef add(a, b): os._exit(0)</answer>", 0.0, 0.0),
        (
            "<answer>class A:\n    def __eq__(self, other): return True\ndef add(a, b): return A()</answer>",
            0.0,
            0.0,
        ),
        ("<answer>print('3 passed')</answer>", 0.0, 0.0),
        ("<answer>def add(a, b):\n    while True: pass</answer>", 0.0, 0.0),
    ],
)
def test_code_is_worth_what_it_does(text: str, whole: float, share: float) -> None:
    assert unit_tests(function="add", tests=TESTS, backend="bwrap", timeout_s=0.5)(said(text)) == whole
    partial = unit_tests(function="add", tests="\n".join(TESTS), backend="bwrap", partial=True, timeout_s=0.5)
    assert partial(said(text)) == pytest.approx(share)


@pytest.mark.bwrap
def test_references_may_be_the_tests_and_the_last_turn_the_answer() -> None:
    score = unit_tests(function="add", backend="bwrap", of="last_turn")
    text = "Here it is:\n```python\ndef add(a, b): return a + b\n```\nTry add(1, 2)."
    assert score(said(text, references=("assert add(2, 2) == 4",))) == 1.0
    assert score(said(text, references=("assert add(2, 2) == 5",))) == 0.0
    assert score.needs_reference is True  # type: ignore[attr-defined]


def test_a_box_that_fails_is_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "shared_backend", lambda name: ScriptedBackend([SandboxDied("gone")]))
    score = unit_tests(function="add", tests=TESTS)
    with pytest.raises(InfrastructureError) as caught:
        score(said("<answer>def add(a, b): return a + b</answer>"))
    assert caught.value.boundary == "sandbox"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"function": "add", "tests": "assert sub(1) == 2"}, "cannot be read"),
        ({"function": "add", "tests": "import os"}, "cannot be read"),
        ({"function": "a b", "tests": TESTS}, "must be the name of the function"),
        ({"function": "add", "tests": TESTS, "backend": "local"}, "there are 'auto', 'docker', 'bwrap'"),
        ({"function": "add", "tests": TESTS, "timeout_s": 0}, "timeout_s is 0"),
    ],
)
def test_a_bad_argument_is_refused_at_once(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        unit_tests(**arguments)  # type: ignore[arg-type]


@pytest.mark.bwrap
def test_code_that_dawdles_fails_in_time() -> None:
    tests = [f"assert add({n}, 1) == {n + 1}" for n in range(20)]
    score = unit_tests(function="add", tests=tests, backend="bwrap", partial=True, timeout_s=0.5, deadline_s=1.5)
    began = time.monotonic()
    assert score(said("<answer>import time\ndef add(a, b): time.sleep(1000)</answer>")) == 0.0
    assert time.monotonic() - began < 15  # 20 tests of a second or more each without the deadline
