"""What bounds the tunnels of a box: windows, streams, deadlines; hostile frames; and forks."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.sandboxes.network.proxy import TunnelLimits
from agentrl.sandboxes.network.stream import WINDOW
from agentrl.sandboxes.worker.frames import NET_CLOSE, NET_DATA, NET_MORE, NET_OPEN, NO_RUN, Frame, FrameError
from tests.sandboxes.proxy_client import DEADLINE_S, RUN, box, listener, serving


@pytest.fixture
def server() -> Iterator[int]:
    with serving() as port:
        yield port


def test_a_client_that_does_not_read_holds_one_window(server: int) -> None:
    with box(f"docs.example.org:{server}") as client:
        client.open(b"GET http://docs.example.org:%d/big=3000000 HTTP/1.1\r\n\r\n" % server)
        got = 0
        while got < WINDOW:
            got += len(client.frame().body)
        assert got == WINDOW
        assert client.silent(0.3)
        client.send(NET_MORE, struct.pack(">I", got))
        assert got + len(client.answer()) > 3_000_000


def test_a_host_that_does_not_read_holds_one_window_and_more_breaks_the_protocol() -> None:
    with listener() as far:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        port = far.getsockname()[1]
        with box(f"docs.example.org:{port}") as client:
            client.open(b"POST http://docs.example.org:%d/ HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n" % port)

            def flood() -> None:
                for _ in range(2000):
                    client.send(NET_DATA, b"x" * 65_536)

            with pytest.raises(FrameError, match="window"):
                flood()


def test_credit_comes_back_as_the_host_reads() -> None:
    with listener() as far:
        port = far.getsockname()[1]
        with box(f"docs.example.org:{port}") as client:
            head = b"POST http://docs.example.org:%d/ HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" % port
            client.open(head)
            peer, _ = far.accept()
            read = bytearray()

            def drain() -> None:
                while data := peer.recv(65_536):
                    read.extend(data)

            thread = threading.Thread(target=drain)
            thread.start()
            sent, room = 0, WINDOW - len(head)
            while sent < 1_000_000:
                count = min(room, 60_000, 1_000_000 - sent)
                if count:
                    client.send(NET_DATA, b"y" * count)
                    sent, room = sent + count, room - count
                if room == 0:
                    frame = client.frame()
                    assert frame.kind == NET_MORE
                    room += int.from_bytes(frame.body, "big")
            client.send(NET_CLOSE)
            thread.join(DEADLINE_S)
            peer.close()
            assert read.endswith(b"y")
            assert len(read.partition(b"\r\n\r\n")[2]) == 1_000_000


def test_no_more_streams_than_the_limit() -> None:
    with box("docs.example.org", limits=TunnelLimits(streams=2)) as client:
        for number in range(3):
            client.open(run=b"stream-%d" % number)
        assert client.frame() == Frame(NET_CLOSE, b"stream-2", b"")
        assert client.tunnels.refused == {"streams": 1}
        client.send(NET_CLOSE, run=b"stream-0")
        deadline = time.monotonic() + DEADLINE_S
        while client.tunnels.refused["streams"] < 100 and time.monotonic() < deadline:
            client.open(run=b"stream-3")
            if client.silent(0.05):
                break
            client.frame()
        else:
            pytest.fail("the place of a closed stream did not become free")


@pytest.mark.parametrize("data", [b"", b"GET http://docs.example.org/ HTTP/1.1\r\n"])
def test_a_silent_client_is_closed(data: bytes) -> None:
    with box("docs.example.org", limits=TunnelLimits(idle_s=0.2)) as client:
        client.open(data)
        assert client.frame() == Frame(NET_CLOSE, RUN, b"")


def test_a_silent_host_is_closed() -> None:
    with listener() as far:
        port = far.getsockname()[1]
        with box(f"docs.example.org:{port}", limits=TunnelLimits(idle_s=0.3)) as client:
            client.open(b"GET http://docs.example.org:%d/ HTTP/1.1\r\n\r\n" % port)
            assert client.frame() == Frame(NET_CLOSE, RUN, b"")


def test_a_head_that_does_not_end() -> None:
    with box("docs.example.org") as client:
        assert client.ask(b"GET http://docs.example.org/" + b"a" * 20_000).startswith(b"HTTP/1.1 431")


def test_the_client_going_away_hangs_up_on_the_host() -> None:
    with listener() as far:
        port = far.getsockname()[1]
        with box(f"docs.example.org:{port}") as client:
            client.open(b"GET http://docs.example.org:%d/ HTTP/1.1\r\n\r\n" % port)
            peer, _ = far.accept()
            with peer:
                peer.settimeout(DEADLINE_S)
                assert peer.recv(1000).endswith(b"\r\n\r\n")
                client.send(NET_CLOSE)
                assert peer.recv(1000) == b""


def test_close_hangs_up_on_every_host_and_sends_no_more() -> None:
    with listener() as far:
        port = far.getsockname()[1]
        with box(f"docs.example.org:{port}") as client:
            client.open(b"GET http://docs.example.org:%d/ HTTP/1.1\r\n\r\n" % port)
            peer, _ = far.accept()
            with peer:
                peer.settimeout(DEADLINE_S)
                assert peer.recv(1000)
                client.tunnels.close()
                client.tunnels.close()
                assert peer.recv(1000) == b""
            client.open(run=b"stream-2")
            assert client.silent(0.1)


@pytest.mark.parametrize(
    "frames",
    [
        [Frame(NET_OPEN, RUN, b"{}")],
        [Frame(NET_OPEN, RUN, b"nonsense")],
        [Frame(NET_OPEN, NO_RUN, b'{"port": 1}')],
        [Frame(NET_OPEN, RUN, b'{"port": 1}'), Frame(NET_OPEN, RUN, b'{"port": 1}')],
        [Frame(NET_OPEN, RUN, b'{"port": 1}'), Frame(NET_MORE, RUN, b"\0\0\0")],
        [Frame(NET_OPEN, RUN, b'{"port": 1}'), Frame(NET_MORE, RUN, b"\0\0\0\1")],
        [Frame(NET_OPEN, RUN, b'{"port": 1}'), Frame(99, RUN, b"")],
    ],
)
def test_frames_that_break_the_protocol(frames: list[Frame]) -> None:
    with box("docs.example.org") as client:
        for frame in frames[:-1]:
            client.tunnels.handle(frame)
        with pytest.raises(FrameError):
            client.tunnels.handle(frames[-1])


def test_frames_of_streams_that_are_gone_are_dropped() -> None:
    with box("docs.example.org") as client:
        for kind in (NET_DATA, NET_MORE, NET_CLOSE):
            client.send(kind, b"\0\0\0\1")
        assert client.silent(0.05)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([NET_OPEN, NET_DATA, NET_MORE, NET_CLOSE]),
            st.sampled_from([RUN, b"stream-2", NO_RUN]),
            st.one_of(
                st.binary(max_size=300),
                st.just(b'{"port": 1}'),
                st.just(b"CONNECT docs.example.org:443 HTTP/1.1\r\n\r\n"),
                st.just(b"GET http://evil.net/ HTTP/1.1\r\n\r\n"),
            ),
        ),
        max_size=20,
    )
)
def test_hostile_frames_leave_the_proxy_at_work(frames: list[tuple[int, bytes, bytes]]) -> None:
    def resolve(host: str, port: int) -> Sequence[str]:
        raise OSError("the test has no names")

    with box("docs.example.org", resolve=resolve) as client:
        for kind, run, body in frames:
            try:
                client.send(kind, body, run)
            except FrameError:
                break
    with box("docs.example.org", resolve=resolve) as client:
        assert client.ask(b"GET http://evil.net/ HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 403")


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_has_a_loop_of_its_own(server: int) -> None:
    request = b"GET http://docs.example.org:%d/ HTTP/1.1\r\n\r\n" % server
    with box(f"docs.example.org:{server}") as client:
        assert client.ask(request).startswith(b"HTTP/1.1 200")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                client.tunnels.close()
                with box(f"docs.example.org:{server}") as other:
                    code = 0 if other.ask(request).startswith(b"HTTP/1.1 200") else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        client.open(request, b"stream-2")
        assert client.answer().startswith(b"HTTP/1.1 200")
