"""What OpenAI's official client sees of responses: items, numbered events, conversations that go on by an id."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from agentrl.envs.program.calls import Said
from agentrl.envs.program.keeping import Kept
from tests.envs.program.conformance import ASK, CALLS, KEY, LONG, LOOK, Scene, Weather

TOOL: Any = {"type": "function", "name": "look", "description": "Look there.", "parameters": LOOK, "strict": True}
TALK = Said(content=LONG, reasoning="Oslo first.", prompt_tokens=30, completion_tokens=12)
CALLING = Said(content="I look.", calls=CALLS, prompt_tokens=31, completion_tokens=40)


def test_text_and_thoughts(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(TALK)
    told = client.responses.create(model="policy", input="How is Oslo?", instructions="Be short.", max_output_tokens=50)
    assert stage.call.messages == (
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "How is Oslo?"},
    )
    assert (stage.call.dialect, stage.call.max_tokens) == ("responses", 50)
    assert (told.output_text, told.status, told.error, told.incomplete_details) == (LONG, "completed", None, None)
    assert [each.type for each in told.output] == ["reasoning", "message"]
    assert (told.instructions, told.max_output_tokens, told.parallel_tool_calls) == ("Be short.", 50, True)
    assert told.usage is not None
    assert (told.usage.input_tokens, told.usage.output_tokens, told.usage.total_tokens) == (30, 12, 42)


def test_calls_come_back_as_one_turn(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(CALLING)
    told = client.responses.create(model="policy", input=ASK, tools=[TOOL])
    calls = [each for each in told.output if each.type == "function_call"]
    assert [(each.call_id, each.name, each.arguments) for each in calls] == [
        (each.id, each.name, each.arguments) for each in CALLS
    ]
    results = [{"type": "function_call_output", "call_id": each.call_id, "output": "snow"} for each in calls]
    goes_on: Any = [*ASK, *told.output, *results]  # as most loops do
    client.responses.create(model="policy", input=goes_on, tools=[TOOL])
    expected = (
        *ASK,
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [{"id": each.id, "name": each.name, "arguments": each.arguments} for each in CALLS],
        },
        *({"role": "tool", "tool_call_id": each.id, "name": "look", "content": "snow"} for each in CALLS),
    )
    assert stage.call.messages == expected
    left_to_the_server: Any = results
    client.responses.create(model="policy", input=left_to_the_server, tools=[TOOL], previous_response_id=told.id)
    assert stage.call.messages == expected


def test_a_conversation_that_the_server_keeps(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(Said(content="one"), Said(content="two"), Said(content="three"), Said(content="four"))
    first = client.responses.create(model="policy", input="1", instructions="Count.")
    second = client.responses.create(model="policy", input="2", previous_response_id=first.id)
    client.responses.create(model="policy", input="3", previous_response_id=second.id)
    told = [each["content"] for each in stage.call.messages]
    assert told == ["1", "one", "2", "two", "3"]  # instructions are for one call, as with the vendor
    client.responses.create(model="policy", input="other", previous_response_id=first.id)  # a branch
    assert [each["content"] for each in stage.call.messages] == ["1", "one", "other"]


def test_what_is_not_stored_or_is_of_another_key(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(Said(content="one"))
    forgotten = client.responses.create(model="policy", input="1", store=False)
    with pytest.raises(openai.BadRequestError, match="was not stored"):
        client.responses.create(model="policy", input="2", previous_response_id=forgotten.id)
    kept = client.responses.create(model="policy", input="1")
    stage.answers.know("another")
    other = client.with_options(api_key="another")
    with pytest.raises(openai.BadRequestError, match="there is no response"):
        other.responses.create(model="policy", input="2", previous_response_id=kept.id)
    stage.endpoint.forget(KEY)
    with pytest.raises(openai.BadRequestError, match="there is no response"):
        client.responses.create(model="policy", input="2", previous_response_id=kept.id)


def test_what_is_kept_is_bounded() -> None:
    kept = Kept(max_keys=2, max_responses=2, max_bytes=1000)

    def is_kept(key: str, name: str) -> bool:
        try:
            kept.continued(key, {"previous_response_id": name, "input": "x"})
        except Exception:
            return False
        return True

    for name in ("a", "b", "c"):
        kept.keep("key 1", {"input": name}, {"id": name, "output": []}, 10)
    assert [is_kept("key 1", name) for name in ("a", "b", "c")] == [False, True, True]
    kept.keep("key 1", {"input": "d"}, {"id": "d", "output": []}, 995)
    assert [is_kept("key 1", name) for name in ("c", "d")] == [False, True]
    for key in ("key 2", "key 3"):
        kept.keep(key, {"input": "e"}, {"id": "e", "output": []}, 10)
    assert [is_kept(key, name) for key, name in (("key 1", "d"), ("key 2", "e"), ("key 3", "e"))] == [False, True, True]


def test_events_in_order(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(Said(content=LONG, reasoning="Oslo first.", calls=CALLS[:1]))
    events = list(client.responses.create(model="policy", input="How is Oslo?", stream=True))
    assert [each.sequence_number for each in events] == list(range(len(events)))
    kinds = [each.type.removeprefix("response.") for each in events]
    once = [kind for number, kind in enumerate(kinds) if number == 0 or kinds[number - 1] != kind]  # runs of deltas
    assert once == [
        "created",
        "in_progress",
        *("output_item.added", "content_part.added", "reasoning_text.delta", "reasoning_text.done"),
        *("content_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.done"),
        *("content_part.done", "output_item.done"),
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"),
        "completed",
    ]
    deltas = [each.delta for each in events if each.type == "response.output_text.delta"]
    assert len(deltas) > 5
    assert "".join(deltas) == LONG
    assert {each.output_index for each in events if each.type == "response.function_call_arguments.delta"} == {2}
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == LONG


def test_stream_helper(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(CALLING)
    with client.responses.stream(model="policy", input=ASK, tools=[TOOL]) as stream:
        snapshots = [each.snapshot for each in stream if each.type == "response.function_call_arguments.delta"]
        final = stream.get_final_response()
    assert snapshots[-1] == CALLS[-1].arguments
    assert final.output_text == "I look."
    with client.responses.stream(model="policy", input="on", previous_response_id=final.id) as again:
        again.until_done()
    assert stage.call.messages[1]["content"] == "I look."


def test_parsed_into_a_model(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(Said(content='{"city": "Oslo", "degrees": -3}'))
    told = client.responses.parse(model="policy", input="How is Oslo?", text_format=Weather)
    assert told.output_parsed == Weather(city="Oslo", degrees=-3)
    assert stage.call.response_format is not None
    assert stage.call.response_format["json_schema"]["schema"]["required"] == ["city", "degrees"]
    with client.responses.stream(model="policy", input="How is Oslo?", text_format=Weather) as stream:
        assert stream.get_final_response().output_parsed == Weather(city="Oslo", degrees=-3)


def test_a_cut_answer_is_incomplete(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(Said(content="Oslo is", finish="length"))
    told = client.responses.create(model="policy", input="How is Oslo?")
    assert told.incomplete_details is not None
    assert (told.status, told.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    *_, last = client.responses.create(model="policy", input="How is Oslo?", stream=True)
    assert last.type == "response.incomplete"


def test_settings_and_tool_choice(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(TALK)
    client.responses.create(
        model="policy",
        input=[{"role": "user", "content": [{"type": "input_text", "text": "Oslo?"}]}],
        tools=[TOOL],
        tool_choice={"type": "function", "name": "look"},
        parallel_tool_calls=False,
        temperature=0.2,
        reasoning={"effort": "high"},
        text={"verbosity": "low"},
        include=["reasoning.encrypted_content"],
        truncation="auto",
        metadata={"run": "1"},
    )
    call = stage.call
    assert call.messages == ({"role": "user", "content": "Oslo?"},)
    assert (call.tool_choice, call.parallel_tool_calls) == ("=look", False)
    assert call.settings == {"temperature": 0.2, "reasoning_effort": "high", "verbosity": "low"}
    assert call.tools[0]["function"] == {"name": "look", "description": "Look there.", "parameters": LOOK}


def test_asynchronous_client(stage: Scene) -> None:
    stage.say(TALK)

    async def ask() -> tuple[str, str]:
        async with openai.AsyncOpenAI(base_url=stage.url, api_key=KEY) as client:
            whole = await client.responses.create(model="policy", input="How is Oslo?")
            async with client.responses.stream(model="policy", input="How is Oslo?") as stream:
                return whole.output_text, (await stream.get_final_response()).output_text

    assert asyncio.run(ask()) == (LONG, LONG)
