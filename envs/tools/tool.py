"""A tool: a typed Python function with a docstring, which becomes an OpenAI-format schema that a model can call.

`Tool.of` reads type hints and the `Args:` section of a Google-style docstring. `bind` validates the arguments of a call
and coerces what a model plausibly meant ("3" for 3, 3.0 for 3, "true" for True, null for a default); what it refuses it
explains to the model in an `ArgumentError`.
"""

import copy
import difflib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MethodType
from typing import Any, get_type_hints

from agentrl.envs.errors import UsageError
from agentrl.envs.tools.schemas import MismatchError, accepts_null, coerce, described, schema_of, show

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
            schema = schema_of(hints[parameter.name], f"tool {name}, parameter {parameter.name}")
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

    @classmethod
    def hosted(cls, function: Callable[..., Any], call: Callable[[str, dict[str, object]], str]) -> "Tool":
        """Make a tool of a toolset's function, as its class has it, that is run by `call(name, arguments)`.

        Raises:
            UsageError: As `of`.
        """
        tool = cls.of(MethodType(function, object()))
        return replace(tool, function=lambda **arguments: call(tool.name, arguments))

    @property
    def schema(self) -> dict[str, Any]:
        """The tool in the OpenAI function format, as a fresh copy."""
        function = {"name": self.name, "description": self.description, "parameters": copy.deepcopy(self.parameters)}
        return {"type": "function", "function": function}

    @property
    def signature(self) -> str:
        """The call as one line for error messages, such as `search(query: string, k: integer = 5)`."""
        parts = [described(name, each, self._required) for name, each in self._properties.items()]
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
                problems.append(f"there is no argument {show(name)}{hint}")
                continue
            if value is None and name not in required and not accepts_null(schema):
                continue
            try:
                bound[name] = coerce(value, schema)
            except MismatchError as error:
                problems.append(f"{name}{error.path} must be {error.wanted}, got {show(error.value)}")
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
