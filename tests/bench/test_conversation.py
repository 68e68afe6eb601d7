"""An episode as messages, also where an environment leads several conversations."""

from __future__ import annotations

from typing import Any

from agentrl.bench.conversation import Conversation

ASKED = {
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    "tools": [{"a": 1}],
}


def texts(messages: list[dict[str, Any]]) -> list[str]:
    return [message["content"] for message in messages]


def test_a_turn_goes_on_where_its_context_says() -> None:
    talk = Conversation("Hi", {"system": "Be brief.", "context": ASKED})
    assert (texts(talk.messages), talk.tools) == (["Be brief.", "Hi"], [{"a": 1}])
    talk.say("first")
    talk.hear("", {"context": {"after": 0, "messages": [{"role": "tool", "name": "add", "content": "2"}]}})
    talk.say("second")
    talk.hear("", {"context": {"after": 0, "messages": [{"role": "user", "content": "again"}]}})
    assert texts(talk.messages) == ["Be brief.", "Hi", "first", "again"]
    talk.say("third")
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    whole = [
        {"role": "user", "content": "Once more"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": "add", "content": "2"},
    ]
    talk.hear("", {"context": {"after": None, "messages": whole}})
    assert texts(talk.messages) == [
        "Once more",
        '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>',
        "add: 2",
    ]
    assert [message["role"] for message in talk.messages] == ["user", "assistant", "user"]
    talk.say("fourth")
    talk.hear("", {"context": {"after": 1, "messages": [{"role": "user", "content": "back"}]}})
    assert texts(talk.messages) == ["Be brief.", "Hi", "first", "2", "second", "back"]
    assert len(talk.log) == 2 + 4 + 3 + 3  # what opened it, turns, replies, and the conversation given anew


def test_an_environment_without_contexts_has_one() -> None:
    talk = Conversation("Which?", {})
    talk.say("This.")
    talk.hear("No.", {"replies": [{"role": "tool", "name": "look", "content": "No."}]})
    assert talk.log == talk.messages
    assert talk.messages[-1] == {"role": "tool", "name": "look", "content": "No."}
