"""Which names a box may reach, and which addresses such a name may have.

A name is checked as text before anything is looked up, so a name that is not on the list never causes a query. What it
resolves to is then checked as addresses: the host's own networks stay out of reach even where an allowed name, or its
DNS, points into them. Limits: a wildcard lets a program put data into the names it asks for, which the servers of that
domain can read; and everything that an allowed host serves or passes on is reachable.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from agentrl.sandboxes.errors import SpecError

__all__ = ["AllowList", "BadName", "split_authority", "unfit"]

LABEL = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
HOST = re.compile(rf"({LABEL}\.)*{LABEL}")
# What inet_aton takes for a number: "127.1", "0x7f.1", "2130706433". A real top-level domain is never one.
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
NAT64 = IPv6Network("64:ff9b::/96")
# Python 3.11 calls these global. 168.63.129.16 is the host agent of one large cloud, 192.0.0.192 another's metadata.
CLOSED = (
    ip_network("168.63.129.16/32"),
    ip_network("192.0.0.0/24"),
    ip_network("192.88.99.0/24"),
    ip_network("64:ff9b:1::/48"),
    ip_network("fec0::/10"),
    ip_network("::/96"),
)


class BadName(ValueError):
    """A host or port that is not written as one; the message says what is wrong with it."""


class AllowList:
    """The names of a spec's `network`.

    "docs.example.org" is that name alone, "*.example.org" its subdomains at any depth but not itself; ":8080" after a
    name replaces the port that the scheme gives (443 for https, 80 for http).

    >>> names = AllowList(("docs.example.org", "*.example.net:8080"))
    >>> names.allows("docs.example.org", 443, usual=443), names.allows("docs.example.org", 8443, usual=443)
    (True, False)
    >>> names.allows("a.example.net", 8080, usual=80), names.allows("example.net", 8080, usual=80)
    (True, False)

    Raises:
        SpecError: An entry that is an address or no name.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self._exact: set[tuple[str, int | None]] = set()
        self._below: set[tuple[str, int | None]] = set()
        for entry in entries:
            name, _, port = entry.lower().partition(":")
            where = self._below if name.startswith("*.") else self._exact
            try:
                where.add(
                    split_authority(entry.removeprefix("*."), 443) if port else (_host(name.removeprefix("*.")), None)
                )
            except BadName as error:
                raise SpecError(f"network: {entry!r}: {error}; write a name such as 'docs.example.org'") from None

    def allows(self, host: str, port: int, *, usual: int) -> bool:
        """Say whether a host, as `split_authority` returns it, may be reached on a port.

        Args:
            host: The name, in lower case, without a dot at its end.
            port: The port.
            usual: The port of the scheme, which entries without a port stand for.
        """
        ports: tuple[int | None, ...] = (port, None) if port == usual else (port,)
        if any((host, each) in self._exact for each in ports):
            return True
        labels = host.split(".")
        parents = [".".join(labels[start:]) for start in range(1, len(labels))]
        return any((parent, each) in self._below for parent in parents for each in ports)


def split_authority(text: str, usual: int | None) -> tuple[str, int]:
    """Return the host, in lower case, and the port of "host" or "host:port".

    Args:
        text: As it stands in the request; hostile.
        usual: The port where none is given; None where one must be.

    Raises:
        BadName: Not a plain name: an address, userinfo, an escape, a letter outside ASCII, or a port that is none.

    >>> split_authority("Docs.Example.org.:8443", None)
    ('docs.example.org', 8443)
    """
    if "@" in text:
        raise BadName("a user name or password before the host is not taken")
    if text.startswith("[") or text.count(":") > 1:
        raise BadName("an address is not taken; use the name")
    host, colon, port_text = text.partition(":")
    if not colon:
        if usual is None:
            raise BadName("there is no port")
        port = usual
    elif port_text.isascii() and port_text.isdigit() and len(port_text) <= 5 and 0 < int(port_text) < 65536:
        port = int(port_text)
    else:
        raise BadName("the port is not a number from 1 to 65535")
    return _host(host), port


def unfit(address: str) -> str | None:
    """Return why an address may not be dialled, or None where it is an ordinary public one.

    >>> unfit("93.184.215.14"), unfit("169.254.169.254"), unfit("::ffff:10.0.0.1")
    (None, 'not a public address', 'an IPv4 address inside an IPv6 one')
    """
    try:
        found = ip_address(address)
    except ValueError:
        return "not an address"
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None or found.sixtofour is not None or found.teredo is not None:
            return "an IPv4 address inside an IPv6 one"
        if found in NAT64:
            # Where the host has no IPv4 these are how all of it is reached, so the address inside decides.
            return unfit(str(IPv4Address(int(found) & 0xFFFF_FFFF)))
    if not found.is_global or found.is_multicast or found.is_reserved or found.is_unspecified:
        return "not a public address"
    if any(found in network for network in CLOSED if network.version == found.version):
        return "not a public address"
    return None


def _host(text: str) -> str:
    if not text.isascii():
        raise BadName("the name has letters outside ASCII; write it in its xn-- form")
    if "%" in text:
        raise BadName("the name has a percent escape")
    host = text.lower().removesuffix(".")
    if len(host) > 253 or not HOST.fullmatch(host):
        raise BadName("that is not a host name")
    labels = host.split(".")
    if any(len(label) > 63 for label in labels):
        raise BadName("that is not a host name")
    if NUMBER.fullmatch(labels[-1]):
        raise BadName("an address is not taken; use the name")
    return host
