"""Every layout of a row is read as it is meant, and every bad row is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrl.envs.errors import DataError
from agentrl.envs.search.layouts import split_contents
from agentrl.envs.search.retrieval import Document
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


# A busy machine is no fault, and a path may be written again by every example.
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


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
        (VERL, Question(id="nq/16e1d23474b9", text=str(FLASH_RAG["question"]), answers=("Röntgen", "Wilhelm Röntgen"))),
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
        ({"context": {"title": ["a"]}}, "context", "'sentences'", "got {'title': ['a']}"),
        ({"context": {"title": ["a"], "sentences": []}}, "context", "'sentences'", "'sentences': []}"),
    ],
)
def test_a_bad_row_of_a_corpus(tmp_path: Path, row: object, field: str, expected: str, received: str) -> None:
    path = lines(tmp_path / "corpus.jsonl", PAGE, "", row)
    with pytest.raises(DataError) as caught:
        list(read_corpus(path))
    message = str(caught.value)
    assert message.startswith(f"{path}, line 3, field '{field}': expected ")
    assert expected in message
    assert message.endswith(received)


TARGET = "reward_model.ground_truth.target"
ASKED = {"id": "0", "question": "Q?", "answer": "A"}


@pytest.mark.parametrize(
    ("row", "field", "expected", "received"),
    [
        ({"id": "0", "answer": "A"}, "question", "not empty", "the row has 'id', 'answer'"),
        ({**ASKED, "question": " "}, "question", "not empty", "got ' '"),
        ({"extra_info": {"question": ""}}, "question", "not empty", "the row has 'extra_info'"),
        ({"id": "0", "question": "Q?"}, "answer", "a test set without answers", "the row has 'id', 'question'"),
        ({**ASKED, "answer": ""}, "answer", "not empty", "got ''"),
        ({**ASKED, "answer": 3}, "answer", "a list of strings", "got 3"),
        ({"question": "Q?", "golden_answers": []}, "golden_answers", "a list of strings", "got []"),
        ({"question": "Q?", "golden_answers": ["a", None]}, "golden_answers", "strings", "got ['a', None]"),
        ({"question": "Q?", "reward_model": {"ground_truth": {"target": [1]}}}, TARGET, "strings", "got [1]"),
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
)
def test_a_bad_question(tmp_path: Path, row: object, field: str, expected: str, received: str) -> None:
    path = lines(tmp_path / "questions.jsonl", ASKED, row)
    with pytest.raises(DataError) as caught:
        QuestionFile(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 2, field '{field}': expected ")
    assert expected in message
    assert message.endswith(received)


@relaxed
@given(st.text(max_size=30), st.text(max_size=30))
def test_contents_hold_title_and_text(title: str, text: str) -> None:
    found = split_contents(f'"{title}"\n{text}')
    assert found[1] in text or "\ufffd" in found[1] or not text.strip() or "\n" in title
    "".join(found).encode()
