"""What a parser finds in a model's text: a call, or a malformed call with a reason the model can act on.

`decode` and `build` are shared by all formats. Nothing here raises on any text: `decode` raises `BadJSON` alone, which
the parsers turn into a `Malformed`. A reason says what was wrong and ends with what was expected.
"""

import difflib
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

__all__ = [
    "MAX_CANDIDATES",
    "REST",
    "TAG",
    "BadJSON",
    "Found",
    "Malformed",
    "ToolCall",
    "build",
    "decode",
    "excerpt",
    "from_object",
    "skip_space",
    "tags",
]

TAG = "<|python_tag|>"
REST = re.compile(r"[ \t]*+(?:[;,\r\n]|\Z|<\|)")  # what may follow a call that stands alone on its lines
MAX_CANDIDATES = 1000  # lines of prose that look like the beginning of a call and are none, before the rest is given up
MAX_NAME_CHARS = 64  # difflib takes quadratic time, so nothing longer is compared


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A call of a known tool. `arguments` are as the model wrote them: `Tool.bind` validates and coerces them."""

    name: str
    arguments: dict[str, object]
    raw: str


@dataclass(frozen=True, kw_only=True)
class Malformed:
    """Something that was meant as a call and cannot be one. `reason` is written for the model."""

    reason: str
    raw: str


class Found(NamedTuple):
    """The calls of one block, and the half-open range of characters that it takes in the text."""

    start: int
    end: int
    items: tuple[ToolCall | Malformed, ...]


class BadJSON(ValueError):
    """JSON that cannot be read: a reason without a full stop, and the position where reading stopped."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


def excerpt(text: str, limit: int = 60) -> str:
    """Quote the beginning of `text` on one line, cut to `limit` characters."""
    head = text[:limit].encode("utf-8", "replace").decode("utf-8")
    return repr(head) + ("…" if len(text) > limit else "")


def skip_space(text: str, position: int) -> int:
    """Return the position of the first character at or behind `position` that is no white space."""
    match = _SPACE.match(text, position)
    return match.end() if match is not None else position


def tags(text: str) -> Iterator[int]:
    """Yield the positions behind each `<|python_tag|>` and its white space."""
    position = text.find(TAG)
    while position >= 0:
        position = skip_space(text, position + len(TAG))
        yield position
        position = text.find(TAG, position)


def decode(text: str, start: int) -> tuple[object, int]:
    """Read one JSON value at `start`; return it and the position behind it.

    Raw line breaks inside strings are accepted, since models write code that way; NaN and Infinity are not JSON.

    Raises:
        BadJSON: The text at `start` is not JSON, or nested too deeply.
    """
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        found = f"found {excerpt(text[error.pos : error.pos + 24], 20)}" if error.pos < len(text) else "the text ended"
        message = f"{error.msg[:1].lower()}{error.msg[1:]}, but {found} {error.pos - start} characters into it"
        raise BadJSON(message, max(error.pos, start)) from None
    except RecursionError:
        raise BadJSON("it is nested too deeply", start) from None
    except ValueError as error:  # an integer of more than 4,300 digits, or a constant such as NaN
        raise BadJSON(str(error).split(";")[0].split(":")[0], start) from None


def build(name: object, arguments: object, *, raw: str, names: Collection[str], expected: str) -> ToolCall | Malformed:
    """Make a call out of a name and its arguments, or say why it is none."""
    if not isinstance(name, str):
        return Malformed(reason=f"The tool's name must be a string, got {_kind(name)}. Expected {expected}.", raw=raw)
    if name not in names:
        return Malformed(reason=_unknown(name, names), raw=raw)
    if isinstance(arguments, str):  # the OpenAI API carries arguments as a string of JSON, and some models learnt that
        try:
            arguments, _ = decode(arguments, len(arguments) - len(arguments.lstrip()))
        except BadJSON as error:
            reason = f"The arguments of {name} are not JSON: {error.reason}. Expected {expected}."
            return Malformed(reason=reason, raw=raw)
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        wanted = "a JSON object with one entry for each argument"
        reason = f"The arguments of {name} must be {wanted}, got {_kind(arguments)}. Expected {expected}."
        return Malformed(reason=reason, raw=raw)
    return ToolCall(name=name, arguments=arguments, raw=raw)


def from_object(value: object, *, raw: str, names: Collection[str], expected: str) -> ToolCall | Malformed:
    """Make a call out of a decoded JSON object such as `{"name": …, "arguments": {…}}`."""
    if not isinstance(value, dict):
        return Malformed(reason=f"A call must be a JSON object, got {_kind(value)}. Expected {expected}.", raw=raw)
    inner = value.get("function")
    if isinstance(inner, dict):  # {"type": "function", "function": {"name": …, "arguments": …}}
        value = inner
    name = value["name"] if "name" in value else value.get("function")
    if name is None:
        return Malformed(reason=f'The call has no "name". Expected {expected}.', raw=raw)
    for key in ("arguments", "parameters"):
        if key in value:
            return build(name, value[key], raw=raw, names=names, expected=expected)
    extra = sorted(str(key) for key in value if key not in ("name", "type", "function", "id"))
    if extra:
        keys = ", ".join(excerpt(key, 30) for key in extra[:5])
        return Malformed(reason=f'The call has {keys} but no "arguments" object. Expected {expected}.', raw=raw)
    return build(name, {}, raw=raw, names=names, expected=expected)


def _unknown(name: str, names: Collection[str]) -> str:
    if not names:
        return f"There is no tool {excerpt(name)}: no tools can be called here."
    near = difflib.get_close_matches(name, names, n=1) if len(name) <= MAX_NAME_CHARS else []
    near = near or [known for known in names if name.endswith((f".{known}", f"/{known}", f":{known}"))][:1]
    hint = f" Did you mean {near[0]}?" if near else ""
    shown = ", ".join(sorted(names)[:20])
    return f"There is no tool {excerpt(name)}.{hint} The tools are: {shown}{' …' if len(names) > 20 else ''}."


def _kind(value: object) -> str:
    words = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "an object"}
    return words.get(type(value), "null" if value is None else f"a {type(value).__name__}")


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON value")


_SPACE = re.compile(r"\s*+")
_DECODER = json.JSONDecoder(strict=False, parse_constant=_no_constant)
