"""What a model reads of a server's results: text as it is, structured content as JSON, everything else described."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp.types import CallToolResult, ReadResourceResult, Resource, ResourceTemplate

__all__ = ["of_call", "of_list", "of_resource"]

_MOST_LISTED = 100


def of_call(result: CallToolResult) -> str:
    """Return the text of a call's result; one that reports an error begins with "Error:"."""
    blocks = [_block(each) for each in result.content]
    if result.structured_content is not None and not any(each.type == "text" for each in result.content):
        blocks.append(json.dumps(result.structured_content, ensure_ascii=False))
    text = "\n".join(blocks)
    if result.is_error:
        return f"Error: {text or 'the tool failed'}"
    return text or "(the tool returned nothing)"


def of_list(resources: Sequence[Resource], templates: Sequence[ResourceTemplate]) -> str:
    """Return what a model reads of the resources that a server has: a line each, with the address to read it by."""
    lines = [_line(each.uri, each.name, each.mime_type, each.description) for each in resources]
    lines += [_line(each.uri_template, each.name, each.mime_type, each.description) for each in templates]
    if len(lines) > _MOST_LISTED:
        lines[_MOST_LISTED:] = [f"… and {len(lines) - _MOST_LISTED} more"]
    return "\n".join(lines) or "(there are none)"


def of_resource(result: ReadResourceResult) -> str:
    """Return the text of a resource that was read."""
    return "\n".join(_contents(each) for each in result.contents) or "(it is empty)"


def _block(block: Any) -> str:
    if block.type == "text":
        return str(block.text)
    if block.type in ("image", "audio"):
        return _binary(block.type, block.mime_type, block.data)
    if block.type == "resource_link":
        return f"[resource {_line(block.uri, block.name, block.mime_type, block.description)}]"
    return _contents(block.resource)


def _contents(contents: Any) -> str:
    if hasattr(contents, "text"):
        return str(contents.text)
    return _binary("resource", contents.mime_type or contents.uri, contents.blob)


def _binary(kind: str, what: str, base64: str) -> str:
    size = len(base64) * 3 // 4 - base64[-2:].count("=")
    return f"[{kind}: {what[:100]}, {size} bytes, not shown]"


def _line(address: str, name: str, kind: str | None, description: str | None) -> str:
    more = f" ({kind})" if kind else ""
    said = " ".join((description or "").split())[:200]
    return f"{address[:300]} {name[:100]}{more}{': ' + said if said else ''}"
