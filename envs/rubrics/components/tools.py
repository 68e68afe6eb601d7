"""How the agent used its tools: which it called, whether calls were valid, needless or repeated.

A rubric cannot know whether a result was needed. "Needless" is therefore what is plainly so: calls past a budget, and
calls of tools that are not on a list. That a tool was called says nothing of what it was called for: a reward for it is
earned by calling it about anything, so give it a small weight, or use it as a gate.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.components.arguments import Scorer, checked_names, checked_number
from agentrl.envs.rubrics.components.calls import Call, calls_of, schemas_of
from agentrl.envs.rubrics.transcript import Transcript
from agentrl.envs.tools.tool import ArgumentError, Tool

__all__ = ["tools_called", "tools_needless", "tools_repeated", "tools_valid"]

_FEW = 12  # calls


def tools_called(*, tools: Sequence[str] = (), at_least: int = 1, at_most: int | None = None) -> Scorer:
    """Score the share of named tools that were called often enough, and not too often.

    A call counts where the tool answered it; a malformed or refused one does not.

    Args:
        tools: Their names; none: all calls together, whatever their tool.
        at_least: Calls of each that there must be.
        at_most: Calls of each that there may be; None: as many as there are.

    Raises:
        UsageError: An argument that cannot work.

    >>> episode = Transcript(messages=(
    ...     {"role": "assistant", "content": '<tool_call>{"name": "search", "arguments": {}}</tool_call>'},
    ...     {"role": "tool", "name": "search", "content": "[d1] Paris"}))
    >>> tools_called(tools=["search", "open"])(episode), tools_called(at_most=0, at_least=0)(episode)
    (0.5, 0.0)
    """
    names = checked_names("tools", tools, example="['search']") if tools else ()
    least = checked_number("at_least", at_least, least=0, whole=True)
    most = math.inf if at_most is None else checked_number("at_most", at_most, least=0, whole=True)
    if most < least:
        raise UsageError(f"at_most is {at_most!r}, below at_least = {at_least!r}; no number of calls is both")
    if not least and most == math.inf:
        raise UsageError("at_least = 0 without at_most holds for any episode; give one of them")

    def score(transcript: Transcript) -> float:
        answered = [call.name for call in calls_of(transcript) if call.result is not None]
        if not names:
            return float(least <= len(answered) <= most)
        counts = Counter(answered)
        return sum(least <= counts[name] <= most for name in names) / len(names)

    return score


def tools_valid(*, without_calls: float = 1.0) -> Scorer:
    """Score the share of calls that are well formed and fit the schema of their tool.

    Arguments are taken as the environments take them: "3" for 3, true for "true". A stored episode has no schemas;
    there a call is valid where the tool answered it.

    Args:
        without_calls: Value of an episode without any call.

    Raises:
        UsageError: An argument that cannot work.

    >>> add = {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}
    >>> said = '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call><tool_call>{"name": "ad"}</tool_call>'
    >>> tools_valid()(Transcript(messages=({"role": "assistant", "content": said},), tools=({"function": add},)))
    0.5
    """
    empty = checked_number("without_calls", without_calls, least=0)

    def score(transcript: Transcript) -> float:
        calls = calls_of(transcript)
        if not calls:
            return empty
        schemas = schemas_of(transcript)
        return sum(_is_valid(call, schemas) for call in calls) / len(calls)

    return score


def tools_needless(*, budget: int | None = None, allowed: Sequence[str] = ()) -> Scorer:
    """Score the share of calls that are within a budget and of allowed tools; 1 without any call.

    Args:
        budget: Calls that the task may take; those beyond it are needless.
        allowed: Names of the tools that the task needs; calls of others are needless. None: any tool.

    Raises:
        UsageError: An argument that cannot work, or neither is given.

    >>> said = '<tool_call>{"name": "add"}</tool_call>' * 4
    >>> tools_needless(budget=3)(Transcript(messages=({"role": "assistant", "content": said},)))
    0.75
    """
    if budget is None and not allowed:
        raise UsageError("neither budget nor allowed is given, so no call is needless; write budget = 4")
    most = math.inf if budget is None else checked_number("budget", budget, least=0, whole=True)
    names = frozenset(checked_names("allowed", allowed, example="['search']")) if allowed else None

    def score(transcript: Transcript) -> float:
        calls = calls_of(transcript)
        needed = sum(names is None or call.name in names or not call.name for call in calls)
        return min(needed, most) / len(calls) if calls else 1.0

    return score


def tools_repeated() -> Scorer:
    """Score the share of calls that do not repeat an earlier one with equal arguments; 1 without any call.

    Where a tool changes something, the same call may have another result: reading a file again after a change counts
    as a repetition all the same.

    >>> said = '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'
    >>> tools_repeated()(Transcript(messages=({"role": "assistant", "content": said},) * 2))
    0.5
    """

    def score(transcript: Transcript) -> float:
        calls = calls_of(transcript)
        if len(calls) <= _FEW and not any(_may_repeat(*pair) for pair in combinations(calls, 2)):
            return 1.0  # as most often: writing arguments down takes longer than comparing them
        return len({call.key if call.name else call.raw for call in calls}) / len(calls)

    return score


def _may_repeat(one: Call, other: Call) -> bool:
    """Say whether two calls are equal to Python, to which 1 is true: what it tells apart is apart."""
    try:
        return one.name == other.name and one.arguments == other.arguments
    except RecursionError:  # nested too deeply to be compared
        return True


def _is_valid(call: Call, schemas: Mapping[str, Mapping[str, Any]]) -> bool:
    if not call.name:
        return False
    if not schemas:
        return call.result is not None
    parameters = schemas.get(call.name)
    if parameters is None:
        return False
    properties = parameters.get("properties")
    if not isinstance(properties, Mapping):
        return not parameters.get("required")
    if not properties.keys() >= call.arguments.keys():  # `bind` would look for a near name for each
        return False
    tool = Tool(name="tool", description="", parameters={**parameters, "type": "object"}, function=str)
    try:
        tool.bind(call.arguments)
    except ArgumentError:
        return False
    except (AttributeError, KeyError, TypeError, ValueError):  # a schema of others, which says nothing that can be read
        return True
    return True
