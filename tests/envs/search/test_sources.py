"""Corpora and question files: every layout is read, every bad row is named, nothing else is ever raised."""

from __future__ import annotations

import bz2
import gzip
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agentrl.envs.errors import DataError, UsageError
from agentrl.envs.search import rows
from agentrl.envs.search.layouts import split_contents
from agentrl.envs.search.retrieval import Document
from agentrl.envs.search.rows import read_row, read_rows
from agentrl.envs.search.sources import Question, QuestionFile, read_corpus

# As released: the dump of Wikipedia and the questions of HotpotQA, Hugging Face's form of them, Search-R1's own files.
HOTPOT = {
    "_id": "5a8b57f25542995d1e6f1371",
    "answer": "yes",
    "question": "Were Scott Derrickson and Ed Wood of the same nationality?",
    "supporting_facts": [["Scott Derrickson", 0], ["Ed Wood", 0], ["Ed Wood", 1]],
    "context": [
        ["Ed Wood (film)", ["Ed Wood is a 1994 film.", " It is about Ed Wood."]],
        ["Scott Derrickson", ["Scott Derrickson is an American director."]],
    ],
    "type": "comparison",
    "level": "hard",
}
HUGGING_FACE = {
    "id": "5a7a06935542990198eaf050",
    "question": "Which magazine was started first?",
    "answer": "Arthur's Magazine",
    "type": "comparison",
    "level": "medium",
    "supporting_facts": {"title": ["Arthur's Magazine", "First for Women"], "sent_id": [0, 0]},
    "context": {
        "title": ["Arthur's Magazine", "Ed Wood (film)"],
        "sentences": [["Arthur's Magazine (1844–1846) was American.", " It was edited by T.S. Arthur."], ["Another."]],
    },
}
FLASH_RAG = {
    "id": "test_0",
    "question": "who got the first nobel prize in physics",
    "golden_answers": ["Wilhelm Röntgen"],
}
VERL = {
    "data_source": "nq",
    "prompt": [{"role": "user", "content": "Answer the given question. … Question: who?"}],
    "ability": "fact-reasoning",
    "reward_model": {"style": "rule", "ground_truth": {"target": ["Röntgen", "Wilhelm Röntgen", "Röntgen"]}},
    "extra_info": {"split": "test", "index": 3, "question": "who got the first nobel prize in physics"},
}


def lines(path: Path, *values: object) -> Path:
    path.write_text("".join((value if isinstance(value, str) else json.dumps(value)) + "\n" for value in values))
    return path


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {
                "id": "12",
                "url": "…",
                "title": "Anarchism",
                "text": ["Anarchism is a philosophy.", " It is old.", ""],
                "charoffset": [[]],
            },
            Document(id="12", title="Anarchism", text="Anarchism is a philosophy. It is old."),
        ),
        (
            {"id": 12, "title": " Anarchism ", "text": [["First.", " Second."], [], ["Third."]]},
            Document(id="12", title="Anarchism", text="First. Second.\nThird."),
        ),
        ({"_id": "x", "title": "T", "text": "Text.\n", "metadata": {}}, Document(id="x", title="T", text="Text.")),
        ({"id": "e", "title": "Only a title", "text": []}, Document(id="e", title="Only a title", text="")),
        ({"id": "0", "contents": '"Title"\nThe text.'}, Document(id="0", title="Title", text="The text.")),
        ({"id": "0", "contents": 'Title\nOne\n"Two"\n'}, Document(id="0", title="Title", text='One\n"Two"')),
        (
            {"id": "0", "contents": "Evan Morris Evan L. Morris (January 26, 1977 – July 9, 2015) was a lobbyist."},
            Document(
                id="0",
                title="Evan Morris Evan L. Morris (January 26, 1977 – July 9, 2015) …",
                text="Evan Morris Evan L. Morris (January 26, 1977 – July 9, 2015) was a lobbyist.",
            ),
        ),
        ({"id": "s", "title": "a\ud800", "text": ["b\udfff"]}, Document(id="s", title="a\ufffd", text="b\ufffd")),
    ],
)
def test_layouts_of_corpora(tmp_path: Path, row: dict[str, Any], expected: Document) -> None:
    assert list(read_corpus(lines(tmp_path / "corpus.jsonl", row))) == [expected]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            HOTPOT,
            Question(
                id="5a8b57f25542995d1e6f1371",
                text="Were Scott Derrickson and Ed Wood of the same nationality?",
                answers=("yes",),
                level=5,
                supporting=("Scott Derrickson", "Ed Wood"),
            ),
        ),
        (
            HUGGING_FACE,
            Question(
                id="5a7a06935542990198eaf050",
                text="Which magazine was started first?",
                answers=("Arthur's Magazine",),
                level=3,
                supporting=("Arthur's Magazine", "First for Women"),
            ),
        ),
        (FLASH_RAG, Question(id="test_0", text=str(FLASH_RAG["question"]), answers=("Wilhelm Röntgen",))),
        (VERL, Question(id="nq/e9d84bff8aa2", text=str(FLASH_RAG["question"]), answers=("Röntgen", "Wilhelm Röntgen"))),
        (
            {**FLASH_RAG, "data_source": "nq", "reward_model": {"ground_truth": "kept apart"}, "level": 2},
            Question(id="nq/test_0", text=str(FLASH_RAG["question"]), answers=("Wilhelm Röntgen",), level=2),
        ),
        (
            {"id": 7, "question": " Why? ", "reward_model": {"ground_truth": " because "}},
            Question(id="7", text="Why?", answers=("because",)),
        ),
    ],
)
def test_layouts_of_questions(tmp_path: Path, row: dict[str, Any], expected: Question) -> None:
    assert list(QuestionFile(lines(tmp_path / "questions.jsonl", row))) == [expected]


PAGE = {"id": "0", "title": "t", "text": "x"}


@pytest.mark.parametrize(
    ("row", "field", "expected", "received"),
    [
        ({"title": "t", "text": "x"}, "id", "a whole number", "the row has 'title', 'text'"),
        ({**PAGE, "id": ""}, "id", "not empty", "got ''"),
        ({**PAGE, "id": True}, "id", "a whole number", "got True"),
        ({**PAGE, "id": None}, "id", "a whole number", "got None"),
        ({"id": "0", "text": "x"}, "title", "a string", "the row has 'id', 'text'"),
        ({**PAGE, "title": 3}, "title", "a string", "got 3"),
        ({**PAGE, "text": {"a": 1}}, "text", "a list of sentences", "got {'a': 1}"),
        ({**PAGE, "text": ["a", 1]}, "text", "a list of sentences", "got ['a', 1]"),
        ({**PAGE, "text": [["a", 1]]}, "text", "a list of sentences", "got [['a', 1]]"),
        ({"id": "0", "title": "t"}, "text", "a list of sentences", "the row has 'id', 'title'"),
        ({"id": "0", "title": " ", "text": " "}, "text", "not empty", "got ''"),
        ({"id": "0", "contents": ["a"]}, "contents", "not empty", "got ['a']"),
        ({"id": "0", "contents": ""}, "contents", "not empty", "got ''"),
        ({"contents": "a"}, "id", "a whole number", "the row has 'contents'"),
        ({"passage": "a"}, "contents", "'title' and 'text'", "the row has 'passage'"),
        ({}, "contents", "'title' and 'text'", "the row has no fields"),
        ({"context": "a"}, "context", "[[title, [sentence, …]], …]", "got 'a'"),
        ({"context": [["a"]]}, "context", "[[title, [sentence, …]], …]", "got ['a']"),
        ({"context": [["", ["b"]]]}, "context", "[[title, [sentence, …]], …]", "got ['', ['b']]"),
        ({"context": [["a", [1]]]}, "context", "a list of sentences", "got [1]"),
        ({"context": {"title": ["a"], "sentences": []}}, "context", "'sentences'", "got {'title': ['a'], 'sentences': []}"),
    ],
)  # fmt: skip
def test_a_bad_row_of_a_corpus(tmp_path: Path, row: object, field: str, expected: str, received: str) -> None:
    path = lines(tmp_path / "corpus.jsonl", PAGE, "", row)
    with pytest.raises(DataError) as caught:
        list(read_corpus(path))
    message = str(caught.value)
    assert message.startswith(f"{path}, line 3, field '{field}': expected ")
    assert expected in message
    assert message.endswith(received)


ASKED = {"id": "0", "question": "Q?", "answer": "A"}


@pytest.mark.parametrize(
    ("row", "field", "expected", "received"),
    [
        ({"id": "0", "answer": "A"}, "question", "not empty", "the row has 'id', 'answer'"),
        ({**ASKED, "question": " "}, "question", "not empty", "got ' '"),
        ({"answer": "A", "extra_info": {"question": ""}}, "question", "not empty", "the row has 'answer', 'extra_info'"),
        ({"id": "0", "question": "Q?"}, "answer", "a test set without answers", "the row has 'id', 'question'"),
        ({**ASKED, "answer": ""}, "answer", "not empty", "got ''"),
        ({**ASKED, "answer": 3}, "answer", "a list of strings", "got 3"),
        ({"question": "Q?", "golden_answers": []}, "golden_answers", "a list of strings", "got []"),
        ({"question": "Q?", "golden_answers": ["a", None]}, "golden_answers", "strings", "got ['a', None]"),
        ({"question": "Q?", "reward_model": {"ground_truth": {"target": [1]}}}, "reward_model.ground_truth.target", "strings", "got [1]"),
        ({"question": "Q?", "reward_model": {}}, "answer", "golden_answers", "the row has 'question', 'reward_model'"),
        ({**ASKED, "level": "extreme"}, "level", "'easy', 'medium', 'hard'", "got 'extreme'"),
        ({**ASKED, "level": 6}, "level", "from 1 to 5", "got 6"),
        ({**ASKED, "level": True}, "level", "from 1 to 5", "got True"),
        ({**ASKED, "supporting_facts": "x"}, "supporting_facts", "[[title, sentence number], …]", "got 'x'"),
        ({**ASKED, "supporting_facts": [[]]}, "supporting_facts", "[[title, sentence number], …]", "got [[]]"),
        ({**ASKED, "supporting_facts": {"sent_id": []}}, "supporting_facts", "'sent_id'", "got {'sent_id': []}"),
        ({**ASKED, "split": "trian"}, "split", "train, test", "got 'trian'"),
        ({**ASKED, "extra_info": {"split": 1}}, "extra_info.split", "train, test", "got 1"),
        ({**ASKED, "id": []}, "id", "a whole number", "got []"),
    ],
)  # fmt: skip
def test_a_bad_question(tmp_path: Path, row: object, field: str, expected: str, received: str) -> None:
    path = lines(tmp_path / "questions.jsonl", ASKED, row)
    with pytest.raises(DataError) as caught:
        QuestionFile(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 2, field '{field}': expected ")
    assert expected in message
    assert message.endswith(received)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no rows; expected one JSON object a line"),
        (b" \n\n", "holds no rows"),
        (b"[]", "holds no rows"),
        (b'{"id": 1}\n{"id": ', "line 2: not valid JSON"),
        (b'{"id": 1}\nnull\n', "line 2: expected a JSON object, got None"),
        (b'{"id": "\xff"}\n', "line 1: not valid JSON: 'utf-8' codec"),
        (b'{"id": ' + b"9" * 5000 + b"}\n", "line 1: not valid JSON"),
        (b"{" * 3, "line 1: not valid JSON"),
        (b'{"a": ' + b"[" * 100_000 + b"\n", "line 1: not valid JSON"),
        (b'[{"id": 1}, 2]', "item 2: expected a JSON object, got 2"),
        (b'[{"id": 1} {"id": 2}]', r"item 1: expected ',' or '\]' after it, got '\{'"),
        (b'[{"id": 1}, {"id"', "item 2: not valid JSON"),
        (b'[{"id": 1}', "item 1: not valid JSON: unexpected end of the file"),
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


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        for read in (lambda path: list(read_corpus(path)), QuestionFile):
            with pytest.raises(DataError, match=f"cannot read {path}"):
                read(path)
    with pytest.raises(DataError, match=r"train\.parquet is a Parquet file; .*to_json\('train\.jsonl'"):
        lines(tmp_path / "train.parquet", "PAR1")
        QuestionFile(tmp_path / "train.parquet")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"id": "0", "contents": "a"}\n' * 1000)[:60])
    with pytest.raises(DataError, match=r"cannot read .*cut\.jsonl\.gz"):
        list(read_corpus(tmp_path / "cut.jsonl.gz"))


def test_a_row_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", 1 << 20)
    long = json.dumps({"id": "0", "contents": "x" * (3 << 20)})
    with pytest.raises(DataError, match="line 2: longer than 1 MB"):
        list(read_corpus(lines(tmp_path / "lines.jsonl", PAGE, long)))
    with pytest.raises(DataError, match="item 1: not valid JSON"):
        list(read_corpus(lines(tmp_path / "array.json", f"[{long}]")))


values = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=80)
    | st.lists(values.map(json.dumps) | st.text(max_size=20), max_size=4).map(lambda rows: "\n".join(rows).encode("utf-8", "replace"))
    | st.fixed_dictionaries(
        {},
        optional={
            field: st.none() | st.integers() | st.text(max_size=3) | st.lists(st.text(max_size=2) | st.lists(st.text(max_size=2)), max_size=3)
            | st.dictionaries(st.sampled_from(["title", "sentences", "ground_truth", "split"]), st.text(max_size=2) | st.lists(st.text(max_size=2)))
            for field in ("id", "_id", "title", "text", "contents", "context", "question", "answer", "golden_answers", "level",
                          "supporting_facts", "reward_model", "extra_info", "data_source", "split")
        },
    ).map(lambda row: json.dumps(row).encode())
)  # fmt: skip
@example(b'{"id": "0", "contents": "\\ud800"}')
@example(b'{"question": "\\ud800", "golden_answers": ["\\udfff"], "data_source": "\\ud800"}')
def test_any_file_is_read_or_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.jsonl"
    path.write_bytes(content)
    for read in (read_corpus, QuestionFile):
        try:
            for record in read(path):
                str(record).encode()
        except DataError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_packed_files(tmp_path: Path, suffix: str, pack: Any) -> None:
    for content, name in ((json.dumps(PAGE), "lines.jsonl"), (json.dumps([PAGE], indent=1), "array.json")):
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(pack(content.encode()))
        assert list(read_corpus(path)) == [Document(id="0", title="t", text="x")]
        with pytest.raises(DataError, match="unpack the file first"):
            QuestionFile(path)


def test_a_corpus_is_streamed(tmp_path: Path) -> None:
    path = tmp_path / "corpus"
    row = json.dumps({"id": "0", "title": "t", "text": "x" * 10_000})
    for content in (f"{row}\n" * 2000, f"[{','.join([row] * 2000)}]"):
        path.write_text(content)
        tracemalloc.start()
        assert sum(1 for _ in read_corpus(path)) == 2000
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 8 << 20 < len(content) // 2


def many(number: int, **fields: object) -> list[dict[str, object]]:
    return [
        {"id": f"q{index}", "question": f"Question {index}?", "golden_answers": [str(index)], **fields}
        for index in range(number)
    ]


def test_a_tenth_is_the_test_split_by_the_hash_of_the_id(tmp_path: Path) -> None:
    file = QuestionFile(lines(tmp_path / "questions.jsonl", *many(2000)))
    train, test = ({question.id for question in file.split(name)} for name in ("train", "test"))
    assert len(file) == 2000 == len(train | test)
    assert not train & test
    assert 150 < len(test) < 250
    assert "q27" in test  # crc32(b"q27") == 957193210, on any machine
    shuffled = many(2000)[::-1]
    again = QuestionFile(lines(tmp_path / "shuffled.jsonl", *shuffled))
    assert {question.id for question in again.split("test")} == test


def test_a_row_may_name_its_split(tmp_path: Path) -> None:
    named = [
        {**row, "split": name}
        for row, name in zip(many(5), ["train", "test", "dev", "validation", "train"], strict=True)
    ]
    file = QuestionFile(lines(tmp_path / "questions.jsonl", *named))
    assert [question.id for question in file.split("train")] == ["q0", "q4"]
    assert [question.id for question in file.split("test")] == ["q1", "q2", "q3"]
    assert [question.id for question in file] == [f"q{index}" for index in range(5)]
    verl = lines(tmp_path / "verl.jsonl", VERL)
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
    with pytest.raises(DataError, match=r"train\.jsonl, line 1, field 'id': .*q0, which is in train and in test"):
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
    train.write_text(json.dumps([HOTPOT]))
    test = lines(tmp_path / "test.jsonl", HUGGING_FACE)
    pages = list(read_corpus([train, test]))
    assert [page.title for page in pages] == ["Ed Wood (film)", "Scott Derrickson", "Arthur's Magazine"]
    assert pages[0] == Document(
        id="Ed Wood (film)", title="Ed Wood (film)", text="Ed Wood is a 1994 film. It is about Ed Wood."
    )
    index = QuestionFile({"train": train, "test": test}).context_index(tmp_path / "cache")
    assert index.search("who edited arthur's magazine", 1)[0].doc_id == "Arthur's Magazine"
    assert index.get("Scott Derrickson") == pages[1]
    index.close()
    bare = lines(tmp_path / "bare.jsonl", HUGGING_FACE, FLASH_RAG)
    with pytest.raises(UsageError, match=r"not every question brings its 'context'; add corpus=PATH or retriever=URL"):
        QuestionFile(bare).context_index(tmp_path / "cache")


@given(st.text(max_size=30), st.text(max_size=30))
def test_contents_hold_title_and_text(title: str, text: str) -> None:
    found = split_contents(f'"{title}"\n{text}')
    assert found[1] in text or "\ufffd" in found[1] or not text.strip() or "\n" in title
    "".join(found).encode()
