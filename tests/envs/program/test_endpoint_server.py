"""The endpoint as a server: hostile requests, unknown routes, several at once, its end."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from agentrl.envs.errors import UsageError
from agentrl.envs.program.asgi import MAX_BYTES
from agentrl.envs.program.calls import Said
from agentrl.envs.program.endpoint import Endpoint
from agentrl.envs.program.scripted import ScriptedAnswers
from tests.envs.program.conformance import CHAT, KEY, LONG, MESSAGES, RESPONSES, RIGHT, Scene, scene

SHOWN = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def stage() -> Iterator[Scene]:
    with scene() as made:
        made.say(Said(content=LONG))
        yield made


@pytest.fixture(scope="module")
def client(stage: Scene) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stage.url.removesuffix("/v1"), headers=SHOWN, timeout=60) as made:
        yield made


def message_of(answer: httpx.Response) -> str:
    """Return the message of an error, whose shape is that of the dialect."""
    told = answer.json()
    if answer.request.url.path.startswith("/v1/messages"):
        assert told.keys() == {"type", "error"}
        assert told["error"].keys() == {"type", "message"}
    else:
        assert told.keys() == {"error"}
        assert told["error"].keys() == {"message", "type", "param", "code"}
    return str(told["error"]["message"])


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xfe{}", "no UTF-8"),
        (b'{"model": NaN}', "NaN is no JSON"),
        (b'{"temperature": 1e999}', "too large"),
        (b'{"n": ' + b"9" * 5000 + b"}", "no JSON"),
        (b"[]", "an array"),
        (b"null", "null"),
        (b'"text"', "a string"),
        (b'{"model": "\x00"}', "no JSON"),
        (b'{"model": "\\u0000"}', "NUL"),
        (b'{"model": "\\ud83d"}', "surrogate"),
        (b'{"model": "a", "\\udc00": 1}', "surrogate"),
        (b"[" * 200_000, "no JSON"),
        (b'{"a":' * 200_000, "no JSON"),
        (b'{"x": ' + b"[" * 900 + b"]" * 900 + b', "model": "\\u0000"}', ""),  # by whichever limit comes first
        (b'{"model": 3}', "must be a string"),
    ],
)
def test_bodies_that_are_no_requests(client: httpx.Client, path: str, body: bytes, reason: str) -> None:
    answer = client.post(path, content=body)
    assert answer.status_code == 400
    assert reason in message_of(answer)


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
def test_deep_schemas_are_refused_and_deep_unknown_fields_left_out(client: httpx.Client, path: str) -> None:
    deep: Any = {}
    for _ in range(100):
        deep = {"properties": deep}
    tool = {"name": "f", "parameters": deep, "input_schema": deep}
    tools = {
        CHAT: [{"type": "function", "function": tool}],
        RESPONSES: [{"type": "function", **tool}],
        MESSAGES: [tool],
    }
    answer = client.post(path, json={**RIGHT[path], "tools": tools[path]})
    assert answer.status_code == 400
    assert "nested" in message_of(answer)
    assert client.post(path, json={**RIGHT[path], "x_unknown": deep}).status_code == 200


def test_pairs_of_surrogates_are_text(stage: Scene, client: httpx.Client) -> None:
    body = b'{"model": "policy", "messages": [{"role": "user", "content": "\\ud83d\\ude00"}]}'
    assert client.post(CHAT, content=body).status_code == 200
    assert stage.call.messages == ({"role": "user", "content": "😀"},)


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_are_bounded(client: httpx.Client, path: str, chunked: bool) -> None:
    fits = json.dumps(RIGHT[path]).encode().ljust(MAX_BYTES)
    assert client.post(path, content=_parts(fits) if chunked else fits).status_code == 200
    answer = client.post(path, content=_parts(fits + b" ") if chunked else fits + b" ")
    assert answer.status_code == 413
    assert str(MAX_BYTES) in message_of(answer)
    assert client.post(path, json=RIGHT[path]).status_code == 200


def _parts(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 1 << 20):
        yield body[start : start + (1 << 20)]


def test_a_body_without_end_is_not_read_for_ever(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * (1 << 20)

    with contextlib.suppress(httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        assert client.post(CHAT, content=endless()).status_code == 413


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_encoded_bodies_are_refused(client: httpx.Client, path: str) -> None:
    answer = client.post(path, content=b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 415
    assert "gzip" in message_of(answer)
    assert client.post(path, json=RIGHT[path], headers={"Content-Encoding": "identity"}).status_code == 200


def test_unknown_routes_and_methods(client: httpx.Client) -> None:
    for method, path in (("POST", "/v1/embeddings"), ("GET", "/"), ("POST", "/v1/messages/batches"), ("GET", "/v1")):
        answer = client.request(method, path)
        assert answer.status_code == 404
        assert path in message_of(answer)
    for method, path, allowed in (("GET", CHAT, "POST"), ("DELETE", MESSAGES, "POST"), ("POST", "/v1/models", "GET")):
        answer = client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        message_of(answer)
    of_anthropic = client.get("/v1/nothing", headers={"anthropic-version": "2023-06-01"})
    assert of_anthropic.json()["error"]["type"] == "not_found_error"


def test_the_version_may_stand_twice(client: httpx.Client) -> None:
    """Where a program gives one base URL to clients of both vendors."""
    assert client.post("/v1" + MESSAGES, json=RIGHT[MESSAGES]).json()["type"] == "message"


def test_health(client: httpx.Client) -> None:
    assert client.get("/health", headers={"Authorization": ""}).json() == {"status": "ok"}


def test_what_is_no_answer_is_an_error(stage: Scene, client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    def fail(call: Any) -> Any:
        raise LookupError("a secret of the environment")

    stage.answers.script = fail
    answer = client.post(CHAT, json=RIGHT[CHAT])
    stage.say(Said(content=LONG))
    assert answer.status_code == 500
    assert "LookupError" in message_of(answer)
    assert "secret" not in answer.text
    assert "a secret of the environment" in caplog.text


def test_several_endpoints_leave_nothing() -> None:
    before = set(threading.enumerate())
    with contextlib.ExitStack() as stack:
        stages = [stack.enter_context(scene()) for _ in range(3)]
        for number, each in enumerate(stages):
            each.say(Said(content=f"endpoint {number}"))
        for number, each in enumerate(stages):
            told = httpx.post(f"{each.url}/chat/completions", json=RIGHT[CHAT], headers=SHOWN).json()
            assert told["choices"][0]["message"]["content"] == f"endpoint {number}"
        ports = [httpx.URL(each.url).port for each in stages]
    assert set(threading.enumerate()) == before
    for port in ports:
        with socket.socket() as free:
            free.bind(("127.0.0.1", port or 0))


def test_what_waits_is_refused_at_the_end() -> None:
    answers = ScriptedAnswers(lambda call: Said(content="late"), delay_s=60)
    endpoint = Endpoint(answers).start()
    found: list[httpx.Response] = []
    asking = threading.Thread(
        target=lambda: found.append(httpx.post(f"{endpoint.url}/chat/completions", json=RIGHT[CHAT], timeout=60))
    )
    asking.start()
    stop = time.monotonic() + 10
    while not answers.calls and time.monotonic() < stop:
        time.sleep(0.01)
    began = time.monotonic()
    endpoint.close()
    assert time.monotonic() - began < 5
    asking.join(10)
    (answer,) = found
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "closing")
    assert answer.headers["x-should-retry"] == "false"
    assert answers.num_cancelled == 1
    endpoint.close()  # does nothing more
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{endpoint.url}/models")


def test_an_endpoint_is_started_once() -> None:
    answers = ScriptedAnswers(lambda call: Said(content=""))
    with pytest.raises(UsageError, match=r"call start\(\) first"):
        _ = Endpoint(answers).url
    with Endpoint(answers) as endpoint:
        assert endpoint.url.startswith("http://127.0.0.1:")
        with pytest.raises(UsageError, match="started once"):
            endpoint.start()
        port = httpx.URL(endpoint.url).port
        with pytest.raises(UsageError, match="cannot be served"):
            Endpoint(answers, port=port or 0).start()
