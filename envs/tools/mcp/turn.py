"""A turn that is answered in part: what is left of it for the environment, and remarks that are no tool's."""

from __future__ import annotations

import json
from collections.abc import Sequence

from agentrl.envs.protocol import Reply
from agentrl.envs.tools import Malformed, ToolCall

__all__ = ["remark", "without"]


def remark(text: str) -> Reply:
    """Return a part of an observation that no tool says."""
    return {"role": "user", "name": "", "content": text}


def without(text: str, taken: Sequence[ToolCall | Malformed], left: Sequence[ToolCall]) -> str:
    """Return a turn without some of its calls; calls that stand in one block with those are written anew.

    >>> add, search = (ToolCall(name=name, arguments={}, raw="[add(), search()]") for name in ("add", "search"))
    >>> without("So: [add(), search()]", [add], [search])
    'So:\\n<tool_call>\\n{"name": "search", "arguments": {}}\\n</tool_call>'
    """
    raws = {call.raw for call in taken if call.raw}
    shared = [call for call in left if any(call.raw in raw or raw in call.raw for raw in raws)]
    for raw in raws:
        text = text.replace(raw, "", 1)
    anew = [json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False) for call in shared]
    return "\n".join([text.strip(), *(f"<tool_call>\n{each}\n</tool_call>" for each in anew)])
