"""Read function-calling cases in the layout of BFCL (Berkeley Function-Calling Leaderboard), every row checked.

A row has `id`, `question`, `function` and the calls that are right in `ground_truth`, or these in the file of the same
name in the folder `possible_answer` beside. BFCL's own names of types and dots in names become those of JSON Schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentrl.envs.rows import Row, read_rows
from agentrl.envs.splits import Source, by_split
from agentrl.envs.tools import Tool
from agentrl.envs.tooluse.matching import Wanted

__all__ = ["FunctionCase", "load_cases"]

_TYPES = {"dict": "object", "float": "number", "tuple": "array", "list": "array", "int": "integer", "str": "string"}
_TYPES |= {"bool": "boolean", "any": ""}
_KNOWN = ("object", "number", "array", "integer", "string", "boolean", "null", "")


@dataclass(frozen=True, kw_only=True)
class FunctionCase:
    """One row of the user's file."""

    id: str
    request: str
    tools: tuple[Tool, ...]
    wanted: tuple[Wanted, ...]  # none: no function serves the request


def load_cases(source: Source) -> dict[tuple[str, int], tuple[FunctionCase, ...]]:
    """Return the cases of each split and level, every row checked.

    Args:
        source: One file, or a file for each split: {"train": FILE, "test": FILE}.

    Raises:
        DataError: No such file, a bad row, or a request in both splits; names file, line and field.
        UsageError: The mapping names another split, or none.
    """
    answers: dict[Path, Mapping[str, tuple[Row, Any]]] = {}
    names: set[str] = set()

    def read(row: Row) -> FunctionCase:
        if row.path not in answers:
            answers[row.path] = _answers(row.path)
        case = _case(row, answers[row.path])
        if case.id in names:
            raise row.error("id", "an id of its own", case.id)
        names.add(case.id)
        return case

    return by_split(source, read, lambda case: case.request)


def _answers(path: Path) -> dict[str, tuple[Row, Any]]:
    beside = path.parent / "possible_answer" / path.name
    if not beside.exists():
        return {}
    return {row.text("id"): (row, row.value.get("ground_truth")) for row in read_rows(beside)}


def _case(row: Row, answers: Mapping[str, tuple[Row, Any]]) -> FunctionCase:
    name = row.text("id")
    tools = _tools(row)
    place, truth = answers.get(name, (row, row.value.get("ground_truth")))
    if truth is None and "irrelevance" not in name:
        raise row.error(
            "ground_truth",
            f"the right calls, here or in possible_answer/{row.path.name} beside; [] where there is none",
        )
    wanted = _wanted(place, truth or [], tools)
    return FunctionCase(id=name, request=_request(row), tools=tools, wanted=wanted)


def _request(row: Row) -> str:
    """Return the text of the only message; BFCL keeps a list of turns, each a list of messages."""
    question = row.value.get("question")
    if isinstance(question, str) and question.strip():
        return question
    turns = question if isinstance(question, list) else []
    messages = turns[0] if len(turns) == 1 and isinstance(turns[0], list) else turns
    texts = [each.get("content") if isinstance(each, dict) else None for each in messages]
    told = [text for text in texts if isinstance(text, str) and text]
    if not told or len(told) != len(texts):
        raise row.error("question", "a text, or one turn of messages with role and content", question)
    return "\n\n".join(told)


def _tools(row: Row) -> tuple[Tool, ...]:
    functions = row.value.get("function")
    functions = [functions] if isinstance(functions, dict) else functions
    if not isinstance(functions, list) or not functions:
        raise row.error("function", "a list of function schemas", functions)
    tools: dict[str, Tool] = {}
    for number, each in enumerate(functions):
        field = f"function[{number}]"
        if not isinstance(each, dict) or not isinstance(each.get("name"), str) or not each["name"]:
            raise row.error(field, "an object with name, description and parameters", each)
        parameters = each.get("parameters") or {"type": "object", "properties": {}}
        if not isinstance(parameters, dict) or not isinstance(parameters.get("properties", {}), dict):
            raise row.error(f"{field}.parameters", "an object with properties", parameters)
        name = _plain(each["name"])
        if name in tools:
            raise row.error(f"{field}.name", "a name of its own", each["name"])
        tools[name] = Tool(
            name=name,
            description=str(each.get("description", "")),
            parameters={"required": [], "properties": {}, **_schema(row, f"{field}.parameters", parameters)},
            function=_nothing,
        )
    return tuple(tools.values())


def _schema(row: Row, field: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with the names of types that JSON Schema has, in place of BFCL's Python ones."""
    found = dict(schema)
    kind = found.get("type", "")
    kind = _TYPES.get(kind, kind) if isinstance(kind, str) else None
    if kind not in _KNOWN:
        raise row.error(f"{field}.type", f"one of {', '.join(filter(None, (*_KNOWN, *_TYPES)))}", schema.get("type"))
    if kind:
        found["type"] = kind
    else:
        found.pop("type", None)
    if isinstance(found.get("properties"), Mapping):
        found["properties"] = {
            name: _schema(row, f"{field}.properties.{name}", each if isinstance(each, Mapping) else {})
            for name, each in found["properties"].items()
        }
    if isinstance(found.get("items"), Mapping):
        found["items"] = _schema(row, f"{field}.items", found["items"])
    return found


def _wanted(row: Row, truth: Any, tools: Sequence[Tool]) -> tuple[Wanted, ...]:
    if not isinstance(truth, list):
        raise row.error("ground_truth", "a list of calls", truth)
    names = {tool.name for tool in tools}
    wanted = []
    for number, each in enumerate(truth):
        field = f"ground_truth[{number}]"
        if not isinstance(each, dict) or len(each) != 1:
            raise row.error(field, 'one call, such as {"area": {"base": [10]}}', each)
        ((name, arguments),) = each.items()
        if _plain(name) not in names:
            raise row.error(field, f"one of the row's functions, {', '.join(sorted(names))}", name)
        if not isinstance(arguments, dict) or not all(
            isinstance(values, list) and values for values in arguments.values()
        ):
            raise row.error(f"{field}.{name}", "for each argument a list of accepted values", arguments)
        wanted.append((_plain(name), arguments))
    return tuple(wanted)


def _plain(name: str) -> str:
    """Return a function's name as the OpenAI format allows it: BFCL has dots in some."""
    return name.replace(".", "_")


def _nothing(**arguments: Any) -> str:
    raise AssertionError("these functions are compared, never run")
