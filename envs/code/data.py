"""Problems of the user's own, in the layouts of HumanEval and MBPP, and with standard input and output as in APPS.

Each row says by its fields which it is. Tests that are asserts are read as calls and values (`asserts.py`), never run;
a solution in a row is for the oracle alone. A row may have a `split` ("train" or "test") and a `level` (1 to 5);
without them a tenth of the rows, by the CRC-32 of their questions, is the test split, and every level is 1.
"""

from __future__ import annotations

import ast
import doctest
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from agentrl.envs.code.asserts import Unreadable, defined_functions, parsed, read_asserts, read_check_function
from agentrl.envs.code.checks import Check
from agentrl.envs.code.tasks import Task
from agentrl.envs.errors import DataError
from agentrl.envs.rows import Row, clean
from agentrl.envs.splits import Source, by_split

__all__ = ["Loaded", "load"]

LIMIT_S = 5.0

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The tasks of each split and level, and what was left out."""

    tasks: Mapping[tuple[str, int], tuple[Task, ...]]
    skipped: tuple[str, ...] = field(default=())  # place, field and reason of each row whose tests cannot be read


def load(source: Source, *, skip_unreadable: bool = False) -> Loaded:
    """Return the tasks of each split and level, every row checked.

    Args:
        source: One file, or a file for each split: {"train": FILE, "test": FILE}.
        skip_unreadable: Leave out rows whose tests cannot be read as calls and values; what else is wrong is refused.

    Raises:
        DataError: no such file, no usable rows in it, a bad row, or a question in both splits.
        UsageError: the mapping names another split, or none.
    """
    skipped: list[str] = []

    def read(row: Row) -> Task | None:
        try:
            return _layout(row)(row)
        except _UnreadableField as error:
            if not skip_unreadable:
                raise DataError(f"{error}; skip_unreadable=True leaves out such rows, and counts them") from None
            skipped.append(str(error))
            return None

    tasks = by_split(source, read, lambda task: task.question)
    if not tasks:
        raise DataError(f"no row can be used; the first was left out because of {skipped[0]}")
    return Loaded(tasks=tasks, skipped=tuple(skipped))


class _UnreadableField(DataError):
    """A row whose tests cannot be read; apart from other errors, since such rows may be skipped."""


def _layout(row: Row) -> Callable[[Row], Task]:
    for names, layout in _LAYOUTS:
        if any(name in row.value for name in names):
            return layout
    raise row.error("question", "'entry_point' and 'test' (HumanEval), 'test_list' (MBPP), or 'inputs' and 'outputs'")


# -- HumanEval ---------------------------------------------------------------------------------------------------------


def _human_eval(row: Row) -> Task:
    prompt, name = _source(row, "prompt"), _name(row, "entry_point")
    hidden = _readable(row, "test", lambda: read_check_function(_source(row, "test"), name))
    solution = _source(row, "canonical_solution") if row.value.get("canonical_solution") else ""
    lines = prompt.split("\n")
    starts = [number for number, line in enumerate(lines) if line.startswith((f"def {name}(", f"def {name} ("))]
    if not starts:
        raise row.error("prompt", f"a line that begins with 'def {name}('", prompt)
    return Task(
        id=_id(row),
        question=f"Complete the function; give the whole source.\n\n```python\n{prompt.strip()}\n```",
        function=name,
        examples=tuple(_doctests(prompt, name)),
        hidden=tuple(hidden),
        solution=f"{prompt}{solution}" if solution else "",
        prelude="\n".join(lines[: starts[-1]]),
        plain=True,
        limit_s=LIMIT_S,
    )


def _doctests(prompt: str, name: str) -> list[Check]:
    """Return the examples of a docstring that can be read."""
    found: list[Check] = []
    try:
        function = defined_functions(parsed(f"{prompt.rstrip()}\n    pass\n", "the prompt")).get(name)
        examples = doctest.DocTestParser().get_examples((ast.get_docstring(function) if function else None) or "")
    except (Unreadable, ValueError):
        return found
    for each in examples:
        try:
            found += read_asserts(f"assert {each.source.strip()} == {each.want.strip()}", [name])[1]
        except Unreadable:
            continue
    return found


# -- MBPP --------------------------------------------------------------------------------------------------------------


def _mbpp(row: Row) -> Task:
    text = row.text("text" if "text" in row.value else "prompt")
    solution = _source(row, "code")
    functions = _readable(row, "code", lambda: defined_functions(parsed(solution, "the solution")))
    tests = _texts(row, "test_list")
    before = [*_lines(row, "test_imports"), *_lines(row, "test_setup_code")]  # it may say what a name of a test means
    name, checks = _readable(row, "test_list", lambda: read_asserts("\n".join([*before, *tests]), functions))
    if row.value.get("challenge_test_list"):
        more = _texts(row, "challenge_test_list")
        checks = (
            checks + _readable(row, "challenge_test_list", lambda: read_asserts("\n".join([*before, *more]), [name]))[1]
        )
    shown = [] if len(checks) == 1 else checks[:1]
    lines = [f"def {name}({ast.unparse(functions[name].args)})", *(f"assert {each.said(name)}" for each in shown)]
    return Task(
        id=_id(row),
        question=f"{text}\n\n" + "\n".join(lines),
        function=name,
        examples=tuple(shown),
        hidden=tuple(checks),
        solution=solution,
        plain=True,
        limit_s=LIMIT_S,
    )


# -- standard input and output -----------------------------------------------------------------------------------------


def _program(row: Row) -> Task:
    question = row.text("question")
    pairs: Any = row.value
    where = ""
    if "input_output" in row.value:
        where = "input_output."
        pairs = _json(row, "input_output")
        if not isinstance(pairs, dict):
            raise row.error("input_output", "an object with 'inputs' and 'outputs', or one as JSON text", pairs)
    if pairs.get("fn_name"):
        reason = f"tests call the function {pairs['fn_name']!r}, and do not say how its value is wrapped"
        raise _UnreadableField(f"{row.place}, field '{where}fn_name': {reason}")
    inputs, outputs = (_streams(row, pairs, name, where) for name in ("inputs", "outputs"))
    if len(inputs) != len(outputs):
        raise row.error(f"{where}outputs", f"as many as inputs, {len(inputs)}", len(outputs))
    examples: list[Check] = []
    for each in row.value.get("examples") or []:
        if not isinstance(each, dict) or not {"input", "output"} <= set(each):
            raise row.error("examples", "a list of objects with 'input' and 'output'", each)
        one, other = (_stream(row, "examples", each[name]) for name in ("input", "output"))
        examples.append(Check(args=(one,), expected=other))
    solutions = _json(row, "solutions") if row.value.get("solutions") else []
    if not isinstance(solutions, list) or not all(isinstance(each, str) for each in solutions):
        raise row.error("solutions", "a list of sources, or one as JSON text", solutions)
    shown = "".join(f"\n\nInput:\n{each.args[0]}\nOutput:\n{each.expected}" for each in examples)
    begin = "Write a Python program that reads standard input and writes standard output.\n\n"
    return Task(
        id=_id(row),
        question=f"{begin}{question}{shown}",
        kind="program",
        examples=tuple(examples),
        hidden=tuple(Check(args=(one,), expected=other) for one, other in zip(inputs, outputs, strict=True)),
        solution=solutions[0] if solutions else "",
        limit_s=LIMIT_S,
    )


def _streams(row: Row, pairs: Mapping[str, Any], name: str, where: str) -> list[str]:
    values = pairs.get(name)
    if not isinstance(values, list) or not values:
        raise row.error(f"{where}{name}", "a list of texts that is not empty", values)
    return [_stream(row, f"{where}{name}", each) for each in values]


def _stream(row: Row, name: str, value: Any) -> str:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return clean("\n".join(value) + "\n")
    if not isinstance(value, str):
        raise row.error(name, "a text, or a list of lines", value)
    return clean(value)


_LAYOUTS: tuple[tuple[tuple[str, ...], Callable[[Row], Task]], ...] = (
    (("entry_point", "canonical_solution"), _human_eval),
    (("test_list",), _mbpp),
    (("input_output", "inputs"), _program),
)


# -- fields ------------------------------------------------------------------------------------------------------------


def _readable(row: Row, name: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except Unreadable as error:
        raise _UnreadableField(f"{row.place}, field {name!r}: {error}") from None


def _source(row: Row, name: str) -> str:
    """Return a field as it is, since blanks mean something in a source."""
    value = row.value.get(name)
    if not isinstance(value, str) or not value.strip():
        raise row.error(name, "a source that is not empty", value)
    return clean(value)


def _name(row: Row, name: str) -> str:
    value = row.value.get(name)
    if not isinstance(value, str) or not value.isidentifier():
        raise row.error(name, "the name of a function", value)
    return value


def _texts(row: Row, name: str) -> list[str]:
    value = row.value.get(name)
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise row.error(name, "a list of asserts that is not empty", value)
    return value


def _lines(row: Row, name: str) -> list[str]:
    """Return the lines of a field that may be missing, a text or a list of such."""
    value = row.value.get(name) or []
    lines = value.splitlines() if isinstance(value, str) else value
    if not isinstance(lines, list) or not all(isinstance(each, str) for each in lines):
        raise row.error(name, "Python, as a text or a list of lines", value)
    return lines


def _json(row: Row, name: str) -> Any:
    value = row.value[name]
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise row.error(name, "JSON", value) from None


def _id(row: Row) -> str:
    """Return the row's own name where it has one."""
    own = row.value.get("task_id")
    known = isinstance(own, str | int) and not isinstance(own, bool) and str(own).strip()
    return f"{row.path.stem}-{own}" if known else f"{row.path.stem}-{row.number}"
