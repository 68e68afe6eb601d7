"""Each dialect, whatever it is given: a call or a refusal with status 400; what is said comes back as it was said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.envs.program.calls import Asked, Call, Refused, Said
from agentrl.envs.program.dialects import chat, messages, responses
from agentrl.envs.program.dialects.reading import decoded
from tests.envs.program.conformance import ASK, CHAT, LOOK, MESSAGES, RESPONSES, RIGHT, TOOL

SPEECHES: dict[str, Any] = {CHAT: chat, RESPONSES: responses, MESSAGES: messages}
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=90)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
KINDS = """function text tool auto any json_schema tool_use tool_result image input_text enabled function_call
    function_call_output message reasoning thinking web_search custom""".split()
FIELDS = """model messages role content type text tools function name parameters input_schema tool_choice tool_calls id
    arguments tool_call_id tool_use_id call_id output input system instructions stop stop_sequences n max_tokens stream
    stream_options include_usage response_format json_schema schema format output_config temperature top_p seed logprobs
    thinking is_error reasoning effort metadata disable_parallel_tool_use previous_response_id store""".split()
LIKELY = st.recursive(
    JUNK | st.sampled_from([*KINDS, "user", "assistant", "system", "look", "policy", True, 1, [], {}]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=20,
)
SAIDS = st.builds(
    Said,
    content=TEXTS,
    reasoning=TEXTS,
    calls=st.lists(st.dictionaries(TEXTS, JUNK, max_size=3), max_size=3).map(
        lambda given: tuple(
            Asked(id=f"call_{number}", name="look", arguments=json.dumps(each)) for number, each in enumerate(given)
        )
    ),
    finish=st.sampled_from(["stop", "length"]),
)


def outcome(read: Callable[[], Any]) -> Any:
    """Return what is read, or why it is refused."""
    try:
        return read()
    except Refused as error:
        return error


@pytest.mark.parametrize("path", SPEECHES)
@settings(max_examples=100, deadline=None)
@given(change=st.dictionaries(st.sampled_from(FIELDS), LIKELY, max_size=5))
def test_any_json_is_a_call_or_a_refusal(path: str, change: dict[str, Any]) -> None:
    speech = SPEECHES[path]
    told = decoded(json.dumps({**RIGHT[path], **change}).encode())
    call = outcome(lambda: speech.read(told))
    if isinstance(call, Refused):
        assert (call.status, bool(str(call))) == (400, True)
        json.dumps(speech.refused(call))
        return
    assert isinstance(call, Call)
    assert call.messages
    for message in call.messages:
        assert message["role"] in ("system", "user", "assistant", "tool")
        assert isinstance(message["content"], str)
        assert all(isinstance(text, str) for each in message.get("tool_calls", ()) for text in each.values())
    whole = speech.whole(told, call, [Said(content="yes")] * call.num_answers)
    json.dumps(whole)
    speech.streamed(told, whole)


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=60) | JUNK.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_an_object_or_a_refusal(body: bytes) -> None:
    found = outcome(lambda: decoded(body))
    assert type(found) is dict or (isinstance(found, Refused) and found.status == 400)


def sent_back(path: str, response: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request in which a program goes on after a response, as the vendor's examples do."""
    if path == CHAT:
        return {**RIGHT[path], "messages": [*ASK, response["choices"][0]["message"]]}
    if path == RESPONSES:
        return {**RIGHT[path], "input": [*ASK, *response["output"]]}
    return {**RIGHT[path], "messages": [*ASK, {"role": "assistant", "content": response["content"]}]}


@pytest.mark.parametrize("path", SPEECHES)
@settings(max_examples=80, deadline=None)
@given(said=SAIDS)
def test_what_was_said_comes_back_as_it_was_said(path: str, said: Said) -> None:
    speech = SPEECHES[path]
    call = speech.read(RIGHT[path])
    response = speech.whole(RIGHT[path], call, [said])
    (back,) = speech.read(json.loads(json.dumps(sent_back(path, response)))).messages[1:]
    assert (back["role"], back["content"]) == ("assistant", said.content)
    found = [(each["id"], each["name"], json.loads(each["arguments"])) for each in back.get("tool_calls", ())]
    assert found == [(each.id, each.name, json.loads(each.arguments)) for each in said.calls]
    if path != MESSAGES:  # which parses arguments, so that their spaces are lost
        assert [each["arguments"] for each in back.get("tool_calls", ())] == [each.arguments for each in said.calls]


def events_of(stream: bytes) -> Iterator[dict[str, Any]]:
    """Yield what the events of a stream tell."""
    for block in stream.decode().removesuffix("\n\n").split("\n\n"):
        data = block.split("\n")[-1].removeprefix("data: ")
        if data != "[DONE]":
            yield json.loads(data)


def of_chat(stream: bytes) -> tuple[str, str, list[str]]:
    deltas = [each["choices"][0]["delta"] for each in events_of(stream) if each["choices"]]
    calls: dict[int, str] = {}
    for delta in deltas:
        for each in delta.get("tool_calls", ()):
            calls[each["index"]] = calls.get(each["index"], "") + each["function"]["arguments"]
    texts = ["".join(delta.get(name) or "" for delta in deltas) for name in ("content", "reasoning_content")]
    return texts[0], texts[1], list(calls.values())


def of_responses(stream: bytes) -> tuple[str, str, list[str]]:
    found: dict[str, dict[int, str]] = {"output_text": {}, "reasoning_text": {}, "function_call_arguments": {}}
    for each in events_of(stream):
        _, _, kind = each["type"].partition(".")
        if kind.endswith(".delta"):
            of_kind = found[kind.removesuffix(".delta")]
            of_kind[each["output_index"]] = of_kind.get(each["output_index"], "") + each["delta"]
    calls = list(found["function_call_arguments"].values())
    return "".join(found["output_text"].values()), "".join(found["reasoning_text"].values()), calls


def of_messages(stream: bytes) -> tuple[str, str, list[str]]:
    blocks: dict[int, str] = {}
    kinds: dict[int, str] = {}
    for each in events_of(stream):
        if each["type"] == "content_block_start":
            kinds[each["index"]], blocks[each["index"]] = each["content_block"]["type"], ""
        elif each["type"] == "content_block_delta":
            delta = each["delta"]
            blocks[each["index"]] += delta.get("text") or delta.get("thinking") or delta.get("partial_json") or ""
    which = ("text", "thinking", "tool_use")
    of_kind = [[blocks[index] for index, kind in kinds.items() if kind == each] for each in which]
    return "".join(of_kind[0]), "".join(of_kind[1]), of_kind[2]


@pytest.mark.parametrize(("path", "read"), [(CHAT, of_chat), (RESPONSES, of_responses), (MESSAGES, of_messages)])
@settings(max_examples=60, deadline=None)
@given(said=SAIDS)
def test_a_stream_brings_the_same(path: str, read: Callable[[bytes], tuple[str, str, list[str]]], said: Said) -> None:
    told = {**RIGHT[path], "thinking": {"type": "enabled"}}
    response = SPEECHES[path].whole(told, SPEECHES[path].read(told), [said])
    content, reasoning, calls = read(SPEECHES[path].streamed(told, response))
    assert (content, reasoning) == (said.content, said.reasoning)
    assert [json.loads(each or "{}") for each in calls] == [json.loads(each.arguments) for each in said.calls]


def test_tools_are_in_one_form() -> None:
    function = TOOL["function"]
    forms = {
        CHAT: TOOL,
        RESPONSES: {"type": "function", **function, "strict": True},
        MESSAGES: {"name": "look", "description": "Look there.", "input_schema": LOOK, "cache_control": {"type": "x"}},
    }
    for path, form in forms.items():
        assert SPEECHES[path].read({**RIGHT[path], "tools": [form]}).tools == (TOOL,)
