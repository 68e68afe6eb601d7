"""A scripted server of chat completions on the loopback: real HTTP, with a function of the request as the model."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler, dict[str, Any]], str | dict[str, Any] | None]
"""(handler, body) -> what the model says, or a whole message, or None where it has answered by itself."""


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # many judges connect at once

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that leave are tried too."""


class Server:
    """Answers each request with what `answer` makes of it, which may be changed at any time."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[dict[str, Any]] = []
        self.times: list[float] = []  # monotonic, of each request
        self.headers: list[dict[str, str]] = []
        self.most_at_once = 0
        lock = threading.Lock()
        at_once = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                nonlocal at_once
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    server.requests.append({**body, "path": self.path})
                    server.times.append(time.monotonic())
                    server.headers.append(dict(self.headers))
                    at_once += 1
                    server.most_at_once = max(server.most_at_once, at_once)
                try:
                    said = server.answer(self, body)
                finally:
                    with lock:
                        at_once -= 1
                if said is not None:
                    complete(self, said)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._http = _Http(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@contextmanager
def serving(answer: Answer | str) -> Iterator[Server]:
    """Serve a function of the request, or always the same text."""
    server = Server((lambda handler, body: answer) if isinstance(answer, str) else answer)
    try:
        yield server
    finally:
        server.close()


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    """Answer with a status and bytes; an underscore in a header's name stands for a hyphen."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def complete(handler: BaseHTTPRequestHandler, said: str | dict[str, Any], finish: str = "stop") -> None:
    """Answer with a completion of 100 prompt tokens and 10 of its own."""
    message = {"role": "assistant", "content": said} if isinstance(said, str) else said
    usage = {"prompt_tokens": 100, "completion_tokens": 10}
    answer = {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}
    send(handler, 200, json.dumps(answer).encode())


def hang(handler: BaseHTTPRequestHandler, seconds: float) -> None:
    """Leave the client waiting, then close the connection."""
    time.sleep(seconds)
    handler.close_connection = True


def drop(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection at once."""
    handler.close_connection = True
    handler.connection.close()
