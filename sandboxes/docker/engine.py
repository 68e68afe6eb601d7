"""Calls to the Docker engine: each with a deadline, each error one of ours that names the command which mends it.

The SDK's client is one `requests` session and not meant for several threads at once, so a call borrows a client of
its own from a small pool. A deadline bounds the wait for each piece of an answer, as the SDK's own timeout does.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

from agentrl.sandboxes.docker.client import NotConnected, agree, open_client
from agentrl.sandboxes.errors import SandboxUnavailable, SpecError

__all__ = ["DEFAULT_URL", "Absent", "Engine", "Refused", "diagnosis"]

DEFAULT_URL = "unix:///var/run/docker.sock"
# Idle clients that are kept; each holds one connection.
SPARE = 8
# Names remembered of containers that may have come late.
LATE = 1000


class Refused(SandboxUnavailable):
    """The engine answered, and said no; `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Absent(SandboxUnavailable):
    """Nobody took the connection, so nothing was asked of the engine."""


class Engine:
    """The engine behind one address."""

    def __init__(self, base_url: str | None = None, *, timeout_s: float = 20.0) -> None:
        """Remember the address; nothing is connected yet.

        Args:
            base_url: "unix:///path" or "tcp://host:port"; None: DOCKER_HOST, else the usual socket.
            timeout_s: Deadline of a call that names none.
        """
        self.url = base_url or os.environ.get("DOCKER_HOST") or DEFAULT_URL
        if not self.url.startswith(("unix://", "tcp://", "http://")):
            raise SpecError(f"base_url={self.url!r}: write 'unix:///var/run/docker.sock' or 'tcp://host:port'")
        self.timeout_s = timeout_s
        self.late: deque[tuple[float, str]] = deque(maxlen=LATE)
        """Containers that the engine may have made without saying so, and when each is to be looked for again."""
        self._lock = threading.Lock()
        self._spare: list[Any] = []
        self._version: str | None = None
        self._process = os.getpid()

    @contextmanager
    def client(self, timeout_s: float | None = None) -> Generator[Any]:
        """Lend a `docker.APIClient` for the calls of one `with` block.

        Args:
            timeout_s: Seconds that the engine may take over each answer.

        Raises:
            Absent: No engine, or no right to speak to it.
            SandboxUnavailable: No answer in time, or none that can be understood.
            Refused: The engine's own refusal.
        """
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException
        from urllib3.exceptions import ConnectTimeoutError, HTTPError

        deadline_s = max(0.05, self.timeout_s if timeout_s is None else timeout_s)
        client = None
        try:
            client = self._borrow(deadline_s)
            yield client
        except (DockerException, RequestException, HTTPError, OSError) as error:
            refusal: Any = next((each for each in _causes(error) if isinstance(each, APIError)), None)
            if refusal is None:
                unsent = any(isinstance(each, NotConnected | ConnectTimeoutError) for each in _causes(error))
                kind = Absent if unsent else SandboxUnavailable
                raise kind(diagnosis(self.url, error, deadline_s)) from error
            if refusal is error:
                # An answer that came whole: the connection is good for more.
                self._give_back(client)
                client = None
            text = str(refusal.explanation or refusal).strip()
            raise Refused(f"the engine at {self.url} refused: {text}", int(refusal.status_code or 0)) from error
        else:
            self._give_back(client)
            client = None
        finally:
            # What failed half-way may have an answer still under way: never used again.
            if client is not None:
                client.close()

    def close(self) -> None:
        """Close every idle connection; idempotent."""
        with self._lock:
            spare, self._spare = self._spare, []
        for client in spare:
            client.close()

    def _borrow(self, deadline_s: float) -> Any:
        with self._lock:
            if self._process != os.getpid():
                # A fork shares its parent's connections: leave them alone.
                self._process, self._spare = os.getpid(), []
            client = self._spare.pop() if self._spare else None
        if client is None:
            version = self._version  # read once: another thread may learn it while this client is made
            client = open_client(self.url, deadline_s, version)
            if version is None:
                try:
                    self._version = agree(client)
                except BaseException:
                    client.close()
                    raise
        client.timeout = deadline_s
        return client

    def _give_back(self, client: Any) -> None:
        if client is None:
            return
        with self._lock:
            if len(self._spare) < SPARE and self._process == os.getpid():
                self._spare.append(client)
                return
        client.close()


def diagnosis(url: str, error: BaseException, deadline_s: float) -> str:
    """Say what keeps the engine from answering, and the command that mends it."""
    causes = list(_causes(error))
    kinds = [type(each).__name__ for each in causes]
    if any(isinstance(each, PermissionError) for each in causes):
        return (
            f"no permission to use the Docker engine at {url}; run `sudo usermod -aG docker $USER`, then log in again "
            "(the group is as good as root on this machine)"
        )
    if any(isinstance(each, TimeoutError) or "Timeout" in kind for each, kind in zip(causes, kinds, strict=True)):
        return f"the Docker engine at {url} did not answer within {deadline_s:g} s; look at `docker info`"
    if any(isinstance(each, FileNotFoundError | ConnectionError) for each in causes):
        return (
            f"no Docker engine answers at {url}; run `apt-get install docker.io`, then `systemctl start docker` "
            "(without systemd: `dockerd &`)"
        )
    return f"the Docker engine at {url} failed: {error}; look at `docker info`"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and all that it wraps: requests and urllib3 keep the cause in their arguments."""
    waiting, seen = [error], set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = [*each.args, each.__cause__, each.__context__, getattr(each, "reason", None)]
        waiting.extend(one for one in inner if isinstance(one, BaseException))
