"""The source that a model wrote: taken out of its fence, and looked at without being run. It is always exactly one."""

from __future__ import annotations

import re
import textwrap
from itertools import takewhile

from agentrl.envs.code.tasks import Task
from agentrl.envs.tools.syntax import parse_source

__all__ = ["between_tags", "looks_written", "source_of", "whole"]

MOST_FENCES = 50  # that are looked at; behind them is no answer that anybody meant
MOST_PARSED = 200_000  # characters
_MARKS = ("```", "~~~")
_LABEL = re.compile(r"(?:python3?|py)\b", re.IGNORECASE)
_CODE = re.compile(r"(?:def|class|import|from|async|for|while|if|with|try)\b|@|#|[A-Za-z_][\w.]*(?:\s*[(\[]|\s+=\s)")
_CDATA = re.compile(r"\s*<!\[CDATA\[(.*)\]\]>\s*", re.DOTALL)
_TAGS = re.compile(r"</?answer>")

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


def source_of(text: str, function: str = "") -> str:
    r"""Return the source in an answer: what stands in its fence, or all of it where there is none.

    Of several fences it is the last that defines `function`; where none does, or a program is wanted, the longest, the
    last of such. A text that is Python with the fences in it, in a docstring say, is taken whole.

    >>> source_of("Here:\n```python\nx = 1\n```\nDone.")
    'x = 1'
    >>> source_of("x = 1")
    'x = 1'
    >>> source_of("Use it so:\n```\nf(1)\n```\nThe code:\n```\ndef f(x): return x\n```", "f")
    'def f(x): return x'
    """
    text = _unwrapped(text)
    if not any(mark in text for mark in _MARKS):
        return text
    # A line ~~~python is an expression, so a fence of those that stays open would be Python.
    if not text.lstrip().startswith(_MARKS) and _is_python(text):
        return text
    found = [_unwrapped(each) for each in _fenced(text)]
    if not found:
        return text
    fit = [each for each in found if function and _defines(each, function)]
    return fit[-1] if fit else max(reversed(found), key=len)


def between_tags(text: str, function: str = "") -> str:
    """Return what the first `<answer>` and the last `</answer>` hold between them, where that is one source with tags.

    Python has no `</answer>` outside of texts and remarks, so several answers are not one source, and give nothing.

    >>> between_tags("<answer>print('</answer>')</answer>")
    "print('</answer>')"
    >>> between_tags("<answer>x = 1</answer><answer>x = 2</answer>")
    ''
    """
    _, tag, rest = text.partition("<answer>")
    inner, end, _ = rest.rpartition("</answer>")
    num_tags = len(_TAGS.findall(inner))
    if not tag or not end or not num_tags:
        return ""
    source = source_of(inner, function)
    return inner.strip() if len(_TAGS.findall(source)) == num_tags and _is_python(source) else ""


def _is_python(text: str) -> bool:
    if len(text) > MOST_PARSED:
        return False
    try:
        parse_source(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _unwrapped(text: str) -> str:
    match = _CDATA.fullmatch(text)
    return match[1].strip("\n") if match else text


def _fenced(text: str) -> list[str]:
    """Return what stands in each fence; one that stays open holds the rest."""
    lines = text.split("\n")
    marked = [number for number, line in enumerate(lines) if line.lstrip().startswith(_MARKS)]
    found: list[str] = []
    after = 0
    for begin in marked:
        if begin < after:
            continue
        if len(found) == MOST_FENCES:
            break
        opening = lines[begin].strip()
        mark = opening[:3]
        rest = opening.lstrip(mark[0])
        first = _LABEL.sub("", rest, count=1).strip() if _LABEL.match(rest) else rest.strip()
        if first.endswith(mark) and _CODE.match(first):  # the whole of it in one line
            found.append(first.rstrip(mark[0]).rstrip())
            after = begin + 1
            continue
        end = _end(lines, marked, begin, mark)
        held = lines[begin + 1 : end]
        if _CODE.match(first):
            held = [first, *held]
        elif held:
            held = _dedented(held, _indent(lines[begin]))
        if end == len(lines) and held and held[-1].rstrip().endswith(mark):
            held[-1] = held[-1].rstrip().rstrip(mark[0])
        found.append("\n".join(held))
        after = end + 1
    return found


def _end(lines: list[str], marked: list[int], begin: int, mark: str) -> int:
    """Return the line that closes a fence: the first that is not deeper than what the fence holds, else the first."""
    content = next((line for line in lines[begin + 1 :] if line.strip()), "")
    deepest = max(_indent(lines[begin]), _indent(content))
    closing = [each for each in marked if each > begin and not lines[each].strip().strip(mark[0])]
    even = (each for each in closing if _indent(lines[each]) <= deepest)
    return next(even, closing[0] if closing else len(lines))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _dedented(lines: list[str], indent: int) -> list[str]:
    """Take off what the fence is indented by, and what the first line still is."""
    lines = [line[sum(1 for _ in takewhile(str.isspace, line[:indent])) :] for line in lines]
    if _indent(next((line for line in lines if line.strip()), "")):
        return textwrap.dedent("\n".join(lines)).split("\n")
    return lines


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
    return _defines(source, task.function)


def _defines(source: str, function: str) -> bool:
    return re.search(rf"^(?:def +{function} *\(|{function} *=)", source, re.MULTILINE) is not None
