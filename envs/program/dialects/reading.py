"""Read a request that nobody vouches for: every field is checked, and what is wrong is said with the field's name.

Text may hold no NUL and no half of a surrogate pair, since neither reaches a tokenizer unharmed; JSON may be 64 deep.
Whatever is wrong raises `Refused` with status 400, and the code that OpenAI's API has for it.
"""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from agentrl.envs.program.calls import Refused

__all__ = ["Fields", "bad", "decoded", "function", "kind_of", "new_id", "pieces"]

_DEEPEST = 64
_SUSPICIOUS = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")  # escapes of NUL, and of halves of a pair
_HARMFUL = re.compile("[\0\ud800-\udfff]")
_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_KINDS = {bool: "a boolean", dict: "an object", float: "a number", int: "an integer", list: "an array", str: "a string"}
_SHORTEST, _MOST = 16, 48  # characters of a piece, pieces of a text


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
    except UnicodeDecodeError as error:
        bad(f"the request's body is no UTF-8: {error.reason} at byte {error.start}", code="invalid_json")
    except (ValueError, RecursionError) as error:
        bad(f"the request's body is no JSON that can be read: {error}", code="invalid_json")
    if type(told) is not dict:
        bad(f"the request's body is {kind_of(told)}, but must be an object", code="invalid_json")
    if _is_deep(told):
        bad(f"the request's body is nested more than {_DEEPEST} deep", code="invalid_json")
    if _SUSPICIOUS.search(text) and _is_harmful(told):
        bad("the request's text holds a NUL or half of a surrogate pair; send neither", code="invalid_json")
    return told


def _is_deep(told: Any) -> bool:
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
        path: Where it stands in the request, such as "messages[0]"; empty at the top.

    Raises:
        Refused: In every method: the field is not what is asked for.
    """

    __slots__ = ("_path", "told")

    def __init__(self, told: Any, path: str = "") -> None:
        if type(told) is not dict:
            self.wrong(path, told, "an object")
        self.told: dict[str, Any] = told
        self._path = path

    @staticmethod
    def wrong(path: str, value: Any, expected: str) -> NoReturn:
        """Refuse a value of another kind.

        Raises:
            Refused: Always.
        """
        bad(f"'{path}' must be {expected}, but is {kind_of(value)}", path, "invalid_type")

    def path(self, name: str) -> str:
        """Return where a field stands in the request."""
        return f"{self._path}.{name}" if self._path else name

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
        return value

    def fields(self, name: str) -> Fields:
        """Return the fields of an object that may not be left out."""
        return Fields(self.required(name), self.path(name))

    def each(self, name: str) -> Iterator[Fields]:
        """Yield the fields of each object of an array."""
        for index, value in enumerate(self.array(name)):
            yield Fields(value, f"{self.path(name)}[{index}]")


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


def new_id(kind: str) -> str:
    """Return an identifier that nobody has had before.

    Args:
        kind: What it begins with.
    """
    return kind + secrets.token_hex(12)


def pieces(text: str) -> list[str]:
    """Return a text in the pieces that a stream brings; none for an empty one.

    >>> pieces("The answer is forty-two.")
    ['The answer is fo', 'rty-two.']
    """
    size = max(_SHORTEST, -(-len(text) // _MOST))
    return [text[start : start + size] for start in range(0, len(text), size)]
