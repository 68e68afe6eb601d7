"""Both ends of the tunnels together: a real client of the proxy in "the box", real servers, all on the loopback."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from agentrl.sandboxes.network.proxy import Tunnels
from agentrl.sandboxes.network.stream import Send
from agentrl.sandboxes.worker.tunnel import Tunnel
from tests.sandboxes import tunnel_chain
from tests.sandboxes.proxy_client import Handler, serving
from tests.sandboxes.tunnel_chain import free_port


@contextmanager
def chain(*network: str) -> Iterator[tuple[int, Tunnels]]:
    """Give the port of the box's door, and the host's side."""
    port = free_port()

    def host(send: Send) -> Tunnels:
        return Tunnels(network, send, resolve=lambda name, port: ["127.0.0.1"], private_ok=True)

    with tunnel_chain.chain(host, lambda selector, send: [Tunnel(port, selector, send)]) as found:
        yield port, found


def opener(port: int, cafile: Path | None = None) -> urllib.request.OpenerDirector:
    door = f"http://127.0.0.1:{port}"
    secure = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(cafile) if cafile else None))
    return urllib.request.build_opener(urllib.request.ProxyHandler({"http": door, "https": door}), secure)


@contextmanager
def tls_server(folder: Path) -> Iterator[tuple[int, Path]]:
    certificate, key = folder / "certificate", folder / "key"
    subprocess.run(
        [
            *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(),
            *"-subj /CN=docs.example.org -addext subjectAltName=DNS:docs.example.org,DNS:evil.net".split(),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        found.socket = context.wrap_socket(found.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found.server_address[1], certificate
        finally:
            found.shutdown()
            thread.join()


def test_a_client_gets_a_page_larger_than_the_window_and_sends_one() -> None:
    with serving() as port, chain(f"docs.example.org:{port}") as (door, host):
        with opener(door).open(f"http://docs.example.org:{port}/big=5000000", timeout=20) as answer:
            assert len(answer.read()) == 5_000_000
        with opener(door).open(f"http://docs.example.org:{port}/", data=b"z" * 3_000_000, timeout=20) as answer:
            assert answer.read().count(b"z") >= 3_000_000
        assert (host.opened, host.reached, host.refused) == (2, 2, {})


def test_a_client_is_told_what_it_may_not_reach() -> None:
    with chain("docs.example.org") as (door, host):
        with pytest.raises(urllib.error.HTTPError) as caught:
            opener(door).open("http://evil.net/", timeout=20)
        with caught.value as error:
            assert error.code == 403
            assert b"network=['docs.example.org']" in error.read()
        with pytest.raises(urllib.error.URLError, match=r"403 Forbidden: evil.net:443 .*docs.example.org"):
            opener(door).open("https://evil.net/", timeout=20)
        assert host.refused == {"name": 2}


def test_many_connections_at_once_all_get_their_answers() -> None:
    failures: list[BaseException] = []

    def work(number: int, door: int, port: int) -> None:
        try:
            for turn in range(5):
                url = f"http://docs.example.org:{port}/{number}.{turn}"
                with opener(door).open(url, timeout=60) as answer:
                    assert f"/{number}.{turn}".encode() in answer.read()
        except BaseException as error:
            failures.append(error)

    with serving() as port, chain(f"docs.example.org:{port}") as (door, _):
        threads = [threading.Thread(target=work, args=(number, door, port)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_https_of_an_allowed_name(tmp_path: Path) -> None:
    with tls_server(tmp_path) as (port, certificate), chain(f"docs.example.org:{port}") as (door, host):
        with opener(door, certificate).open(f"https://docs.example.org:{port}/big=1000000", timeout=20) as answer:
            assert len(answer.read()) == 1_000_000
        assert host.refused == {}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_https_to_an_allowed_name_that_asks_the_server_for_another(tmp_path: Path) -> None:
    with tls_server(tmp_path) as (port, certificate), chain(f"docs.example.org:{port}") as (door, host):
        with socket.create_connection(("127.0.0.1", door), timeout=20) as client:
            client.sendall(b"CONNECT docs.example.org:%d HTTP/1.1\r\n\r\n" % port)
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
            context = ssl.create_default_context(cafile=str(certificate))
            with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
                context.wrap_socket(client, server_hostname="evil.net")
        assert host.refused == {"server name": 1}
