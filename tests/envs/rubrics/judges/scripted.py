"""Scripted judges behind a real server: functions of what is in the prompt, which they read as a model would."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from agentrl.envs.rubrics.transcript import Transcript
from tests.completions_server import Answer

MARKED = re.compile(r"^=== data (\w{32}) begins ===\n(.*)\n=== data \1 ends ===$", re.DOTALL | re.MULTILINE)


def data_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return the document that a prompt holds."""
    found = MARKED.findall(body["messages"][1]["content"])
    assert len(found) == 1
    read: dict[str, Any] = json.loads(found[0][1])
    return read


def quality(text: str) -> int:
    """Return how good a work is, which these works say by a number in front: "7 …"."""
    return int(re.match(r"\d+", text)[0])  # type: ignore[index]


def honest(body: dict[str, Any]) -> str:
    """Judge by the quality alone, in whatever form is asked for."""
    return verdict(body, quality)


def verdict(body: dict[str, Any], worth: Callable[[str], float]) -> str:
    """Judge by what a work is worth, in the form that is asked for, without a slip."""
    data = data_of(body)
    schema = body["response_format"]["json_schema"]["schema"]
    reason = {"reason": "So it is."} if "reason" in schema["properties"] else {}
    if "first" in data:
        gap = worth(data["first"]) - worth(data["second"])
        return json.dumps({**reason, "better": "first" if gap > 0 else "second" if gap < 0 else "tie"})
    if "works" in data:
        worths = {label: worth(work) for label, work in data["works"].items()}
        places = {label: 1 + sum(other > value for other in worths.values()) for label, value in worths.items()}
        return json.dumps({**reason, "places": places})
    if "score" in schema["properties"]:
        return json.dumps({**reason, "score": min(10, max(1, round(worth(data["answer"]))))})
    items = {
        name: {"reason": "", "met": worth(data["answer"]) > index} for index, name in enumerate(schema["properties"])
    }
    return json.dumps(items)


def says(judged: Callable[[dict[str, Any]], str]) -> Answer:
    """Make a server of a judge."""

    def answer(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> str:
        return judged(body)

    return answer


def episode(answer: str, question: str = "Do it well.", **further: Any) -> Transcript:
    """Return an episode of one turn with an answer in its tags."""
    messages = ({"role": "user", "content": question}, {"role": "assistant", "content": f"<answer>{answer}</answer>"})
    return Transcript(messages=messages, **further)
