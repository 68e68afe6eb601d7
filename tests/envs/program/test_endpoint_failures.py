"""What goes wrong between a program and its model, as official clients see it: refusals, retries, time limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from agentrl.envs.program.calls import Refused, Said
from tests.envs.program.conformance import ASK, FAILURES, KEY, LONG, REFUSED, RIGHT, Scene, scene

TALK = Said(content=LONG)
PING_S = 0.15


@pytest.fixture(scope="module")
def stage() -> Iterator[Scene]:
    with scene(ping_s=PING_S) as made:
        yield made


@pytest.fixture(scope="module")
def theirs(stage: Scene) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=stage.url, api_key=KEY, max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def others(stage: Scene) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=stage.url, api_key=KEY, max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def plain(stage: Scene) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=stage.url.removesuffix("/v1"), headers=headers) as made:
        yield made


def chat(client: Any, **more: Any) -> Any:
    """Ask for a chat completion."""
    return client.chat.completions.create(model="policy", messages=ASK, **more)


def respond(client: Any, **more: Any) -> Any:
    """Ask for a response."""
    return client.responses.create(model="policy", input="How is Oslo?", **more)


def message(client: Any, **more: Any) -> Any:
    """Ask for a message."""
    return client.messages.create(model="policy", max_tokens=64, messages=ASK, **more)


@pytest.mark.parametrize(("status", "code", "of_openai", "of_anthropic", "kind", "again"), FAILURES)
def test_refusals(
    stage: Scene,
    theirs: openai.OpenAI,
    others: anthropic.Anthropic,
    status: int,
    code: str,
    of_openai: str,
    of_anthropic: str,
    kind: str,
    again: bool,
) -> None:
    refusal = Refused("it is not answered", status=status, code=code, param="messages", retry_after_s=0.01)
    for ask in (chat, respond):
        for stream in (False, True):  # a refusal that comes at once has its status even where a stream is asked for
            stage.say(refusal)
            with pytest.raises(openai.APIStatusError) as told:
                ask(theirs, stream=stream)
            assert type(told.value).__name__ == of_openai
            assert (told.value.status_code, told.value.code, told.value.param) == (status, code, "messages")
            assert told.value.request_id
    stage.say(refusal)
    with pytest.raises(anthropic.APIStatusError) as other:
        message(others)
    assert type(other.value).__name__ == of_anthropic
    assert other.value.body == {"type": "error", "error": {"type": kind, "message": "it is not answered"}}
    assert other.value.request_id

    num_asked = 2 if again else 1  # the clients ask again where that can help
    for ask, client in ((chat, theirs), (message, others)):
        stage.say(refusal)
        with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)):
            ask(client.with_options(max_retries=1))
        assert len(stage.answers.calls) == num_asked


@pytest.mark.parametrize("status", [429, 500, 503])
def test_retried_until_it_succeeds(
    stage: Scene, theirs: openai.OpenAI, others: anthropic.Anthropic, status: int
) -> None:
    refusal = Refused("wait a little", status=status, code="busy", retry_after_s=0.3)
    for ask, client in ((chat, theirs), (respond, theirs), (message, others)):
        stage.say(refusal, TALK)
        began = time.monotonic()
        ask(client.with_options(max_retries=2))
        assert len(stage.answers.calls) == 2
        assert 0.3 <= time.monotonic() - began < 5  # as Retry-After says, not the clients' own 0.5 s


def test_wrong_key_and_no_key(
    stage: Scene, theirs: openai.OpenAI, others: anthropic.Anthropic, plain: httpx.Client
) -> None:
    stage.say(TALK)
    wrong = theirs.with_options(api_key="sk-wrong")
    for ask in (lambda: chat(wrong), lambda: respond(wrong, stream=True), wrong.models.list):
        with pytest.raises(openai.AuthenticationError) as wrongly:
            ask()
        assert wrongly.value.code == "invalid_api_key"
    with pytest.raises(anthropic.AuthenticationError):
        message(others.with_options(api_key="sk-wrong"))
    for shown in ("", "Basic abc", "Bearer", f"Bearer {KEY}x"):
        told = plain.post("/v1/chat/completions", json=RIGHT["/v1/chat/completions"], headers={"Authorization": shown})
        assert told.status_code == 401
    assert stage.answers.calls == []


@pytest.mark.parametrize("ask", [chat, respond, message])
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_gives_up_cancels_its_call(
    stage: Scene, theirs: openai.OpenAI, others: anthropic.Anthropic, ask: Callable[..., Any], stream: bool
) -> None:
    stage.say(TALK, delay_s=30)
    client: Any = others if ask is message else theirs
    began = time.monotonic()
    with pytest.raises((openai.APITimeoutError, anthropic.APITimeoutError)):
        ask(client.with_options(timeout=PING_S / 2), stream=stream)
    assert time.monotonic() - began < 5
    stop = time.monotonic() + 5
    while not stage.answers.num_cancelled and time.monotonic() < stop:
        time.sleep(0.01)
    assert stage.answers.num_cancelled == 1


def test_a_cancelled_task_cancels_its_call(stage: Scene) -> None:
    """Within a stream too, whose headers are out."""
    stage.say(TALK, delay_s=30)

    async def ask() -> None:
        async with openai.AsyncOpenAI(base_url=stage.url, api_key=KEY) as client, asyncio.timeout(3 * PING_S):
            async for _ in await client.chat.completions.create(model="policy", messages=ASK, stream=True):
                pass

    with pytest.raises(TimeoutError):
        asyncio.run(ask())
    stop = time.monotonic() + 5
    while not stage.answers.num_cancelled and time.monotonic() < stop:
        time.sleep(0.01)
    assert stage.answers.num_cancelled == 1


def test_a_stream_that_waits_is_kept(stage: Scene, theirs: openai.OpenAI, others: anthropic.Anthropic) -> None:
    """The clients' time limit for reading is shorter than the answer takes."""
    stage.say(TALK, delay_s=5 * PING_S)
    impatient, impatient_too = theirs.with_options(timeout=3 * PING_S), others.with_options(timeout=3 * PING_S)
    assert "".join(each.choices[0].delta.content or "" for each in chat(impatient, stream=True)) == LONG
    with impatient.chat.completions.stream(model="policy", messages=ASK) as chatting:
        assert chatting.get_final_completion().choices[0].message.content == LONG
    with impatient.responses.stream(model="policy", input="How is Oslo?") as responding:
        assert responding.get_final_response().output_text == LONG
    with impatient_too.messages.stream(model="policy", max_tokens=64, messages=ASK) as messaging:
        assert messaging.get_final_text() == LONG


def test_a_refusal_within_a_stream(stage: Scene, theirs: openai.OpenAI, others: anthropic.Anthropic) -> None:
    """It comes when the headers are out: each client raises what it has for that."""
    stage.say(Refused("the episode is over", status=409, code="episode_over"), delay_s=2 * PING_S)
    for ask in (chat, respond):
        with pytest.raises(openai.APIError, match="the episode is over") as told:
            list(ask(theirs, stream=True))
        assert told.value.code == "episode_over"
    with pytest.raises(anthropic.APIStatusError, match="the episode is over"):
        list(message(others, stream=True))


@pytest.mark.parametrize(("path", "change", "param", "code"), REFUSED)
def test_requests_that_are_refused(
    stage: Scene, plain: httpx.Client, path: str, change: dict[str, Any], param: str, code: str
) -> None:
    stage.say(TALK)
    answer = plain.post(path, json={**RIGHT[path], **change})
    assert answer.status_code == 400
    if path == "/v1/messages":
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert f"'{param}'" in answer.json()["error"]["message"]
    else:
        error = answer.json()["error"]
        assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert stage.answers.calls == []
    assert plain.post(path, json=RIGHT[path]).status_code == 200
