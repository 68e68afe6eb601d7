"""The client of chat completions: a real client, and a scripted server that gets wrong all that a server can."""

from __future__ import annotations

import asyncio
import json
import pickle
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from agentrl.envs import completions
from agentrl.envs.completion_answer import Completion
from agentrl.envs.completions import CompletionError, Completions, CompletionSettings, Usage
from agentrl.envs.errors import InfrastructureError, UsageError
from tests.completions_server import Server, drop, hang, send, serving

HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "_FIRST_PAUSE_S", 0.01)


def ask(
    server: Server | str, num: int = 1, *, key: str | None = "", check: Any = None, **changes: Any
) -> tuple[list[Any], Usage]:
    """Ask a number of times at once; return what came of each, and the usage."""
    url = server if isinstance(server, str) else server.url

    async def every() -> tuple[list[Any], Usage]:
        client = Completions(CompletionSettings(base_url=url, model="m", **changes), boundary="judge", key=key)
        try:
            found = await asyncio.gather(*(client.ask(HELLO, check=check) for _ in range(num)), return_exceptions=True)
            return list(found), client.usage()
        finally:
            await client.close()
            await client.close()

    return asyncio.run(every())


def after(fault: Callable[[BaseHTTPRequestHandler], Any], num: int = 1) -> Any:
    """Meet the first requests with a fault, and answer those that follow."""
    left = [num]

    def answer(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> str | None:
        left[0] -= 1
        if left[0] >= 0:
            fault(handler)
            return None
        return "Fine."

    return answer


def test_what_is_asked_and_what_it_costs() -> None:
    with serving("Fine.") as server:
        (said, *_), usage = ask(server, 3, key="secret", price_in=2.0, price_out=10.0)
        assert said.content == "Fine."
        assert (said.finish, said.prompt_tokens, said.completion_tokens) == ("stop", 100, 10)
        assert server.requests[0] == {"model": "m", "path": "/v1/chat/completions", **HELLO}
        assert server.headers[0]["Authorization"] == "Bearer secret"
    assert usage == Usage(num_requests=3, prompt_tokens=300, completion_tokens=30, cost=0.0009)


def test_the_key_is_read_at_first_use_and_told_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda handler, body: send(handler, 401, b"bad key: sk-secret")) as server:
        monkeypatch.setenv("MY_KEY", "sk-secret\n")
        ((error,), _) = ask(server, key=None, key_env="MY_KEY")
        assert server.headers[0]["Authorization"] == "Bearer sk-secret"
        assert "status 401 (the key is refused; look at model, base_url and $MY_KEY)" in str(error)
        assert "sk-secret" not in str(error) + error.text
        monkeypatch.setenv("MY_KEY", "ключ")
        ((error,), _) = ask(server, key=None, key_env="MY_KEY")
        assert isinstance(error, UsageError)
        assert "$MY_KEY has characters that no key has" in str(error)
        monkeypatch.delenv("MY_KEY")
        ask(server, key=None, key_env="MY_KEY")
        assert "Authorization" not in server.headers[-1]


FAULTS: dict[str, Callable[[BaseHTTPRequestHandler], Any]] = {
    "408": lambda handler: send(handler, 408, b""),
    "409": lambda handler: send(handler, 409, b""),
    "425": lambda handler: send(handler, 425, b""),
    "429": lambda handler: send(handler, 429, b"slow down", Retry_After="0.05"),
    "500": lambda handler: send(handler, 500, b"oops"),
    "503 until a date": lambda handler: send(handler, 503, b"", Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"),
    "503 until nonsense": lambda handler: send(handler, 503, b"", Retry_After="soon"),
    "half of a JSON": lambda handler: send(handler, 200, b'{"choices": [{"mess'),
    "too deep": lambda handler: send(handler, 200, b"[" * 100_000),
    "no choices": lambda handler: send(handler, 200, b'{"choices": []}'),
    "an error as an answer": lambda handler: send(handler, 200, b'{"error": {"message": "overloaded"}}'),
    "no text": lambda handler: send(handler, 200, b'{"choices": [{"message": {"content": {"a": 1}}}]}'),
    "not packed as it says": lambda handler: send(handler, 200, b"plain", Content_Encoding="gzip"),
    "hangs": lambda handler: hang(handler, 1.0),
    "drops": drop,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_what_a_server_gets_wrong_is_tried_again(fault: Callable[[BaseHTTPRequestHandler], Any]) -> None:
    with serving(after(fault)) as server:
        (said,), usage = ask(server, request_s=0.5)
        assert isinstance(said, Completion), said
        assert (said.content, usage.num_requests, usage.num_retries) == ("Fine.", 2, 1)


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [("429", "busy", 429), ("500", "server", 500), ("half of a JSON", "protocol", 200), ("drops", "unreachable", 0)],
)
def test_what_stays_wrong_is_an_infrastructure_failure(fault: str, kind: str, status: int) -> None:
    with serving(after(FAULTS[fault], 99)) as server:
        (error,), usage = ask(server, max_tries=3)
        assert isinstance(error, CompletionError)
        assert (error.kind, error.boundary, error.status) == (kind, "judge", status)
        assert str(error).startswith(f"the model 'm' at {server.url}: ")
        assert str(error).endswith(", 3 times")
        assert (usage.num_requests, usage.num_retries) == (3, 2)
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.kind, again.status, again.text) == (str(error), kind, status, error.text)


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (400, b"maximum context length is 64 tokens", "too_long"),
        (400, b"response_format is not supported", "rejected"),
        (403, b"no", "rejected"),
        (404, b"no such model", "rejected"),
        (307, b"elsewhere", "rejected"),
    ],
)
def test_what_waiting_cannot_mend_is_told_at_once(status: int, text: bytes, kind: str) -> None:
    with serving(lambda handler, body: send(handler, status, text)) as server:
        (error,), _ = ask(server)
        assert isinstance(error, CompletionError)
        assert (error.kind, error.status, error.text, len(server.requests)) == (kind, status, text.decode(), 1)


def test_nobody_there_is_unreachable() -> None:
    (error,), usage = ask("http://127.0.0.1:9/v1", max_tries=2)
    assert (error.kind, usage.num_requests) == ("unreachable", 2)


def test_a_server_that_drips_or_hangs_meets_the_deadline() -> None:
    def drips(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(20):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.1)

    for answer in (drips, lambda handler, body: hang(handler, 2.0)):
        with serving(answer) as server:
            began = time.monotonic()
            (error,), _ = ask(server, deadline_s=0.6, max_tries=2)
            assert 0.2 < time.monotonic() - began < 1.5
            assert (error.kind, error.boundary) == ("timeout", "judge")
            assert len(server.requests) == 2  # half of the time for the first, so that there is a second


def test_an_answer_has_a_size() -> None:
    def endless(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"100000\r\n" + b" " * 2**20 + b"\r\n")

    with serving(endless) as server:
        (error,), _ = ask(server, max_tries=1)
        assert "more than 32 MiB" in str(error)


def test_the_pause_is_what_the_server_asks_for_and_holds_for_all() -> None:
    with serving(after(lambda handler: send(handler, 429, b"", Retry_After="0.7"))) as server:
        said, usage = ask(server, 4, concurrency=2)
        assert all(isinstance(each, Completion) for each in said)
        assert usage.num_refused == 1
        # The one that went out beside the first was on its way; all others kept the pause.
        assert [each - server.times[0] < 0.6 for each in server.times].count(True) <= 3
        assert server.times[-1] - server.times[0] >= 0.7
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    with serving(after(lambda handler: send(handler, 503, b"", Retry_After=soon))) as server:
        began = time.monotonic()
        ((error,), _) = ask(server, deadline_s=1.0)
        assert error.kind == "server"  # the deadline comes before the date: nothing to wait for
        assert time.monotonic() - began < 0.9


def test_requests_keep_to_the_pace_and_to_the_number_at_once() -> None:
    def slow(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> str:
        time.sleep(0.05)
        return "Fine."

    with serving(slow) as server:
        began = time.monotonic()
        ask(server, 6, requests_per_minute=600)
        assert len(server.times) == 6
        assert server.times[-1] - began >= 0.5
    with serving(slow) as server:
        ask(server, 12, concurrency=3)
        assert server.most_at_once == 3


def test_a_message_that_its_reader_refuses_is_asked_for_again() -> None:
    def short(message: Any) -> None:
        if len(message["content"]) > 5:
            raise ValueError("too many words")

    said = iter(["much too long", "brief"])
    with serving(lambda handler, body: next(said)) as server:
        (found,), _ = ask(server, check=short)
        assert (found.content, len(server.requests)) == ("brief", 2)
    with serving("much too long") as server:
        (error,), _ = ask(server, check=short, max_tries=2)
        assert error.kind == "protocol"
        assert "too many words" in str(error)


def test_odd_answers_are_taken_for_what_they_hold() -> None:
    odd = {
        "choices": [{"message": {"content": [{"type": "text", "text": "in "}, {"text": "parts"}], "refusal": 7}}],
        "usage": {"prompt_tokens": 10**30, "completion_tokens": True},
    }
    with serving(lambda handler, body: send(handler, 200, json.dumps(odd).encode())) as server:
        (found,), _ = ask(server)
    assert (found.content, found.refusal, found.prompt_tokens, found.completion_tokens) == ("in parts", "", 0, 0)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"base_url": "localhost:8000"}, "base_url='localhost:8000' is no address; write one such as"),
        ({"model": " "}, "model=' ' names no model"),
        ({"max_tries": 0}, "max_tries=0 is too small; write 1 or more"),
        ({"max_tries": 2.5}, "max_tries=2.5 must be a whole number"),
        ({"deadline_s": 0}, "deadline_s=0 is too small; write more than 0"),
        ({"concurrency": True}, "concurrency=True must be a whole number"),
        ({"price_in": -1}, "price_in=-1 is too small"),
        ({"requests_per_minute": "fast"}, "requests_per_minute='fast' must be a number"),
        ({"key_env": None}, "key_env=None must be the name of an environment variable"),
    ],
)
def test_settings_that_cannot_work_are_told(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        CompletionSettings(**{"base_url": "http://127.0.0.1/v1", "model": "m", **changes})
    assert told in str(caught.value)


def test_an_address_that_no_client_reads_is_told() -> None:
    (error,), _ = ask("http://127.0.0.1:port/v1")
    assert isinstance(error, UsageError)
    assert not isinstance(error, InfrastructureError)
