"""What a client in a box says first, parsed: the head of a request to a proxy, and a TLS ClientHello.

Pure functions over hostile bytes. They take the strict form only: what two programs could read in two ways is refused,
since the proxy would check one reading and the far server act on the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentrl.sandboxes.network.allowlist import BadName, split_authority

__all__ = ["BadRequest", "Incomplete", "Request", "parse_request", "server_name"]

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
TARGET = re.compile(r"[!-~]+")
VALUE = re.compile(rb"[\t -~\x80-\xff]*")
# Between one hop and the next only, or written anew below.
DROPPED = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade http2-settings host content-length".split()
)
HANDSHAKE, CLIENT_HELLO = 22, 1
MOST_RECORDS = 16
SERVER_NAME = 0
# Encrypted ClientHello and its draft before: the name inside could be another, and cannot be seen.
HIDDEN_NAME = (0xFE0D, 0xFFCE)


class BadRequest(ValueError):
    """An opening that is not taken.

    Attributes:
        status: The HTTP status that says so.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Incomplete(Exception):
    """More bytes are needed."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to a proxy that is well formed; whether its host may be reached is not decided yet."""

    tunnel: bool
    """Whether it is a CONNECT."""
    host: str
    port: int
    head: bytes = b""
    """What to send to the host before the body, with the empty line; nothing for a CONNECT."""
    body_bytes: int = 0
    """Length of the body."""


def parse_request(head: bytes) -> Request:
    """Return what a client asks of its proxy.

    Args:
        head: The request line and the headers, without the empty line that ended them.

    Raises:
        BadRequest: It is not HTTP/1, not for a proxy, or could be read in two ways.
    """
    line, *header_lines = head.split(b"\r\n")
    words = line.split(b" ")
    if len(words) != 3 or words[2] not in (b"HTTP/1.0", b"HTTP/1.1") or not TOKEN.fullmatch(words[0]):
        raise BadRequest("this is not an HTTP/1 request")
    method, target = words[0], words[1].decode("latin-1")
    if not TARGET.fullmatch(target):
        raise BadRequest("the request target has bytes outside printable ASCII")
    headers = [_header(each) for each in header_lines]
    try:
        if method == b"CONNECT":
            host, port = split_authority(target, None)
            return Request(tunnel=True, host=host, port=port)
        scheme, mark, rest = target.partition("://")
        if not mark or scheme.lower() != "http":
            raise BadRequest("the proxy takes CONNECT host:port, and http:// with a whole URL")
        authority, path = re.fullmatch(r"([^/?#]*)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
        host, port = split_authority(authority, 80)
    except BadName as error:
        raise BadRequest(f"{target[:100]!r}: {error}", 403) from None
    if method == b"TRACE":
        raise BadRequest("TRACE is not taken", 405)
    if "#" in path:
        raise BadRequest("the request target has a fragment")
    body_bytes = _body_bytes(headers)
    origin = path if path.startswith("/") else "/" + path
    named = {
        each.strip().lower() for name, value in headers if name.lower() == b"connection" for each in value.split(b",")
    }
    lines = [
        method + b" " + origin.encode("ascii") + b" HTTP/1.1",
        b"Host: " + (host if port == 80 else f"{host}:{port}").encode("ascii"),
        *(name + b": " + value for name, value in headers if name.lower() not in DROPPED | named),
    ]
    if body_bytes is not None:
        lines.append(b"Content-Length: %d" % body_bytes)
    lines.append(b"Connection: close")
    return Request(
        tunnel=False, host=host, port=port, head=b"\r\n".join(lines) + b"\r\n\r\n", body_bytes=body_bytes or 0
    )


def server_name(data: bytes) -> str:
    """Return the server name, in lower case, of the TLS ClientHello at the start of some bytes.

    Raises:
        Incomplete: It goes on after these bytes.
        BadRequest: It is no ClientHello, names no server, or hides the name.
    """
    hello = bytearray()
    start = num_records = 0
    while len(hello) < 4 or len(hello) < 4 + int.from_bytes(hello[1:4], "big"):
        num_records += 1
        if num_records > MOST_RECORDS:
            raise BadRequest("the TLS ClientHello is in too many pieces")
        header = data[start : start + 5]
        length = int.from_bytes(header[3:5], "big")
        # Checked as far as it is there, so that what is not TLS is told at once and not after a wait.
        if header[:1] not in (b"", bytes([HANDSHAKE])) or header[1:2] not in (b"", b"\x03"):
            raise BadRequest("what follows CONNECT is not TLS")
        if len(header) == 5 and not 0 < length <= 16_384:
            raise BadRequest("what follows CONNECT is not TLS")
        hello += data[start + 5 : start + 5 + length]
        if hello[:1] not in (b"", bytes([CLIENT_HELLO])):
            raise BadRequest("what follows CONNECT is not a TLS ClientHello")
        start += 5 + length
        if len(header) < 5 or start > len(data):
            raise Incomplete
    return _name_in(_Bytes(bytes(hello[4 : 4 + int.from_bytes(hello[1:4], "big")])))


class _Bytes:
    """Takes apart what is nested by length; whatever runs past its end is refused."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, count: int) -> bytes:
        if count > len(self._data):
            raise BadRequest("the TLS ClientHello is broken")
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def nested(self, size: int) -> _Bytes:
        return _Bytes(self.take(self.number(size)))

    def __bool__(self) -> bool:
        return bool(self._data)


def _name_in(hello: _Bytes) -> str:
    hello.take(2 + 32)  # version, random
    hello.nested(1)  # session id
    hello.nested(2)  # cipher suites
    hello.nested(1)  # compression methods
    found: str | None = None
    extensions = hello.nested(2) if hello else _Bytes(b"")
    if hello:
        raise BadRequest("the TLS ClientHello is broken")
    while extensions:
        kind, body = extensions.number(2), extensions.nested(2)
        if kind in HIDDEN_NAME:
            raise BadRequest("the TLS ClientHello hides its server name (ECH)")
        if kind != SERVER_NAME:
            continue
        names = body.nested(2)
        kind_of_name, name = names.number(1), names.nested(2)
        if found is not None or names or body or kind_of_name != 0:
            raise BadRequest("the TLS ClientHello has more than one server name")
        found = name.take(len(name._data)).decode("latin-1").lower()
    if found is None:
        raise BadRequest("the TLS ClientHello names no server")
    return found


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    # A line that begins with a blank continues the one before in some readers; TOKEN refuses it, and a blank before
    # the colon. VALUE refuses a carriage return, a newline and NUL.
    if not colon or not TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
        raise BadRequest("a header line is malformed")
    return name, value.strip(b" \t")


def _body_bytes(headers: list[tuple[bytes, bytes]]) -> int | None:
    if any(name.lower() == b"transfer-encoding" for name, _ in headers):
        raise BadRequest("send the body with Content-Length: the proxy takes no Transfer-Encoding", 411)
    lengths = {value for name, value in headers if name.lower() == b"content-length"}
    if not lengths:
        return None
    text = lengths.pop()
    if lengths or not text.isdigit() or len(text) > 15:
        raise BadRequest("Content-Length is not one number")
    return int(text)
