"""Run the agent's code against tests, in a box, and compare what comes out here.

Tests are asserts over calls of one function. They are read as inputs and what must come out, and never run; the inputs
go into a sandbox one by one, as in Code-v0 (`envs/code/grading.py`). What is expected never enters it, so code that
looks for it, patches a comparison or prints "passed" gains nothing. A box that fails is an InfrastructureError, never
a score.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence

from agentrl.envs.code.asserts import Unreadable, read_asserts
from agentrl.envs.code.checks import Check
from agentrl.envs.code.grading import judge
from agentrl.envs.code.source import between_tags, source_of
from agentrl.envs.code.tasks import Task
from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.components.arguments import (
    Reference,
    Scorer,
    check_flag,
    checked_choice,
    checked_number,
    reader,
)
from agentrl.envs.rubrics.transcript import Transcript
from agentrl.envs.tools.host import BACKENDS, shared_backend
from agentrl.envs.turns import spoken

__all__ = ["unit_tests"]


def unit_tests(
    *,
    function: str,
    tests: str | Sequence[str] | None = None,
    backend: str = "auto",
    partial: bool = False,
    timeout_s: float = 5.0,
    deadline_s: float = 20.0,
    of: str = "answer",
) -> Scorer:
    """Score 1 where the agent's function passes every test, and nothing in its run looked like cheating.

    Args:
        function: Its name.
        tests: Asserts over calls of it, such as "assert add(1, 2) == 3", as one text or a list; None: the references
            that the environment tells, together, each such a text.
        backend: Where the code runs: "docker", "bwrap", or "auto" for the first of them that works here.
        partial: Give the share of the tests that pass; then all of them are run, which takes longer.
        timeout_s: Seconds of processor time for one test.
        deadline_s: Seconds for all of them together; what has not run by then has failed. It must be well below what a
            step may take (`rollout.turn_timeout_s`): an agent that is late there is played again, and not punished.
        of: "answer" (the tag) or "last_turn" (without a tag, all that the last turn speaks). Of several fences in it
            the last one that defines the function counts.

    Raises:
        UsageError: An argument that cannot work, or tests that cannot be read.
        InfrastructureError: At an episode: no box could be had, or it failed.

    >>> score = unit_tests(function="add", tests=["assert add(1, 2) == 3", "assert add(0, 0) == 0"])
    >>> score(Transcript(messages=({"role": "assistant", "content": "I cannot."},)))  # no code, so nothing is run
    0.0
    """
    references, read = Reference(tests, name="tests"), reader(of)
    checked_choice("backend", backend, [name for name in BACKENDS if name != "local"])
    check_flag("partial", partial)
    limit_s = float(checked_number("timeout_s", timeout_s, least=0.1))
    whole_s = float(checked_number("deadline_s", deadline_s, least=0.1))
    if not isinstance(function, str) or not function.isidentifier():
        raise UsageError(f"function is {function!r}, but must be the name of the function that the tests call")
    for each in references.own:
        _checks(each, function)

    def score(transcript: Transcript) -> float:
        checks = tuple(check for text in references.of(transcript) for check in _checks(text, function))
        source = _source(read(transcript), transcript, function)
        if not source.strip():
            return 0.0
        task = Task(id="tests", question="", function=function, hidden=checks, limit_s=limit_s)
        order = random.Random(f"{transcript.seed} {transcript.sample}")
        box = shared_backend(BACKENDS[backend])
        verdict = judge(box, task, source, rng=order, fraction=partial, deadline_s=whole_s)
        return verdict.fraction if partial else float(verdict.passed)

    return references.mark(score)


def _source(said: str | None, transcript: Transcript, function: str) -> str:
    """Return the source in the answer; one that has answer tags in its own texts is still one."""
    inner = between_tags(spoken(transcript.turns[-1]), function) if transcript.turns else ""
    return source_of(inner or said or "", function)


@functools.lru_cache(maxsize=256)
def _checks(text: str, function: str) -> tuple[Check, ...]:
    try:
        found = tuple(read_asserts(text, [function])[1])
    except Unreadable as error:
        raise UsageError(
            f"tests has {text!r:.80}, which cannot be read: {error}; write lines such as assert {function}(1) == 2"
        ) from error
    if not found:
        raise UsageError(f"tests has no assert over {function}; write lines such as assert {function}(1) == 2")
    return found
