"""The reader of hostile tar streams: one regular file, capped, whatever else comes."""

from __future__ import annotations

import contextlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.sandboxes.docker.tar import BadTar, FileTooLarge, NotRegular, OneFile


def _tar(
    content: bytes = b"", *, name: str = "./a", kind: bytes = tarfile.REGTYPE, form: int = tarfile.GNU_FORMAT
) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=form) as archive:
        info = tarfile.TarInfo(name)
        info.type, info.size, info.linkname = kind, len(content), "/etc/shadow"
        archive.addfile(info, io.BytesIO(content))
    return held.getvalue()


def _fed(stream: bytes, max_bytes: int = 10_000, step: int = 10_000) -> OneFile:
    found = OneFile(max_bytes)
    for start in range(0, len(stream), step):
        found.feed(stream[start : start + step])
    return found


@given(
    content=st.binary(max_size=3000),
    step=st.integers(1, 2000),
    name=st.sampled_from(["./a", "../../etc/passwd", "/etc/passwd", "./" + "n" * 250, "./ü\n"]),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_a_file_comes_out_whole_wherever_the_stream_is_cut(content: bytes, step: int, name: str, form: int) -> None:
    found = _fed(_tar(content, name=name, form=form), step=step)
    assert found.done
    assert found.content == content


@given(data=st.binary(max_size=4000), step=st.integers(1, 700), max_bytes=st.integers(0, 2000))
def test_any_bytes_give_a_capped_file_or_an_error(data: bytes, step: int, max_bytes: int) -> None:
    with contextlib.suppress(BadTar):
        assert len(_fed(data, max_bytes, step).content) <= max_bytes


@given(place=st.integers(0, 511), byte=st.integers(0, 255), max_bytes=st.integers(0, 900))
def test_a_header_with_one_byte_changed_is_taken_or_refused_within_the_cap(
    place: int, byte: int, max_bytes: int
) -> None:
    stream = bytearray(_tar(b"x" * 500))
    stream[place] = byte
    with contextlib.suppress(BadTar):
        assert len(_fed(bytes(stream), max_bytes).content) <= max_bytes


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.DIRTYPE, "a folder"),
        (tarfile.FIFOTYPE, "a FIFO"),
        (b"S", "something else"),
    ],
)
def test_only_a_regular_file_is_taken(kind: bytes, words: str) -> None:
    with pytest.raises(NotRegular, match=words):
        _fed(_tar(kind=kind))


def test_a_file_past_the_cap_is_refused_by_its_header() -> None:
    found = OneFile(99)
    with pytest.raises(FileTooLarge, match="100 bytes, more than 99"):
        found.feed(_tar(b"x" * 100)[:512])


def test_a_size_in_base_256_is_read_as_what_it_is() -> None:
    header = bytearray(_tar(b"x")[:512])
    header[124:136] = b"\x80" + (2**70).to_bytes(11, "big")
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    with pytest.raises(FileTooLarge):
        OneFile(10**9).feed(bytes(header))


def test_a_bomb_of_long_names_ends() -> None:
    one = _tar(name="./" + "n" * 250, form=tarfile.PAX_FORMAT)[:1024]
    with pytest.raises(BadTar):
        _fed(one * 1000)


def test_what_follows_the_file_is_dropped() -> None:
    found = OneFile(10)
    found.feed(_tar(b"first") + b"\xff" * 100_000)
    assert found.content == b"first"


def test_an_empty_file_is_a_file() -> None:
    assert _fed(_tar()[:512]).done


def test_a_stream_that_stops_early_is_not_done() -> None:
    found = _fed(_tar(b"x" * 600)[:1000])
    assert not found.done
