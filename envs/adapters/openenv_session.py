"""One session of an OpenEnv server, by its WebSocket protocol; `openenv-core` itself is not needed for it.

A message of ours ("reset", "step") has one answer: an observation with reward and done, or an error with a code. That
the server is gone, full, late or broken is an InfrastructureError; that it refuses what a policy wrote is told apart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from agentrl.envs.adapters.foreign import package
from agentrl.envs.errors import InfrastructureError, UsageError

__all__ = ["RefusedError", "Session"]

_INSTALL = "pip install 'agentrl-gym[remote]'"
_MAX_BYTES = 16 << 20
_PAUSE_S = 0.2
_POLICY = ("VALIDATION_ERROR", "INVALID_JSON")  # codes of what an action is to blame for


class RefusedError(Exception):
    """The server does not take an action; the message says why."""


class Session:
    """A connection, opened at the first message and again after it was lost.

    Args:
        url: Of the server, such as "http://127.0.0.1:8000".
        token: Sent as a bearer token; empty: none.
        timeout_s: Deadline of a message, there and back.
        connect_s: How long to try to connect while the server is not there or is full.
    """

    def __init__(self, url: str, *, token: str, timeout_s: float, connect_s: float) -> None:
        self._http = url.rstrip("/")
        self._url = "ws" + self._http.removeprefix("http") + "/ws"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout_s, self._connect_s = timeout_s, connect_s
        self._client = package("websockets.sync.client", "AgentRL/OpenEnv-v0", _INSTALL)
        self._lost = package("websockets.exceptions", "AgentRL/OpenEnv-v0", _INSTALL).WebSocketException
        self._socket: Any = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._socket is not None

    def open(self) -> None:
        """Connect, where there is no connection.

        Raises:
            InfrastructureError: The server is not there.
            UsageError: It does not take the token.
        """
        try:
            self._socket = self._socket or self._connected()
        except OSError as error:
            raise self._failure(str(error), "unreachable") from error

    def told(self, path: str) -> dict[str, Any]:
        """Return what the server says of itself at `path`, such as "/schema".

        Raises:
            InfrastructureError: It is not there, or says something else.
        """
        import httpx

        try:
            with httpx.Client(trust_env=False, timeout=self._timeout_s, headers=self._headers) as client:
                value = client.get(self._http + path).raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise self._failure(f"{path}: {error}", "unreachable") from error
        if not isinstance(value, dict):
            raise self._failure(f"{path} is no object: {value!r:.100}", "protocol")
        return value

    def ask(self, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Send a message; return the observation, with `reward` and `done`.

        Raises:
            InfrastructureError: There is none.
            RefusedError: The server does not take the action.
        """
        until = time.monotonic() + self._timeout_s
        try:
            if self._socket is None:
                self._socket = self._connected()
            self._socket.send(json.dumps({"type": kind, "data": dict(data)}))
            answer = json.loads(self._socket.recv(timeout=max(0.0, until - time.monotonic())))
        except (OSError, EOFError, self._lost, ValueError) as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise self._failure(f"no answer within {self._timeout_s:g} s", "timeout") from error
            raise self._failure(f"{type(error).__name__}: {error}", "unreachable") from error
        told = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(told, dict):
            self.close()
            raise self._failure(f"an answer without data: {answer!r:.100}", "protocol")
        if answer.get("type") == "error":
            code, message = str(told.get("code", "")), str(told.get("message", ""))
            if code in _POLICY:
                raise RefusedError(_details(message, told.get("errors")))
            self.close()
            raise self._failure(f"{code}: {message}", "full" if code == "CAPACITY_REACHED" else "crash")
        return told

    def close(self) -> None:
        """End the session; may be called twice."""
        socket, self._socket = self._socket, None
        if socket is not None:
            with suppress(Exception):  # the server may be gone
                socket.send(json.dumps({"type": "close"}))
            with suppress(Exception):
                socket.close()

    def _connected(self) -> Any:
        until = time.monotonic() + self._connect_s
        while True:
            try:
                return self._client.connect(
                    self._url,
                    additional_headers=self._headers,
                    open_timeout=max(0.1, until - time.monotonic()),
                    close_timeout=1.0,
                    max_size=_MAX_BYTES,
                    proxy=None,
                )
            except (OSError, EOFError, self._lost) as error:
                status = getattr(getattr(error, "response", None), "status_code", 0)
                if status in (401, 403):
                    raise UsageError(f"{self._url}: the token is missing or wrong; give token=…") from error
                if time.monotonic() + _PAUSE_S >= until:
                    raise ConnectionError(f"not reached within {self._connect_s:g} s: {error}") from error
                time.sleep(_PAUSE_S)

    def _failure(self, why: str, kind: str) -> InfrastructureError:
        return InfrastructureError(f"{self._url}: {why}", kind=kind, boundary="OpenEnv")


def _details(message: str, errors: Any) -> str:
    """Return what pydantic found, a line a field."""
    found = [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    lines = [f"{'.'.join(map(str, each.get('loc', ())))}: {each.get('msg', '')}" for each in found]
    return "; ".join(lines) or message
