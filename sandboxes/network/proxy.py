"""The host's side of the network allow-list: a filtering HTTP proxy at the end of each tunnel from a box.

A box has no network. Its worker carries each connection that a program makes to 127.0.0.1 in NET_* frames; here the
client's request is parsed, its host checked, resolved and dialled, and the bytes passed on. Checked are the name, every
address that it resolves to (one of those is dialled, nothing is looked up twice), and for CONNECT the server name in
the ClientHello, which must be the host of the CONNECT. Not seen: what TLS encrypts. A program can name another host in
a Host header inside TLS, and a server that answers for both ("domain fronting") may serve it.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, deque
from dataclasses import dataclass, field

from agentrl.sandboxes.network.allowlist import AllowList, unfit
from agentrl.sandboxes.network.connections import Connections, hang_up
from agentrl.sandboxes.network.opening import BadRequest, Incomplete, Request, parse_request, server_name
from agentrl.sandboxes.network.stream import CHUNK, WINDOW, Resolve, Send, Stream

__all__ = ["Refusal", "TunnelLimits", "Tunnels", "system_resolve"]

LARGEST_HEAD = 16_384
KEPT_REFUSALS = 100
# Fatal alert, unrecognized_name: the client's TLS library says so at once.
ALERT = bytes([21, 3, 3, 0, 2, 2, 112])
REASONS = {400: "Bad Request", 403: "Forbidden", 405: "Method Not Allowed", 411: "Length Required"} | {
    431: "Request Header Fields Too Large",
    502: "Bad Gateway",
    504: "Gateway Timeout",
}


@dataclass(frozen=True, kw_only=True)
class TunnelLimits:
    """What the tunnels of one box may use."""

    streams: int = 32
    """Connections at one moment."""
    connect_s: float = 10.0
    """Seconds to resolve and connect."""
    idle_s: float = 60.0
    """Seconds without a byte either way, and seconds within which the first request must be whole."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A connection that the proxy did not make."""

    target: str
    """"host:port" where it could be read; parts of it are the program's own words."""
    reason: str


@dataclass
class _Counts:
    reached: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    last: deque[Refusal] = field(default_factory=lambda: deque(maxlen=KEPT_REFUSALS))


class Tunnels(Connections):
    """All tunnels of one box.

    Args:
        allowed: The spec's `network`.
        send: How to send a frame to the worker.
        resolve: Looks names up; the system's resolver unless a test has its own.
        private_ok: Dial addresses that are not public too, such as the host's loopback. For tests, and for hosts whose
            mirrors are on their own network.
        limits: Connections and deadlines.
    """

    def __init__(
        self,
        allowed: tuple[str, ...],
        send: Send,
        *,
        resolve: Resolve | None = None,
        private_ok: bool = False,
        limits: TunnelLimits | None = None,
    ) -> None:
        self.names = AllowList(allowed)
        self._has = f"this sandbox has network={list(allowed)!s:.300}"
        self.limits = limits or TunnelLimits()
        super().__init__(send, streams=self.limits.streams, window=WINDOW)
        self._resolve = resolve or system_resolve
        self._private_ok = private_ok
        self._counts = _Counts()

    @property
    def reached(self) -> int:
        """Those for which the proxy connected to an allowed host."""
        return self._counts.reached

    @property
    def refused(self) -> dict[str, int]:
        """Number of refusals by kind: "name", "address", "server name", "request", "streams", "unreachable"."""
        with self._lock:
            return dict(self._counts.refused)

    def refusals(self) -> tuple[Refusal, ...]:
        """Return the last hundred refusals, oldest first."""
        with self._lock:
            return tuple(self._counts.last)

    def _turn_away(self, run: bytes) -> None:
        self._record("streams", "?", f"more than {self.limits.streams} connections at once")
        super()._turn_away(run)

    def _record(self, kind: str, target: str, reason: str) -> None:
        with self._lock:
            self._counts.refused[kind] += 1
            self._counts.last.append(Refusal(target=target[:200], reason=reason[:200]))

    async def _converse(self, stream: Stream) -> bytes:
        try:
            await self._pass(stream)
        except _Refused as refused:
            self._record(refused.kind, refused.target, refused.reason)
            await asyncio.wait_for(stream.give(refused.answer()), self.limits.idle_s)
        return b""

    async def _pass(self, stream: Stream) -> None:
        async with asyncio.timeout(self.limits.idle_s):
            request = await self._request(stream)
        target = f"{request.host}:{request.port}"
        if not self.names.allows(request.host, request.port, usual=443 if request.tunnel else 80):
            raise _Refused("name", target, f"{target} is not to be reached from here: {self._has}")
        try:
            async with asyncio.timeout(self.limits.connect_s):
                reader, writer = await self._dial(request)
        except TimeoutError:
            raise _Refused("unreachable", target, f"{target} did not answer in time", status=504) from None
        try:
            self._counts.reached += 1
            if request.tunnel:
                await stream.give(b"HTTP/1.1 200 Connection established\r\n\r\n")
                async with asyncio.timeout(self.limits.idle_s):
                    await self._check_server_name(stream, request)
                await self._relay(stream, reader, writer, None)
            else:
                writer.write(request.head)
                await self._relay(stream, reader, writer, request.body_bytes)
        finally:
            hang_up(writer)

    async def _request(self, stream: Stream) -> Request:
        head = bytearray()
        while (end := head.find(b"\r\n\r\n")) < 0:
            piece = await stream.take(LARGEST_HEAD)
            if not piece:
                raise ConnectionResetError
            head += piece
            if len(head) > LARGEST_HEAD and not 0 <= head.find(b"\r\n\r\n") <= LARGEST_HEAD:
                raise _Refused("request", "?", f"a request head of more than {LARGEST_HEAD} bytes", status=431)
        stream.put_back(bytes(head[end + 4 :]))
        try:
            return parse_request(bytes(head[:end]))
        except BadRequest as error:
            if error.status == 403:
                raise _Refused("name", "?", f"{error}: {self._has}") from None
            raise _Refused("request", "?", str(error), status=error.status) from None

    async def _dial(self, request: Request) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        target = f"{request.host}:{request.port}"
        try:
            addresses = await self._engine.look_up(self._resolve, request.host, request.port)
        except OSError as error:
            raise _Refused("unreachable", target, f"{target} cannot be resolved: {error}", status=502) from None
        for address in addresses:
            why = None if self._private_ok else unfit(address)
            if why is not None:
                reason = f"{request.host} resolves to {address}, {why}: refused whatever network=[...] says"
                raise _Refused("address", target, reason)
        told = "it has no address"
        for address in addresses:
            try:
                reader, writer = await asyncio.open_connection(address, request.port, limit=CHUNK)
            except OSError as error:
                told = error.strerror or type(error).__name__
                continue
            here, there = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
            # A public address of this very host: what listens there is for the host to offer, not for a box to find.
            if not self._private_ok and (here is None or there is None or here[0] == there[0]):
                hang_up(writer)
                raise _Refused("address", target, f"{request.host} resolves to this host's own address {address}")
            writer.transport.set_write_buffer_limits(high=0)  # `drain` waits till all is with the kernel
            return reader, writer
        raise _Refused("unreachable", target, f"{target} cannot be reached: {told}", status=502)

    async def _check_server_name(self, stream: Stream, request: Request) -> None:
        target = f"{request.host}:{request.port}"
        hello = bytearray()
        while True:
            piece = await stream.take(LARGEST_HEAD)
            if not piece:
                raise ConnectionResetError
            hello += piece
            try:
                name = server_name(bytes(hello))
                break
            except Incomplete:
                if len(hello) > LARGEST_HEAD:
                    raise _Refused("server name", target, "a ClientHello without end", raw=ALERT) from None
            except BadRequest as error:
                raise _Refused("server name", target, str(error), raw=ALERT) from None
        if name != request.host:
            raise _Refused("server name", target, f"the ClientHello asks for {name!r:.100}", raw=ALERT)
        stream.put_back(bytes(hello))

    async def _relay(
        self, stream: Stream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, length: int | None
    ) -> None:
        async def up(left: int | None) -> None:
            while left != 0 and (data := await stream.take(CHUNK if left is None else min(CHUNK, left))):
                writer.write(data)
                await writer.drain()
                left = None if left is None else left - len(data)
            # Past the body of the one request nothing is passed on: a second one would not have been checked.
            while left == 0 and await stream.take(CHUNK):
                pass

        async def down() -> None:
            while data := await reader.read(CHUNK):
                stream.touch()
                await stream.give(data)

        async def silence() -> None:
            while (left := stream.touched + self.limits.idle_s - asyncio.get_running_loop().time()) > 0:
                await asyncio.sleep(left)

        tasks = [asyncio.ensure_future(each) for each in (up(length), down(), silence())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def system_resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the system's order of preference.

    Raises:
        OSError: There are none.
    """
    # The dot keeps the search list of the host's resolver out: the name means what it says.
    found = socket.getaddrinfo(host + ".", port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class _Refused(Exception):
    def __init__(self, kind: str, target: str, reason: str, *, status: int = 403, raw: bytes | None = None) -> None:
        super().__init__(reason)
        self.kind, self.target, self.reason, self.status, self.raw = kind, target, reason, status, raw

    def answer(self) -> bytes:
        if self.raw is not None:
            return self.raw
        reason = "".join(each if " " <= each <= "~" else "?" for each in self.reason)
        text = f"sandbox: {reason}\n"
        # In the status line too: of a refused CONNECT most clients show nothing else.
        return (
            f"HTTP/1.1 {self.status} {REASONS[self.status]}: {reason}\r\nContent-Type: text/plain\r\n"
            f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}"
        ).encode("ascii")
