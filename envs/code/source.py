"""The source that a model wrote: taken out of its fence, and looked at without being run."""

from __future__ import annotations

import re

from agentrl.envs.code.tasks import Task

__all__ = ["looks_written", "source_of"]


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


def looks_written(task: Task, source: str) -> bool:
    """Say whether a source seems to define the function of the task; for a program, whether there is any."""
    if task.kind == "program":
        return bool(source.strip())
    return re.search(rf"^(?:def +{task.function} *\(|{task.function} *=)", source, re.MULTILINE) is not None
