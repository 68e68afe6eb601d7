"""The engine's stream framing: cut anywhere, refused when hostile, never allocated by its length."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.sandboxes.docker.channel import LARGEST_PIECE, TAIL, DockerChannel, Unwrapper
from agentrl.sandboxes.worker.frames import FrameError

PIECES = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=0, max_size=300)), max_size=20)


def _wrapped(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


@pytest.fixture
def ends() -> Generator[tuple[DockerChannel, socket.socket]]:
    ours, theirs = socket.socketpair()
    channel = DockerChannel(ours)
    theirs.setblocking(True)
    yield channel, theirs
    channel.close()
    theirs.close()


@given(pieces=PIECES, cuts=st.lists(st.integers(0, 4000), max_size=30))
def test_a_stream_means_the_same_wherever_it_is_cut(pieces: list[tuple[int, bytes]], cuts: list[int]) -> None:
    whole = b"".join(_wrapped(*piece) for piece in pieces)
    unwrapper, found = Unwrapper(), {1: b"", 2: b""}
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    for start, end in itertools.pairwise(edges):
        for stream, data in unwrapper.feed(whole[start:end]):
            assert data
            found[stream] += data
    for stream in (1, 2):
        assert found[stream] == b"".join(data for each, data in pieces if each == stream)
    assert unwrapper.stderr == found[2][-TAIL:]


@given(data=st.binary(max_size=3000), step=st.integers(1, 50))
def test_any_bytes_are_frames_or_an_error_and_yield_no_more_than_came(data: bytes, step: int) -> None:
    unwrapper, total = Unwrapper(), 0
    try:
        for start in range(0, len(data), step):
            total += sum(len(piece) for _, piece in unwrapper.feed(data[start : start + step]))
    except FrameError:
        pass
    assert total <= len(data)


@pytest.mark.parametrize(
    "header",
    [
        b"\0\0\0\0\0\0\0\1",
        b"\3\0\0\0\0\0\0\1",
        b"\1\0\0\1\0\0\0\1",
        b"\1\0\0\0\xff\xff\xff\xff",
        b"\1\0\0\0" + (LARGEST_PIECE + 1).to_bytes(4, "big"),
        b"HTTP/1.1",
    ],
)
def test_what_is_no_frame_of_the_engine_is_refused(header: bytes) -> None:
    with pytest.raises(FrameError, match=header.hex()):
        Unwrapper().feed(header)


def test_a_length_allocates_nothing_before_its_bytes_come() -> None:
    unwrapper = Unwrapper()
    assert unwrapper.feed(b"\1\0\0\0" + LARGEST_PIECE.to_bytes(4, "big") + b"abc") == [(1, b"abc")]


def test_output_is_received_and_error_is_kept_as_a_tail(ends: tuple[DockerChannel, socket.socket]) -> None:
    channel, engine = ends
    assert channel.receive() is None
    engine.sendall(_wrapped(2, b"x" * TAIL) + _wrapped(1, b"one") + _wrapped(2, b"why") + _wrapped(1, b"two"))
    assert channel.wait(5)
    assert channel.receive() == b"onetwo"
    assert channel.stderr == (b"x" * TAIL + b"why")[-TAIL:]
    engine.close()
    assert channel.wait(5)
    assert channel.receive() == b""


def test_bytes_that_were_read_ahead_come_first() -> None:
    ours, theirs = socket.socketpair()
    channel = DockerChannel(ours, _wrapped(1, b"early")[:10])
    theirs.sendall(_wrapped(1, b"early")[10:] + _wrapped(1, b" late"))
    assert (channel.receive() or b"") + (channel.receive() or b"") == b"early late"
    channel.close()
    theirs.close()


def test_a_flood_of_error_output_does_not_hold_the_caller(ends: tuple[DockerChannel, socket.socket]) -> None:
    channel, engine = ends
    engine.settimeout(5)
    engine.sendall(_wrapped(2, b"x" * 1000) * 20)
    assert channel.receive() is None
    assert len(channel.stderr) == TAIL


def test_sending_stops_at_a_full_pipe_and_says_how_much_went(ends: tuple[DockerChannel, socket.socket]) -> None:
    channel, engine = ends
    sent = channel.send(memoryview(b"x" * 10_000_000))
    assert 0 < sent < 10_000_000
    while channel.send(memoryview(b"x" * 65_536)):
        pass
    assert not channel.wait(0, writable=True)
    engine.recv(1_000_000)
    assert channel.wait(5, writable=True)


def test_a_reader_that_is_gone_is_a_broken_pipe(ends: tuple[DockerChannel, socket.socket]) -> None:
    channel, engine = ends
    engine.close()
    with pytest.raises(BrokenPipeError, match="takes no more input"):
        channel.send(memoryview(b"x"))


def test_the_end_of_input_leaves_output_open(ends: tuple[DockerChannel, socket.socket]) -> None:
    channel, engine = ends
    channel.end_input()
    assert engine.recv(1) == b""
    engine.sendall(_wrapped(1, b"still"))
    assert channel.wait(5)
    assert channel.receive() == b"still"


def test_closing_twice_is_the_same_as_once(ends: tuple[DockerChannel, socket.socket]) -> None:
    channel, engine = ends
    channel.close()
    channel.close()
    assert engine.recv(1) == b""
