"""A small HTTP service on the host's loopback, for cases about what a box may reach, and for tests."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

__all__ = ["Service", "down"]

POLL_S = 0.02
PIECE = b"x" * 65_536


class Service:
    """A server of this process; start and end it with `with`.

    POST returns the body. GET /events=N sends N pieces, a tenth of a second apart; /big=N sends N bytes; /hang says
    nothing until the client hangs up; anything else returns the mark.
    """

    def __init__(self, mark: str = "mark") -> None:
        """Take a port.

        Args:
            mark: What this service is known by.
        """
        self.mark = mark
        self.num_asked = 0
        """Requests so far."""
        self.num_open = 0
        """Connections now."""
        self.most_open = 0
        """Connections at one moment, at most."""
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.service = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": POLL_S}, name="service", daemon=True
        )

    @property
    def port(self) -> int:
        """Of 127.0.0.1."""
        return int(self._server.server_address[1])

    def wait_open(self, number: int, seconds: float = 10.0) -> bool:
        """Wait till there are exactly so many connections; return whether it came to that."""
        return _soon(lambda: self.num_open == number, seconds)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def count(self, connections: int = 0, requests: int = 0) -> None:
        """Take note of what came or went; for the handler."""
        with self._lock:
            self.num_asked += requests
            self.num_open += connections
            self.most_open = max(self.most_open, self.num_open)


@contextlib.contextmanager
def down() -> Iterator[int]:
    """Give a port of 127.0.0.1 where nobody listens, and where nobody else can begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    service: Service

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: that clients are cut off is what the cases do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.service.count(connections=1)

    def finish(self) -> None:
        self.server.service.count(connections=-1)
        super().finish()

    def do_POST(self) -> None:
        self.server.service.count(requests=1)
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def do_GET(self) -> None:
        self.server.service.count(requests=1)
        what, _, number = self.path.partition("=")
        if what == "/events":
            self._begin()
            for each in range(int(number)):
                self.wfile.write(b"data: %d\n\n" % each)
                time.sleep(0.1)
        elif what == "/big":
            self._begin()
            for _ in range(int(number) // len(PIECE)):
                self.wfile.write(PIECE)
        elif what == "/hang":
            self.rfile.read(1)
            self.close_connection = True
        else:
            self._answer(self.server.service.mark.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Keep no log."""

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _soon(holds: Any, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
