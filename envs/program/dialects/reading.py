"""Read a request that nobody vouches for: every field is checked, and what is wrong is said with the field's name.

Text may hold no NUL and no half of a surrogate pair, since neither reaches a tokenizer unharmed; an object that is kept
as it is, such as a schema, may be 64 deep. Many programs share one core, so a path is put together only to be told.
Whatever is wrong raises `Refused` with status 400, and the code that OpenAI's API has for it.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from agentrl.envs.program.calls import Refused

__all__ = [
    "Fields",
    "bad",
    "chosen",
    "decoded",
    "function",
    "is_deep",
    "kind_of",
    "new_id",
    "pieces",
    "plain_message",
    "refuse",
]

_DEEPEST = 64
_SUSPICIOUS = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")  # escapes of NUL, and of halves of a pair
_HARMFUL = re.compile("[\0\ud800-\udfff]")
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_KINDS = {bool: "a boolean", dict: "an object", float: "a number", int: "an integer", list: "an array", str: "a string"}
_PLAIN = ("user", "assistant", "system")
_RUN, _count = secrets.token_hex(6), itertools.count(1)
_SHORTEST, _MOST = 20, 48  # characters of a piece, pieces of a text


def bad(message: str, param: str | None = None, code: str = "invalid_value") -> NoReturn:
    """Refuse a request.

    Raises:
        Refused: Always, with status 400.
    """
    raise Refused(message, status=400, code=code, param=param)


def kind_of(value: Any) -> str:
    """Return what a value of JSON is, in words.

    >>> kind_of([]), kind_of(None)
    ('an array', 'null')
    """
    return _KINDS.get(type(value), "null")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large a number")
    return number


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


_decode = json.JSONDecoder(parse_float=_finite, parse_constant=_no_number).decode


def decoded(body: bytes) -> dict[str, Any]:
    r"""Return the object that a request's body holds.

    Raises:
        Refused: It is no UTF-8, no JSON, no object, too deep, or holds text that no tokenizer reads.

    >>> decoded(b'{"model": "policy"}')
    {'model': 'policy'}
    >>> decoded(b'{"model": "\\u0000"}')
    Traceback (most recent call last):
    agentrl.envs.program.calls.Refused: the request's text holds a NUL or half of a surrogate pair; send neither
    """
    try:
        text = body.decode()
        told = _decode(text)
        is_harmful = _SUSPICIOUS.search(text) is not None and _is_harmful(told)
    except UnicodeDecodeError as error:
        bad(f"the request's body is no UTF-8: {error.reason} at byte {error.start}", code="invalid_json")
    except (ValueError, RecursionError) as error:
        bad(f"the request's body is no JSON that can be read: {error}", code="invalid_json")
    if type(told) is not dict:
        bad(f"the request's body is {kind_of(told)}, but must be an object", code="invalid_json")
    if is_harmful:
        bad("the request's text holds a NUL or half of a surrogate pair; send neither", code="invalid_json")
    return told


def is_deep(told: Any) -> bool:
    """Return whether an object or array is nested deeper than is kept.

    >>> is_deep({"type": "object", "properties": {"x": {"type": "string"}}})
    False
    """
    level = [told]
    for _ in range(_DEEPEST):
        level = [
            child
            for each in level
            for child in (each.values() if type(each) is dict else each)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return False
    return True


def _is_harmful(value: Any) -> bool:
    if type(value) is str:
        return _HARMFUL.search(value) is not None
    if type(value) is dict:
        return any(_HARMFUL.search(key) or _is_harmful(each) for key, each in value.items())
    return type(value) is list and any(map(_is_harmful, value))


class Fields:
    """The fields of an object of a request. A field that is null counts as left out.

    Args:
        told: The object.
        name: Of the field in which it stands; empty at the top.
        parent: The fields among which that one is.
        index: Its place, where the field is an array.

    Raises:
        Refused: In every method: the field is not what is asked for.
    """

    __slots__ = ("_index", "_name", "_parent", "told")

    def __init__(self, told: Any, name: str = "", parent: Fields | None = None, index: int | None = None) -> None:
        self._name, self._parent, self._index = name, parent, index
        if type(told) is not dict:
            self.wrong(self._where(), told, "an object")
        self.told: dict[str, Any] = told

    @staticmethod
    def wrong(path: str, value: Any, expected: str) -> NoReturn:
        """Refuse a value of another kind.

        Raises:
            Refused: Always.
        """
        bad(f"'{path}' must be {expected}, but is {kind_of(value)}", path, "invalid_type")

    def path(self, name: str) -> str:
        """Return where a field stands in the request."""
        where = self._where()
        return f"{where}.{name}" if where else name

    def _where(self) -> str:
        where = self._parent.path(self._name) if self._parent is not None else self._name
        return where if self._index is None else f"{where}[{self._index}]"

    def required(self, name: str) -> Any:
        """Return a field that may not be left out."""
        value = self.told.get(name)
        if value is None:
            bad(f"'{self.path(name)}' is missing; it is required", self.path(name), "missing_required_parameter")
        return value

    def text(self, name: str) -> str:
        """Return a text that may not be left out."""
        value = self.told.get(name)
        if type(value) is not str:
            self.wrong(self.path(name), self.required(name), "a string")
        return value

    def maybe_text(self, name: str) -> str | None:
        """Return a text, or None."""
        value = self.told.get(name)
        if value is not None and type(value) is not str:
            self.wrong(self.path(name), value, "a string")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """Return a boolean."""
        value = self.told.get(name)
        if value is None:
            return default
        if type(value) is not bool:
            self.wrong(self.path(name), value, "a boolean")
        return value

    def whole(self, name: str, low: int, high: int) -> int | None:
        """Return an integer within bounds, or None."""
        value = self.told.get(name)
        if value is None:
            return None
        if type(value) is not int:
            self.wrong(self.path(name), value, "an integer")
        if not low <= value <= high:
            bad(f"'{self.path(name)}' is {str(value)[:20]}, but must be from {low} to {high}", self.path(name))
        return value

    def number(self, name: str, low: float, high: float) -> float | None:
        """Return a number within bounds, or None."""
        value = self.told.get(name)
        if value is None:
            return None
        if type(value) is not int and type(value) is not float:
            self.wrong(self.path(name), value, "a number")
        if not low <= value <= high:
            bad(f"'{self.path(name)}' is {str(value)[:20]}, but must be from {low} to {high}", self.path(name))
        return value

    def array(self, name: str) -> list[Any]:
        """Return an array; empty where it is left out."""
        value = self.told.get(name)
        if value is None:
            return []
        if type(value) is not list:
            self.wrong(self.path(name), value, "an array")
        return value

    def object(self, name: str) -> Mapping[str, Any] | None:
        """Return an object, or None."""
        value = self.told.get(name)
        if value is not None and type(value) is not dict:
            self.wrong(self.path(name), value, "an object")
        if value and is_deep(value):
            bad(f"'{self.path(name)}' is nested more than {_DEEPEST} deep", self.path(name))
        return value

    def fields(self, name: str) -> Fields:
        """Return the fields of an object that may not be left out."""
        return Fields(self.required(name), name, self)

    def each(self, name: str) -> Iterator[Fields]:
        """Yield the fields of each object of an array."""
        for index, value in enumerate(self.array(name)):
            yield Fields(value, name, self, index)


def function(tool: Fields, schema: str = "parameters") -> dict[str, Any]:
    """Return a tool in the OpenAI function format.

    Args:
        tool: Where its name, description and schema stand.
        schema: The name of the schema's field.

    Raises:
        Refused: It is no tool.
    """
    name = tool.text("name")
    if not _NAME.fullmatch(name):
        path = tool.path("name")
        bad(f"'{path}' is {name[:80]!r}, but must be 1 to 64 letters, digits, _, . or -", path)
    parameters = tool.object(schema) or {"type": "object", "properties": {}}
    description = tool.maybe_text("description") or ""
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def chosen(fields: Fields, tools: Sequence[Mapping[str, Any]], name_of: Callable[[Fields], str]) -> str:
    """Return `Call.tool_choice` of a request of OpenAI's.

    Args:
        fields: Of the request.
        tools: That it offers.
        name_of: Reads the tool that is named where `tool_choice` is an object.

    Raises:
        Refused: It is none, or names a tool that is not offered.
    """
    choice = fields.told.get("tool_choice")
    if choice is None:
        return "auto"
    if type(choice) is dict:
        named = fields.fields("tool_choice")
        if (kind := named.text("type")) != "function":
            path = named.path("type")
            bad(f"'{path}' is {kind[:40]!r}; only 'function' is spoken here", path, "unsupported_value")
        name = name_of(named)
        if not any(each["function"]["name"] == name for each in tools):
            bad(f"'tool_choice' names {name[:80]!r}, which is not among 'tools'", "tool_choice")
        return f"={name}"
    if fields.text("tool_choice") not in ("auto", "none", "required"):
        bad(f"'tool_choice' is {choice[:40]!r}, but must be auto, none, required or a function", "tool_choice")
    if choice == "required" and not tools:
        bad("'tool_choice' asks for a tool, but 'tools' gives none", "tool_choice")
    return str(choice)


def refuse(told: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse fields that are not spoken here.

    Raises:
        Refused: One of them is set.
    """
    for name in names:
        if told.get(name):
            bad(f"'{name}' is not spoken here; leave it out", name, "unsupported_parameter")


def plain_message(told: Any) -> dict[str, Any] | None:
    """Return a message that is a role and a text and no more, as most are: these are read at once.

    >>> plain_message({"role": "user", "content": "Hello"})
    {'role': 'user', 'content': 'Hello'}
    """
    if type(told) is dict and len(told) == 2 and type(told.get("content")) is str and told.get("role") in _PLAIN:
        return {"role": told["role"], "content": told["content"]}
    return None


def new_id(kind: str) -> str:
    """Return an identifier that nobody has had before.

    Args:
        kind: What it begins with.
    """
    return f"{kind}{_RUN}{next(_count):012x}"


def pieces(text: str) -> list[str]:
    """Return a text in the pieces that a stream brings; none for an empty one.

    >>> pieces("The answer is forty-two.")
    ['The answer is forty-', 'two.']
    """
    size = max(_SHORTEST, -(-len(text) // _MOST))
    return [text[start : start + size] for start in range(0, len(text), size)]
