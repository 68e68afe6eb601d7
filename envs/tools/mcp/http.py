"""The HTTP client under the SDK's transport: bounded answers, a token, and a memory of what broke.

The SDK turns an HTTP failure into an error of the call, as a server's refusal is one; `broken` tells them apart.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2

__all__ = ["MAX_ANSWER_BYTES", "Watch", "client_of"]

MAX_ANSWER_BYTES = 8 << 20
"""Of one answer of a server."""


class Watch:
    """What went wrong on the way, if anything; empty again before each call."""

    def __init__(self) -> None:
        self.broken = ""


def client_of(watch: Watch, *, token: str, connect_s: float, read_s: float) -> httpx2.AsyncClient:
    """Return a client for one session.

    Args:
        watch: Is told what breaks.
        token: Shown as a bearer; empty for none.
        connect_s: Deadline of a connection.
        read_s: Longest silence within an answer.
    """
    import httpx2

    class Bounded(httpx2.AsyncByteStream):
        def __init__(self, inner: httpx2.AsyncByteStream) -> None:
            self._inner = inner

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            try:
                async for piece in self._inner:
                    size += len(piece)
                    if size > MAX_ANSWER_BYTES:
                        watch.broken = f"an answer has more than {MAX_ANSWER_BYTES} bytes"
                        raise httpx2.ReadError(watch.broken)
                    yield piece
            except httpx2.TransportError as error:
                watch.broken = watch.broken or f"{type(error).__name__}: {error}"
                raise

        async def aclose(self) -> None:
            await self._inner.aclose()

    class Transport(httpx2.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            try:
                response = await super().handle_async_request(request)
            except httpx2.TransportError as error:
                watch.broken = f"{type(error).__name__}: {error}"
                raise
            kind = response.headers.get("content-type", "")
            if response.status_code >= 400 and request.method == "POST" and not kind.startswith("application/json"):
                watch.broken = f"HTTP status {response.status_code}"
            elif response.status_code in (401, 403, 404) or response.status_code >= 500:
                watch.broken = f"HTTP status {response.status_code}" if request.method == "POST" else watch.broken
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = Bounded(response.stream)
            return response

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = httpx2.Timeout(connect_s, read=read_s)
    return httpx2.AsyncClient(transport=Transport(), headers=headers, timeout=timeout, trust_env=False)
