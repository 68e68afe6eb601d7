"""The worker's doors to services: opened by LISTEN, shut by RESET, each on the box's own loopback alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from agentrl.sandboxes.worker.frames import (
    LISTEN,
    NET_CLOSE,
    NET_DATA,
    NET_END,
    NET_OPEN,
    RESET,
    body_of,
    pack,
    pack_json,
)
from tests.sandboxes.local_vessel import Client, LocalVessel

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces and users")

# In no order of their own.
DOORS = (
    "lines = [line.split() for line in open('/proc/net/tcp').read().splitlines()[1:]]\n"
    "print(sorted(line[1] for line in lines if line[3] == '0A'))"
)
CONNECT = "import socket, time\nlink = socket.create_connection(('127.0.0.1', 8000))\n"


@pytest.fixture
def client() -> Iterator[Client]:
    with LocalVessel(tunnel_port=3128) as vessel:  # with which its loopback is up
        yield Client(vessel)


def ask(client: Client, kind: int, **body: Any) -> dict[str, Any]:
    run = os.urandom(8)
    client.send(pack_json(kind, run, body))
    return client.finish(run).end


def listen(client: Client, *ports: int) -> dict[str, Any]:
    return ask(client, LISTEN, ports=list(ports), window=65_536, most=2)


def test_doors_are_there_from_listen_to_reset(client: Client) -> None:
    assert client.python(DOORS).out == b"['0100007F:0C38']\n"
    assert listen(client, 8000, 8001)["status"] == "ok"
    assert client.python(DOORS).out == b"['0100007F:0C38', '0100007F:1F40', '0100007F:1F41']\n"
    run = client.begin("python", source := (CONNECT + "time.sleep(60)").encode(), source_bytes=len(source))
    opened = client.wait_for(NET_OPEN)
    assert body_of(opened)["door"] == 8000
    assert ask(client, RESET)["status"] == "ok"
    assert client.finish(run).end["status"] == "signal"
    assert client.python(DOORS).out == b"['0100007F:0C38']\n"
    assert b"refused" in client.python(CONNECT).err
    assert listen(client, 8000)["status"] == "ok"


def test_each_way_of_a_stream_has_its_own_end(client: Client) -> None:
    listen(client, 8000)
    source = CONNECT + "link.sendall(b'ask')\nlink.shutdown(socket.SHUT_WR)\nprint(link.recv(9), link.recv(9))"
    run = client.begin("python", source.encode(), source_bytes=len(source))
    opened = client.wait_for(NET_OPEN)
    assert client.wait_for(NET_DATA, run=opened.run).body == b"ask"
    client.wait_for(NET_END, run=opened.run)
    client.send(pack(NET_DATA, opened.run, b"answer") + pack(NET_END, opened.run))
    assert client.finish(run).out == b"b'answer' b''\n"
    client.send(pack(NET_CLOSE, opened.run))
    assert client.shell("true").status == "ok"


@pytest.mark.parametrize(("body", "said"), [(b"", b"b''"), (b"cut", b"ConnectionResetError")])
def test_a_stream_is_closed_or_cut_as_the_host_says(client: Client, body: bytes, said: bytes) -> None:
    listen(client, 8000)
    source = CONNECT + "time.sleep(0.2)\ntry: print(link.recv(9))\nexcept OSError as error: print(repr(error))"
    run = client.begin("python", source.encode(), source_bytes=len(source))
    client.send(pack(NET_CLOSE, client.wait_for(NET_OPEN).run, body))
    assert said in client.finish(run).out


def test_more_connections_than_there_may_be_wait_for_an_end(client: Client) -> None:
    listen(client, 8000)
    source = "import socket\nlinks = [socket.create_connection(('127.0.0.1', 8000)) for _ in range(3)]\n"
    source += "links[0].recv(1)\nlinks.pop(0).close()\nprint(links[1].recv(9))"
    run = client.begin("python", source.encode(), source_bytes=len(source))
    opened = [client.wait_for(NET_OPEN) for _ in range(2)]
    with pytest.raises(TimeoutError):
        client.wait_for(NET_OPEN, limit_s=0.3)
    client.send(pack(NET_CLOSE, opened[0].run))
    third = client.wait_for(NET_OPEN)
    client.send(pack(NET_DATA, third.run, b"third"))
    assert client.finish(run).out == b"b'third'\n"


def test_a_port_that_somebody_has_is_told(client: Client) -> None:
    source = b"import socket, time\nlink = socket.create_server(('127.0.0.1', 8000))\nprint('there', flush=True)\n"
    source += b"time.sleep(60)"
    client.begin("python", source, source_bytes=len(source), lane="back")
    while b"1F40" not in client.python(DOORS).out:
        pass
    end = listen(client, 8000)
    assert end["status"] == "nonzero"
    assert "cannot listen on port 8000: " in end["error"]["message"]
    assert "in use" in end["error"]["message"]
