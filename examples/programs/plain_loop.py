"""A plain loop over the `openai` client: ask, run the tools, ask again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import shop
from openai import OpenAI


def _tool(name: str, about: str, argument: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    return {"type": "function", "function": {"name": name, "description": about, "parameters": schema}}


FUNCTIONS: dict[str, Callable[..., str]] = {"find": shop.find, "stock": shop.stock}
TOOLS = [_tool("find", "Find a thing in the catalogue.", "name"), _tool("stock", "Tell the stock.", "article")]


def run(task: dict[str, Any], base_url: str, api_key: str) -> Any:
    """Answer a question about the shop."""
    client: Any = OpenAI(base_url=base_url, api_key=api_key)
    messages = [{"role": "system", "content": "Use the tools, then answer with the number alone."}]
    messages.append({"role": "user", "content": task["question"]})
    while True:
        message = client.chat.completions.create(model="gpt-4.1", messages=messages, tools=TOOLS).choices[0].message
        messages.append(message)
        if not message.tool_calls:
            return message.content
        for call in message.tool_calls:
            result = FUNCTIONS[call.function.name](**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
