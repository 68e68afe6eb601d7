"""The network allow-list, over loopback servers only: the tests' own resolver answers, nothing leaves 127.0.0.1."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from agentrl.sandboxes.network.proxy import TunnelLimits
from agentrl.sandboxes.worker.frames import NET_CLOSE, NET_DATA, Frame
from tests.sandboxes.proxy_client import DEADLINE_S, RUN, box, hello, listener, serving


@pytest.fixture
def server() -> Iterator[int]:
    with serving() as port:
        yield port


def test_a_request_reaches_an_allowed_host_in_origin_form(server: int) -> None:
    with box(f"docs.example.org:{server}") as client:
        answer = client.ask(
            b"POST http://docs.example.org:%d/a?b=1 HTTP/1.1\r\nHost: evil.net\r\nProxy-Connection: keep-alive\r\n"
            b"Content-Length: 5\r\n\r\nhello" % server
        )
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        told = json.loads(body)
        assert (told["method"], told["path"], told["body"]) == ("POST", "/a?b=1", "hello")
        assert told["headers"] == [
            ["Host", f"docs.example.org:{server}"],
            ["Content-Length", "5"],
            ["Connection", "close"],
        ]
        assert (client.tunnels.opened, client.tunnels.reached, client.tunnels.refused) == (1, 1, {})


def test_a_second_request_on_a_connection_is_not_passed_on(server: int) -> None:
    with box(f"docs.example.org:{server}") as client:
        request = b"GET http://docs.example.org:%d/ HTTP/1.1\r\n\r\n" % server
        smuggled = b"GET / HTTP/1.1\r\nHost: evil.net\r\n\r\n"
        assert client.ask(request + smuggled).count(b"HTTP/1.1") == 1


def test_a_refusal_names_the_host_and_the_list(server: int) -> None:
    with box("docs.example.org") as client:
        answer = client.ask(b"GET http://evil.net/ HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403 Forbidden: evil.net:80 is not")
        body = answer.partition(b"\r\n\r\n")[2]
        assert body.count(b"\n") == 1
        assert b"evil.net:80" in body
        assert b"network=['docs.example.org']" in body
        client.open(b"CONNECT docs.example.org:%d HTTP/1.1\r\n\r\n" % server, b"stream-2")
        assert client.answer().startswith(b"HTTP/1.1 403")
        client.open(b"CONNECT 127.0.0.1:443 HTTP/1.1\r\n\r\n", b"stream-3")
        assert client.answer().startswith(b"HTTP/1.1 403")
        assert client.tunnels.refused == {"name": 3}
        assert [each.target for each in client.tunnels.refusals()][:2] == ["evil.net:80", f"docs.example.org:{server}"]


def test_a_name_that_is_not_allowed_is_never_looked_up() -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with box("docs.example.org", resolve=resolve) as client:
        client.ask(b"GET http://secret.evil.net/ HTTP/1.1\r\n\r\n")
    assert asked == []


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "169.254.169.254"], ["::ffff:127.0.0.1"], ["10.0.0.1"], ["::1"]]
)
def test_an_allowed_name_that_points_inside_is_refused(server: int, addresses: list[str]) -> None:
    with box(f"docs.example.org:{server}", addresses=addresses, private_ok=False) as client:
        answer = client.ask(b"GET http://docs.example.org:%d/ HTTP/1.1\r\n\r\n" % server)
        assert answer.startswith(b"HTTP/1.1 403")
        assert client.tunnels.refused == {"address": 1}
        assert client.tunnels.reached == 0


def test_an_address_of_this_very_host_is_refused_though_it_be_public(
    server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "agentrl.sandboxes.network.proxy.unfit", lambda address: None
    )  # 127.0.0.1 stands for a public one
    with box(f"docs.example.org:{server}", private_ok=False) as client:
        answer = client.ask(b"GET http://docs.example.org:%d/ HTTP/1.1\r\n\r\n" % server)
        assert answer.startswith(b"HTTP/1.1 403")
        assert b"own address" in answer
        assert client.tunnels.refused == {"address": 1}


def test_a_name_is_looked_up_once_for_the_check_and_the_connection(server: int) -> None:
    answers = [["127.0.0.1"], ["127.0.0.2"]]

    with box(f"docs.example.org:{server}", resolve=lambda host, port: answers.pop(0)) as client:
        assert client.ask(b"GET http://docs.example.org:%d/ HTTP/1.1\r\n\r\n" % server).startswith(b"HTTP/1.1 200")
    assert answers == [["127.0.0.2"]]


def test_a_name_without_an_address_and_a_host_that_is_down() -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with box("docs.example.org", resolve=resolve) as client:
        assert client.ask(b"GET http://docs.example.org/ HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 502")
    with listener() as closed:
        port = closed.getsockname()[1]
    with box(f"docs.example.org:{port}") as client:
        assert client.ask(b"GET http://docs.example.org:%d/ HTTP/1.1\r\n\r\n" % port).startswith(b"HTTP/1.1 502")
        assert client.tunnels.refused == {"unreachable": 1}


def test_a_resolver_that_hangs_ends_at_the_deadline() -> None:
    go = threading.Event()

    def resolve(host: str, port: int) -> Sequence[str]:
        go.wait(DEADLINE_S)
        return ["127.0.0.1"]

    with box("docs.example.org", resolve=resolve, limits=TunnelLimits(connect_s=0.2)) as client:
        assert client.ask(b"GET http://docs.example.org/ HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 504")
        go.set()


def test_connect_carries_tls_of_the_named_server_only() -> None:
    with listener() as far:
        port = far.getsockname()[1]
        with box(f"docs.example.org:{port}") as client:
            client.open(b"CONNECT docs.example.org:%d HTTP/1.1\r\n\r\n" % port)
            assert client.frame().body.startswith(b"HTTP/1.1 200")
            data = hello("docs.example.org")
            client.send(NET_DATA, data[:50])
            peer, _ = far.accept()
            with peer:
                peer.settimeout(DEADLINE_S)
                client.send(NET_DATA, data[50:])
                client.send(NET_DATA, b"after")
                got = b""
                while len(got) < len(data) + 5:
                    got += peer.recv(65_536)
                assert got == data + b"after"
                peer.sendall(b"reply")
                assert client.frame() == Frame(NET_DATA, RUN, b"reply")
            assert client.frame() == Frame(NET_CLOSE, RUN, b"")


@pytest.mark.parametrize(
    "data",
    [
        hello("evil.net"),
        hello(None),
        hello("docs.example.org", extra=[0xFE0D]),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x00\x10\x01\x00\x00\x0c" + b"a" * 12,
    ],
    ids=["front", "none", "hidden", "plain", "broken"],
)
def test_connect_passes_nothing_on_that_hides_where_it_goes(data: bytes) -> None:
    with listener() as far:
        port = far.getsockname()[1]
        with box(f"docs.example.org:{port}") as client:
            client.open(b"CONNECT docs.example.org:%d HTTP/1.1\r\n\r\n" % port + data)
            assert client.answer().endswith(b"\r\n\r\n" + bytes([21, 3, 3, 0, 2, 2, 112]))
            peer, _ = far.accept()
            with peer:
                assert peer.recv(100) == b""
            assert client.tunnels.refused == {"server name": 1}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_real_tls_server(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate", tmp_path / "key"
    subprocess.run(
        [
            *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(),
            *"-subj /CN=docs.example.org -addext subjectAltName=DNS:docs.example.org".split(),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with listener() as far:
        port = far.getsockname()[1]

        def serve() -> None:
            peer, _ = far.accept()
            with context.wrap_socket(peer, server_side=True) as secure:
                secure.sendall(secure.recv(100).upper())

        thread = threading.Thread(target=serve)
        thread.start()
        with box(f"docs.example.org:{port}") as client:
            client.open(b"CONNECT docs.example.org:%d HTTP/1.1\r\n\r\n" % port)
            assert client.frame().body.startswith(b"HTTP/1.1 200")
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = ssl.create_default_context(cafile=str(certificate)).wrap_bio(
                incoming, outgoing, server_hostname="docs.example.org"
            )

            def carry(step: Callable[[], bytes | int | None]) -> bytes | int | None:
                while True:
                    try:
                        return step()
                    except ssl.SSLWantReadError:
                        if data := outgoing.read():
                            client.send(NET_DATA, data)
                        incoming.write(client.frame().body)

            carry(tls.do_handshake)
            tls.write(b"hello")
            client.send(NET_DATA, outgoing.read())
            assert carry(lambda: tls.read(100)) == b"HELLO"
        thread.join()
