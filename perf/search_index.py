"""How long the search index of a large corpus takes to build, open and ask, and how much memory; also of a world.

The documents are generated: words by Zipf's law, 70 a document. A query is the title of a document and four words of
its text. The peer is the same SQLite file asked in the plain way: all words joined with OR, ranked by bm25().
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from common import parser, percentile, report, time_calls, versions

from agentrl.envs.search.retrieval import RANKED, Document, FtsIndex, any_of, query_terms

VOCABULARY = 200_000
WORDS = 70
K = 10


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--documents", type=int, default=1_000_000, metavar="N")
    options.add_argument("--queries", type=int, default=300, metavar="N")
    options.add_argument("--folder", type=Path, help="where corpus and index go; by default a temporary folder")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        figures = measure(arguments, Path(folder))
    report(figures, {"sqlite": sqlite3.sqlite_version, **versions("numpy")}, arguments.json)


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Return the figures."""
    corpus, cache = folder / "corpus.jsonl", folder / "cache"
    wanted = set(np.random.default_rng(1).choice(arguments.documents, arguments.queries, replace=False).tolist())
    queries: dict[str, str] = {}
    with corpus.open("w") as file:
        for number, document in enumerate(documents(arguments.documents)):
            file.write(json.dumps(vars(document)) + "\n")
            if number in wanted:
                queries[document.id] = f"{document.title} {' '.join(document.text.split()[:4])}"
    figures: dict[str, float] = {"num_documents": arguments.documents, "corpus_mb": corpus.stat().st_size / 1e6}
    before_mb = peak_mb()

    start, start_cpu = time.perf_counter(), time.process_time()
    FtsIndex.open(corpus, cache_dir=cache).close()
    figures["build_s"] = time.perf_counter() - start
    figures["build_cpu_s"] = time.process_time() - start_cpu
    (built,) = cache.glob("*.sqlite")
    figures["index_mb"] = built.stat().st_size / 1e6
    figures["peak_rss_mb"] = peak_mb()
    figures["peak_rss_before_build_mb"] = before_mb
    figures["open_s"] = percentile(time_calls(lambda: FtsIndex.open(corpus, cache_dir=cache).close(), 5), 50)

    index = FtsIndex.open(corpus, cache_dir=cache)
    ours = Asked(lambda query: [hit.doc_id for hit in index.search(query, K)])
    for doc_id, query in queries.items():
        ours.ask(doc_id, query)
    index.close()
    # Thirty queries are enough for the peer: each takes a second or so.
    connection = sqlite3.connect(built)
    sql = f"SELECT id FROM ({RANKED} LIMIT {K}) JOIN documents USING (rowid)"
    plain = Asked(lambda query: [row[0] for row in connection.execute(sql, (any_of(query_terms(query)),))])
    for doc_id in list(queries)[:: max(1, len(queries) // 30)]:
        plain.ask(doc_id, queries[doc_id])
    connection.close()
    figures |= ours.figures("query") | plain.figures("plain_query") | world()
    figures["peak_rss_all_mb"] = peak_mb()
    return figures


class Asked:
    """Times and hits of the queries that one way of searching was asked."""

    def __init__(self, search: Callable[[str], list[str]]) -> None:
        self.search = search
        self.seconds: list[float] = []
        self.found: list[bool] = []

    def ask(self, doc_id: str, query: str) -> None:
        """Time one query, and note whether the document that it is about was found."""
        start = time.perf_counter()
        self.found.append(doc_id in self.search(query))
        self.seconds.append(time.perf_counter() - start)

    def figures(self, name: str) -> dict[str, float]:
        """Return latencies and how often the document that the query is about was among the hits."""
        return {
            f"{name}_p50_ms": percentile(self.seconds, 50) * 1e3,
            f"{name}_p99_ms": percentile(self.seconds, 99) * 1e3,
            f"{name}_found": sum(self.found) / len(self.found),
        }


def world() -> dict[str, float]:
    """Return the figures of an index in memory: 30 documents, as in a generated world."""
    few = list(documents(30))
    query = f"{few[7].title} {' '.join(few[7].text.split()[:4])}"
    with_index = FtsIndex.of(few)
    searches = time_calls(lambda: with_index.search(query, 3), 2000)
    with_index.close()
    return {
        "world_build_us": percentile(time_calls(lambda: FtsIndex.of(few).close(), 200), 50) * 1e6,
        "world_query_us": percentile(searches, 50) * 1e6,
    }


def documents(number: int) -> Iterator[Document]:
    """Generate documents, the same ones every time."""
    rng = np.random.default_rng(0)
    vocabulary = np.array([word(index) for index in range(VOCABULARY)], dtype=object)
    shares = np.cumsum(1 / (np.arange(VOCABULARY) + 2.7) ** 1.07)
    for first in range(0, number, 10_000):
        size = min(10_000, number - first)
        drawn = vocabulary[np.searchsorted(shares, rng.random((size, WORDS)) * shares[-1])]
        for offset, words in enumerate(drawn.tolist()):
            yield Document(id=f"d{first + offset}", title=" ".join(words[-2:]).title(), text=" ".join(words))


def word(index: int) -> str:
    """Return the word of a rank."""
    syllables = ("ka", "ro", "mi", "ten", "sol", "va", "ri", "dun", "pe", "lo", "gar", "shi", "nu", "bel", "to", "cra")
    index, text = index + 16, ""
    while index:
        index, last = divmod(index, 16)
        text += syllables[last]
    return text


def peak_mb() -> float:
    """Return the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
