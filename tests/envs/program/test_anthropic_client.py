"""What Anthropic's official client sees of messages: blocks, results of tools, thoughts, events, reasons to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from agentrl.envs.program.calls import Said
from tests.envs.program.conformance import ASK, CALLS, KEY, LONG, LOOK, Scene, Weather, scene

TOOL: Any = {"name": "look", "description": "Look there.", "input_schema": LOOK}
TALK = Said(content=LONG, reasoning="Oslo first.", prompt_tokens=30, completion_tokens=12)
CALLING = Said(content="I look.", calls=CALLS, prompt_tokens=31, completion_tokens=40)
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}


@pytest.fixture(scope="module")
def stage() -> Iterator[Scene]:
    with scene(models=[f"policy-{number}" for number in range(5)]) as made:
        yield made


@pytest.fixture(scope="module")
def client(stage: Scene) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=stage.url.removesuffix("/v1"), api_key=KEY, max_retries=0) as made:
        yield made


def test_text(stage: Scene, client: anthropic.Anthropic) -> None:
    stage.say(TALK)
    told = client.messages.create(model="policy", max_tokens=64, messages=ASK, system="Be short.")
    assert (told.type, told.role, told.model, told.stop_reason) == ("message", "assistant", "policy", "end_turn")
    assert [(each.type, each.text) for each in told.content if each.type == "text"] == [("text", LONG)]
    assert (told.usage.input_tokens, told.usage.output_tokens) == (30, 12)
    assert stage.call.messages == ({"role": "system", "content": "Be short."}, *ASK)
    assert (stage.call.dialect, stage.call.max_tokens) == ("messages", 64)


def test_thoughts_are_told_where_they_are_asked_for(stage: Scene, client: anthropic.Anthropic) -> None:
    stage.say(TALK)
    silent = client.messages.create(model="policy", max_tokens=64, messages=ASK)
    assert [each.type for each in silent.content] == ["text"]
    told = client.messages.create(model="policy", max_tokens=2048, messages=ASK, thinking=THINKING)
    assert [each.type for each in told.content] == ["thinking", "text"]
    goes_on: Any = [*ASK, {"role": "assistant", "content": told.content}, {"role": "user", "content": "And Rome?"}]
    client.messages.create(model="policy", max_tokens=2048, messages=goes_on)
    assert stage.call.messages[1] == {"role": "assistant", "content": LONG}
    with client.messages.stream(model="policy", max_tokens=2048, messages=ASK, thinking=THINKING) as stream:
        thoughts = "".join(each.thinking for each in stream if each.type == "thinking")
        assert [each.type for each in stream.get_final_message().content] == ["thinking", "text"]
    assert thoughts == "Oslo first."


def test_calls_and_their_results(stage: Scene, client: anthropic.Anthropic) -> None:
    stage.say(CALLING)
    told = client.messages.create(model="policy", max_tokens=64, messages=ASK, tools=[TOOL])
    assert told.stop_reason == "tool_use"
    calls = [each for each in told.content if each.type == "tool_use"]
    assert [(each.id, each.name, each.input["city"]) for each in calls] == [
        ("call_1_0", "look", "Oslo"),
        ("call_1_1", "look", "Łódź, in the voivodeship of the same name"),
    ]
    lost = [{"type": "text", "text": "no such city"}]
    results = [
        {"type": "tool_result", "tool_use_id": "call_1_0", "content": "snow"},
        {"type": "tool_result", "tool_use_id": "call_1_1", "content": lost, "is_error": True},
        {"type": "text", "text": "Go on."},
    ]
    goes_on: Any = [*ASK, {"role": "assistant", "content": told.content}, {"role": "user", "content": results}]
    client.messages.create(model="policy", max_tokens=64, messages=goes_on, tools=[TOOL])
    assert stage.call.messages[1:] == (
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [{"id": each.id, "name": each.name, "arguments": each.arguments} for each in CALLS],
        },
        {"role": "tool", "tool_call_id": "call_1_0", "name": "look", "content": "snow"},
        {"role": "tool", "tool_call_id": "call_1_1", "name": "look", "content": "Error: no such city"},
        {"role": "user", "content": "Go on."},
    )
    assert stage.call.tools[0]["function"] == {"name": "look", "description": "Look there.", "parameters": LOOK}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, ("auto", True)),
        ({"type": "any", "disable_parallel_tool_use": True}, ("required", False)),
        ({"type": "tool", "name": "look"}, ("=look", True)),
        ({"type": "none"}, ("none", True)),
    ],
)
def test_tool_choice(stage: Scene, client: anthropic.Anthropic, choice: Any, expected: tuple[str, bool]) -> None:
    stage.say(TALK)
    client.messages.create(model="policy", max_tokens=64, messages=ASK, tools=[TOOL], tool_choice=choice)
    assert (stage.call.tool_choice, stage.call.parallel_tool_calls) == expected


@pytest.mark.parametrize(
    ("said", "reason", "sequence"),
    [
        (Said(content="a"), "end_turn", None),
        (Said(content="a", finish="length"), "max_tokens", None),
        (Said(content="a", stopped_by="\n"), "stop_sequence", "\n"),
        (Said(content="", calls=CALLS, finish="tool_calls"), "tool_use", None),
    ],
)
def test_reasons_to_stop(
    stage: Scene, client: anthropic.Anthropic, said: Said, reason: str, sequence: str | None
) -> None:
    stage.say(said)
    ask: Any = {"model": "policy", "max_tokens": 9, "messages": ASK, "stop_sequences": ["\n"], "tools": [TOOL]}
    told = client.messages.create(**ask)
    assert (told.stop_reason, told.stop_sequence) == (reason, sequence)
    with client.messages.stream(**ask) as stream:
        told = stream.get_final_message()
    assert (told.stop_reason, told.stop_sequence) == (reason, sequence)
    assert stage.call.stop == ("\n",)


def test_events_in_order(stage: Scene, client: anthropic.Anthropic) -> None:
    stage.say(CALLING)
    events = list(client.messages.create(model="policy", max_tokens=64, messages=ASK, tools=[TOOL], stream=True))
    kinds = [each.type for each in events]
    once = [kind for number, kind in enumerate(kinds) if number == 0 or kinds[number - 1] != kind]  # runs of deltas
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert once == ["message_start", *(block * 3), "message_delta", "message_stop"]
    deltas = [each.delta for each in events if each.type == "content_block_delta"]
    pieces = [each.partial_json for each in deltas if each.type == "input_json_delta"]
    assert len(pieces) > len(CALLS)
    usage = next(each.usage for each in events if each.type == "message_delta")
    assert (usage.input_tokens, usage.output_tokens) == (31, 40)


def test_stream_helper_assembles_all(stage: Scene, client: anthropic.Anthropic) -> None:
    stage.say(Said(content=LONG, calls=CALLS))
    with client.messages.stream(model="policy", max_tokens=64, messages=ASK, tools=[TOOL]) as stream:
        texts = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(texts) > 5
    assert "".join(texts) == LONG
    assert next(each.input for each in final.content if each.type == "tool_use") == {"city": "Oslo"}


def test_parsed_into_a_model(stage: Scene, client: anthropic.Anthropic) -> None:
    stage.say(Said(content='{"city": "Oslo", "degrees": -3}'))
    told = client.messages.parse(model="policy", max_tokens=64, messages=ASK, output_format=Weather)
    assert told.parsed_output == Weather(city="Oslo", degrees=-3)
    assert stage.call.response_format is not None
    assert stage.call.response_format["json_schema"]["schema"]["required"] == ["city", "degrees"]


def test_settings_and_system_blocks(stage: Scene, client: anthropic.Anthropic) -> None:
    stage.say(TALK)
    short = {"type": "text", "text": "short.", "cache_control": {"type": "ephemeral"}}
    system: Any = [{"type": "text", "text": "Be "}, short]
    client.messages.create(
        model="policy",
        max_tokens=64,
        messages=ASK,
        system=system,
        metadata={"user_id": "somebody"},
        service_tier="auto",
        extra_body={"temperature": 0.5, "top_p": 0.9, "top_k": 40},  # which the newest models, and the client, lack
    )
    assert stage.call.messages[0] == {"role": "system", "content": "Be short."}
    assert stage.call.settings == {"temperature": 0.5, "top_p": 0.9, "top_k": 40}


def test_the_key_may_be_a_bearer_token(stage: Scene) -> None:
    stage.say(TALK)
    with anthropic.Anthropic(base_url=stage.url, auth_token=KEY) as client:  # and the base URL one that has "/v1"
        assert client.messages.create(model="policy", max_tokens=64, messages=ASK).stop_reason == "end_turn"


def test_raw_response_and_request_id(stage: Scene, client: anthropic.Anthropic) -> None:
    stage.say(TALK)
    raw = client.messages.with_raw_response.create(model="policy", max_tokens=64, messages=ASK)
    assert raw.parse()._request_id == raw.headers["request-id"]


def test_models_in_pages(client: anthropic.Anthropic) -> None:
    names = [f"policy-{number}" for number in range(5)]
    page = client.models.list(limit=2)
    assert ([each.id for each in page.data], page.has_more) == (names[:2], True)
    assert [each.id for each in client.models.list(limit=2)] == names  # page after page
    before = client.models.list(limit=2, before_id="policy-3")
    assert ([each.id for each in before.data], before.has_more) == (["policy-1", "policy-2"], True)
    assert client.models.retrieve("policy-4").display_name == "policy-4"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-none")
    with pytest.raises(anthropic.BadRequestError):
        client.models.list(limit=0)


def test_tokens_are_not_counted_ahead(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError):
        client.messages.count_tokens(model="policy", messages=ASK)


def test_asynchronous_client(stage: Scene) -> None:
    stage.say(CALLING)

    async def ask() -> list[str]:
        async with anthropic.AsyncAnthropic(base_url=stage.url, api_key=KEY) as client:
            whole = await client.messages.create(model="policy", max_tokens=64, messages=ASK)
            async with client.messages.stream(model="policy", max_tokens=64, messages=ASK) as stream:
                streamed = await stream.get_final_message()
            return [each.type for each in (*whole.content, *streamed.content)]

    assert asyncio.run(ask()) == ["text", "tool_use", "tool_use"] * 2
