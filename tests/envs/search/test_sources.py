"""Corpora and question files: every layout is read, every bad row is named, nothing else is ever raised."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agentrl.envs.errors import DataError, UsageError
from agentrl.envs.search.retrieval import Document
from agentrl.envs.search.sources import QuestionFile, read_corpus

PAGE = {"id": "0", "title": "t", "text": "x"}
WITH_PARAGRAPHS = (
    {
        "_id": "q1",
        "question": "Is Ed Wood a film?",
        "answer": "yes",
        "context": [
            ["Ed Wood (film)", ["Ed Wood is a 1994 film.", " It is about Ed Wood."]],
            ["Scott Derrickson", ["Scott Derrickson is an American director."]],
        ],
    },
    {
        "id": "q2",
        "question": "Who edited Arthur's Magazine?",
        "answer": "T.S. Arthur",
        "context": {
            "title": ["Arthur's Magazine", "Ed Wood (film)"],
            "sentences": [["Arthur's Magazine was American.", " It was edited by T.S. Arthur."], ["Another text."]],
        },
    },
)

# A busy machine is no fault, and a path may be written again by every example.
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def lines(path: Path, *values: object) -> Path:
    path.write_text("".join((value if isinstance(value, str) else json.dumps(value)) + "\n" for value in values))
    return path


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        for read in (lambda path: list(read_corpus(path)), QuestionFile):
            with pytest.raises(DataError, match=f"cannot read {path}"):
                read(path)
    parquet = lines(tmp_path / "train.parquet", "PAR1")
    with pytest.raises(DataError, match=r"train\.parquet is a Parquet file; .*to_json\('train\.jsonl'"):
        QuestionFile(parquet)
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"id": "0", "contents": "a"}\n' * 1000)[:60])
    with pytest.raises(DataError, match=r"cannot read .*cut\.jsonl\.gz"):
        list(read_corpus(tmp_path / "cut.jsonl.gz"))


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_packed_files(tmp_path: Path, suffix: str, pack: Any) -> None:
    for content, name in ((json.dumps(PAGE), "lines.jsonl"), (json.dumps([PAGE], indent=1), "array.json")):
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(pack(content.encode()))
        assert list(read_corpus(path)) == [Document(id="0", title="t", text="x")]
        with pytest.raises(DataError, match="unpack the file first"):
            QuestionFile(path)


words = st.text(max_size=3)
odd_values = (
    st.none()
    | st.integers()
    | words
    | st.lists(words | st.lists(words), max_size=3)
    | st.dictionaries(st.sampled_from(["title", "sentences", "ground_truth", "split"]), words | st.lists(words))
)
FIELDS = (
    *("id", "_id", "title", "text", "contents", "context", "question", "answer", "golden_answers", "level"),
    *("supporting_facts", "reward_model", "extra_info", "data_source", "split"),
)
odd_rows = st.dictionaries(st.sampled_from(FIELDS), odd_values).map(lambda row: [json.dumps(row)])


def joined(several: list[str]) -> bytes:
    return "\n".join(several).encode("utf-8", "replace")


@relaxed
@given(st.binary(max_size=80) | st.lists(words, max_size=4).map(joined) | odd_rows.map(joined))
@example(b'{"id": "0", "contents": "\\ud800"}')
@example(b'{"question": "\\ud800", "golden_answers": ["\\udfff"], "data_source": "\\ud800"}')
def test_any_file_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(content)
    for read in (read_corpus, QuestionFile):
        with contextlib.suppress(DataError):
            for record in read(path):
                str(record).encode()


def many(number: int, **fields: object) -> list[dict[str, object]]:
    return [
        {"id": f"q{index}", "question": f"Question {index}?", "golden_answers": [str(index)], **fields}
        for index in range(number)
    ]


def test_a_tenth_is_the_test_split_by_the_hash_of_the_question(tmp_path: Path) -> None:
    file = QuestionFile(lines(tmp_path / "questions.jsonl", *many(2000)))
    train, test = ({question.id for question in file.split(name)} for name in ("train", "test"))
    assert len(file) == 2000 == len(train | test)
    assert not train & test
    assert 150 < len(test) < 250
    assert "q0" in test  # crc32(b"Question 0?") == 1356216420, on any machine
    shuffled = many(2000)[::-1]
    again = QuestionFile(lines(tmp_path / "shuffled.jsonl", *shuffled))
    assert {question.id for question in again.split("test")} == test
    twice = [{"id": str(index), "question": f"Question {index % 50}?", "golden_answers": ["1"]} for index in range(500)]
    parts = QuestionFile(lines(tmp_path / "twice.jsonl", *twice))
    assert not {question.text for question in parts.split("train")} & {
        question.text for question in parts.split("test")
    }


def test_a_row_may_name_its_split(tmp_path: Path) -> None:
    named = [
        {**row, "split": name}
        for row, name in zip(many(5), ["train", "test", "dev", "validation", "train"], strict=True)
    ]
    file = QuestionFile(lines(tmp_path / "questions.jsonl", *named))
    assert [question.id for question in file.split("train")] == ["q0", "q4"]
    assert [question.id for question in file.split("test")] == ["q1", "q2", "q3"]
    assert [question.id for question in file] == [f"q{index}" for index in range(5)]
    verl = lines(tmp_path / "verl.jsonl", *many(1, extra_info={"split": "test"}))
    assert len(QuestionFile(verl).split("test")) == 1
    with pytest.raises(
        DataError, match=r"verl\.jsonl: none of the 1 questions is in the split 'train'; .*'train': FILE"
    ):
        QuestionFile(verl).split("train")
    with pytest.raises(UsageError, match="split 'tset' is none of train, test; did you mean 'test'"):
        file.split("tset")


def test_a_file_for_each_split(tmp_path: Path) -> None:
    rows_of_both = many(6, split="ignored")
    train = lines(tmp_path / "train.jsonl", *rows_of_both[:4])
    test = tmp_path / "test.json"
    test.write_text(json.dumps(rows_of_both[4:], indent=2))
    file = QuestionFile({"train": train, "test": test})
    assert [question.id for question in file.split("train")] == ["q0", "q1", "q2", "q3"]
    assert [question.id for question in file.split("test")] == ["q4", "q5"]
    assert file[-1].text == "Question 5?"
    assert [question.id for question in file[3:5]] == ["q3", "q4"]
    with pytest.raises(IndexError):
        file[6]
    with pytest.raises(DataError, match=r"both\.jsonl, line 1, field 'id': .*not in train and in test; got 'q0'"):
        QuestionFile({"test": train, "train": lines(tmp_path / "both.jsonl", rows_of_both[0])})
    with pytest.raises(UsageError, match="questions for the split 'dev': there are only train and test"):
        QuestionFile({"dev": train})
    with pytest.raises(UsageError, match="empty mapping"):
        QuestionFile({})


def test_draws_are_decided_by_the_generator(tmp_path: Path) -> None:
    file = QuestionFile(lines(tmp_path / "questions.jsonl", *many(100)))
    rng = np.random.default_rng(3)
    drawn = [file.draw(rng, "train") for _ in range(300)]
    rng = np.random.default_rng(3)
    assert [file.draw(rng, "train") for _ in range(300)] == drawn
    assert {question.id for question in drawn} <= {question.id for question in file.split("train")}
    assert len({question.id for question in drawn}) > 60


def test_a_file_is_scanned_once_and_a_change_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lines(tmp_path / "questions.jsonl", *many(50))
    file = QuestionFile(path)
    with monkeypatch.context() as patch:
        patch.setattr("agentrl.envs.search.sources.read_rows", None)
        assert QuestionFile(path)[7] == file[7]
    lines(path, *many(51))
    os.utime(path, ns=(0, 1))
    with pytest.raises(DataError, match=r"questions\.jsonl changed while it was in use"):
        file[7]
    assert len(QuestionFile(path)) == 51


def test_paragraphs_of_questions_are_a_corpus(tmp_path: Path) -> None:
    train = tmp_path / "train.json"
    train.write_text(json.dumps(WITH_PARAGRAPHS[:1]))
    test = lines(tmp_path / "test.jsonl", WITH_PARAGRAPHS[1])
    pages = list(read_corpus([train, test]))
    assert [page.title for page in pages] == ["Ed Wood (film)", "Scott Derrickson", "Arthur's Magazine"]
    assert pages[0] == Document(
        id="Ed Wood (film)", title="Ed Wood (film)", text="Ed Wood is a 1994 film. It is about Ed Wood."
    )
    index = QuestionFile({"train": train, "test": test}).context_index(tmp_path / "cache")
    assert index.search("who edited arthur's magazine", 1)[0].doc_id == "Arthur's Magazine"
    assert index.get("Scott Derrickson") == pages[1]
    index.close()
    bare = lines(tmp_path / "bare.jsonl", WITH_PARAGRAPHS[1], *many(1))
    with pytest.raises(UsageError, match=r"not every question brings its 'context'; add corpus=PATH or retriever=URL"):
        QuestionFile(bare).context_index(tmp_path / "cache")
