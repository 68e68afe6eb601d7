"""Keyword search over documents: SQLite FTS5, ranked by its bm25(), the title weighted above the text.

`FtsIndex.of` indexes a generated world in memory in under a millisecond; `FtsIndex.open` opens a large corpus through
an index that is built once on disk (`diskindex.py`). Words are stemmed (Porter, English) and lose their diacritics. A
query is a bag of words: any text is safe, operators mean nothing, and a hit holds at least one of the words. In scripts
written without spaces a whole run of letters is one word, so a part of it is not found.
"""

from __future__ import annotations

import os
import re
import sqlite3
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from agentrl.envs.errors import UsageError
from agentrl.envs.rows import clean

__all__ = ["Document", "FtsIndex", "Hit", "Retriever", "query_terms", "snippet"]

MAX_HITS = 100
MAX_QUERY_CHARS = 4096
MAX_QUERY_TERMS = 64
SNIPPET_CHARS = 240
# A query for a name must put the page of that name above every page that mentions it.
TITLE_WEIGHT = 5.0

# Ties go to the earlier document, so that a search gives the same list everywhere.
RANKED = f"SELECT rowid, bm25(pages, {TITLE_WEIGHT}, 1.0) AS cost FROM pages WHERE pages MATCH ? ORDER BY cost, rowid"

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, kw_only=True)
class Document:
    """A page of the corpus; `id` is what `open(doc_id)` takes."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One result of a search; a higher score is a better match, comparable within one search only."""

    doc_id: str
    title: str
    snippet: str
    score: float

    @classmethod
    def of(cls, document: Document, score: float) -> Hit:
        """Return the hit that shows a document."""
        return cls(doc_id=document.id, title=document.title, snippet=snippet(document.text), score=score)


class Retriever(ABC):
    """What finds documents for `search` and serves them to `open`; may be shared between threads."""

    snippet_chars: ClassVar[int] = SNIPPET_CHARS  # a hit shows the whole text up to this length

    @abstractmethod
    def search(self, query: str, k: int) -> list[Hit]:
        """Return at most `k` hits (and at most 100), best first; any text is a valid query.

        Raises:
            InfrastructureError: a remote retriever failed.
        """

    @abstractmethod
    def get(self, doc_id: str) -> Document | None:
        """Return the document with this id, or None."""

    @abstractmethod
    def close(self) -> None:
        """Release what the retriever holds; may be called again."""


class FtsIndex(Retriever):
    """BM25 over an SQLite FTS5 table.

    >>> index = FtsIndex.of([Document(id="d1", title="Oslo", text="Oslo is the capital of Norway.")])
    >>> [hit.title for hit in index.search('capital of "Norway', k=3)]
    ['Oslo']
    """

    @classmethod
    def of(cls, documents: Iterable[Document]) -> FtsIndex:
        """Index a small collection in memory.

        Raises:
            UsageError: two documents share an id, or this Python's SQLite has no FTS5.
        """
        return _MemoryIndex(tuple(documents))

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        cache_dir: str | os.PathLike[str] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> FtsIndex:
        """Open the index of a corpus, building it first if this corpus has none yet.

        Args:
            path: A corpus that `sources.read_corpus` can read, or several that make up one.
            cache_dir: Where indexes are kept; by default `agentrl/` in XDG_CACHE_HOME or ~/.cache.
            progress: Called now and then during a build with the number of documents read so far.

        Raises:
            DataError: a row of the corpus cannot be used, or two documents share an id.
            UsageError: the folder cannot be written or is full, or this Python's SQLite has no FTS5.
        """
        from agentrl.envs.search.diskindex import DiskIndex  # it needs this module's names

        return DiskIndex(path, cache_dir=cache_dir, progress=progress)


class _MemoryIndex(FtsIndex):
    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents
        self._by_id = {document.id: document for document in documents}
        if len(self._by_id) != len(documents):
            raise UsageError(
                f"{len(documents)} documents have only {len(self._by_id)} different ids; give each document its own id"
            )
        # SQLite itself serialises calls; an environment is stepped by one thread at a time, not always the same one.
        self._connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=OFF")
        create_pages(self._connection, "content=''")
        rows = ((row, clean(document.title), clean(document.text)) for row, document in enumerate(documents))
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO pages(rowid, title, text) VALUES (?, ?, ?)", rows)
        self._connection.execute("COMMIT")

    def search(self, query: str, k: int) -> list[Hit]:
        terms = query_terms(query)
        if k < 1 or not terms:
            return []
        rows = self._connection.execute(f"{RANKED} LIMIT ?", (any_of(terms), min(k, MAX_HITS))).fetchall()
        return [Hit.of(self._documents[row], -cost) for row, cost in rows]

    def get(self, doc_id: str) -> Document | None:
        return self._by_id.get(doc_id)

    def close(self) -> None:
        self._connection.close()


def query_terms(query: str) -> list[str]:
    """Return the different words of a query, in order, at most 64 of them from its first 4,096 characters.

    >>> query_terms('Who wrote "The_Sea" AND who sang it?')
    ['who', 'wrote', 'the', 'sea', 'and', 'sang', 'it']
    """
    text = query[:MAX_QUERY_CHARS]
    if not text.isascii():
        # A combining mark is no word character for `re`; composed, the letter stays in its word.
        text = unicodedata.normalize("NFC", text)
    return list(dict.fromkeys(_WORD.findall(text.lower())))[:MAX_QUERY_TERMS]


def snippet(text: str, limit: int = SNIPPET_CHARS) -> str:
    """Return the lead of a text, cut at a word with " …" when it is longer than `limit` characters.

    >>> snippet("a text of some words", limit=12)
    'a text of …'
    """
    if len(text) <= limit:
        return text
    head = text[: limit + 1]
    cut = max(head.rfind(" "), head.rfind("\n"))
    return (head[:cut] if cut > 0 else head[:limit]).rstrip() + " …"


def any_of(terms: Iterable[str]) -> str:
    """Return the FTS5 expression that matches any of some words of `query_terms`, which hold no quote."""
    return " OR ".join(f'"{term}"' for term in terms)


def create_pages(connection: sqlite3.Connection, content: str) -> None:
    """Create the FTS5 table `pages(title, text)` with the given content option.

    Raises:
        UsageError: this Python's SQLite has no FTS5; the connection is closed.
    """
    tokenizer = "porter unicode61 remove_diacritics 2"
    try:
        connection.execute(f"CREATE VIRTUAL TABLE pages USING fts5(title, text, {content}, tokenize='{tokenizer}')")
    except sqlite3.OperationalError as error:
        connection.close()
        if "fts5" not in str(error):
            raise
        raise UsageError(
            f"SQLite {sqlite3.sqlite_version} of this Python has no FTS5, which the search needs; use a Python whose"
            " SQLite has it, such as one from python.org, conda or uv"
        ) from error
