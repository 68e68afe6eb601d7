"""What OpenAI's official client sees of chat completions: whole, as a stream, parsed, with calls, at any number."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from agentrl.envs.program.calls import Said
from tests.envs.program.conformance import ASK, CALLS, KEY, LONG, LOOK, TOOL, Scene, Weather

TALK = Said(content=LONG, reasoning="Oslo first.", prompt_tokens=30, completion_tokens=12)
CALLING = Said(content="", calls=CALLS, prompt_tokens=31, completion_tokens=40)


def test_text(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(TALK)
    told = client.chat.completions.create(model="policy", messages=ASK)
    assert (told.object, told.model, told.system_fingerprint) == ("chat.completion", "policy", None)
    (choice,) = told.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", LONG, "stop")
    assert choice.message.model_extra == {"reasoning_content": "Oslo first."}
    assert choice.logprobs is None
    assert told.usage is not None
    assert (told.usage.prompt_tokens, told.usage.completion_tokens, told.usage.total_tokens) == (30, 12, 42)


def test_calls(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(CALLING)
    told = client.chat.completions.create(model="policy", messages=ASK, tools=[TOOL])
    (choice,) = told.choices
    assert (choice.message.content, choice.finish_reason) == (None, "tool_calls")
    assert choice.message.tool_calls is not None
    asked = [each for each in choice.message.tool_calls if each.type == "function"]
    found = [(each.id, each.function.name, each.function.arguments) for each in asked]
    assert found == [(each.id, each.name, each.arguments) for each in CALLS]


def test_what_came_back_is_read_as_it_was_said(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(CALLING)
    said: Any = client.chat.completions.create(model="policy", messages=ASK, tools=[TOOL]).choices[0].message
    results: list[Any] = [{"role": "tool", "tool_call_id": each.id, "content": f"{each.id}: snow"} for each in CALLS]
    client.chat.completions.create(model="policy", messages=[*ASK, said, *results], tools=[TOOL])  # as most loops do
    assert stage.call.messages == (
        ASK[0],
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": each.id, "name": each.name, "arguments": each.arguments} for each in CALLS],
        },
        *({**result, "name": "look"} for result in results),
    )


def test_everything_asked_for_arrives(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(TALK)
    parts: Any = [{"type": "text", "text": "How is "}, {"type": "text", "text": "Oslo?"}]
    client.chat.completions.create(
        model="the-model",
        messages=[{"role": "developer", "content": "Be short."}, {"role": "user", "name": "Ann", "content": parts}],
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "look"}},
        parallel_tool_calls=False,
        stop="\n\n",
        max_completion_tokens=50,
        response_format={"type": "json_object"},
        temperature=0.5,
        top_p=0.9,
        seed=3,
        reasoning_effort="low",
        logprobs=False,
        user="somebody",
        metadata={"run": "1"},
        store=True,
        service_tier="auto",
        extra_body={"chat_template_kwargs": {"enable_thinking": False}},
    )
    call = stage.call
    assert (call.dialect, call.model) == ("chat", "the-model")
    assert call.messages == ({"role": "system", "content": "Be short."}, {"role": "user", "content": "How is Oslo?"})
    assert call.tools == (TOOL,)
    assert (call.tool_choice, call.parallel_tool_calls, call.num_answers) == ("=look", False, 1)
    assert (call.stop, call.max_tokens, call.response_format) == (("\n\n",), 50, {"type": "json_object"})
    assert call.settings == {"temperature": 0.5, "top_p": 0.9, "seed": 3, "reasoning_effort": "low"}


def test_several_answers(stage: Scene, client: openai.OpenAI) -> None:
    stage.say([Said(content=f"answer {number}", prompt_tokens=7, completion_tokens=number) for number in range(3)])
    told = client.chat.completions.create(model="policy", messages=ASK, n=3, max_tokens=9)
    assert [(each.index, each.message.content) for each in told.choices] == [(n, f"answer {n}") for n in range(3)]
    assert told.usage is not None
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == (7, 3)
    stream = client.chat.completions.create(model="policy", messages=ASK, n=3, stream=True)
    texts = ["", "", ""]
    for chunk in stream:
        for each in chunk.choices:
            texts[each.index] += each.delta.content or ""
    assert texts == ["answer 0", "answer 1", "answer 2"]
    assert (stage.call.num_answers, stage.call.max_tokens) == (3, None)


def test_a_cut_answer_says_so(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(Said(content="Oslo is", finish="length"))
    assert client.chat.completions.create(model="policy", messages=ASK).choices[0].finish_reason == "length"
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model="policy", messages=ASK, response_format=Weather)


def test_stream_in_pieces(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(TALK)
    options: Any = {"include_usage": True}
    chunks = list(client.chat.completions.create(model="policy", messages=ASK, stream=True, stream_options=options))
    assert len({chunk.id for chunk in chunks}) == 1
    *told, last = chunks
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 42
    assert {chunk.usage for chunk in told} == {None}
    deltas = [chunk.choices[0].delta for chunk in told]
    assert (deltas[0].role, deltas[0].content) == ("assistant", "")
    texts = [each.content for each in deltas if each.content]
    assert len(texts) > 5
    assert "".join(texts) == LONG
    assert [chunk.choices[0].finish_reason for chunk in told] == [None] * (len(told) - 1) + ["stop"]


def test_stream_without_usage(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(TALK)
    chunks = list(client.chat.completions.create(model="policy", messages=ASK, stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_stream_helper_assembles_calls(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(Said(content="I look.", calls=CALLS))
    pieces: list[str] = []
    done: list[tuple[str, str]] = []
    with client.chat.completions.stream(model="policy", messages=ASK, tools=[TOOL]) as stream:
        for event in stream:
            if event.type == "tool_calls.function.arguments.delta":
                pieces.append(event.arguments_delta)
            elif event.type == "tool_calls.function.arguments.done":
                done.append((event.name, event.arguments))
        final = stream.get_final_completion()
    assert len(pieces) > len(CALLS)
    assert done == [(each.name, each.arguments) for each in CALLS]
    (choice,) = final.choices
    assert (choice.message.content, choice.finish_reason) == ("I look.", "tool_calls")
    assert [each.id for each in choice.message.tool_calls or []] == [each.id for each in CALLS]


def test_parsed_into_a_model(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(Said(content='{"city": "Oslo", "degrees": -3}'))
    told = client.chat.completions.parse(model="policy", messages=ASK, response_format=Weather)
    assert told.choices[0].message.parsed == Weather(city="Oslo", degrees=-3)
    assert stage.call.response_format is not None
    assert stage.call.response_format["json_schema"]["schema"]["required"] == ["city", "degrees"]
    with client.chat.completions.stream(model="policy", messages=ASK, response_format=Weather) as stream:
        assert stream.until_done().get_final_completion().choices[0].message.parsed == Weather(city="Oslo", degrees=-3)


def test_a_tool_that_is_parsed_by_the_client(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(CALLING)
    strict: Any = {"type": "function", "function": {"name": "look", "strict": True, "parameters": LOOK}}
    told = client.chat.completions.parse(model="policy", messages=ASK, tools=[strict])
    calls = told.choices[0].message.tool_calls or []
    assert calls[0].function.parsed_arguments == {"city": "Oslo"}


def test_raw_responses(stage: Scene, client: openai.OpenAI) -> None:
    stage.say(TALK)
    raw = client.chat.completions.with_raw_response.create(model="policy", messages=ASK)
    assert raw.headers["content-type"] == "application/json"
    assert raw.parse()._request_id == raw.headers["x-request-id"]
    with client.chat.completions.with_streaming_response.create(model="policy", messages=ASK, stream=True) as streamed:
        assert streamed.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in streamed.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"


def test_models(client: openai.OpenAI) -> None:
    page = client.models.list()
    assert [each.id for each in page] == ["policy"]
    assert not page.has_next_page()
    assert client.models.retrieve("policy").owned_by == "agentrl"
    with pytest.raises(openai.NotFoundError, match="there are policy"):
        client.models.retrieve("gpt-none")


def test_asynchronous_clients_at_once(stage: Scene) -> None:
    """Each conversation gets the answer to its own marker."""
    stage.answers.script = lambda call: Said(content=f"{LONG} {call.messages[0]['content']}", calls=CALLS)
    stage.answers.delay_s = 0.02

    async def ask(client: openai.AsyncOpenAI, marker: str) -> tuple[str, str]:
        told: Any = [{"role": "user", "content": marker}]
        whole = await client.chat.completions.create(model="policy", messages=told)
        async with client.chat.completions.stream(model="policy", messages=told) as stream:
            streamed = await stream.get_final_completion()
        return whole.choices[0].message.content or "", streamed.choices[0].message.content or ""

    async def all_of_them() -> list[tuple[str, str]]:
        async with openai.AsyncOpenAI(base_url=stage.url, api_key=KEY, max_retries=0) as client:
            return await asyncio.gather(*(ask(client, f"marker {number}") for number in range(32)))

    assert asyncio.run(all_of_them()) == [(f"{LONG} marker {n}",) * 2 for n in range(32)]
