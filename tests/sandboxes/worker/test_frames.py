"""The cutting of frames: whatever comes, in whatever pieces, it ends in frames or a FrameError and holds little."""

from __future__ import annotations

import itertools
import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrl.sandboxes.worker.frames import (
    DATA,
    LARGEST,
    NO_RUN,
    START,
    Frame,
    FrameError,
    Reader,
    body_of,
    pack,
    pack_json,
)
from tests.sandboxes.local_vessel import Client, LocalVessel

FRAMES = st.builds(
    Frame, st.integers(0, 255), st.binary(min_size=8, max_size=8), st.binary(max_size=300) | st.just(bytes(LARGEST))
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(0, 2**32), max_size=20))
def test_frames_come_back_however_they_are_cut(frames: list[Frame], cuts: list[int]) -> None:
    reader = Reader()
    stream = b"".join(pack(*frame) for frame in frames)
    found = [frame for piece in pieces(stream, cuts) for frame in reader.feed(piece)]
    assert found == frames
    assert len(reader._buffer) == 0


@given(st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=20))
def test_any_bytes_are_frames_or_an_error(data: bytes, cuts: list[int]) -> None:
    reader = Reader()
    total = 0
    try:
        for piece in pieces(data, cuts):
            for frame in reader.feed(piece):
                total += len(pack(*frame))
    except FrameError:
        return
    assert total + len(reader._buffer) == len(data)


@given(st.binary(min_size=4, max_size=4), st.integers(1, 6))
def test_never_holds_more_than_a_frame(length: bytes, num_pieces: int) -> None:
    reader = Reader()
    piece = bytes(100_000)
    try:
        for part in (length, *([piece] * num_pieces)):
            for _ in reader.feed(part):
                pass
            assert len(reader._buffer) <= 4 + 9 + LARGEST
    except FrameError:
        assert not 9 <= int.from_bytes(length, "big") <= 9 + LARGEST or num_pieces > 0


@pytest.mark.parametrize("length", [0, 1, 8, 10 + LARGEST, 2**31, 2**32 - 1])
def test_a_length_out_of_bounds_is_refused_at_once(length: int) -> None:
    with pytest.raises(FrameError, match=str(length)):
        list(Reader().feed(length.to_bytes(4, "big")))


@given(st.dictionaries(st.text(), JSON))
def test_json_round_trip(body: dict[str, Any]) -> None:
    (frame,) = Reader().feed(pack_json(START, NO_RUN, body))
    assert json.dumps(body_of(frame)) == json.dumps(body)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"\xff", b"[" * 200_000, b'{"a":' * 40_000])
def test_a_body_that_is_no_object(body: bytes) -> None:
    with pytest.raises(FrameError, match="body"):
        body_of(Frame(START, NO_RUN, body))


STARTS = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["exec", "python", "session", "call", "write", "read", "list", "other"]) | JSON,
        "lane": st.sampled_from(["front", "back"]) | JSON,
        "timeout_s": st.sampled_from([0.1, 0, -1, 1e300, None]) | JSON,
        "cpu_s": st.sampled_from([0.1, None]) | JSON,
        "output_bytes": st.integers(-1, 1000) | JSON,
        "value_bytes": st.integers(-1, 1000) | JSON,
        "cwd": st.just("/work") | JSON,
        "env": st.just({}) | JSON,
        "open_files": st.just(64) | JSON,
        "argv": st.lists(st.text(max_size=10), max_size=3) | JSON,
        "source_bytes": st.integers(-1, 50) | JSON,
        "payload_bytes": st.integers(-1, 50) | JSON,
        "function": st.just("f") | JSON,
        "path": st.text(max_size=10) | JSON,
        "permissions": st.just(0o644) | JSON,
        "max_bytes": st.just(10) | JSON,
        "max_entries": st.just(10) | JSON,
    },
)


class _Held:
    """A worker that is started again when it has given up."""

    def __init__(self) -> None:
        self.vessel: LocalVessel | None = None
        self.client: Client | None = None

    def get(self) -> Client:
        if self.client is None:
            self.vessel = LocalVessel()
            self.client = Client(self.vessel)
        return self.client

    def drop(self) -> None:
        if self.vessel is not None:
            self.vessel.destroy()
        self.vessel = self.client = None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces and users")
def test_a_real_worker_answers_any_start() -> None:
    held = _Held()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(STARTS, st.binary(max_size=100))
    def check(body: dict[str, Any], data: bytes) -> None:
        client = held.get()
        run = os.urandom(8)
        try:
            client.send(pack_json(START, run, {"timeout_s": 0.5, "cpu_s": None, **body}))
            client.send(pack(DATA, run, data) + pack(3, run))
            assert client.finish(run, limit_s=10).status
        except (EOFError, BrokenPipeError):
            assert client.vessel.process.wait(10) == 1
            held.drop()

    try:
        check()
    finally:
        held.drop()
