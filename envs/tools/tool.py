"""A tool: a typed Python function with a docstring, which becomes an OpenAI-format schema that a model can call.

`Tool.of` reads type hints and the `Args:` section of a Google-style docstring. `bind` validates the arguments of a call
and coerces what a model plausibly meant ("3" for 3, 3.0 for 3, "true" for True, null for a default); what it refuses it
explains to the model in an `ArgumentError`. Of JSON schema it honours type, enum, items, properties, required, anyOf.
"""

import copy
import difflib
import inspect
import json
import math
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from agentrl.envs.errors import UsageError

__all__ = ["ArgumentError", "Tool"]


class ArgumentError(ValueError):
    """A call's arguments cannot be used. The message is written for the model: what was wrong, what was expected."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A function that a model can call by name."""

    name: str
    description: str
    parameters: dict[str, Any]  # a JSON schema of type object
    function: Callable[..., str]

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", self.name):
            raise UsageError(f"tool name {self.name!r}: use 1 to 64 letters, digits, _ or -, and begin with a letter")
        if self.parameters.get("type") != "object":
            kind = self.parameters.get("type")
            raise UsageError(
                f"tool {self.name}: parameters must be a JSON schema of type 'object', not of type {kind!r}"
            )

    @classmethod
    def of(cls, function: Callable[..., str], *, name: str | None = None) -> "Tool":
        """Make a tool of a typed function or bound method with a docstring.

        Raises:
            UsageError: No docstring, a parameter without a type, or a type that has no JSON schema.

        >>> def add(a: int, b: int = 1) -> str:
        ...     '''Add two numbers.
        ...
        ...     Args:
        ...         a: The first number.
        ...     '''
        ...     return str(a + b)
        >>> tool = Tool.of(add)
        >>> tool.parameters["properties"]["a"]
        {'type': 'integer', 'description': 'The first number.'}
        >>> tool({"a": "41"})
        '42'
        """
        name = function.__name__ if name is None else name
        description, notes = _docstring(inspect.getdoc(function) or "")
        if not description:
            raise UsageError(f"tool {name} has no docstring: say in its first line what it does, the model reads it")
        hints = get_type_hints(function, include_extras=True)
        properties: dict[str, Any] = {}
        required: list[str] = []
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise UsageError(f"tool {name}: {parameter} cannot be called by name; give each parameter its own name")
            if parameter.name not in hints:
                raise UsageError(f"tool {name}: {parameter.name} has no type; annotate it, as in {parameter.name}: str")
            schema = _schema(hints[parameter.name], f"tool {name}, parameter {parameter.name}")
            if parameter.name in notes:
                schema.setdefault("description", notes[parameter.name])
            if parameter.default is parameter.empty:
                required.append(parameter.name)
            else:
                schema["default"] = parameter.default
            properties[parameter.name] = schema
        unknown = [note for note in notes if note not in properties]
        if unknown:
            raise UsageError(f"tool {name}: the docstring describes {unknown[0]!r}, which is no parameter of it")
        parameters = {"type": "object", "properties": properties, "required": required}
        return cls(name=name, description=description, parameters=parameters, function=function)

    @property
    def schema(self) -> dict[str, Any]:
        """The tool in the OpenAI function format, as a fresh copy."""
        function = {"name": self.name, "description": self.description, "parameters": copy.deepcopy(self.parameters)}
        return {"type": "function", "function": function}

    @property
    def signature(self) -> str:
        """The call as one line for error messages, such as `search(query: string, k: integer = 5)`."""
        parts = [_described(name, each, self._required) for name, each in self._properties.items()]
        return f"{self.name}({', '.join(parts)})"

    def bind(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """Return the arguments, validated and coerced to their types; parameters with a default may be missing or null.

        Raises:
            ArgumentError: Something is missing, unknown or of the wrong type; all of it is named in one message.
        """
        properties, required = self._properties, self._required
        bound: dict[str, object] = {}
        problems: list[str] = []
        for name, value in arguments.items():
            schema = properties.get(name)
            if schema is None:
                near = difflib.get_close_matches(str(name), properties, n=1) if len(name) <= 64 else []
                hint = f", did you mean {near[0]}?" if near else ""
                problems.append(f"there is no argument {_show(name)}{hint}")
                continue
            if value is None and name not in required and not _accepts_null(schema):
                continue
            try:
                bound[name] = _coerce(value, schema)
            except _MismatchError as error:
                problems.append(f"{name}{error.path} must be {error.wanted}, got {_show(error.value)}")
        missing = [name for name in required if name not in arguments]
        problems.extend(f"the argument {name} is missing" for name in missing)
        if problems:
            raise ArgumentError(f"{self.name}: {'; '.join(problems[:8])}. Expected {self.signature}.")
        return bound

    def __call__(self, arguments: Mapping[str, object]) -> str:
        """Bind the arguments and run the function.

        Raises:
            ArgumentError: As `bind`; whatever the function raises passes through.
        """
        return self.function(**self.bind(arguments))

    @property
    def _properties(self) -> dict[str, Any]:
        properties: dict[str, Any] = self.parameters.get("properties", {})
        return properties

    @property
    def _required(self) -> Sequence[str]:
        required: Sequence[str] = self.parameters.get("required", ())
        return required


class _MismatchError(Exception):
    def __init__(self, value: object, wanted: str, path: str = "") -> None:
        super().__init__(wanted)
        self.value, self.wanted, self.path = value, wanted, path


def _coerce(value: object, schema: Mapping[str, Any]) -> object:
    """Return `value` as the schema wants it, or raise `_MismatchError`."""
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
            raise _MismatchError(value, _wanted(schema))
        return folded[0]
    return value


def _coerce_any(value: object, schema: Mapping[str, Any]) -> object:
    options: list[Mapping[str, Any]] = schema["anyOf"]
    exact = [option for option in options if _is_exactly(value, option)]
    for option in exact + [option for option in options if option not in exact]:
        try:
            return _coerce(value, option)
        except _MismatchError:
            continue
    raise _MismatchError(value, _wanted(schema))


def _string(value: object, schema: Mapping[str, Any]) -> object:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):  # a model that writes query=1999 means the text
        try:
            return json.dumps(value)
        except ValueError:
            pass
    raise _MismatchError(value, _wanted(schema))


def _integer(value: object, schema: Mapping[str, Any]) -> object:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value.split(".")[0])
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _MismatchError(value, _wanted(schema))


def _number(value: object, schema: Mapping[str, Any]) -> object:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            if math.isfinite(value):
                return float(value)
        except OverflowError:  # an integer that no float can hold
            pass
    raise _MismatchError(value, _wanted(schema))


def _boolean(value: object, schema: Mapping[str, Any]) -> object:
    word = value.strip().lower() if isinstance(value, str) else None
    if word in ("true", "false"):
        return word == "true"
    if isinstance(value, bool):
        return value
    raise _MismatchError(value, _wanted(schema))


def _null(value: object, schema: Mapping[str, Any]) -> object:
    if value is None or (isinstance(value, str) and value.strip().lower() in ("null", "none")):
        return None
    raise _MismatchError(value, _wanted(schema))


def _array(value: object, schema: Mapping[str, Any]) -> object:
    value = _unpacked(value)
    if not isinstance(value, list | tuple):
        raise _MismatchError(value, _wanted(schema))
    items = schema.get("items")
    if not items:
        return list(value)
    coerced = []
    for index, each in enumerate(value):
        try:
            coerced.append(_coerce(each, items))
        except _MismatchError as error:
            raise _MismatchError(error.value, error.wanted, f"[{index}]{error.path}") from None
    return coerced


def _object(value: object, schema: Mapping[str, Any]) -> object:
    value = _unpacked(value)
    if not isinstance(value, Mapping):
        raise _MismatchError(value, _wanted(schema))
    properties = schema.get("properties", {})
    rest = schema.get("additionalProperties", {})
    for name in schema.get("required", ()):
        if name not in value:
            raise _MismatchError(value, f"an object with {name!r}")
    coerced = {}
    for name, each in value.items():
        if name not in properties and rest is False:
            raise _MismatchError(name, f"an object with no more than {', '.join(properties)}")
        try:
            coerced[name] = _coerce(each, properties.get(name, rest if isinstance(rest, Mapping) else {}))
        except _MismatchError as error:
            raise _MismatchError(error.value, error.wanted, f".{name}{error.path}") from None
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


def _accepts_null(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    if isinstance(kind, list):
        return "null" in kind
    return kind in (None, "null") and ("anyOf" not in schema or any(_accepts_null(each) for each in schema["anyOf"]))


def _wanted(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return f"one of {', '.join(_show(choice) for choice in schema['enum'][:20])}"
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


def _show(value: object) -> str:
    """Quote a value as JSON, cut to 80 characters and never failing on huge, deep or unprintable ones."""
    if isinstance(value, str):
        value = value[:80]
    try:
        text = json.dumps(value, ensure_ascii=False, default=lambda each: type(each).__name__)
    except (ValueError, RecursionError, TypeError):
        text = f"a {type(value).__name__} too large to show"
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= 80 else f"{text[:79]}…"


def _described(name: str, schema: Mapping[str, Any], required: Sequence[str]) -> str:
    if "enum" in schema:
        kind = "|".join(_show(choice) for choice in schema["enum"][:20])
    elif "anyOf" in schema:
        kind = "|".join(str(option.get("type", "any")) for option in schema["anyOf"][:8])
    else:
        kind = str(schema.get("type", "any"))
    default = f" = {_show(schema['default'])}" if "default" in schema else "" if name in required else " = …"
    return f"{name}: {kind}{default}"


_PLAIN: dict[object, str] = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def _schema(hint: Any, where: str) -> dict[str, Any]:
    """Return the JSON schema of a type hint, or raise `UsageError`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return {}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if origin is Annotated:
        note = next((each for each in arguments[1:] if isinstance(each, str)), None)
        return {**_schema(arguments[0], where), **({"description": note} if note else {})}
    if origin is Literal:
        kinds = {_PLAIN.get(type(value)) for value in arguments}
        return {**({"type": kinds.pop()} if len(kinds) == 1 else {}), "enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(each, where) for each in arguments]}
    if hint is list or origin in (list, Sequence):
        return {"type": "array", **({"items": _schema(arguments[0], where)} if arguments else {})}
    if hint is dict or origin in (dict, Mapping):
        return {"type": "object", **({"additionalProperties": _schema(arguments[1], where)} if arguments else {})}
    known = "str, int, float, bool, list, dict, Literal or a union of them"
    raise UsageError(f"{where}: the type {hint!r} has no JSON schema; use {known}")


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """Split a Google-style docstring into its description and the notes of its `Args:` section."""
    head, *sections = re.split(r"(?m)^(Args|Arguments|Returns|Raises|Yields|Examples?|Notes?):[ \t]*$", text)
    notes: dict[str, str] = {}
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        if title not in ("Args", "Arguments"):
            continue
        lines = inspect.cleandoc(body).splitlines()
        name = ""
        for line in lines:
            match = re.match(r"(\w+)(?: \([^)]*\))?:\s*(.*)$", line)
            if match:
                name, notes[match[1]] = match[1], match[2]
            elif name and line.strip():
                notes[name] = f"{notes[name]} {line.strip()}".strip()
    return "\n".join(line.rstrip() for line in head.strip().splitlines()), notes
