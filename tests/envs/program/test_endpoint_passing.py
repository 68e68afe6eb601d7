"""Calls to models that are not the policy: what the real endpoint gets and says, and what happens where it fails."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anthropic
import httpx
import openai
import pytest

from agentrl.envs.program.calls import Said
from tests.envs.program.conformance import ASK, CALLS, CHAT, KEY, LONG, MESSAGES, RIGHT, Scene, scene

Handler = BaseHTTPRequestHandler


class Upstream:
    """A real endpoint that notes what it gets, and answers as a test says."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.do: Callable[[Handler], None] = lambda handler: None
        outer = self

        class Handling(Handler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.got.append((self.path, headers, body))
                outer.do(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handling)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture(scope="module")
def stage(upstream: Upstream) -> Iterator[Scene]:
    dead = "http://127.0.0.1:9/v1"
    with scene() as far:
        far.say(Said(content=LONG, calls=CALLS))
        real = {"far": (far.url, KEY), "raw": (upstream.url + "/v1", "sk-real"), "dead": (dead, "sk-real")}
        with scene(real=real) as made:
            made.say(Said(content="the policy"))
            yield made


@pytest.fixture(scope="module")
def client(stage: Scene) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=stage.url.removesuffix("/v1"), headers=headers, timeout=30) as made:
        yield made


def send(handler: Handler, status: int, body: bytes, **headers: str) -> None:
    """Answer with a whole response."""
    handler.send_response(status)
    for name, value in {"content-length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def test_official_clients_reach_the_real_model(stage: Scene) -> None:
    with openai.OpenAI(base_url=stage.url, api_key=KEY) as theirs:
        told = theirs.chat.completions.create(model="far", messages=ASK)
        assert (told.choices[0].message.content, told.model) == (LONG, "far")
        with theirs.responses.stream(model="far", input="How is Oslo?") as stream:
            assert stream.get_final_response().output_text == LONG
        assert theirs.chat.completions.create(model="policy", messages=ASK).choices[0].message.content == "the policy"
    with (
        anthropic.Anthropic(base_url=stage.url, api_key=KEY) as others,
        others.messages.stream(model="far", max_tokens=64, messages=ASK) as messages,
    ):
        assert messages.get_final_text() == LONG
    assert {call.model for _, call in stage.answers.calls} == {"policy"}


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_only_the_key_changes(upstream: Upstream, client: httpx.Client, path: str) -> None:
    upstream.got.clear()
    upstream.do = lambda handler: send(handler, 200, b'{"any": "thing"}', x_ratelimit_remaining="7")
    told = {**RIGHT[path], "model": "raw", "logprobs": True, "the policy": "could not do this"}
    body = json.dumps(told).encode() + b"\n"  # its spaces too are as they were
    answer = client.post(path, content=body, headers={"anthropic-beta": "x", "x-api-key": KEY, "Connection": "close"})
    assert (answer.status_code, answer.content) == (200, b'{"any": "thing"}')
    assert answer.headers["x-ratelimit-remaining"] == "7"
    ((where, headers, got),) = upstream.got
    assert (where, got) == (path, body)
    assert headers["anthropic-beta"] == "x"
    assert KEY not in json.dumps(headers)
    assert (headers.get("authorization"), headers.get("x-api-key")) == (
        ("Bearer sk-real", None) if path == CHAT else (None, "sk-real")
    )


def test_errors_and_encodings_as_they_come(upstream: Upstream, client: httpx.Client) -> None:
    upstream.do = lambda handler: send(handler, 429, b'{"error": {"message": "slow"}}', retry_after="9")
    answer = client.post(CHAT, json={**RIGHT[CHAT], "model": "raw"})
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["error"]["message"]) == (429, "9", "slow")
    packed = gzip.compress(b'{"packed": true}')
    upstream.do = lambda handler: send(handler, 200, packed, content_encoding="gzip")
    answer = client.post(CHAT, json={**RIGHT[CHAT], "model": "raw"})
    assert answer.json() == {"packed": True}
    assert int(answer.headers["content-length"]) == len(packed)


def test_a_stream_is_not_held_back(upstream: Upstream, client: httpx.Client) -> None:
    first_was_read = threading.Event()

    def do(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"9\r\ndata: 1\n\n\r\n")
        handler.wfile.flush()
        assert first_was_read.wait(10)
        handler.wfile.write(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    upstream.do = do
    with client.stream("POST", CHAT, json={**RIGHT[CHAT], "model": "raw", "stream": True}) as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"data: 1\n\n"
        first_was_read.set()
        assert b"".join(parts) == b"data: 2\n\n"


def test_one_that_breaks_off_breaks_off_here_too(upstream: Upstream, client: httpx.Client) -> None:
    def do(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.close_connection = True

    upstream.do = do
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(CHAT, json={**RIGHT[CHAT], "model": "raw"})


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_one_that_is_dead(client: httpx.Client, path: str) -> None:
    answer = client.post(path, json={**RIGHT[path], "model": "dead"})
    assert answer.status_code == 502
    error = answer.json()["error"]
    assert "real endpoint failed" in error["message"]
    assert error["type"] == ("server_error" if path == CHAT else "api_error")
    assert "sk-real" not in answer.text


def test_a_client_that_leaves_ends_the_real_call() -> None:
    with scene() as far:
        far.say(Said(content="late"), delay_s=60)
        with scene(real={"far": (far.url, KEY)}) as near:
            ask = {**RIGHT[MESSAGES], "model": "far"}
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{near.url}/messages", json=ask, headers={"x-api-key": KEY}, timeout=0.5)
            stop = time.monotonic() + 5
            while not far.answers.num_cancelled and time.monotonic() < stop:
                time.sleep(0.01)
            assert far.answers.num_cancelled == 1


def test_a_wrong_key_reaches_no_real_model(upstream: Upstream, client: httpx.Client) -> None:
    upstream.got.clear()
    answer = client.post(CHAT, json={**RIGHT[CHAT], "model": "raw"}, headers={"Authorization": "Bearer guess"})
    assert answer.status_code == 401
    assert upstream.got == []
