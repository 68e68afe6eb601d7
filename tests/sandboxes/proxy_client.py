"""The worker's end of a box's tunnels, a server to reach, and the opening bytes of TLS, for tests of the proxy."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agentrl.sandboxes.network.proxy import TunnelLimits, Tunnels
from agentrl.sandboxes.worker.frames import NET_CLOSE, NET_DATA, NET_MORE, NET_OPEN, Frame, Reader, pack

RUN = b"stream-1"
DEADLINE_S = 20.0


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/big"):
            body = b"x" * int(self.path.partition("=")[2])
        else:
            length = int(self.headers.get("Content-Length", "0"))
            body = json.dumps(
                {
                    "method": self.command,
                    "path": self.path,
                    "headers": [list(each) for each in self.headers.items()],
                    "body": self.rfile.read(length).decode("latin-1"),
                }
            ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


class Box:
    """The worker's end: a socket pair carries its frames, as the worker's output would."""

    def __init__(self, tunnels: Callable[[Callable[[int, bytes, bytes], None]], Tunnels]) -> None:
        self._near, self._far = socket.socketpair()
        self._near.settimeout(DEADLINE_S)
        self._reader = Reader()
        self._frames: list[Frame] = []
        # A worker that reads nothing must not block the proxy: what it is sent is bounded by the windows alone.
        self._near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self._far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * 1024 * 1024)
        self.tunnels = tunnels(lambda kind, run, body: self._far.sendall(pack(kind, run, body)))

    def send(self, kind: int, body: bytes = b"", run: bytes = RUN) -> None:
        self.tunnels.handle(Frame(kind, run, body))

    def open(self, data: bytes = b"", run: bytes = RUN) -> None:
        self.send(NET_OPEN, b'{"port": 40000}', run)
        if data:
            self.send(NET_DATA, data, run)

    def frame(self) -> Frame:
        while not self._frames:
            self._frames.extend(self._reader.feed(self._near.recv(65_536)))
        return self._frames.pop(0)

    def silent(self, seconds: float) -> bool:
        self._near.settimeout(seconds)
        try:
            self._frames.append(self.frame())
        except TimeoutError:
            return True
        finally:
            self._near.settimeout(DEADLINE_S)
        return False

    def answer(self, *, acknowledge: bool = True) -> bytes:
        """Return all that comes till the proxy closes the stream."""
        data = b""
        while (frame := self.frame()).kind != NET_CLOSE:
            if frame.kind == NET_DATA:
                data += frame.body
                if acknowledge:
                    self.send(NET_MORE, struct.pack(">I", len(frame.body)))
        return data

    def ask(self, data: bytes) -> bytes:
        self.open(data)
        return self.answer()

    def close(self) -> None:
        self.tunnels.close()
        self._near.close()
        # The proxy's thread may be about to send: it meets a closed pair as it would a dead box.
        self._far.close()


@contextmanager
def box(
    *network: str,
    addresses: Sequence[str] = ("127.0.0.1",),
    private_ok: bool = True,
    limits: TunnelLimits | None = None,
    resolve: Callable[[str, int], Sequence[str]] | None = None,
) -> Iterator[Box]:
    found = Box(
        lambda send: Tunnels(
            network,
            send,
            resolve=resolve or (lambda host, port: addresses),
            private_ok=private_ok,
            limits=limits,
        )
    )
    try:
        yield found
    finally:
        found.close()


def listener() -> socket.socket:
    found = socket.create_server(("127.0.0.1", 0))
    found.settimeout(DEADLINE_S)
    return found


def hello(name: str | None, *, extra: Sequence[int] = (), alpn: bool = True) -> bytes:
    """Return the ClientHello of this machine's own TLS library, with unknown extensions added."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the certificates that a default context would load
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    data = outgoing.read()
    if not extra:
        return data
    body = bytearray(data[9:])
    at = 34 + 1 + body[34]
    at += 2 + int.from_bytes(body[at : at + 2], "big")
    at += 1 + body[at]
    added = b"".join(struct.pack(">HH", kind, 0) for kind in extra)
    body[at : at + 2] = struct.pack(">H", int.from_bytes(body[at : at + 2], "big") + len(added))
    body += added
    return struct.pack(">BHHB", 22, 0x0301, len(body) + 4, 1) + len(body).to_bytes(3, "big") + bytes(body)


@contextmanager
def serving() -> Iterator[int]:
    """Serve on the loopback; gives the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found.server_address[1]
        finally:
            found.shutdown()
            thread.join()
