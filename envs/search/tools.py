"""The tools `search` and `open` over an index. Standard library only, for a box may run them; see `toolset.py`."""

from __future__ import annotations

from typing import Any

from agentrl.envs.search.retrieval import SNIPPET_CHARS, Document, FtsIndex, Retriever
from agentrl.envs.tools.toolset import Toolset

__all__ = ["SearchTools", "is_cut", "pages_of"]

_PAGE_CHARS = 800
_MAX_K = 20


class SearchTools(Toolset):
    """Find documents and read them.

    A value is {"text": what the model reads, "shown": [[id, title], …] of the documents in it}.

    Args:
        documents: [id, title, text] of each.
    """

    def __init__(self, documents: list[list[str]]) -> None:
        self._documents = documents
        self._index: Retriever = FtsIndex.of([Document(id=each[0], title=each[1], text=each[2]) for each in documents])
        self._owned = True

    @classmethod
    def over(cls, retriever: Retriever) -> SearchTools:
        """Return tools over somebody else's index, which they do not close."""
        tools = cls.__new__(cls)
        tools._documents, tools._index, tools._owned = [], retriever, False
        return tools

    def search(self, query: str, k: int = 3) -> dict[str, Any]:
        """Find the documents that fit a query best.

        Args:
            query: Words to look for.
            k: How many documents to show, 1 to 20.
        """
        hits = self._index.search(query, max(1, min(k, _MAX_K)))
        lines = [f"[{hit.doc_id}] {hit.title}: {hit.snippet}" for hit in hits]
        shown = [[hit.doc_id, hit.title] for hit in hits]
        return {"text": "\n".join(lines) or "No document fits. Try other words.", "shown": shown}

    def open(self, doc_id: str, page: int = 1) -> dict[str, Any]:
        """Read a document in full, page by page.

        Args:
            doc_id: The id of the document, as search shows it.
            page: Which page, from 1.
        """
        document = self._index.get(doc_id) or self._index.get(_unbracketed(doc_id))
        if document is None:
            return {"text": f"There is no document {doc_id[:80]!r}. Use an id that search has shown.", "shown": []}
        pages = pages_of(document)
        if not 1 <= page <= len(pages):
            number = f"{len(pages)} page{'s' if len(pages) > 1 else ''}"
            return {"text": f"Document {document.id} has {number}; there is no page {page}.", "shown": []}
        more = f" (page {page} of {len(pages)})" if len(pages) > 1 else ""
        text = f"[{document.id}] {document.title}{more}: {pages[page - 1]}"
        return {"text": text, "shown": [[document.id, document.title]]}

    def snapshot(self) -> Any:
        """Return nothing: reading changes nothing, and the documents are what the tools were started with."""
        return {}

    def restore(self, state: Any) -> None:
        """Do nothing; see `snapshot`."""

    def close(self) -> None:
        """Close an index of our own; may be called twice."""
        if self._owned:
            self._index.close()


def is_cut(document: Document) -> bool:
    """Whether search shows only the beginning of a document."""
    return len(document.text) > SNIPPET_CHARS


def pages_of(document: Document) -> list[str]:
    """Split a text at sentence ends into pages of at most 800 characters, where the text allows it."""
    pages, rest = [], document.text
    while len(rest) > _PAGE_CHARS:
        cut = rest.rfind(". ", 0, _PAGE_CHARS) + 1 or rest.rfind(" ", 0, _PAGE_CHARS) + 1 or _PAGE_CHARS
        pages.append(rest[:cut].strip())
        rest = rest[cut:]
    return [*pages, rest.strip()]


def _unbracketed(doc_id: str) -> str:
    return doc_id.strip().removeprefix("[").removesuffix("]").strip()
