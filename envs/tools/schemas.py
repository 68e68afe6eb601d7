"""JSON schemas of arguments: made from type hints, and applied to what a model wrote.

`coerce` accepts what a model plausibly meant and gives it the right type; it never raises anything but `MismatchError`.
Honoured are type, enum, items, properties, required, additionalProperties and anyOf; other keywords change nothing.
"""

import json
import math
import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from agentrl.envs.errors import UsageError

__all__ = ["MismatchError", "accepts_null", "coerce", "described", "schema_of", "show"]


class MismatchError(Exception):
    """A value does not fit its schema: the value, what was wanted, and the path to it inside the argument."""

    def __init__(self, value: object, wanted: str, path: str = "") -> None:
        super().__init__(wanted)
        self.value, self.wanted, self.path = value, wanted, path


def schema_of(hint: Any, where: str) -> dict[str, Any]:
    """Return the JSON schema of a type hint.

    Raises:
        UsageError: The hint has none; `where` names its place in the message.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return {}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if origin is Annotated:
        note = next((each for each in arguments[1:] if isinstance(each, str)), None)
        return {**schema_of(arguments[0], where), **({"description": note} if note else {})}
    if origin is Literal:
        kinds = {_PLAIN.get(type(value)) for value in arguments}
        return {**({"type": kinds.pop()} if len(kinds) == 1 else {}), "enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(each, where) for each in arguments]}
    if hint is list or origin in (list, Sequence):
        return {"type": "array", **({"items": schema_of(arguments[0], where)} if arguments else {})}
    if hint is dict or origin in (dict, Mapping):
        return {"type": "object", **({"additionalProperties": schema_of(arguments[1], where)} if arguments else {})}
    known = "str, int, float, bool, list, dict, Literal or a union of them"
    raise UsageError(f"{where}: the type {hint!r} has no JSON schema; use {known}")


def coerce(value: object, schema: Mapping[str, Any]) -> object:
    """Return `value` as the schema wants it, or raise `MismatchError`."""
    if "anyOf" in schema:
        return _coerce_any(value, schema)
    kind = schema.get("type")
    if isinstance(kind, list):
        return _coerce_any(value, {"anyOf": [{**schema, "type": each} for each in kind]})
    coercion = _COERCIONS.get(kind) if kind is not None else None
    if coercion is not None:
        value = coercion(value, schema)
    choices = schema.get("enum")
    if choices is not None and not any(value == choice and type(value) is type(choice) for choice in choices):
        word = value.strip().lower() if isinstance(value, str) else None
        folded = [choice for choice in choices if str(choice).lower() == word]
        if len(folded) != 1:
            raise MismatchError(value, _wanted(schema))
        return folded[0]
    return value


def accepts_null(schema: Mapping[str, Any]) -> bool:
    """Return whether null is a value of its own under the schema."""
    kind = schema.get("type")
    if isinstance(kind, list):
        return "null" in kind
    return kind in (None, "null") and ("anyOf" not in schema or any(accepts_null(each) for each in schema["anyOf"]))


def show(value: object) -> str:
    """Quote a value as JSON, cut to 80 characters and never failing on huge, deep or unprintable ones."""
    if isinstance(value, str):
        value = value[:80]
    try:
        text = json.dumps(value, ensure_ascii=False, default=lambda each: type(each).__name__)
    except (ValueError, RecursionError, TypeError):
        text = f"a {type(value).__name__} too large to show"
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= 80 else f"{text[:79]}…"


def described(name: str, schema: Mapping[str, Any], required: Sequence[str]) -> str:
    """Describe an argument as in `k: integer = 5`."""
    if "enum" in schema:
        kind = "|".join(show(choice) for choice in schema["enum"][:20])
    elif "anyOf" in schema:
        kind = "|".join(str(option.get("type", "any")) for option in schema["anyOf"][:8])
    else:
        kind = str(schema.get("type", "any"))
    default = f" = {show(schema['default'])}" if "default" in schema else "" if name in required else " = …"
    return f"{name}: {kind}{default}"


_PLAIN: dict[object, str] = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def _coerce_any(value: object, schema: Mapping[str, Any]) -> object:
    options: list[Mapping[str, Any]] = schema["anyOf"]
    exact = [option for option in options if _is_exactly(value, option)]
    for option in exact + [option for option in options if option not in exact]:
        try:
            return coerce(value, option)
        except MismatchError:
            continue
    raise MismatchError(value, _wanted(schema))


def _string(value: object, schema: Mapping[str, Any]) -> object:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):  # a model that writes query=1999 means the text
        try:
            return json.dumps(value)
        except ValueError:
            pass
    raise MismatchError(value, _wanted(schema))


def _integer(value: object, schema: Mapping[str, Any]) -> object:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value.split(".")[0])
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise MismatchError(value, _wanted(schema))


def _number(value: object, schema: Mapping[str, Any]) -> object:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            if math.isfinite(value):
                return float(value)
        except OverflowError:  # an integer that no float can hold
            pass
    raise MismatchError(value, _wanted(schema))


def _boolean(value: object, schema: Mapping[str, Any]) -> object:
    word = value.strip().lower() if isinstance(value, str) else None
    if word in ("true", "false"):
        return word == "true"
    if isinstance(value, bool):
        return value
    raise MismatchError(value, _wanted(schema))


def _null(value: object, schema: Mapping[str, Any]) -> object:
    if value is None or (isinstance(value, str) and value.strip().lower() in ("null", "none")):
        return None
    raise MismatchError(value, _wanted(schema))


def _array(value: object, schema: Mapping[str, Any]) -> object:
    value = _unpacked(value)
    if not isinstance(value, list | tuple):
        raise MismatchError(value, _wanted(schema))
    items = schema.get("items")
    if not items:
        return list(value)
    coerced = []
    for index, each in enumerate(value):
        try:
            coerced.append(coerce(each, items))
        except MismatchError as error:
            raise MismatchError(error.value, error.wanted, f"[{index}]{error.path}") from None
    return coerced


def _object(value: object, schema: Mapping[str, Any]) -> object:
    value = _unpacked(value)
    if not isinstance(value, Mapping):
        raise MismatchError(value, _wanted(schema))
    properties = schema.get("properties", {})
    rest = schema.get("additionalProperties", {})
    for name in schema.get("required", ()):
        if name not in value:
            raise MismatchError(value, f"an object with {name!r}")
    coerced = {}
    for name, each in value.items():
        if name not in properties and rest is False:
            raise MismatchError(name, f"an object with no more than {', '.join(properties)}")
        try:
            coerced[name] = coerce(each, properties.get(name, rest if isinstance(rest, Mapping) else {}))
        except MismatchError as error:
            raise MismatchError(error.value, error.wanted, f".{name}{error.path}") from None
    return coerced


_INTEGER = re.compile(r"\s*+[+-]?+[0-9]{1,30}(?:\.0{1,9})?\s*+")
_NUMBER = re.compile(r"\s*+[+-]?+(?:[0-9]{1,40}+\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?\s*+")
_COERCIONS: dict[str, Callable[[object, Mapping[str, Any]], object]] = {
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
    "null": _null,
    "array": _array,
    "object": _object,
}
_EXACT: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list, tuple),
    "object": (dict,),
}


def _is_exactly(value: object, schema: Mapping[str, Any]) -> bool:
    return type(value) in _EXACT.get(schema.get("type", ""), ())


def _unpacked(value: object) -> object:
    """Decode a container that arrived as text, as every argument in the Qwen XML format does."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _wanted(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return f"one of {', '.join(show(choice) for choice in schema['enum'][:20])}"
    if "anyOf" in schema:
        return " or ".join(_wanted(option) for option in schema["anyOf"][:8])
    kind = schema.get("type")
    return _WORDS.get(kind, f"a {kind}") if isinstance(kind, str) else "any value"


_WORDS = {
    "integer": "an integer",
    "array": "a list",
    "object": "an object",
    "number": "a finite number",
    "null": "null",
}
