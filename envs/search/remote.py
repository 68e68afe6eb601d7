"""A retriever behind HTTP, with the interface of Search-R1's retrieval server (`search_r1/search/retrieval_server.py`).

    POST URL  {"queries": [query], "topk": k, "return_scores": true}
    answer    {"result": [[{"document": {"id", "contents"}, "score"}, …]]}

The deadline holds for a whole query: retries, pauses between them, a server that sends a byte now and then. Whatever
goes wrong is an `InfrastructureError`, never an empty result. Looking up a host name has the system's own limit.
httpcore is what httpx sends with; it is used directly because only its streams let one deadline cover an exchange.
Proxies from the environment are not used. `get` knows the documents that this retriever has found lately.
"""

from __future__ import annotations

import collections
import json
import math
import ssl
import threading
import time
import urllib.parse
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpcore

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.rows import clean
from agentrl.envs.search.layouts import digest, split_contents
from agentrl.envs.search.retrieval import MAX_HITS, MAX_QUERY_CHARS, Document, Hit, Retriever

__all__ = ["HttpRetriever"]

MAX_BODY_BYTES = 16 << 20
MAX_KEPT = 10_000

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_FIRST_PAUSE_S = 0.2


class HttpRetriever(Retriever):
    """Ask a retrieval server; safe to share between threads.

    Args:
        url: Where queries are posted to, such as "http://127.0.0.1:8000/retrieve".
        timeout_s: Deadline of one search, retries included.
        attempt_timeout_s: Deadline of one attempt.
        retries: How many more attempts a failed one may get.

    Raises:
        UsageError: the URL is none, or a number is out of range.
    """

    def __init__(self, url: str, *, timeout_s: float = 30.0, attempt_timeout_s: float = 10.0, retries: int = 3) -> None:
        _check_url(url)
        if not (timeout_s > 0 and attempt_timeout_s > 0 and retries >= 0):
            raise UsageError(
                f"timeout_s={timeout_s}, attempt_timeout_s={attempt_timeout_s}, retries={retries}: the retriever needs"
                " timeouts above 0 and no fewer than 0 retries"
            )
        self._url = url
        self._timeout_s = timeout_s
        self._attempt_timeout_s = attempt_timeout_s
        self._retries = retries
        self._deadline = _Deadline()
        # No bound on connections: there is one for each thread that is in `search`.
        self._pool = httpcore.ConnectionPool(
            max_connections=None, max_keepalive_connections=64, network_backend=_Backend(self._deadline)
        )
        self._kept: collections.OrderedDict[str, Document] = collections.OrderedDict()
        self._lock = threading.Lock()

    def search(self, query: str, k: int) -> list[Hit]:
        query = clean(query)[:MAX_QUERY_CHARS]
        k = min(k, MAX_HITS)
        if k < 1 or not query.strip():
            return []
        found = _parse(self._ask({"queries": [query], "topk": k, "return_scores": True}), self._url)[:k]
        with self._lock:
            for document, _ in found:
                self._kept[document.id] = document
                self._kept.move_to_end(document.id)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return [Hit.of(document, score) for document, score in found]

    def get(self, doc_id: str) -> Document | None:
        with self._lock:
            return self._kept.get(doc_id)

    def close(self) -> None:
        self._pool.close()

    def _ask(self, payload: dict[str, object]) -> bytes:
        """Post and return the body of a good answer, after as many attempts as the deadline and `retries` allow."""
        content = json.dumps(payload).encode()
        end = time.monotonic() + self._timeout_s
        failure: _Failure
        for attempt in range(self._retries + 1):
            self._deadline.at = min(end, time.monotonic() + self._attempt_timeout_s)
            outcome = self._attempt(content)
            if isinstance(outcome, bytes):
                return outcome
            failure = outcome
            # Spread by the query, so that a hundred episodes that failed together do not all come back together.
            spread = 0.5 + zlib.crc32(content, attempt) / 2**32
            pause_s = _FIRST_PAUSE_S * 2**attempt * spread
            if not failure.again or attempt == self._retries or time.monotonic() + pause_s >= end:
                break
            time.sleep(pause_s)
        tried = f"{attempt + 1} attempt{'s' if attempt else ''}"
        raise InfrastructureError(
            f"the retrieval server at {self._url} failed after {tried}: {failure.message}",
            kind=failure.kind,
            boundary="retriever",
        )

    def _attempt(self, content: bytes) -> bytes | _Failure:
        headers: dict[bytes | str, bytes | str] = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": "agentrl",
        }
        try:
            with self._pool.stream("POST", self._url, headers=headers, content=content) as response:
                body = bytearray()
                for chunk in response.iter_stream():
                    body += chunk
                    if len(body) > MAX_BODY_BYTES:
                        limit = f"more than {MAX_BODY_BYTES >> 20} MB"
                        return _Failure(kind="bad_response", message=f"the answer has {limit}", again=False)
        except httpcore.TimeoutException as error:
            message = f"no whole answer in time ({type(error).__name__})"
            return _Failure(kind="timeout", message=message, again=True)
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            return _Failure(kind="unreachable", message=f"{type(error).__name__}: {error}", again=True)
        if response.status // 100 == 2:
            return bytes(body)
        said = body[:200].decode("utf-8", "replace")
        hint = "; Search-R1's server answers at …/retrieve" if response.status in (404, 405) else ""
        message = f"HTTP status {response.status}{hint}: {said}"
        return _Failure(kind="http_status", message=message, again=response.status in _RETRIED)


@dataclass(frozen=True, kw_only=True)
class _Failure:
    kind: str
    message: str
    again: bool


def _parse(body: bytes, url: str) -> list[tuple[Document, float]]:
    def wrong(expected: str, received: object) -> InfrastructureError:
        return InfrastructureError(
            f"the retrieval server at {url} gave an answer of another shape: expected {expected}, got"
            f" {repr(received)[:120]}",
            kind="bad_response",
            boundary="retriever",
        )

    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise wrong("JSON", body) from error
    result = answer.get("result") if isinstance(answer, dict) else None
    if not isinstance(result, list) or len(result) != 1 or not isinstance(result[0], list):
        raise wrong('{"result": [[…]]} with one list for the one query', answer)
    found = []
    for item in result[0]:
        document = _document(item) if isinstance(item, dict) else None
        score = _score(item) if isinstance(item, dict) else None
        if document is None or score is None:
            raise wrong('{"document": {"id", "contents"}, "score": number}', item)
        found.append((document, score))
    return found


def _document(item: dict[str, Any]) -> Document | None:
    """Read a document; Search-R1's BM25 server gives no id, and a server may ignore return_scores."""
    value = item.get("document", item)
    if not isinstance(value, dict):
        return None
    contents, title, text = value.get("contents"), value.get("title"), value.get("text")
    if isinstance(contents, str):
        title, text = split_contents(contents)
    elif isinstance(title, str) and isinstance(text, str):
        title, text = clean(title), clean(text)
    else:
        return None
    own = value.get("id")
    if own is None:
        own = digest(f"{title}\n{text}").hex()
    if isinstance(own, bool) or not isinstance(own, str | int):
        return None
    return Document(id=clean(str(own)), title=title, text=text)


def _score(item: dict[str, Any]) -> float | None:
    score = item.get("score", 0.0)
    if isinstance(score, bool) or not isinstance(score, int | float | str):
        return None
    try:
        return number if math.isfinite(number := float(score)) else None
    except (ValueError, OverflowError):
        return None


def _check_url(url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        port = parts.port
    except ValueError as error:  # UnicodeError too
        raise UsageError(f"retriever={url!r} is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host or port == 0 or not url.isascii() or " " in url:
        raise UsageError(f"retriever={url!r} is no URL; write one like http://127.0.0.1:8000/retrieve")
    if parts.username is not None:
        raise UsageError("retriever: a URL with a user name or password is not supported; the server must let you in")


class _Deadline(threading.local):
    """When the attempt of the calling thread ends, by `time.monotonic`."""

    at: float = 0.0

    def left(self, error: type[httpcore.TimeoutException]) -> float:
        left_s = self.at - time.monotonic()
        if left_s <= 0:
            raise error("deadline")
        return left_s


class _Stream(httpcore.NetworkStream):
    """Give every single read and write only what is left of the attempt."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left_s = self._deadline.left(httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left_s), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, deadline: _Deadline) -> None:
        self._sockets = httpcore.SyncBackend()
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left_s = self._deadline.left(httpcore.ConnectTimeout)
        stream = self._sockets.connect_tcp(host, port, left_s, local_address, socket_options)
        return _Stream(stream, self._deadline)
