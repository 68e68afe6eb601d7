"""The SDK's client, without what it leaves open: a socket for each connection that fails, 25 pools of connections.

`requests` and urllib3 close what they opened; the SDK's own connection to a socket file does not where connecting
fails, and its constructor, which asks the engine for its version, loses the whole client where that fails. Imports
nothing else of this package, for the janitor loads this file by its path.
"""

from __future__ import annotations

import socket
from typing import Any

__all__ = ["NotConnected", "agree", "open_client"]


class NotConnected(OSError):
    """No connection came about, so the request was not sent."""


def open_client(url: str, timeout_s: float, version: str | None = None) -> Any:
    """Make a `docker.APIClient`; nothing is connected yet, so there is nothing to close but by its `close`.

    Args:
        url: "unix:///path", "tcp://host:port" or "http://host:port".
        timeout_s: Seconds for each piece of an answer.
        version: Of the engine's interface; None: the SDK's own, to be settled by `agree` before other calls.
    """
    from docker import APIClient
    from docker.constants import DEFAULT_DOCKER_API_VERSION

    client = APIClient(base_url=url, version=version or DEFAULT_DOCKER_API_VERSION, timeout=timeout_s)
    if url.startswith("unix://"):
        client.trust_env = False  # no proxy leads to a socket file, and another thread may be changing the environment
        client.get_adapter("http+docker://").close()
        client.mount("http+docker://", _adapter(f"http+{url}", timeout_s))
    return client


def agree(client: Any) -> str:
    """Ask the engine for the version of its interface, have the client speak it, and return it.

    Raises:
        DockerException: What answers is no engine.
    """
    from docker.errors import DockerException

    try:
        client._version = str(client.version(api_version=False)["ApiVersion"])
    except (KeyError, TypeError, ValueError) as error:
        raise DockerException(f"what answers is no Docker engine: {error}") from error
    return str(client._version)


def _adapter(url: str, timeout_s: float) -> Any:
    from docker.transport import UnixHTTPAdapter
    from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool

    class Connection(UnixHTTPConnection):  # type: ignore[misc]
        def connect(self) -> None:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.settimeout(self.timeout)
                sock.connect(self.unix_socket)
            except OSError as error:
                sock.close()
                raise NotConnected(*error.args) from error
            except BaseException:
                sock.close()
                raise
            self.sock = sock

    class Connections(UnixHTTPConnectionPool):  # type: ignore[misc]
        def _new_conn(self) -> Any:
            return Connection(self.base_url, self.socket_path, self.timeout)

    class Adapter(UnixHTTPAdapter):  # type: ignore[misc]
        def get_connection(self, url: str, proxies: Any = None) -> Any:
            """Return the same connections for every URL; the SDK has some for each, and each names another box."""
            del url, proxies
            with self.pools.lock:
                if not self.pools:
                    self.pools[""] = Connections(
                        "http+docker://localhost", self.socket_path, self.timeout, maxsize=self.max_pool_size
                    )
                return self.pools[""]

    return Adapter(url, timeout_s, pool_connections=1)
