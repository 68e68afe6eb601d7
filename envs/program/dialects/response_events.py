"""The events of a stream of OpenAI's responses: https://platform.openai.com/docs/api-reference/responses-streaming."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agentrl.envs.program.dialects.reading import pieces

__all__ = ["response_events"]

Events = Iterator[dict[str, Any]]
_EMPTY: dict[bool, dict[str, Any]] = {True: {"arguments": ""}, False: {"content": []}}  # whether it is a call


def response_events(response: Mapping[str, Any]) -> Events:
    """Yield the events in which a response comes, in order, without their numbers."""
    begun = {**response, "status": "in_progress", "completed_at": None, "incomplete_details": None}
    begun |= {"output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response["output"]):
        is_call = item["type"] == "function_call"
        empty = {**item, "status": "in_progress", **_EMPTY[is_call]}
        yield {"type": "response.output_item.added", "output_index": index, "item": empty}
        where = {"item_id": item["id"], "output_index": index}
        yield from _called(item, where) if is_call else _told(item, where)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{response['status']}", "response": response}


def _called(item: Mapping[str, Any], where: Mapping[str, Any]) -> Events:
    kind = "response.function_call_arguments"
    for each in pieces(item["arguments"]):
        yield {"type": f"{kind}.delta", **where, "delta": each}
    yield {"type": f"{kind}.done", **where, "name": item["name"], "arguments": item["arguments"]}


def _told(item: Mapping[str, Any], where: Mapping[str, Any]) -> Events:
    for index, part in enumerate(item["content"]):
        at = {**where, "content_index": index}
        kind, text = f"response.{part['type']}", part["text"]
        beside: dict[str, Any] = {"logprobs": []} if part["type"] == "output_text" else {}
        yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
        for each in pieces(text):
            yield {"type": f"{kind}.delta", **at, **beside, "delta": each}
        yield {"type": f"{kind}.done", **at, **beside, "text": text}
        yield {"type": "response.content_part.done", **at, "part": part}
