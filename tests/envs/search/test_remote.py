"""A retrieval server over HTTP: what it finds, and every way in which it can fail, with real servers on 127.0.0.1."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.search import remote
from agentrl.envs.search.remote import HttpRetriever

Handler = http.server.BaseHTTPRequestHandler
Script = Callable[[int, Handler], None]
Serve = Callable[[Script], Any]  # the fixture of conftest.py
Ask = Callable[..., HttpRetriever]

PAGES = [
    {"id": "17", "contents": '"Oslo"\nOslo is the capital of Norway.'},
    {"id": 18, "contents": '"Bergen"\n' + "Bergen is a city. " * 30},
]
GOOD = json.dumps({"result": [[{"document": page, "score": 0.9 - index / 10} for index, page in enumerate(PAGES)]]})


@pytest.fixture
def ask() -> Iterator[Ask]:
    retrievers: list[HttpRetriever] = []

    def make(url: str, **options: Any) -> HttpRetriever:
        retrievers.append(HttpRetriever(url, **options))
        return retrievers[-1]

    yield make
    for retriever in retrievers:
        retriever.close()


def answer(body: str | bytes, status: int = 200) -> Script:
    content = body.encode() if isinstance(body, str) else body

    def script(_: int, handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return script


def in_turn(*scripts: Script) -> Callable[[int, Any], None]:
    return lambda number, handler: scripts[min(number, len(scripts) - 1)](number, handler)


def fails(retriever: HttpRetriever, query: str = "oslo") -> InfrastructureError:
    with pytest.raises(InfrastructureError) as caught:
        retriever.search(query, 3)
    assert caught.value.boundary == "retriever"
    assert "http://127.0.0.1:" in str(caught.value)
    return caught.value


def test_a_search(serve: Serve, ask: Ask) -> None:
    server = serve(answer(GOOD))
    retriever = ask(server.url)
    assert retriever.get("17") is None
    hits = retriever.search("capital of Norway\ud800", 2)
    assert [(hit.doc_id, hit.title, hit.score) for hit in hits] == [("17", "Oslo", 0.9), ("18", "Bergen", 0.8)]
    assert hits[0].snippet == "Oslo is the capital of Norway."
    assert hits[1].snippet.endswith(" …")
    assert len(hits[1].snippet) <= retriever.snippet_chars + 2
    found = retriever.get("18")
    assert found is not None
    assert found.text == ("Bergen is a city. " * 30).strip()
    assert server.requests == [
        ("/retrieve", "application/json", {"queries": ["capital of Norway\ufffd"], "topk": 2, "return_scores": True})
    ]


def test_the_connection_is_kept(serve: Serve, ask: Ask) -> None:
    server = serve(answer(GOOD))
    retriever = ask(server.url)
    for _ in range(5):
        retriever.search("oslo", 2)
    assert len(server.requests) == 5
    assert len(server.peers) == 1
    retriever.close()
    retriever.close()


def test_no_request_for_nothing(serve: Serve, ask: Ask) -> None:
    server = serve(answer(GOOD))
    retriever = ask(server.url)
    assert retriever.search("  ", 3) == retriever.search("", 3) == retriever.search("oslo", 0) == []
    assert server.requests == []


def test_requests_are_bounded(serve: Serve, ask: Ask) -> None:
    server = serve(answer(GOOD))
    retriever = ask(server.url)
    assert len(retriever.search("x" * 1_000_000, 1)) == 1  # two came
    retriever.search("oslo", 10**9)
    assert [len(body["queries"][0]) for _, _, body in server.requests] == [4096, 4]
    assert [body["topk"] for _, _, body in server.requests] == [1, 100]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            {"document": {"title": "T", "text": "x", "contents": '"T"\nx'}, "score": 1},
            ("T", "x", 1.0),
        ),  # its BM25 server
        ({"document": {"id": "9", "title": "T", "text": "x"}, "score": "0.5"}, ("T", "x", 0.5)),
        ({"document": {"id": "9", "contents": "no title line"}, "score": -3}, ("no title line", "no title line", -3.0)),
        ({"id": "9", "contents": "T\nx"}, ("T", "x", 0.0)),  # return_scores is not honoured
        ({"document": {"id": "9", "contents": "T\n\ud800"}}, ("T", "\ufffd", 0.0)),
    ],
)
def test_variants_of_the_answer(serve: Serve, ask: Ask, item: object, expected: tuple[str, str, float]) -> None:
    retriever = ask(serve(answer(json.dumps({"result": [[item]]}))).url)
    (hit,) = retriever.search("oslo", 3)
    page = retriever.get(hit.doc_id)
    assert page is not None
    assert (page.title, page.text, hit.score) == expected


def test_pages_without_ids_get_their_own(serve: Serve, ask: Ask) -> None:
    pages = [{"document": {"contents": f"T\n{text}"}, "score": 0} for text in ("x", "y", "x")]
    retriever = ask(serve(answer(json.dumps({"result": [pages]}))).url)
    first, second, third = retriever.search("oslo", 3)
    assert first.doc_id == third.doc_id != second.doc_id


def test_nothing_found(serve: Serve, ask: Ask) -> None:
    assert ask(serve(answer('{"result": [[]]}')).url).search("oslo", 3) == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_fault_is_tried_again(serve: Serve, ask: Ask, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_PAUSE_S", 0.01)
    server = serve(in_turn(answer("busy", status), answer("busy", status), answer(GOOD)))
    assert len(ask(server.url).search("oslo", 2)) == 2
    assert len(server.requests) == 3


def test_a_lasting_fault_fails_after_the_retries(serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_PAUSE_S", 0.01)
    server = serve(answer('{"detail": "CUDA out of memory"}', 500))
    failure = fails(ask(server.url, retries=2))
    assert failure.kind == "http_status"
    assert "failed after 3 attempts: HTTP status 500" in str(failure)
    assert "CUDA out of memory" in str(failure)
    assert len(server.requests) == 3


def test_pauses_grow(serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", pauses.append)  # type: ignore[attr-defined]
    server = serve(answer("busy", 503))
    fails(ask(server.url, retries=4))
    assert len(pauses) == 4
    assert all(0.1 * 2**attempt <= pause <= 0.3 * 2**attempt for attempt, pause in enumerate(pauses))
    first, pauses[:] = list(pauses), []
    fails(ask(server.url, retries=4), "another query")
    assert first != pauses  # episodes that failed together do not come back together


@pytest.mark.parametrize("status", [301, 400, 401, 404, 405, 422])
def test_a_refusal_is_not_tried_again(serve: Serve, ask: Ask, status: int) -> None:
    server = serve(answer('{"detail": "why"}', status))
    failure = fails(ask(server.url))
    assert failure.kind == "http_status"
    assert f"failed after 1 attempt: HTTP status {status}" in str(failure)
    assert ("answers at …/retrieve" in str(failure)) == (status in (404, 405))
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
        b'{"results": [[]]}',
        b'{"result": []}',
        b'{"result": [[], []]}',
        b'{"result": [null]}',
        b'{"result": [{"document": 1}]}',
        b'{"result": [[null]]}',
        b'{"result": [["text"]]}',
        b'{"result": [[{"document": {"id": "1"}, "score": 1}]]}',
        b'{"result": [[{"document": {"id": "1", "contents": 3}, "score": 1}]]}',
        b'{"result": [[{"document": {"id": [1], "contents": "x"}, "score": 1}]]}',
        b'{"result": [[{"document": {"id": true, "contents": "x"}, "score": 1}]]}',
        b'{"result": [[{"document": {"id": "1", "contents": "x"}, "score": null}]]}',
        b'{"result": [[{"document": {"id": "1", "contents": "x"}, "score": "high"}]]}',
        b'{"result": [[{"document": {"id": "1", "contents": "x"}, "score": NaN}]]}',
        b'{"result": [[{"document": {"id": "1", "contents": "x"}, "score": 1' + b"0" * 400 + b"}]]}",
    ],
)
def test_an_answer_of_another_shape(serve: Serve, ask: Ask, body: bytes) -> None:
    server = serve(answer(body))
    failure = fails(ask(server.url))
    assert failure.kind == "bad_response"
    assert len(str(failure)) < 500
    assert len(server.requests) == 1


def test_an_answer_without_end(serve: Serve, ask: Ask) -> None:
    def endless(_: int, handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while not server.stop.is_set():
            handler.wfile.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")

    server = serve(endless)
    failure = fails(ask(server.url))
    assert failure.kind == "bad_response"
    assert "more than 16 MB" in str(failure)
    assert len(server.requests) == 1


def late(server: list[Any], send: Callable[[Handler, Callable[[], bool]], None]) -> Callable[..., None]:
    """Return a script that does something slowly until the test is over."""
    return lambda _, handler: send(handler, lambda: server[0].stop.wait(0.05))


def silent(handler: Handler, wait: Callable[[], bool]) -> None:
    while not wait():
        pass


def drips_body(handler: Handler, wait: Callable[[], bool]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not wait():
        handler.wfile.write(b" ")


def drips_headers(handler: Handler, wait: Callable[[], bool]) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not wait():
        handler.wfile.write(b"x")


def stops_half_way(handler: Handler, wait: Callable[[], bool]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(GOOD)))
    handler.end_headers()
    handler.wfile.write(GOOD[:50].encode())
    while not wait():
        pass


@pytest.mark.parametrize("send", [silent, drips_body, drips_headers, stops_half_way])
def test_the_deadline_holds_for_a_slow_server(serve: Serve, ask: Ask, send: Callable[..., None]) -> None:
    server: list[Any] = []
    server.append(serve(late(server, send)))
    start = time.monotonic()
    failure = fails(ask(server[0].url, timeout_s=0.7, attempt_timeout_s=0.3))
    taken = time.monotonic() - start
    assert failure.kind == "timeout"
    assert len(server[0].requests) == 2  # a pause, and the third would come too late
    assert 0.3 < taken < 3.0  # 0.7 and what a busy machine adds


def test_a_slow_attempt_is_followed_by_a_good_one(serve: Serve, ask: Ask) -> None:
    server: list[Any] = []
    server.append(serve(in_turn(late(server, silent), answer(GOOD))))
    assert len(ask(server[0].url, attempt_timeout_s=0.2).search("oslo", 2)) == 2


def test_a_server_that_hangs_up(serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_PAUSE_S", 0.01)

    def hang_up(_: int, handler: Handler) -> None:
        handler.connection.shutdown(socket.SHUT_RDWR)
        handler.close_connection = True

    def cut_short(_: int, handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(GOOD)))
        handler.end_headers()
        handler.wfile.write(GOOD[:50].encode())
        handler.close_connection = True

    def no_http(_: int, handler: Handler) -> None:
        handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        handler.close_connection = True

    assert len(ask(serve(in_turn(hang_up, cut_short, no_http, answer(GOOD))).url).search("oslo", 2)) == 2
    for script in (hang_up, cut_short, no_http):
        server = serve(script)
        assert fails(ask(server.url, retries=1)).kind == "unreachable"
        assert len(server.requests) == 2


def test_a_server_that_is_not_there(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_FIRST_PAUSE_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    failure = fails(ask(f"http://127.0.0.1:{port}/retrieve"))
    assert failure.kind == "unreachable"
    assert "failed after 4 attempts: ConnectError" in str(failure)


def test_a_server_that_accepts_and_never_reads(ask: Ask) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        start = time.monotonic()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/retrieve"
        assert fails(ask(url, timeout_s=0.4, attempt_timeout_s=0.2)).kind == "timeout"
        assert time.monotonic() - start < 3.0


def test_threads_share_a_retriever(serve: Serve, ask: Ask) -> None:
    def echo(number: int, handler: Handler) -> None:
        page = {"id": str(number), "contents": f"T\n{server.requests[number][2]['queries'][0]}"}
        answer(json.dumps({"result": [[{"document": page, "score": 1}]]}))(number, handler)

    server = serve(echo)
    retriever = ask(server.url)
    found: list[bool] = []

    def work(name: int) -> None:
        for count in range(10):
            (hit,) = retriever.search(f"query {count} of {name}", 2)
            found.append(hit.snippet == f"query {count} of {name}")

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 80
    assert len(server.peers) <= 8


def test_documents_found_long_ago_are_forgotten(serve: Serve, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "MAX_KEPT", 3)

    def numbered(number: int, handler: Handler) -> None:
        pages = [{"document": {"id": name, "contents": "T\nx"}, "score": 1} for name in ("always", f"n{number}")]
        answer(json.dumps({"result": [pages]}))(number, handler)

    retriever = ask(serve(numbered).url)
    for _ in range(4):
        retriever.search("oslo", 2)
    assert [name for name in ("always", "n0", "n1", "n2", "n3") if retriever.get(name)] == ["always", "n2", "n3"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8000/retrieve",
        "ftp://host/x",
        "http://",
        "http:///retrieve",
        "http://host:0/",
        "http://host:99999/",
        "http://host:x/",
        "http://[::1/",
        "http://a b/",
        "http://hóst/",
        "http://me:secret@host/",
        f"http://{'x' * 70}/",
    ],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(UsageError, match="retriever") as caught:
        HttpRetriever(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"timeout_s": 0}, {"attempt_timeout_s": -1}, {"retries": -1}, {"timeout_s": float("nan")}]
)
def test_numbers_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(options))}={next(iter(options.values()))}"):
        HttpRetriever("http://127.0.0.1:1/retrieve", **options)  # type: ignore[arg-type]
