"""Calls to models that are not the policy: passed on to a real endpoint, unchanged but for the key.

Bytes go through as they come, a stream too. What the real endpoint answers is the answer, its errors and its headers;
where it cannot be reached the program gets status 502, and where it breaks off the connection breaks off here too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agentrl.envs.program.asgi import CutError, Send
from agentrl.envs.program.calls import Refused

if TYPE_CHECKING:
    import httpx

__all__ = ["Passing"]

_CONNECT_S = 30.0
_OF_HOP = frozenset(  # RFC 9110, section 7.6.1, and what is written anew
    b"connection content-length expect host keep-alive proxy-authenticate proxy-authorization proxy-connection te"
    b" trailer transfer-encoding upgrade".split()
)
_KEYS = (b"authorization", b"x-api-key")


class Passing:
    """The connections to real endpoints; used in one event loop."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def forward(
        self, real: tuple[str, str], path: str, headers: Mapping[bytes, bytes], body: bytes, send: Send
    ) -> None:
        """Send a request to a real endpoint, and its response to the client.

        Args:
            real: Base URL, with or without the version "/v1" at its end, and key.
            path: That was called here; begins with "/v1".
            headers: Of the request.
            body: Of the request.
            send: Takes the response.

        Raises:
            Refused: The endpoint cannot be reached.
            CutError: It broke off within its response, or the client did.
        """
        import httpx

        if self._client is None:
            timeout = httpx.Timeout(None, connect=_CONNECT_S)  # the program's client has limits of its own
            self._client = httpx.AsyncClient(timeout=timeout, limits=httpx.Limits(max_connections=None))
        base, key = real
        url = base.rstrip("/").removesuffix("/v1") + path
        is_anthropic = path.startswith("/v1/messages")
        name, value = (b"x-api-key", key) if is_anthropic else (b"authorization", f"Bearer {key}")
        shown = [(name, value.encode())] if key else []  # a server of one's own may need none
        sent = [each for each in headers.items() if each[0] not in _OF_HOP and each[0] not in _KEYS]
        started = False
        try:
            request = httpx.Request("POST", url, headers=[*sent, *shown], content=body)
            response = await self._client.send(request, stream=True)
            try:
                found = [(name.lower(), value) for name, value in response.headers.raw]
                kept = [each for each in found if each[0] not in _OF_HOP or each[0] == b"content-length"]
                await send({"type": "http.response.start", "status": response.status_code, "headers": kept})
                started = True
                async for part in response.aiter_raw():
                    await send({"type": "http.response.body", "body": part, "more_body": True})
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if started:
                raise CutError from error
            reason = str(error) or type(error).__name__
            raise Refused(f"the real endpoint failed: {reason}", status=502, code="bad_gateway") from error
        except asyncio.CancelledError:
            if started:
                raise CutError from None
            raise
        await send({"type": "http.response.body", "body": b""})

    async def close(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()
