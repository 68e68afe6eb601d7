"""Where a server of ours listens: an address that is bound before anything else, for this machine or for others too."""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket

from agentrl.envs.errors import UsageError

__all__ = ["bind", "checked_token", "is_loopback", "shown_host"]

_SHORTEST = 16  # characters of a token
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")  # what neither an address, a header nor a cookie quotes
_LAST_PORT = 65535


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, seen from itself.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("::1")
    (True, True, False, True)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: Address to bind to.
        port: 0 takes a free one.

    Raises:
        UsageError: The address cannot be bound.
    """
    if not 0 <= port <= _LAST_PORT:
        raise UsageError(f"--port {port} is no port; give one from 1 to {_LAST_PORT}, or 0 for a free one")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(128)  # who comes before the server is up waits
        except BaseException:
            listening.close()
            raise
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"{host}:{port} cannot be served: {error}; type another --port, or --port 0 for a free one"
        ) from error
    return listening


def shown_host(host: str) -> str:
    """Return a host as it stands in an address that others can open."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    if is_loopback(host):
        return "localhost"
    return f"[{host}]" if ":" in host else host


def checked_token(token: str | None, host: str) -> str:
    """Return the token that clients must show: the given one, a new one where others can reach the host, else none.

    Raises:
        UsageError: It can be guessed, or cannot stand in an address.
    """
    if token is None:
        return "" if is_loopback(host) else secrets.token_urlsafe(24)
    if len(token) < _SHORTEST:
        raise UsageError(f"--token {token!r} can be guessed; give at least {_SHORTEST} characters, or none")
    if not _TOKEN.fullmatch(token):
        raise UsageError(
            f"--token {token!r} cannot stand in an address and a cookie; use letters, digits and -._~ alone, "
            "or leave it out to have one made"
        )
    return token
