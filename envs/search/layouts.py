"""What the rows of corpora and question files mean, in the layouts of HotpotQA and of Search-R1.

    corpus     {"id", "title", "text"}  text a string, a list of sentences or of paragraphs     HotpotQA's Wikipedia
               {"id", "contents"}       the first line is the title, in quotes                  Search-R1
               {"context", …}           the paragraphs of a question; the title is the id       HotpotQA's questions
    questions  {"_id" or "id", "question", "answer", "level", "supporting_facts", "context"}    HotpotQA
               {"question", "golden_answers" or "reward_model": {"ground_truth": {"target"}}}   Search-R1, verl

Lists of HotpotQA may be in the form of its JSON release or of its Hugging Face one (an object of columns).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agentrl.envs.rows import Row, clean
from agentrl.envs.search.retrieval import Document, snippet

__all__ = ["SPLITS", "Question", "digest", "documents_of", "question_of", "split_contents", "split_of"]

SPLITS = ("train", "test")
TEST_SHARE = 10

_LEVELS = {"easy": 1, "medium": 3, "hard": 5}
_SPLIT_NAMES = {"train": 0, "test": 1, "dev": 1, "validation": 1, "val": 1}
_SENTENCES = "[[title, [sentence, …]], …] or {'title': […], 'sentences': [[…], …]}"
_FACTS = "[[title, sentence number], …] or {'title': […], 'sent_id': […]}"


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question, every accepted answer, its level 1 to 5 where known, and the titles of the pages that support it."""

    id: str
    text: str
    answers: tuple[str, ...]
    level: int | None = None
    supporting: tuple[str, ...] = ()


def documents_of(row: Row, seen: set[bytes]) -> list[Document]:
    """Return the documents of a row of a corpus: one, or the paragraphs of a question whose titles are not `seen` yet.

    Raises:
        DataError: the row fits none of the layouts.
    """
    if "contents" in row.value:
        title, text = split_contents(row.text("contents"))
        return [Document(id=_row_id(row), title=title, text=text)]
    if "title" in row.value or "text" in row.value:
        title, text = _title(row), _passage(row, "text", row.value.get("text"))
        if not title and not text:
            raise row.error("text", "a title or a text that is not empty", text)
        return [Document(id=_row_id(row), title=title, text=text)]
    if "context" in row.value:
        return list(_context(row, seen))
    raise row.error("contents", "a row of a corpus, with 'title' and 'text', with 'contents' or with 'context'")


def question_of(row: Row) -> Question:
    """Return the question of a row.

    Raises:
        DataError: the row fits none of the layouts.
    """
    extra = row.value.get("extra_info")
    nested = extra.get("question") if isinstance(extra, dict) else None
    if "question" not in row.value and isinstance(nested, str) and nested.strip():
        text = clean(nested).strip()  # verl's preparation of Search-R1 keeps it only there
    else:
        text = row.text("question")
    return Question(
        id=_question_id(row, text),
        text=text,
        answers=_answers(row),
        level=_level(row),
        supporting=_supporting(row),
    )


def split_of(row: Row, text: str) -> int:
    """Return the number of the split in `SPLITS` that a row names, or else the stable hash of its question chooses.

    Raises:
        DataError: the row names another split.
    """
    field, declared = "split", row.value.get("split")
    extra = row.value.get("extra_info")
    if declared is None and isinstance(extra, dict):
        field, declared = "extra_info.split", extra.get("split")
    if declared is None:
        return int(zlib.crc32(text.encode()) % TEST_SHARE == 0)
    if not isinstance(declared, str) or declared not in _SPLIT_NAMES:
        raise row.error(field, f"one of {', '.join(_SPLIT_NAMES)}", declared)
    return _SPLIT_NAMES[declared]


def split_contents(contents: str) -> tuple[str, str]:
    r"""Return title and text of a Search-R1 passage; without a title line the lead of the text stands in for it.

    >>> split_contents('"Oslo"\nOslo is a city.')
    ('Oslo', 'Oslo is a city.')
    """
    contents = clean(contents).strip()
    title, newline, text = contents.partition("\n")
    if not newline:
        return snippet(contents, limit=60), contents
    title = title.strip()
    if len(title) > 1 and title[0] == title[-1] == '"':
        title = title[1:-1].strip()
    return title, text.strip()


def digest(text: str) -> bytes:
    """Return 8 bytes that stand for a text in a large set: half a million titles then take 50 MB, not 100."""
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _question_id(row: Row, text: str) -> str:
    if "_id" in row.value or "id" in row.value:
        own = _row_id(row)
    else:
        own = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]
    # Search-R1 joins data sets whose ids both count train_0, train_1, …
    source = row.value.get("data_source")
    return f"{clean(source)}/{own}" if isinstance(source, str) and source else own


def _answers(row: Row) -> tuple[str, ...]:
    field, given = "answer", row.value.get("answer")
    if given is None:
        field, given = "golden_answers", row.value.get("golden_answers")
    if given is None and isinstance(row.value.get("reward_model"), dict):
        truth = row.value["reward_model"].get("ground_truth")
        field = "reward_model.ground_truth.target"
        given = truth.get("target") if isinstance(truth, dict) else truth
    if given is None:
        raise row.error(
            "answer",
            "'answer', 'golden_answers' or 'reward_model.ground_truth.target' (a test set without answers cannot be "
            "used)",
        )
    answers = [given] if isinstance(given, str) else given
    if not isinstance(answers, list) or not answers:
        raise row.error(field, "a string, or a list of strings that is not empty", given)
    if not all(isinstance(answer, str) and answer.strip() for answer in answers):
        raise row.error(field, "strings that are not empty", given)
    return tuple(dict.fromkeys(clean(answer).strip() for answer in answers))


def _level(row: Row) -> int | None:
    level = row.value.get("level")
    if level is None:
        return None
    known = _LEVELS.get(level) if isinstance(level, str) else level
    if not isinstance(known, int) or isinstance(known, bool) or not 1 <= known <= 5:
        raise row.error("level", "'easy', 'medium', 'hard' or a number from 1 to 5", level)
    return known


def _supporting(row: Row) -> tuple[str, ...]:
    facts = row.value.get("supporting_facts")
    if facts is None:
        return ()
    titles: object = None
    if isinstance(facts, dict):
        titles = facts.get("title")
    elif isinstance(facts, list):
        titles = [fact[0] if isinstance(fact, list) and fact else None for fact in facts]
    if not isinstance(titles, list) or not _all_text(titles):
        raise row.error("supporting_facts", _FACTS, facts)
    return tuple(dict.fromkeys(clean(title).strip() for title in titles))


def _context(row: Row, seen: set[bytes]) -> Iterator[Document]:
    context = row.value["context"]
    pairs: list[Any]
    if isinstance(context, list):
        pairs = context
    else:
        titles, texts = (context.get("title"), context.get("sentences")) if isinstance(context, dict) else (None, None)
        if not (isinstance(titles, list) and isinstance(texts, list) and len(titles) == len(texts)):
            raise row.error("context", _SENTENCES, context)
        pairs = [list(pair) for pair in zip(titles, texts, strict=True)]
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and pair[0].strip()):
            raise row.error("context", _SENTENCES, pair)
        title = clean(pair[0]).strip()
        if (key := digest(title)) not in seen:
            seen.add(key)
            yield Document(id=title, title=title, text=_passage(row, "context", pair[1]))


def _passage(row: Row, field: str, value: object) -> str:
    """Join a string, sentences, or paragraphs of sentences; HotpotQA's sentences bring their own leading space."""
    if isinstance(value, str):
        return clean(value).strip()
    parts = value if isinstance(value, list) else [None]
    if _all_text(parts):
        return clean(_join(parts))
    if all(isinstance(part, list) and _all_text(part) for part in parts):
        return clean("\n".join(filter(None, map(_join, parts))))
    raise row.error(field, "a string, a list of sentences, or a list of paragraphs that are lists of sentences", value)


def _join(sentences: list[Any]) -> str:
    return " ".join(sentence.strip() for sentence in sentences if sentence.strip())


def _all_text(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _title(row: Row) -> str:
    title = row.value.get("title")
    if not isinstance(title, str):
        raise row.error("title", "a string", title)
    return clean(title).strip()


def _row_id(row: Row) -> str:
    field = "_id" if "_id" in row.value else "id"
    value = row.value.get(field)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise row.error(field, "a string that is not empty, or a whole number", value)
    return clean(value).strip()
