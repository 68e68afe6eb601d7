"""`AgentRL/Remote-v0`: an environment that runs on a server, as one that runs here.

One connection is one session. Whatever keeps the server from answering is a failure of the infrastructure: in an
episode it ends with `info["failure"]`, at reset an InfrastructureError is raised. The next reset connects anew, so a
server that was restarted is found again.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, suppress
from typing import Any, ClassVar

import gymnasium

from agentrl.envs.arguments import check_turn
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.protocol import Failure
from agentrl.envs.remote.wire import MAX_BYTES, WireError, decoded, encoded
from agentrl.envs.spaces import Unicode

__all__ = ["MISSING", "RemoteEnv"]

MISSING = "AgentRL/Remote-v0 needs websockets, which is not installed; type: pip install 'agentrl-gym[remote]'"
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_CLOSE_S = 2.0


class RemoteEnv(gymnasium.Env[str, str]):
    """A text environment on a server that `agentrl serve` runs.

    Args:
        url: Of the server, such as "http://127.0.0.1:8300".
        env_id: Of the environment there; None: the only one that it serves.
        token: What the server asks for; None: that of the environment variable AGENTRL_TOKEN, where there is one.
        timeout_s: Deadline of a reset or step, the way there and back included.
        connect_s: How long a reset tries to connect, again and again, while the server is not there or is full.

    Raises:
        UsageError: The URL is none, a time is not above 0, or websockets is not installed.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]  # Gymnasium leaves it an instance attribute

    def __init__(
        self,
        *,
        url: str,
        env_id: str | None = None,
        token: str | None = None,
        timeout_s: float = 180.0,
        connect_s: float = 30.0,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise UsageError(
                f"url={url!r} is no address; write url='http://127.0.0.1:8300', as agentrl serve prints it"
            )
        for name, value in (("timeout_s", timeout_s), ("connect_s", connect_s)):
            if not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise UsageError(f"{name}={value!r} must be a number of seconds above 0")
        try:
            import websockets.sync.client  # noqa: F401
        except ImportError as error:
            raise UsageError(MISSING) from error
        self.action_space = Unicode(MAX_BYTES // 4)
        self.observation_space = Unicode(MAX_BYTES // 4)
        self._url = "ws" + url.removeprefix("http").rstrip("/") + "/v1/connect"
        self._env_id, self._timeout_s, self._connect_s = env_id, float(timeout_s), float(connect_s)
        self._token = os.environ.get("AGENTRL_TOKEN", "") if token is None else token
        self._socket: Any = None
        self._held = ExitStack()  # the connection
        self._done = True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode on the server; its generator is seeded there.

        Raises:
            InfrastructureError: The server cannot be reached, is full, or its environment failed.
            UsageError: The server refuses the request: a wrong token, seed, option or environment.
        """
        super().reset(seed=seed)
        self._done = True
        if seed is None:
            seed = int(self.np_random.integers(2**31))  # the same tasks for the same seed of the first reset
        request = {"op": "reset", "seed": seed, "options": options}
        fresh = self._socket is None
        try:
            told = self._asked(request)
        except _LostError as error:
            if fresh:
                raise self._infrastructure(error) from error
            try:  # the connection had been lost between two episodes: that is no failure of this one
                told = self._asked(request)
            except _LostError as again:
                raise self._infrastructure(again) from again
        failure = told["info"].get("failure")
        if failure:
            raise InfrastructureError(
                str(failure.get("message", "")),
                kind=str(failure.get("kind", "unknown")),
                boundary=str(failure.get("boundary", "environment")),
            )
        self._done = False
        return str(told["observation"]), told["info"]

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take a turn on the server.

        Raises:
            UsageError: When the action is no string, or the episode is over.
        """
        check_turn(action, is_over=self._done)
        try:
            told = self._asked({"op": "step", "action": action})
        except _LostError as error:
            failure: Failure = {"kind": error.kind, "boundary": "server", "message": str(error)}
            told = {"observation": "The episode was ended: the server failed.", "info": {"failure": failure}}
        if told["info"].get("failure"):
            self._done = True
            return str(told["observation"] or ""), 0.0, False, True, told["info"]
        self._done = bool(told["terminated"] or told["truncated"])
        return (
            str(told["observation"]),
            float(told["reward"]),
            bool(told["terminated"]),
            bool(told["truncated"]),
            told["info"],
        )

    def close(self) -> None:
        """End the session; may be called twice."""
        socket, self._socket = self._socket, None
        self._done = True
        if socket is not None:
            with suppress(Exception):  # the server may be gone
                socket.send(encoded({"op": "close"}))
                self._held.close()
        super().close()

    def _asked(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request, connecting first where there is no connection."""
        until = time.monotonic() + self._timeout_s
        text = encoded(request)
        try:
            if self._socket is None:
                self._socket = self._connected()
            self._socket.send(text)
            told = decoded(self._socket.recv(timeout=max(0.0, until - time.monotonic())))
        except (OSError, EOFError, _closed(), WireError) as error:
            self._drop()
            kind = "timeout" if isinstance(error, TimeoutError) else "unreachable"
            why = f"no answer within {self._timeout_s:g} s" if kind == "timeout" else f"{type(error).__name__}: {error}"
            raise _LostError(f"{self._url}: {why}", kind) from error
        return self._usable(told)

    def _usable(self, told: dict[str, Any]) -> dict[str, Any]:
        """Return an answer, if it is one."""
        refused = told.get("error")
        if isinstance(refused, dict):
            kind, message = str(refused.get("kind", "")), str(refused.get("message", ""))
            if kind in ("no_session", "busy", "full"):
                self._drop()
                raise _LostError(f"{self._url}: {message}", kind)
            raise UsageError(f"{self._url}: {message}")
        if not isinstance(told.get("info"), dict):
            self._drop()
            raise _LostError(f"{self._url}: an answer without info: {told!r:.100}", "protocol")
        return told

    def _connected(self) -> Any:
        """Connect and open a session, again and again for as long as that may take."""
        from websockets.exceptions import InvalidStatus
        from websockets.sync.client import connect

        until = time.monotonic() + self._connect_s
        pause_s = _FIRST_PAUSE_S
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        while True:
            left_s = max(0.1, until - time.monotonic())
            try:
                connection = connect(
                    self._url,
                    additional_headers=headers,
                    open_timeout=left_s,
                    close_timeout=_CLOSE_S,
                    max_size=MAX_BYTES,
                    compression=None,
                    proxy=None,
                )
                socket = self._held.enter_context(connection)
                socket.send(encoded({"op": "open", "env_id": self._env_id}))
                told = decoded(socket.recv(timeout=left_s))
                if "error" not in told:
                    return socket
                refused = told["error"]
                self._held.close()
                if refused.get("kind") != "full":
                    raise UsageError(f"{self._url}: {refused.get('message')}")
                problem: Exception = _LostError(f"{self._url}: {refused.get('message')}", "full")
            except InvalidStatus as error:
                if error.response.status_code in (401, 403):
                    raise UsageError(
                        f"{self._url}: the token is missing or wrong; give token=…, or set AGENTRL_TOKEN, to what "
                        "agentrl serve printed"
                    ) from error
                problem = error
            except (OSError, EOFError, _closed(), WireError) as error:
                problem = error
                self._held.close()
            if time.monotonic() + pause_s >= until:
                if isinstance(problem, _LostError):
                    raise problem
                raise ConnectionError(f"not reached within {self._connect_s:g} s: {problem}") from problem
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _drop(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            with suppress(Exception):
                socket.close_socket()  # without the closing handshake, for which nobody may answer
                self._held.close()

    def _infrastructure(self, error: _LostError) -> InfrastructureError:
        return InfrastructureError(str(error), kind=error.kind, boundary="server")


class _LostError(Exception):
    """The server gave no answer."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


def _closed() -> type[Exception]:
    from websockets.exceptions import WebSocketException

    return WebSocketException
