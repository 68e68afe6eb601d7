"""From the tools that a server lists to tools of an environment: names, descriptions and schemas, read without trust.

A schema is kept as it is where it has the shape of one; `true` and `false` in the place of a schema become objects,
since few readers of schemas know them. What has another shape, takes no object or goes too deep is refused by name, and
so is a server that offers more than a model should read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from agentrl.envs.errors import InfrastructureError, UsageError, nearest
from agentrl.envs.tools.tool import Tool

if TYPE_CHECKING:
    from mcp.types import Tool as Listed

__all__ = ["MAX_SCHEMA_CHARS", "Offer", "offers_of", "resource_offers"]

MAX_SCHEMA_CHARS = 65_536
"""Of one tool's schema as JSON."""
_MAX_DESCRIPTION = 2000
_DEEPEST = 24
_NESTED = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_MANY = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")

Call = Callable[[str, dict[str, object]], str]


class Offer:
    """One tool of a server.

    Args:
        tool: As the model sees it.
        takes_any: Its arguments go to the server as they were written, since the schema leaves them open.
    """

    def __init__(self, tool: Tool, *, takes_any: bool) -> None:
        self.tool, self._takes_any = tool, takes_any

    def __call__(self, arguments: dict[str, object]) -> str:
        """Call it.

        Raises:
            ArgumentError: The arguments cannot be used, in words for the model.
            InfrastructureError: The server failed.
        """
        return self.tool.function(**arguments) if self._takes_any else self.tool(arguments)


def offers_of(
    listed: Sequence[Listed], call: Call, *, server: str, prefix: str, only: Collection[str] | None, max_tools: int
) -> dict[str, Offer]:
    """Return the tools that a server offers, by the name that the model uses.

    Args:
        listed: What the server lists.
        call: Calls a tool by the server's name for it.
        server: What messages call the server.
        prefix: Before each name.
        only: The server's names of those that are wanted; None: all.
        max_tools: So many at most.

    Raises:
        UsageError: There are too many, one of `only` is not there, or two have one name.
        InfrastructureError: A schema is none.
    """
    missing = [name for name in only or () if name not in {each.name for each in listed}]
    if missing:
        known = [each.name[:64] for each in listed]
        raise UsageError(
            f"only: {server} has no tool {missing[0]!r}{nearest(missing[0], known)}; there are {', '.join(known[:40])}"
        )
    wanted = [each for each in listed if only is None or each.name in only]
    if len(wanted) > max_tools:
        raise UsageError(
            f"{server} offers {len(wanted)} tools, more than max_tools={max_tools}; name those that are needed, such "
            f"as only=[{wanted[0].name[:64]!r}]"
        )
    found: dict[str, Offer] = {}
    for each in wanted:
        name = _name(prefix, each.name)
        if name in found:
            raise UsageError(f"{server} offers two tools that would be called {name!r}; leave one out with only=[…]")
        parameters = _parameters(each, server)
        tool = Tool(
            name=name,
            description=(each.description or each.title or "")[:_MAX_DESCRIPTION],
            parameters=parameters,
            function=partial(_called, call, each.name),
        )
        is_open = "properties" not in parameters or bool(parameters.get("additionalProperties"))
        found[name] = Offer(tool, takes_any=is_open or "patternProperties" in parameters)
    return found


def resource_offers(listing: Callable[[], str], reading: Callable[[str], str], *, prefix: str) -> dict[str, Offer]:
    """Return the two tools by which a model finds and reads a server's resources."""

    def list_resources() -> str:
        """List the documents that can be read, a line each: address, name, kind."""
        return listing()

    def read_resource(uri: str) -> str:
        """Read a document.

        Args:
            uri: Its address, as list_resources gives it.
        """
        return reading(uri)

    tools = [Tool.of(each, name=prefix + each.__name__) for each in (list_resources, read_resource)]
    return {tool.name: Offer(tool, takes_any=False) for tool in tools}


def _called(call: Call, name: str, /, **arguments: object) -> str:
    return call(name, arguments)


def _name(prefix: str, name: str) -> str:
    """Return a name that every chat template and format of calls can carry.

    >>> _name("docs_", "files/read.v2")
    'docs_files_read_v2'
    """
    usable = re.sub(r"[^A-Za-z0-9_-]", "_", prefix + name)[:64]
    return usable if re.match(r"[A-Za-z_]", usable) else f"_{usable}"[:64]


def _parameters(tool: Listed, server: str) -> dict[str, Any]:
    """Return a tool's schema.

    Raises:
        InfrastructureError: It is none.
    """
    try:
        schema = _shaped({"type": "object", **tool.input_schema}, 0)
        if schema["type"] != "object":
            raise ValueError(f"its arguments are no object, but {schema['type']!r:.40}")
        if len(json.dumps(schema)) > MAX_SCHEMA_CHARS:
            raise ValueError(f"it has more than {MAX_SCHEMA_CHARS} characters")
    except (ValueError, RecursionError) as error:
        raise InfrastructureError(
            f"{server}: the schema of the tool {tool.name[:64]!r} is none: {error}", kind="schema", boundary="mcp"
        ) from error
    return schema


def _shaped(schema: Any, depth: int) -> dict[str, Any]:
    """Return a schema whose keywords have the kinds that they must have.

    Raises:
        ValueError: One has another.

    >>> _shaped({"properties": {"a": True}}, 0)
    {'properties': {'a': {}}}
    """
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    if not isinstance(schema, dict):
        raise ValueError(f"{schema!r:.80} stands where a schema must")
    if depth > _DEEPEST:
        raise ValueError(f"it goes more than {_DEEPEST} deep")
    shaped = dict(schema)
    for key, value in schema.items():
        if key == "additionalProperties" and isinstance(value, bool):
            continue
        if key in _NESTED:
            shaped[key] = _shaped(value, depth + 1)
        elif key in _MANY:
            shaped[key] = [_shaped(each, depth + 1) for each in _of(list, key, value)]
        elif key in _NAMED:
            shaped[key] = {name: _shaped(each, depth + 1) for name, each in _of(dict, key, value).items()}
        elif (key == "required" and not _are_texts(value)) or (key == "enum" and not isinstance(value, list)):
            raise ValueError(f"{key} is {value!r:.80}")
        elif key == "type" and not isinstance(value, str) and not _are_texts(value):
            raise ValueError(f"type is {value!r:.80}")
    return shaped


def _of(kind: type, key: str, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{key} is {value!r:.80}")
    return value


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
