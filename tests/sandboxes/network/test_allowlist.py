"""What may be reached, as pure functions: names, addresses, and what a client says first."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.sandboxes.errors import SpecError
from agentrl.sandboxes.network.allowlist import AllowList, BadName, split_authority, unfit
from agentrl.sandboxes.network.opening import BadRequest, Incomplete, parse_request, server_name
from tests.sandboxes.proxy_client import hello

# Names


@pytest.mark.parametrize(
    ("network", "host", "port", "usual", "allowed"),
    [
        ("docs.example.org", "docs.example.org", 443, 443, True),
        ("docs.example.org", "docs.example.org", 80, 80, True),
        ("docs.example.org", "docs.example.org", 80, 443, False),
        ("docs.example.org", "docs.example.org", 22, 443, False),
        ("docs.example.org", "example.org", 443, 443, False),
        ("docs.example.org", "a.docs.example.org", 443, 443, False),
        ("docs.example.org", "docs.example.org.evil.net", 443, 443, False),
        ("docs.example.org", "xdocs.example.org", 443, 443, False),
        ("docs.example.org:8080", "docs.example.org", 8080, 443, True),
        ("docs.example.org:8080", "docs.example.org", 443, 443, False),
        ("*.example.org", "a.example.org", 443, 443, True),
        ("*.example.org", "a.b.example.org", 443, 443, True),
        ("*.example.org", "example.org", 443, 443, False),
        ("*.example.org", "evilexample.org", 443, 443, False),
        ("*.example.org:8443", "a.example.org", 8443, 443, True),
        ("*.example.org:8443", "a.example.org", 443, 443, False),
    ],
)
def test_the_list(network: str, host: str, port: int, usual: int, allowed: bool) -> None:
    assert AllowList((network,)).allows(host, port, usual=usual) is allowed


@pytest.mark.parametrize("entry", ["10.0.0.1", "*.1", "docs.example.org:0", "docs.example.org:99999", "0x7f"])
def test_an_entry_that_cannot_work(entry: str) -> None:
    with pytest.raises(SpecError, match="network"):
        AllowList((entry,))


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "017700000001",
        "[::1]",
        "::1",
        "[::ffff:127.0.0.1]:443",
        "docs.example.org@127.0.0.1",
        "user:pass@docs.example.org",
        "docs%2eexample.org",
        "docs.example.org%00.evil.net",
        "docs.example.org..",
        ".docs.example.org",
        "docs..example.org",
        "docs.example.org\\.evil.net",
        "docs.example.org\0",
        "docs.example.org\n",
        "döcs.example.org",
        "docs。example.org",
        "docs.example.org:",
        "docs.example.org:0",
        "docs.example.org:65536",
        "docs.example.org:+80",
        "docs.example.org:8 0",
        "docs.example.org:١",
        "",
        ":80",
        "a" * 64 + ".example.org",
        "a." * 130 + "org",
    ],
)
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(BadName):
        split_authority(text, 80)


def test_upper_case_and_a_dot_at_the_end_are_the_same_name() -> None:
    assert split_authority("Docs.EXAMPLE.org.:443", None) == ("docs.example.org", 443)
    assert split_authority("xn--dcs-0qa.example.org", 80) == ("xn--dcs-0qa.example.org", 80)


@settings(deadline=None)  # a busy machine, not the code, would break it
@given(st.text(max_size=60), st.sampled_from([None, 80]))
def test_any_text_is_a_plain_name_or_refused(text: str, usual: int | None) -> None:
    try:
        host, port = split_authority(text, usual)
    except BadName:
        return
    assert 0 < port < 65536
    assert host == host.lower()
    assert set(host) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")
    with pytest.raises(OSError):
        socket.inet_aton(host)


# Addresses


@pytest.mark.parametrize(
    "address",
    "127.0.0.1 127.8.8.8 0.0.0.0 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 100.100.100.200 224.0.0.1 "
    "239.1.1.1 255.255.255.255 240.0.0.1 168.63.129.16 192.0.0.192 198.18.0.1 192.0.2.1 ::1 :: ::7f00:1 "
    "::ffff:127.0.0.1 ::ffff:8.8.8.8 fe80::1 fe80::1%eth0 fc00::1 fd00:ec2::254 fec0::1 ff02::1 2002:7f00:1:: "
    "2002:808:808:: 2001:0:4136:e378:8000:63bf:3fff:fdd2 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 2001:db8::1 "
    "nonsense".split(),
)
def test_addresses_that_are_never_dialled(address: str) -> None:
    assert unfit(address) is not None


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses(address: str) -> None:
    assert unfit(address) is None


# Openings


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET / HTTP/1.1",
        b"GET /x HTTP/1.1\r\nHost: docs.example.org",
        b"GET https://docs.example.org/ HTTP/1.1",
        b"GET ftp://docs.example.org/ HTTP/1.1",
        b"GET http://docs.example.org/ HTTP/2",
        b"GET  http://docs.example.org/ HTTP/1.1",
        b"GET http://docs.example.org/ a HTTP/1.1",
        b"GET http://docs.example.org/\xff HTTP/1.1",
        b"GET http://docs.example.org/#a HTTP/1.1",
        b"GET http://docs.example.org@127.0.0.1/ HTTP/1.1",
        b"GET http://docs.example.org\\@127.0.0.1/ HTTP/1.1",
        b"GET http:///x HTTP/1.1",
        b"TRACE http://docs.example.org/ HTTP/1.1",
        b"CONNECT docs.example.org HTTP/1.1",
        b"CONNECT docs.example.org:443/ HTTP/1.1",
        b"CONNECT http://docs.example.org:443 HTTP/1.1",
        b"GET http://docs.example.org/ HTTP/1.1\r\nA : b",
        b"GET http://docs.example.org/ HTTP/1.1\r\nA: b\r\n c",
        b"GET http://docs.example.org/ HTTP/1.1\r\nA: b\nHost: evil.net",
        b"GET http://docs.example.org/ HTTP/1.1\r\nA: b\rHost: evil.net",
        b"GET http://docs.example.org/ HTTP/1.1\r\nA: b\0",
        b"GET http://docs.example.org/ HTTP/1.1\nHost: evil.net",
        b"POST http://docs.example.org/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2",
        b"POST http://docs.example.org/ HTTP/1.1\r\nContent-Length: +1",
        b"POST http://docs.example.org/ HTTP/1.1\r\nContent-Length: 1, 1",
        b"POST http://docs.example.org/ HTTP/1.1\r\nTransfer-Encoding: chunked",
        b"POST http://docs.example.org/ HTTP/1.1\r\ntransfer-encoding: x\r\nContent-Length: 1",
    ],
)
def test_requests_that_are_not_taken(head: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_request(head)


def test_a_request_is_written_anew() -> None:
    request = parse_request(
        b"POST HTTP://Docs.Example.org:8080?q=1 HTTP/1.0\r\nHost: evil.net\r\n"
        b"Connection: close, X-Secret, Content-Length\r\n"
        b"X-Secret: a\r\nProxy-Authorization: b\r\nUpgrade: h2c\r\nTE: c\r\nKeep-Alive: d\r\nAccept:  e \r\n"
        b"Content-Length: 3\r\ncontent-length: 3"
    )
    assert (request.tunnel, request.host, request.port, request.body_bytes) == (False, "docs.example.org", 8080, 3)
    assert request.head == (
        b"POST /?q=1 HTTP/1.1\r\nHost: docs.example.org:8080\r\nAccept: e\r\n"
        b"Content-Length: 3\r\nConnection: close\r\n\r\n"
    )


@settings(deadline=None)  # a busy machine, not the code, would break it
@given(st.binary(max_size=200), st.sampled_from([b"", b"GET http://docs.example.org", b"CONNECT docs.example.org:443"]))
def test_any_request_head_is_parsed_or_refused(tail: bytes, start: bytes) -> None:
    try:
        request = parse_request(start + tail)
    except BadRequest:
        return
    assert request.tunnel or request.head.count(b"\r\n\r\n") == 1
    assert request.tunnel or request.head.lower().count(b"\r\nhost:") == 1


def test_the_server_name_of_a_client_hello() -> None:
    data = hello("docs.example.org")
    assert server_name(data) == "docs.example.org"
    assert server_name(data + b"more") == "docs.example.org"
    for length in range(len(data)):
        with pytest.raises(Incomplete):
            server_name(data[:length])
    body, half = data[5:], 100
    pieces = b"".join(b"\x16\x03\x01" + struct.pack(">H", len(each)) + each for each in (body[:half], body[half:]))
    assert server_name(pieces) == "docs.example.org"


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1", b"SSH-2.0-x", b"\x16\x02\x00\x00\x05", b"\x16\x03\x01\x00\x00"])
def test_what_is_no_client_hello(data: bytes) -> None:
    with pytest.raises(BadRequest):
        server_name(data)


def test_a_client_hello_without_a_name_or_with_a_hidden_one() -> None:
    with pytest.raises(BadRequest, match="names no server"):
        server_name(hello(None))
    with pytest.raises(BadRequest, match="ECH"):
        server_name(hello("docs.example.org", extra=[0xFE0D]))
    assert server_name(hello("docs.example.org", extra=[0x1234])) == "docs.example.org"


@settings(deadline=None)  # a busy machine, not the code, would break it
@given(st.data())
def test_any_bytes_are_a_client_hello_or_refused(data: st.DataObject) -> None:
    found = bytearray(hello("docs.example.org"))
    for _ in range(data.draw(st.integers(1, 4))):
        found[data.draw(st.integers(0, len(found) - 1))] = data.draw(st.integers(0, 255))
    for each in (bytes(found), data.draw(st.binary(max_size=300))):
        try:
            server_name(each)
        except (BadRequest, Incomplete):
            continue
