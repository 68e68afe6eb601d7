"""The way of a service's bytes, both ends of it, without a box: streams, halves, cuts, windows, hostile frames."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http.client
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.sandboxes.conformance.service import Service, down
from agentrl.sandboxes.network.connections import CUT
from agentrl.sandboxes.network.services import WINDOW, Routes, door_settings
from agentrl.sandboxes.network.stream import Send
from agentrl.sandboxes.worker.frames import (
    NET_CLOSE,
    NET_DATA,
    NET_END,
    NET_MORE,
    NET_OPEN,
    Frame,
    FrameError,
)
from agentrl.sandboxes.worker.tunnel import Tunnel
from tests.sandboxes import tunnel_chain
from tests.sandboxes.proxy_client import DEADLINE_S, RUN, listener
from tests.sandboxes.tunnel_chain import free_port

OPEN = b'{"port": 40000, "door": 8000}'


@contextlib.contextmanager
def route(*targets: int) -> Iterator[tuple[list[int], Routes]]:
    """Give the ports of doors that lead to these ports of the host, and the host's side."""
    doors = [free_port() for _ in targets]
    body = door_settings(doors)

    def host(send: Send) -> Routes:
        services = {door: ("127.0.0.1", target) for door, target in zip(doors, targets, strict=True)}
        return Routes(None, services, send)

    def worker(selector: selectors.BaseSelector, send: Callable[[bytes], None]) -> list[Tunnel]:
        room = {"window": body["window"], "most": body["most"]}
        return [Tunnel(port, selector, send, both_ways=True, **room) for port in body["ports"]]

    with tunnel_chain.chain(host, worker) as found:
        yield doors, found


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give a client's end and the service's end of one connection."""
    with listener() as far, route(far.getsockname()[1]) as (doors, _), connect(doors[0]) as client:
        server, _ = far.accept()
        server.settimeout(DEADLINE_S)
        with server:
            yield client, server


def take(end: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (piece := end.recv(65_536)):
        data += piece
    return bytes(data)


def test_many_requests_over_kept_connections_all_get_their_own_answers() -> None:
    failures: list[BaseException] = []
    together = threading.Barrier(64)

    def work(number: int, door: int) -> None:
        try:
            client = http.client.HTTPConnection("127.0.0.1", door, timeout=60)
            for turn in range(5):
                body = f"{number}.{turn} ".encode() * 500
                client.request("POST", "/", body=body)
                assert client.getresponse().read() == body
                together.wait(60)
            client.close()
        except BaseException as error:
            failures.append(error)

    with Service() as service, route(service.port) as (doors, _):
        threads = [threading.Thread(target=work, args=(number, doors[0])) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert (service.num_asked, service.most_open) == (320, 64)
        assert service.wait_open(0)


def test_each_door_leads_to_its_own_service() -> None:
    with Service("one") as one, Service("two") as two, route(one.port, two.port) as (doors, _):
        found = []
        for door in doors:
            client = http.client.HTTPConnection("127.0.0.1", door, timeout=DEADLINE_S)
            client.request("GET", "/")
            found.append(client.getresponse().read())
            client.close()
        assert found == [b"one", b"two"]


def test_a_client_that_has_said_all_still_gets_the_answer() -> None:
    with pair() as (client, server):
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        assert take(server, 100) == b"question"
        server.sendall(b"answer")
        assert take(client, 6) == b"answer"
        server.close()
        assert client.recv(100) == b""


def test_a_service_that_has_said_all_still_gets_the_rest() -> None:
    with pair() as (client, server):
        server.sendall(b"hello")
        server.shutdown(socket.SHUT_WR)
        assert take(client, 100) == b"hello"
        client.sendall(b"rest")
        client.close()
        assert take(server, 100) == b"rest"


def test_a_client_that_is_gone_shows_as_the_end_to_a_service_that_still_thinks() -> None:
    with pair() as (client, server):
        client.sendall(b"question")
        assert take(server, 8) == b"question"
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        with contextlib.suppress(ConnectionResetError):
            assert server.recv(100) == b""


def test_an_answer_that_is_cut_short_does_not_look_whole() -> None:
    with pair() as (client, server):
        client.sendall(b"question")
        assert take(server, 8) == b"question"
        server.sendall(b"half")
        assert take(client, 4) == b"half"
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.close()
        with pytest.raises(ConnectionResetError):
            client.recv(100)


def test_the_end_of_the_route_cuts_both_ends() -> None:
    with listener() as far:
        with route(far.getsockname()[1]) as (doors, _):
            client = connect(doors[0])
            server, _ = far.accept()
            server.settimeout(DEADLINE_S)
        with client, pytest.raises(ConnectionResetError):
            client.recv(100)
        with server:
            assert server.recv(100) == b""
        with pytest.raises(ConnectionRefusedError):
            connect(doors[0])


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_reader_that_waits_holds_the_writer_back_and_loses_nothing(way: str) -> None:
    size = 30_000_000
    with pair() as (client, server):
        writer, reader = (client, server) if way == "up" else (server, client)
        sent = 0

        def write() -> None:
            nonlocal sent
            piece = bytes(range(256)) * 256
            while sent < size:
                sent += writer.send(piece[sent % 256 : size - sent + sent % 256])
            writer.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=write)
        thread.start()
        before = -1
        while before != sent:
            before = sent
            time.sleep(0.3)
        # What waits is in the kernel's buffers of two connections, and in the windows.
        assert 0 < sent < 15_000_000
        got = take(reader, size)
        thread.join()
        assert len(got) == size
        assert got == (bytes(range(256)) * (size // 256 + 1))[:size]


def test_a_service_that_is_down_is_told_to_who_speaks_http_and_cut_to_others() -> None:
    with down() as port, route(port) as (doors, _):
        client = http.client.HTTPConnection("127.0.0.1", doors[0], timeout=DEADLINE_S)
        client.request("POST", "/", body=b"x" * 2_000_000)
        answer = client.getresponse()
        said = answer.read().decode()
        client.close()
        assert answer.status == 502
        assert f"the service behind port {doors[0]} of this box cannot be reached: Connection refused" in said
        assert str(port) not in said
        with connect(doors[0]) as plain:
            plain.sendall(b"\x16\x03\x01\x00")
            with pytest.raises(ConnectionResetError):
                plain.recv(100)


def test_a_service_that_comes_back_is_reached_again() -> None:
    port = free_port()
    with route(port) as (doors, _):
        found = []
        for _turn in range(2):
            found.append(_status(doors[0]))
            with listener_at(port) as far:
                thread = threading.Thread(target=_answer_once, args=(far,))
                thread.start()
                found.append(_status(doors[0]))
                thread.join()
        assert found == [502, 200, 502, 200]


def listener_at(port: int) -> socket.socket:
    found = socket.create_server(("127.0.0.1", port))
    found.settimeout(DEADLINE_S)
    return found


def _answer_once(far: socket.socket) -> None:
    server, _ = far.accept()
    with server:
        server.settimeout(DEADLINE_S)
        assert server.recv(1000)
        server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def _status(door: int) -> int:
    client = http.client.HTTPConnection("127.0.0.1", door, timeout=DEADLINE_S)
    try:
        client.request("GET", "/")
        return client.getresponse().status
    finally:
        client.close()


class Worker:
    """The worker's end of one service, frame by frame."""

    def __init__(self, port: int) -> None:
        self.said: list[Frame] = []
        self._news = threading.Condition()
        self.routes = Routes(None, {8000: ("127.0.0.1", port)}, self._hear)

    def _hear(self, kind: int, run: bytes, body: bytes) -> None:
        with self._news:
            self.said.append(Frame(kind, run, body))
            self._news.notify_all()

    def wait(self, kind: int, number: int = 1) -> list[Frame]:
        with self._news:
            found: list[Frame] = []

            def there() -> bool:
                found[:] = [frame for frame in self.said if frame.kind == kind]
                return len(found) >= number

            assert self._news.wait_for(there, DEADLINE_S), self.said
            return found

    def send(self, kind: int, body: bytes = b"", run: bytes = RUN) -> None:
        self.routes.handle(Frame(kind, run, body))


@contextlib.contextmanager
def worker(port: int) -> Iterator[Worker]:
    found = Worker(port)
    try:
        yield found
    finally:
        found.routes.close()


@pytest.mark.parametrize("door", ["8001", "0", '"8000"', "[8000]", "null", "{}"])
def test_a_door_that_was_not_named_leads_nowhere(door: str) -> None:
    with Service() as service, worker(service.port) as box:
        box.send(NET_OPEN, b'{"port": 40000, "door": %b}' % door.encode())
        assert box.said == [Frame(NET_CLOSE, RUN, b"")]
        box.send(NET_DATA, b"GET / HTTP/1.1\r\n\r\n")
        assert service.num_open == 0


def test_a_door_of_the_box_takes_no_more_than_the_bound() -> None:
    with Service() as service, worker(service.port) as box:
        for number in range(130):
            box.send(NET_OPEN, OPEN, b"stream%02x" % number)
        assert len(box.wait(NET_CLOSE, 2)) == 2
        assert service.wait_open(128)


@pytest.mark.parametrize("frames", [[(NET_DATA, b"x" * (WINDOW + 1))], [(NET_END, b""), (NET_DATA, b"x")]])
def test_a_worker_that_passes_its_bounds_breaks_the_protocol(frames: list[tuple[int, bytes]]) -> None:
    with listener() as far, worker(far.getsockname()[1]) as box:
        box.send(NET_OPEN, OPEN)
        *before, (kind, body) = frames
        for each in before:
            box.send(*each)
        with pytest.raises(FrameError, match="tunnel"):
            box.send(kind, body)


def test_what_a_job_does_not_read_is_no_more_than_a_window() -> None:
    with listener() as far, worker(far.getsockname()[1]) as box:
        box.send(NET_OPEN, OPEN)
        server, _ = far.accept()
        with server:
            server.setblocking(False)
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                with contextlib.suppress(BlockingIOError):
                    server.send(bytes(65_536))
            assert sum(len(frame.body) for frame in box.said) == WINDOW
            box.send(NET_MORE, struct.pack(">I", 1000))
            deadline = time.monotonic() + DEADLINE_S
            while sum(len(frame.body) for frame in box.said) < WINDOW + 1000:
                assert time.monotonic() < deadline
                time.sleep(0.01)


def test_a_cut_is_told_to_the_worker() -> None:
    with listener() as far, worker(far.getsockname()[1]) as box:
        box.send(NET_OPEN, OPEN)
        server, _ = far.accept()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.close()
        assert box.wait(NET_CLOSE) == [Frame(NET_CLOSE, RUN, CUT)]


def test_a_cut_before_the_connection_was_looked_at_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy kernel reports the reset as the result of the connection itself; no test can time that."""

    async def cut(*arguments: object, **options: object) -> None:
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    monkeypatch.setattr(asyncio, "open_connection", cut)
    with worker(free_port()) as box:
        box.send(NET_OPEN, OPEN)
        assert box.wait(NET_CLOSE) == [Frame(NET_CLOSE, RUN, CUT)]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([NET_OPEN, NET_DATA, NET_MORE, NET_CLOSE, NET_END, 99]),
            st.sampled_from([RUN, b"stream-2", bytes(8)]),
            st.one_of(st.binary(max_size=100), st.just(OPEN), st.just(b"GET / HTTP/1.1\r\n\r\n")),
        ),
        max_size=20,
    )
)
def test_hostile_frames_leave_services_at_work(frames: list[tuple[int, bytes, bytes]]) -> None:
    with Service() as service:
        with worker(service.port) as box:
            for kind, run, body in frames:
                try:
                    box.send(kind, body, run)
                except FrameError:
                    break
        assert service.wait_open(0)
        with worker(service.port) as box:
            box.send(NET_OPEN, OPEN)
            box.send(NET_DATA, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            box.wait(NET_END)
            assert b"".join(frame.body for frame in box.said if frame.kind == NET_DATA).endswith(b"mark")
