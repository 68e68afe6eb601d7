"""A model behind an endpoint: a real client and a scripted server that gets wrong all that a server can."""

from __future__ import annotations

import gzip
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import agentrl.envs  # noqa: F401  # registers
from agentrl.bench.agents import open_agent
from agentrl.bench.endpoint import EndpointSettings
from agentrl.bench.errors import AgentError, BenchError, UsageError
from agentrl.bench.run import Settings, run
from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode
from agentrl.envs import completions

TOOLS = "AgentRL/ToolUse-v0"
Fault = Callable[[BaseHTTPRequestHandler, dict[str, Any]], bool]  # True: it has answered


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> bool:
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)
    return True


def _model(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> dict[str, Any]:
    """Call the first tools wrongly and rightly by turns, then give up: all by the messages alone."""
    turn = sum(message["role"] == "assistant" for message in messages)
    if turn >= 3 or not tools:
        return {"role": "assistant", "content": f"<answer>{len(messages)}</answer>"}
    names = [tool["function"]["name"] for tool in tools]
    calls = [
        [(names[0], "{}"), (names[-1], '{"x": 1}')],
        [("no_such_tool", "{}"), (names[0], '{"broken')],
        [(names[0], "[1, 2]")],
    ][turn]
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": f"call_{turn}_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for index, (name, arguments) in enumerate(calls)
        ],
    }


def _wrong(messages: list[dict[str, Any]]) -> str:
    """Say what a strict server would refuse in a request."""
    open_calls: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                return f"no call {message['tool_call_id']}"
            open_calls.remove(message["tool_call_id"])
        elif open_calls:
            return f"calls without an answer: {open_calls}"
        for call in message.get("tool_calls") or []:
            if not isinstance(json.loads(call["function"]["arguments"]), dict):
                return "arguments are no object"
            open_calls.append(call["id"])
        if not isinstance(message["content"], str):
            return "content is no text"
    return f"calls without an answer: {open_calls}" if open_calls else ""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that leave are what is tried here."""


@contextmanager
def _serving(faults: list[Fault | None] | None = None) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Serve; the n-th request meets the n-th fault, round and round. Yields the address and the requests."""
    requests: list[dict[str, Any]] = []
    turns = itertools.cycle(faults or [None])
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                requests.append({**body, "path": self.path, "authorization": self.headers.get("Authorization")})
                fault = next(turns)
            if fault is not None and fault(self, body):
                return
            wrong = _wrong(body["messages"])
            if wrong:
                _send(self, 400, wrong.encode())
                return
            message = _model(body["messages"], body.get("tools") or [])
            usage = {"prompt_tokens": 10 * len(body["messages"]), "completion_tokens": 3}
            _send(self, 200, json.dumps({"choices": [{"message": message}], "usage": usage}).encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", requests
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _hang(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> bool:
    time.sleep(3.0)  # half open: longer than a request may take here
    return True


def _drop(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> bool:
    handler.close_connection = True
    handler.connection.close()
    return True


FAULTS: dict[str, Fault] = {
    "429": lambda handler, body: _send(handler, 429, b"slow down", Retry_After="0.05"),
    "500": lambda handler, body: _send(handler, 500, b"oops"),
    "503 until a date": lambda handler, body: _send(handler, 503, b"", Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"),
    "half of a JSON": lambda handler, body: _send(handler, 200, b'{"choices": [{"mess'),
    "no choices": lambda handler, body: _send(handler, 200, b'{"choices": []}'),
    "an error as an answer": lambda handler, body: _send(handler, 200, b'{"error": {"message": "overloaded"}}'),
    "content that is no text": lambda handler, body: _send(
        handler, 200, b'{"choices": [{"message": {"content": {"a": 1}}}]}'
    ),
    "a call without a function": lambda handler, body: _send(
        handler, 200, b'{"choices": [{"message": {"content": null, "tool_calls": [{"id": "x"}]}}]}'
    ),
    "hangs": _hang,
    "drops": _drop,
}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(completions, "_LONGEST_PAUSE_S", 1.0)


def _settings(url: str, **changes: Any) -> Settings:
    asked = EndpointSettings(base_url=url, request_s=2.0, **changes.pop("asked", {}))
    return replace(Settings(envs=(TOOLS,), agent="openai:m", num_tasks=6, endpoint=asked, key="secret"), **changes)


def _stored(folder: Path) -> list[Episode]:
    with BenchStore(folder) as store:
        return [replace(each, seconds=0.0, latencies=()) for each in store.episodes()]


def test_what_a_server_gets_wrong_changes_no_episode(tmp_path: Path) -> None:
    with _serving() as (url, clean):
        run(_settings(url), tmp_path / "clean")
    with _serving([each for fault in FAULTS.values() for each in (fault, None)]) as (url, faulty):
        run(_settings(url, asked={"max_tries": 30}), tmp_path / "faulty")
    episodes = _stored(tmp_path / "clean")
    assert _stored(tmp_path / "faulty") == episodes
    assert [each.failure for each in episodes] == [None] * 6
    assert len(clean) == sum(each.num_turns for each in episodes)
    assert len(faulty) >= len(clean) + len(FAULTS)
    assert all(each.completion_tokens == 3 * each.num_turns for each in episodes)
    assert all(each.prompt_tokens is not None and each.prompt_tokens > 20 for each in episodes)


def test_native_calls_reach_the_environment_and_its_answers_the_model(tmp_path: Path) -> None:
    with _serving() as (url, requests):
        run(_settings(url, num_tasks=1, asked={"temperature": 0.5, "max_tokens": 77}), tmp_path / "run")
    first, second, third = requests[:3]
    assert (first["path"], first["authorization"]) == ("/v1/chat/completions", "Bearer secret")
    assert (first["model"], first["temperature"], first["max_tokens"]) == ("m", 0.5, 77)
    assert first["tools"][0]["type"] == "function"
    assert [message["role"] for message in first["messages"]] == ["system", "user"]
    assert [message["role"] for message in second["messages"][2:]] == ["assistant", "tool", "tool"]
    assert [message["tool_call_id"] for message in second["messages"][3:]] == ["call_0_0", "call_0_1"]
    sent_back = third["messages"][5]["tool_calls"][1]["function"]["arguments"]
    assert json.loads(sent_back) == {"malformed": '{"broken'}  # servers refuse what is no object
    (episode,) = _stored(tmp_path / "run")
    said = [message["content"] for message in episode.messages if message["role"] == "assistant"]
    assert said[0].startswith('<tool_call>{"name": "')
    assert '"arguments": {"broken}</tool_call>' in said[1]  # as the model wrote it: the environment says what is wrong
    told = " ".join(message["content"] for message in episode.messages[2:] if message["role"] != "assistant")
    assert "no_such_tool" in told


def test_a_server_that_refuses_native_calls_gets_text(tmp_path: Path) -> None:
    def refuses(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> bool:
        return "tools" in body and _send(handler, 400, b'{"message": "\\"auto\\" tool choice requires a parser"}')

    with _serving([refuses]) as (url, requests):
        run(_settings(url, num_tasks=3, concurrency=1), tmp_path / "auto")
        assert sum("tools" in each for each in requests) == 1
        run(_settings(url, num_tasks=3, asked={"tools": "text"}), tmp_path / "text")
        assert sum("tools" in each for each in requests) == 1
        system = requests[-1]["messages"][0]["content"]
        assert '<tool_call>{"name": "the tool"' in system
        assert '"parameters"' in system
        run(_settings(url, num_tasks=1, max_retries=0, asked={"tools": "native"}), tmp_path / "native")
    assert [each.failure for each in _stored(tmp_path / "auto")] == [None] * 3
    assert _stored(tmp_path / "auto") == _stored(tmp_path / "text")
    (refused,) = _stored(tmp_path / "native")
    assert refused.failure is not None
    assert "status 400" in refused.failure["message"]


def test_a_server_that_stays_down_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    with _serving([FAULTS["500"]]) as (url, requests):
        run(_settings(url, num_tasks=2, max_retries=1, asked={"max_tries": 3}), tmp_path / "run")
    assert len(requests) == 2 * 2 * 3
    for episode in _stored(tmp_path / "run"):
        assert episode.failure is not None
        assert (episode.failure["boundary"], episode.num_attempts) == ("agent", 2)
        assert "status 500: oops, 3 times" in episode.failure["message"]


def test_a_turn_ends_though_the_server_never_does(tmp_path: Path) -> None:
    def drips(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(50):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.1)
        return True

    with _serving([drips]) as (url, _):
        began = time.monotonic()
        run(_settings(url, num_tasks=1, max_retries=0, turn_s=1.0), tmp_path / "run")
        assert time.monotonic() - began < 5  # it would drip on for as long
    (episode,) = _stored(tmp_path / "run")
    assert episode.failure is not None
    assert "did not answer within 1 s" in episode.failure["message"]


@pytest.mark.parametrize(("status", "told"), [(401, "the key is refused"), (404, "no such address or model")])
def test_what_cannot_be_mended_by_waiting_stops_the_bench(tmp_path: Path, status: int, told: str) -> None:
    with _serving([lambda handler, body: _send(handler, status, b"no")]) as (url, requests):
        with pytest.raises(AgentError, match=rf"{told} for model 'm' \(status {status}: no\)"):
            run(_settings(url, concurrency=1), tmp_path / "run")
        assert len(requests) == 1


def test_nobody_at_the_address_ends_the_bench(tmp_path: Path) -> None:
    with _serving() as (url, _):
        pass
    with pytest.raises(BenchError, match=r"20 episodes failed one after another.*ConnectError"):
        run(_settings(url, num_tasks=30, max_retries=0, asked={"max_tries": 2}), tmp_path / "run")


def test_the_pause_is_what_the_server_asks_for(tmp_path: Path) -> None:
    busy: list[Fault | None] = [lambda handler, body: _send(handler, 429, b"", Retry_After="0.7"), *[None] * 50]
    with _serving(busy) as (url, _):
        began = time.monotonic()
        run(_settings(url, num_tasks=1), tmp_path / "run")
        assert 0.7 <= time.monotonic() - began < 5


def test_settings_of_an_endpoint_that_cannot_work_are_told() -> None:
    with pytest.raises(UsageError, match=r"base_url='localhost:8000' is no address; type --base-url http://"):
        EndpointSettings(base_url="localhost:8000")
    with pytest.raises(UsageError, match="max_tries=0"):
        EndpointSettings(max_tries=0)
    with pytest.raises(UsageError, match="tools='xml'"):
        EndpointSettings(tools="xml")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="agent 'oracle' asks no endpoint"):
        open_agent("oracle", endpoint=EndpointSettings())


def test_the_key_is_written_nowhere(tmp_path: Path) -> None:
    with _serving() as (url, _):
        settings = _settings(url, num_tasks=1)
        run(settings, tmp_path / "run")
    assert "secret" not in repr(settings)
    assert "secret" not in json.dumps(settings.identity())
    assert b"secret" not in (tmp_path / "run" / "bench.sqlite").read_bytes()


def test_a_conversation_past_the_context_ends_as_it_stands(tmp_path: Path) -> None:
    def full(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> bool:
        turns = sum(message["role"] == "assistant" for message in body["messages"])
        if turns < limit:
            return False
        told = {"error": {"code": "context_length_exceeded", "message": "maximum context length is 64 tokens"}}
        return _send(handler, 400, json.dumps(told).encode())

    limit = 2
    with _serving([full]) as (url, _):
        run(_settings(url, num_tasks=3), tmp_path / "later")
    for episode in _stored(tmp_path / "later"):
        assert episode.failure is None  # the model's own doing, and not what spoilt it
        assert (episode.success, episode.truncated, episode.num_turns) == (False, True, 2)
    limit = 0
    with _serving([full]) as (url, _):
        run(_settings(url, num_tasks=3, max_retries=0), tmp_path / "first")
    assert all("context_length" in (each.failure or {"message": ""})["message"] for each in _stored(tmp_path / "first"))


def test_odd_answers_are_taken_for_what_they_hold(tmp_path: Path) -> None:
    odd = [
        {"content": "half \ud800 of a pair", "usage": {"prompt_tokens": 10**30, "completion_tokens": -4}},
        {"content": [{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}], "usage": ["no", "object"]},
        {"content": "plain", "usage": "none"},
    ]

    def answers(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> bool:
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        given = odd[min(turn, 2)]
        message = {"role": "assistant", "content": given["content"]}
        return _send(handler, 200, json.dumps({"choices": [{"message": message}], "usage": given["usage"]}).encode())

    with _serving([answers]) as (url, requests):
        run(_settings(url, num_tasks=1), tmp_path)
    (episode,) = _stored(tmp_path)
    assert episode.failure is None
    assert (episode.prompt_tokens, episode.completion_tokens) == (0, 0)
    said = [message["content"] for message in episode.messages if message["role"] == "assistant"]
    assert said[:2] == ["half \ud800 of a pair", "in parts"]
    assert requests[-1]["messages"][2]["content"] == "half \ud800 of a pair"


def test_an_answer_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def floods(handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> bool:
        packed = gzip.compress(b" " * (1 << 24))
        return _send(handler, 200, packed, Content_Encoding="gzip")

    monkeypatch.setattr(completions, "_LARGEST_ANSWER", 1 << 20)
    with _serving([floods]) as (url, _):
        run(_settings(url, num_tasks=1, max_retries=0), tmp_path)
    (episode,) = _stored(tmp_path)
    assert episode.failure is not None
    assert "it has more than 1 MiB" in episode.failure["message"]
