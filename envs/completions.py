"""Ask a model behind an OpenAI-compatible endpoint for chat completions: the one client for all who ask models.

What a server can get wrong is tried again with growing pauses until a deadline: no connection, no answer in time, 408,
409, 425, 429 and 5xx, an answer that is no JSON or holds no message. A `Retry-After` holds back every request of the
client. What trying again cannot mend, such as a wrong key, is told at once. Requests are paced and counted, with their
tokens and what these cost. A client is used on one event loop.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agentrl.envs.completion_answer import Completion, read_completion, retry_after_s
from agentrl.envs.errors import InfrastructureError, UsageError

if TYPE_CHECKING:
    import ssl

    import httpx  # 0.1 s to import, which only those who ask shall spend

__all__ = ["HOPELESS", "CompletionError", "CompletionSettings", "Completions", "Usage"]

HOPELESS = {401: "the key is refused", 403: "the key may not do that", 404: "there is no such address or model"}
"""What no trying again mends, by status."""

_AGAIN = frozenset({408, 409, 425, 429})
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0
# Places that share a client of httpx. At every request it looks at all its connections, and at all again for each: a
# question took 8 to 12 ms of CPU with 64 connections in one pool, and takes 2 with 8 in each.
_SHARED = 8
_LARGEST_ANSWER = 32 << 20  # bytes, unpacked
# As OpenAI, vLLM, llama.cpp and others say it, in code or message.
_TOO_LONG = re.compile(r"context[_ ](length|window|size)|maximum context|prompt is too long", re.IGNORECASE)


class CompletionError(InfrastructureError):
    """No answer that can be used.

    Args:
        message: What went wrong.
        kind: "unreachable", "timeout", "busy" (429), "server" (5xx), "protocol" (no completion), "too_long" (for the
            model's context) or "rejected" (any other status).
        boundary: The part that asked, such as "judge".
        status: Of the last answer; 0: there was none.
        text: Of the last answer.
    """

    def __init__(self, message: str, *, kind: str, boundary: str, status: int = 0, text: str = "") -> None:
        super().__init__(message, kind=kind, boundary=boundary)
        self.status = status
        self.text = text

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (str(self), self.kind, self.boundary, self.status, self.text))


@dataclass(frozen=True, kw_only=True)
class CompletionSettings:
    """Where a model is, and how fast and how often it is asked.

    Raises:
        UsageError: A value that cannot work.
    """

    base_url: str
    model: str
    key_env: str = "OPENAI_API_KEY"  # environment variable with the key; a server without keys needs none
    request_s: float = 0.0  # of one try; 0: half of what is left of the deadline, so that one that hangs costs no more
    deadline_s: float = 180.0  # of one question, with all tries and pauses, from when its turn has come
    max_tries: int = 6
    requests_per_minute: float = 0.0  # 0: as fast as they come
    concurrency: int = 64  # questions at once
    price_in: float = 0.0  # of a million prompt tokens, in the user's currency
    price_out: float = 0.0  # of a million completion tokens

    def __post_init__(self) -> None:
        if not isinstance(self.base_url, str) or not self.base_url.startswith(("http://", "https://")):
            raise UsageError(f"base_url={self.base_url!r} is no address; write one such as 'http://127.0.0.1:8000/v1'")
        if not isinstance(self.model, str) or not self.model.strip():
            raise UsageError(f"model={self.model!r} names no model; write its name at {self.base_url}")
        if not isinstance(self.key_env, str):
            raise UsageError(f"key_env={self.key_env!r} must be the name of an environment variable")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            whole = name in ("max_tries", "concurrency")
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                raise UsageError(f"{name}={value!r} must be a {'whole ' if whole else ''}number")
            if math.isnan(value) or value < least or (name == "deadline_s" and value == 0):
                raise UsageError(f"{name}={value!r} is too small; write {'more than 0' if least == 0 else '1 or more'}")


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What has been asked so far, and what it took."""

    num_requests: int = 0
    num_retries: int = 0
    num_refused: int = 0  # answers of 429: requests came too fast
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0  # in the currency of the prices


class Completions:
    """One model of one server, for many questions at once.

    Args:
        settings: Where it is and how it is asked.
        who: Is asked, as a message names it.
        boundary: Of the failures.
        key: Sent as a bearer token; None: what the environment variable `settings.key_env` holds at first use.
    """

    def __init__(
        self, settings: CompletionSettings, *, who: str = "the model", boundary: str = "model", key: str | None = None
    ) -> None:
        self.settings = settings
        self._who = who
        self._boundary = boundary
        self._key = key
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clients: dict[int, httpx.AsyncClient] = {}
        self._places = asyncio.Semaphore(settings.concurrency)
        self._free = list(range(settings.concurrency))  # numbers of places; the last one left is the next taken
        self._tls: ssl.SSLContext | None = None  # takes 10 ms to make
        self._next = 0.0  # monotonic times: of the next request by the pace, …
        self._not_before = 0.0  # … and what a server asked for
        self._chance = random.SystemRandom()  # so that questions that were refused together do not come again together
        self._counts = dict.fromkeys(("requests", "retries", "refused", "prompt", "completion"), 0)

    async def ask(
        self,
        body: Mapping[str, Any],
        *,
        check: Callable[[Mapping[str, Any]], object] | None = None,
        deadline_s: float | None = None,
    ) -> Completion:
        """Return what the model says.

        Args:
            body: Of the request; the model's name is added.
            check: Raises ValueError for a message that cannot be used; it is then asked for again.
            deadline_s: Of this question; None: that of the settings.

        Raises:
            CompletionError: No answer that can be used.
            UsageError: The key cannot be sent.
        """
        self._loop = self._loop or asyncio.get_running_loop()
        assert self._loop is asyncio.get_running_loop(), "a client is used on one event loop"
        content = json.dumps({"model": self.settings.model, **body}).encode()
        async with self._places:
            place = self._free.pop()
            try:
                return await self._tried(content, self._opened(place // _SHARED), check, deadline_s)
            finally:
                self._free.append(place)

    @property
    def is_open(self) -> bool:
        """Whether there are connections to close."""
        return bool(self._clients)

    def usage(self) -> Usage:
        """Return what has been asked so far, and what it took."""
        each = self._counts
        cost = (each["prompt"] * self.settings.price_in + each["completion"] * self.settings.price_out) / 1e6
        return Usage(
            num_requests=each["requests"],
            num_retries=each["retries"],
            num_refused=each["refused"],
            prompt_tokens=each["prompt"],
            completion_tokens=each["completion"],
            cost=cost,
        )

    async def close(self) -> None:
        """Close all connections; calling it again does nothing."""
        while self._clients:
            await self._clients.popitem()[1].aclose()

    async def _tried(
        self,
        content: bytes,
        client: httpx.AsyncClient,
        check: Callable[[Mapping[str, Any]], object] | None,
        deadline_s: float | None,
    ) -> Completion:
        """Ask until there is an answer, or nothing more to be hoped for."""
        await self._turn()
        began = time.monotonic()
        end = began + (self.settings.deadline_s if deadline_s is None else deadline_s)
        for attempt in range(self.settings.max_tries):
            answered = await self._try(content, client, end, attempt, check)
            if isinstance(answered, Completion):
                return replace(answered, seconds=time.monotonic() - began)
            error, asked_s = answered
            pause_s = self._pause_s(attempt) if asked_s is None else min(_LONGEST_PAUSE_S, asked_s)
            if attempt + 1 == self.settings.max_tries or time.monotonic() + pause_s >= end:
                raise error
            self._counts["retries"] += 1
            if asked_s is not None:
                self._not_before = max(self._not_before, time.monotonic() + pause_s)
            await asyncio.sleep(pause_s)
            await self._turn()
            if time.monotonic() >= end:
                raise error
        raise AssertionError("max_tries is 1 or more")

    async def _turn(self) -> None:
        """Wait until the pace, and what a server asked for, allow a request."""
        at = 0.0
        if self.settings.requests_per_minute:
            at = max(time.monotonic(), self._next)
            self._next = at + 60.0 / self.settings.requests_per_minute
        while (wait_s := max(at, self._not_before) - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)

    async def _try(
        self,
        content: bytes,
        client: httpx.AsyncClient,
        end: float,
        attempt: int,
        check: Callable[[Mapping[str, Any]], object] | None,
    ) -> Completion | tuple[CompletionError, float | None]:
        """Ask once; return the answer, or why there is none and for how long the server wants to be left alone."""
        import httpx

        left_s = max(0.05, end - time.monotonic())
        limit_s = min(
            left_s, self.settings.request_s or (left_s if attempt + 1 == self.settings.max_tries else left_s / 2)
        )
        self._counts["requests"] += 1
        try:
            async with asyncio.timeout(limit_s):
                response, raw = await self._post(client, content)
        except httpx.InvalidURL as error:
            raise UsageError(f"base_url={self.settings.base_url!r} is no address ({error})") from error
        except (TimeoutError, httpx.TimeoutException):
            return self._error(f"no answer within {limit_s:.3g} s", "timeout", attempt), None
        except httpx.TransportError as error:
            return self._error(f"{type(error).__name__}: {error}", "unreachable", attempt), None
        except (ValueError, httpx.HTTPError) as error:  # too large, or wrongly packed
            return self._error(f"an answer that cannot be used: {error}", "protocol", attempt), None
        text = raw.decode(errors="replace")
        if response.is_success:
            try:
                completion = read_completion(text, check)
            except ValueError as error:
                return self._error(f"an answer that cannot be used: {error}", "protocol", attempt, 200, text), None
            self._counts["prompt"] += completion.prompt_tokens
            self._counts["completion"] += completion.completion_tokens
            return completion
        return self._refused(response, text, attempt), retry_after_s(response.headers.get("retry-after", ""))

    def _refused(self, response: httpx.Response, text: str, attempt: int) -> CompletionError:
        """Return what a status says; raise where trying again cannot help."""
        status = response.status_code
        self._counts["refused"] += status == 429
        why = (
            f" ({HOPELESS[status]}; look at model, base_url and ${self.settings.key_env})" if status in HOPELESS else ""
        )
        kind = "busy" if status == 429 else "server" if status >= 500 else "rejected"
        if status in (400, 413) and _TOO_LONG.search(text):
            kind = "too_long"
        problem = f"status {status}{why}: {' '.join(text[:300].split())}"
        error = self._error(problem, kind, attempt, status, text)
        if status < 500 and status not in _AGAIN:
            raise error
        return error

    def _error(self, problem: str, kind: str, attempt: int, status: int = 0, text: str = "") -> CompletionError:
        many = f", {attempt + 1} times" if attempt else ""
        told = f"{self._who} {self.settings.model!r} at {self.settings.base_url}: {problem}{many}"
        if self._key:  # some servers repeat what they were sent
            told, text = told.replace(self._key, "…"), text.replace(self._key, "…")
        return CompletionError(told, kind=kind, boundary=self._boundary, status=status, text=text)

    async def _post(self, client: httpx.AsyncClient, content: bytes) -> tuple[httpx.Response, bytes]:
        """Send a request and read the answer, no more of it than an answer may have."""
        url = self.settings.base_url.rstrip("/") + "/chat/completions"
        async with client.stream("POST", url, content=content) as response:
            parts: list[bytes] = []
            size = 0
            async for part in response.aiter_bytes():
                size += len(part)
                if size > _LARGEST_ANSWER:
                    raise ValueError(f"it has more than {_LARGEST_ANSWER >> 20} MiB")
                parts.append(part)
            return response, b"".join(parts)

    def _opened(self, number: int) -> httpx.AsyncClient:
        """Return one of several clients, opened at its first use; all of them share the settings of TLS."""
        if number not in self._clients:
            import httpx

            if self._key is None:
                self._key = os.environ.get(self.settings.key_env, "").strip() if self.settings.key_env else ""
            if not self._key.isascii() or not self._key.isprintable():
                raise UsageError(f"the key in ${self.settings.key_env} has characters that no key has; set it again")
            self._tls = self._tls or httpx.create_ssl_context(trust_env=False)
            headers = {"Content-Type": "application/json"}
            if self._key:
                headers["Authorization"] = f"Bearer {self._key}"
            self._clients[number] = httpx.AsyncClient(
                headers=headers,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=_SHARED),
                # Each try as a whole has a limit of its own; a connection that does not come about is noticed sooner.
                timeout=httpx.Timeout(None, connect=10.0),
                trust_env=False,
                verify=self._tls,
            )
        return self._clients[number]

    def _pause_s(self, attempt: int) -> float:
        """Return how long to wait: twice as long each time, in part by chance."""
        share = 0.5 + self._chance.random() / 2
        return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * float(2**attempt) * share)


_LEAST = {
    "request_s": 0,
    "deadline_s": 0,
    "max_tries": 1,
    "requests_per_minute": 0,
    "concurrency": 1,
    "price_in": 0,
    "price_out": 0,
}


def _rebuild(message: str, kind: str, boundary: str, status: int, text: str) -> CompletionError:
    return CompletionError(message, kind=kind, boundary=boundary, status=status, text=text)
