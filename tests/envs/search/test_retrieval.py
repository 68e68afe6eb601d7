"""Keyword search: any query is safe, the ranking is BM25, and an index in memory finds what plain reading would."""

from __future__ import annotations

import math
import random
import re
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.envs.errors import UsageError
from agentrl.envs.search.retrieval import Document, FtsIndex, query_terms, snippet

PAGES = [
    Document(id="d0", title="Oslo", text="Oslo is the capital of Norway. It lies on a fjord."),
    Document(id="d1", title="Bergen", text="Bergen, once the capital, is a city; Oslo took its place."),
    Document(id="d2", title="Søren Å", text="A résumé of the philosopher’s life in København."),
    Document(id="d3", title="東京", text="東京 is a city, and Mu Ros1 is not."),
]


@pytest.fixture(scope="module")
def index() -> Iterator[FtsIndex]:
    opened = FtsIndex.of(PAGES)
    yield opened
    opened.close()


def ids(index: FtsIndex, query: str, k: int = 10) -> list[str]:
    return [hit.doc_id for hit in index.search(query, k)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("oslo", ["d0", "d1"]),  # the title counts most
        ("capitals", ["d0", "d1"]),  # stemmed; "capital" once in each, d0 is the shorter
        ("resume", ["d2"]),
        ("re\u0301sume\u0301", ["d2"]),
        ("RÉSUMÉ kobenhavn?", ["d2"]),
        ("東京", ["d3"]),
        ("ros1", ["d3"]),
        ("Trondheim", []),
        ("", []),
        ("  \n", []),
        ("?!\"'()*:^-+{}", []),
        ("\x00", []),
        ("oslo\x00", ["d0", "d1"]),
        ('"oslo', ["d0", "d1"]),
        ("oslo AND trondheim", ["d0", "d1", "d3"]),  # "and" is a word like any other
        ("NOT oslo", ["d0", "d1", "d3"]),
        ("title:oslo", ["d0", "d1"]),
        ("{text}: bergen OR", ["d1"]),
        ("oslo*", ["d0", "d1"]),
        ("fjord NEAR(oslo bergen, 2)", ["d1", "d0"]),
        ("oslo'); DROP TABLE pages; --", ["d0", "d1"]),
        ("\ud800 oslo \U0001f600", ["d0", "d1"]),
        ("bergen_fjord", ["d1", "d0"]),
    ],
)
def test_queries_are_bags_of_words(index: FtsIndex, query: str, expected: list[str]) -> None:
    found = ids(index, query)
    assert sorted(found) == sorted(expected) if "AND" in query or "NOT" in query else found == expected


def test_a_query_of_100_kb_is_answered_at_once(index: FtsIndex) -> None:
    for query in ("oslo " * 20_000, "x" * 100_000, " ".join(f"oslo{i}" for i in range(20_000)), '"' * 100_000):
        start = time.process_time()
        index.search(query, 10)
        assert time.process_time() - start < 0.1


awkward = st.text(max_size=60) | st.lists(
    st.sampled_from(
        ["oslo", "capital", '"', "'", "*", "(", ")", ":", "^", "NEAR", "OR", "AND", "NOT", "\x00", "\ud800"]
    )
    | st.characters(),
    max_size=12,
).map(" ".join)


@settings(deadline=None)
@given(query=awkward, k=st.integers(-2, 10**30))
def test_no_query_raises_and_every_hit_holds_a_word(index: FtsIndex, query: str, k: int) -> None:
    hits = index.search(query, k)
    assert len(hits) <= max(k, 0)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(math.isfinite(score) and score > 0 for score in scores)
    assert hits == index.search(query, k)
    for word in re.findall(r"[a-z]+", query.lower()):
        if word in ("oslo", "bergen", "fjord") and k >= len(PAGES) and len(query) < 500:
            holding = {page.id for page in PAGES if word in re.findall(r"\w+", f"{page.title} {page.text}".lower())}
            assert holding <= {hit.doc_id for hit in hits}


@settings(deadline=None)
@given(st.text(max_size=200) | st.text(alphabet="ab_ \n\"'", max_size=200))
def test_query_terms_can_be_quoted(query: str) -> None:
    terms = query_terms(query)
    assert len(terms) == len(set(terms)) <= 64
    assert all(term and '"' not in term and "\x00" not in term and term.encode() for term in terms)


def test_the_score_is_bm25_with_the_title_weighted() -> None:
    # Lengths in words, title included; k1 = 1.2 and b = 0.75 are those of SQLite, a word of the title counts fivefold.
    index = FtsIndex.of(
        Document(id=str(number), title=title, text=text)
        for number, (title, text) in enumerate(
            [
                ("red", "blue blue green"),
                ("grey", "red cyan"),
                ("pink", "cyan"),
                ("gold", "cyan teal"),
                ("lime", "teal"),
            ]
        )
    )
    lengths, mean = {"0": 4, "1": 3}, (4 + 3 + 2 + 3 + 2) / 5

    def bm25(pages_with_word: int, weighted_count: float, length: float) -> float:
        rarity = math.log((5 - pages_with_word + 0.5) / (pages_with_word + 0.5))
        return rarity * weighted_count * 2.2 / (weighted_count + 1.2 * (0.25 + 0.75 * length / mean))

    red, blue = index.search("red", 5), index.search("blue red", 5)
    index.close()
    assert {hit.doc_id: hit.score for hit in red} == pytest.approx(
        {"0": bm25(2, 5, lengths["0"]), "1": bm25(2, 1, lengths["1"])}
    )
    assert [hit.doc_id for hit in blue] == ["0", "1"]
    assert blue[0].score == pytest.approx(bm25(2, 5, lengths["0"]) + bm25(1, 2, lengths["0"]))


def test_ties_keep_the_order_of_the_documents() -> None:
    pages = [Document(id=f"z{9 - number}", title="same", text=f"twin x{number}") for number in range(10)]
    index = FtsIndex.of([*pages, *(Document(id=f"o{number}", title="other", text="else") for number in range(30))])
    assert ids(index, "twin") == [page.id for page in pages]
    assert ids(index, "twin", 3) == ["z9", "z8", "z7"]
    index.close()


def test_get_and_hits_give_the_documents_as_they_are(index: FtsIndex) -> None:
    assert index.get("d2") == PAGES[2]
    for unknown in ("d9", "", "D2", "\x00", "\ud800"):
        assert index.get(unknown) is None
    hit = index.search("philosopher", 1)[0]
    assert (hit.doc_id, hit.title, hit.snippet) == ("d2", "Søren Å", PAGES[2].text)


def test_documents_of_any_text_are_indexed() -> None:
    pages = [
        Document(id="\ud800", title="\ud800\x00", text="kept \ud800 word \x00 beyond"),
        Document(id="", title="", text=""),
    ]
    index = FtsIndex.of(pages)
    assert ids(index, "word beyond") == ["\ud800"]
    assert index.get("\ud800") is pages[0]
    index.close()


def test_no_document_at_all() -> None:
    index = FtsIndex.of([])
    assert index.search("oslo", 3) == []
    assert index.get("d0") is None
    index.close()


def test_documents_must_have_different_ids() -> None:
    with pytest.raises(UsageError, match="2 documents have only 1 different ids"):
        FtsIndex.of([PAGES[0], PAGES[0]])


def test_close_may_be_called_again() -> None:
    index = FtsIndex.of(PAGES)
    index.close()
    index.close()


def test_an_index_may_be_used_from_other_threads() -> None:
    index = FtsIndex.of(PAGES)
    expected = index.search("capital of norway", 3)
    found: list[bool] = []

    def work() -> None:
        found.extend(index.search("capital of norway", 3) == expected for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    closing = threading.Thread(target=index.close)
    closing.start()
    closing.join()
    assert found == [True] * 200


@settings(deadline=None)
@given(st.text(alphabet="ab \n", max_size=300) | st.text(max_size=300), st.integers(1, 260))
def test_a_snippet_is_the_lead_of_the_text(text: str, limit: int) -> None:
    short = snippet(text, limit)
    if len(text) <= limit:
        assert short == text
        return
    assert short.endswith(" …")
    lead = short[:-2]
    assert len(lead) <= limit
    assert text.startswith(lead)
    if re.search(r"[ \n]", text[1 : limit + 1]):  # else there is no place to cut but inside a word
        assert text[len(lead)].isspace()


def test_snippets_of_240_characters() -> None:
    words = "word " * 60
    short = FtsIndex.of([Document(id="a", title="t", text=words)])
    assert short.search("word", 1)[0].snippet == ("word " * 48).rstrip() + " …"
    short.close()
    assert snippet("x" * 240) == "x" * 240
    assert snippet("x" * 241) == "x" * 240 + " …"


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_search_finds_every_page_that_holds_a_word(rng: random.Random) -> None:
    vocabulary = [f"w{number}q" for number in range(30)]  # no word is another's stem
    pages = [
        Document(
            id=str(number), title=" ".join(rng.choices(vocabulary, k=2)), text=" ".join(rng.choices(vocabulary, k=9))
        )
        for number in range(rng.randrange(1, 40))
    ]
    index = FtsIndex.of(pages)
    for _ in range(5):
        words = rng.sample(vocabulary, 3)
        holding = {page.id for page in pages if {*page.title.split(), *page.text.split()} & {*words}}
        assert set(ids(index, " ".join(words), 100)) == holding
    index.close()


def test_a_world_is_indexed_in_about_a_millisecond() -> None:
    rng = random.Random(0)
    words = [f"word{number}" for number in range(2000)]
    pages = [
        Document(id=f"d{number}", title=" ".join(rng.choices(words, k=2)), text=" ".join(rng.choices(words, k=80)))
        for number in range(30)
    ]

    def fastest(function: object, times: int) -> float:
        assert callable(function)
        taken = []
        for _ in range(times):
            start = time.process_time()
            function()
            taken.append(time.process_time() - start)
        return min(taken)

    index = FtsIndex.of(pages)
    # 0.7 ms and 0.045 ms were measured; the bounds leave room for a slower machine, not for a slower way.
    assert fastest(lambda: FtsIndex.of(pages).close(), 30) < 0.004
    assert fastest(lambda: index.search(" ".join(words[:6]), 5), 100) < 0.0005
    index.close()
