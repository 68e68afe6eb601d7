"""The source that a model wrote: taken out of its fence, and looked at without being run."""

from __future__ import annotations

import re

from agentrl.envs.code.tasks import Task

__all__ = ["looks_written", "source_of", "whole"]

# Stands behind the candidate's source and shares its process: it makes values that can be carried, and judges nothing.
_PLAIN = """


def _plain_value(value):
    for base in (bool, int, float, str, bytes):
        if isinstance(value, base):
            return value if type(value) is base else getattr(base, '__str__' if base is str else '__new__')(*(
                (value,) if base is str else (base, value)))
    if isinstance(value, dict):
        return {_plain_value(key): _plain_value(each) for key, each in value.items()}
    for base in (tuple, set, frozenset):
        if isinstance(value, base):
            return base(map(_plain_value, value))
    return list(map(_plain_value, value)) if hasattr(value, '__iter__') else value


def _plain_call(*args):
    return _plain_value(__FUNCTION__(*args))
"""


def source_of(text: str) -> str:
    r"""Return the source in an answer: what stands in its first fence, or all of it where there is none.

    >>> source_of("Here:\n```python\nx = 1\n```\nDone.")
    'x = 1'
    >>> source_of("x = 1")
    'x = 1'
    """
    lines = text.split("\n")
    fences = [number for number, line in enumerate(lines) if line.lstrip().startswith("```")]
    if not fences:
        return text
    end = fences[1] if len(fences) > 1 else len(lines)  # one that stays open holds the rest
    return "\n".join(lines[fences[0] + 1 : end])


def whole(task: Task, source: str) -> tuple[str, str]:
    """Return the source that is run for a task, with what stands around the candidate's, and the function to call."""
    text = f"{task.prelude.rstrip()}\n\n\n{source}" if task.prelude.strip() else source
    if not task.plain:
        return text, task.function
    return text + _PLAIN.replace("__FUNCTION__", task.function), "_plain_call"


def looks_written(task: Task, source: str) -> bool:
    """Say whether a source seems to define the function of the task; for a program, whether there is any."""
    if task.kind == "program":
        return bool(source.strip())
    return re.search(rf"^(?:def +{task.function} *\(|{task.function} *=)", source, re.MULTILINE) is not None
