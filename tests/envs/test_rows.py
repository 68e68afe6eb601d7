"""Rows of JSON lines and of JSON arrays: the same rows either way, one at a time, and nothing but `DataError`."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrl.envs import rows
from agentrl.envs.errors import DataError
from agentrl.envs.rows import read_row, read_rows
from agentrl.envs.search.sources import read_corpus

# A busy machine is no fault, and a path may be written again by every example.
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def test_a_row_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", 1 << 20)
    long = json.dumps({"id": "0", "contents": "x" * (3 << 20)})
    path = tmp_path / "rows"
    for content, message in ((f"{{}}\n{long}", "line 2: longer than 1 MB"), (f"[{long}]", "item 1: not valid JSON")):
        path.write_text(content)
        with pytest.raises(DataError, match=message):
            list(read_rows(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no rows; expected one JSON object a line"),
        (b" \n\n", "holds no rows"),
        (b"[]", "holds no rows"),
        (b"[" + b" " * (2 << 20) + b"]", "holds no rows"),
        (b'{"id": 1}\n{"id": ', "line 2: not valid JSON"),
        (b'{"id": 1}\nnull\n', "line 2: expected a JSON object, got None"),
        (b'{"id": "\xff"}\n', "line 1: not valid JSON: 'utf-8' codec"),
        (b'{"id": ' + b"9" * 5000 + b"}\n", "line 1: not valid JSON"),
        (b"{" * 3, "line 1: not valid JSON"),
        (b'{"a": ' + b"[" * 100_000 + b"\n", "line 1: not valid JSON"),
        (b'[{"id": 1}, 2]', "item 2: expected a JSON object, got 2"),
        (b'[{"id": 1} {"id": 2}]', r"item 1: expected ',' or '\]' after it, got '\{'"),
        (b'[{"id": 1}, {"id"', "item 2: not valid JSON"),
        (b'[{"id": 1}', "item 1: expected ',' or ']' after it, got the end of the file"),
        (b"[" * 100_000, "item 1: not valid JSON"),
    ],
)
def test_a_file_that_is_no_json(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        list(read_rows(path))
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 600


values = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


@settings(relaxed, max_examples=60)
@given(
    data=st.lists(values, min_size=1, max_size=6),
    indent=st.none() | st.integers(0, 3),
    ascii_only=st.booleans(),
    mark=st.booleans(),
    chunk=st.integers(1, 64),
    newline=st.sampled_from(["\n", "\r\n", "\n\n "]),
)
def test_rows_of_lines_and_of_an_array_are_the_same(
    tmp_path: Path,
    data: list[dict[str, Any]],
    indent: int | None,
    ascii_only: bool,
    mark: bool,
    chunk: int,
    newline: str,
) -> None:
    encoding = "utf-8-sig" if mark else "utf-8"
    try:
        array = json.dumps(data, indent=indent, ensure_ascii=ascii_only).encode(encoding)
        several = "".join(json.dumps(row, ensure_ascii=ascii_only) + newline for row in data).encode(encoding)
    except UnicodeEncodeError:  # a lone surrogate can only be written as an escape
        return
    path = tmp_path / "rows"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "_CHUNK_BYTES", chunk)
        for content, unit in ((array, "item"), (several, "line")):
            path.write_bytes(content)
            found = list(read_rows(path))
            assert [row.value for row in found] == data
            assert {row.unit for row in found} == {unit}
            for row in found:
                again = read_row(path, unit=unit, number=row.number, start=row.start, length=row.length)
                assert again.value == row.value


def test_a_corpus_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "corpus"
    row = json.dumps({"id": "0", "title": "t", "text": "x" * 40_000})
    for content in (f"{row}\n" * 500, f"[{','.join([row] * 500)}]"):
        path.write_text(content)
        tracemalloc.start()
        assert sum(1 for _ in read_corpus(path)) == 500
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 << 20 < len(content) // 2
