"""Answers are compared as the evaluations of SQuAD 1.1 and 2.0 do it; the numbers are worked by hand."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentrl.envs.search.scoring import exact_match, f1, normalize


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Eiffel Tower", "eiffel tower"),
        ("  an  Apple\ta day\n", "apple day"),
        ("Denver Broncos.", "denver broncos"),
        ("U.S.A.", "usa"),
        ("the-end", "theend"),  # punctuation goes first and leaves no space
        ("A.", ""),
        ("the a an THE", ""),
        ("anthem theatre area", "anthem theatre area"),
        ("$1,234.50", "123450"),
        ("Beyoncé’s", "beyoncé’s"),  # as in SQuAD, only ASCII punctuation goes
        ("ΟΔΟΣ", "οδος"),
        ("東京の 塔", "東京の 塔"),
        ("", ""),
    ],
)
def test_normalize(text: str, expected: str) -> None:
    assert normalize(text) == expected


@pytest.mark.parametrize(
    ("prediction", "golds", "expected"),
    [
        ("Santa Clara, California", ["Levi's Stadium", "Santa Clara California"], 1.0),
        ("the Denver Broncos", ["Denver Broncos"], 1.0),
        ("Broncos", ["Denver Broncos"], 0.0),
        ("Denver Broncos and more", ["Denver Broncos"], 0.0),
        ("", ["Denver Broncos"], 0.0),
        ("the", ["Denver Broncos"], 0.0),
        ("...", ["Denver Broncos"], 0.0),
        ("", [""], 1.0),
        ("anything", [""], 0.0),
        ("anything", [], 0.0),
    ],
)
def test_exact_match(prediction: str, golds: list[str], expected: float) -> None:
    assert exact_match(prediction, golds) == expected


@pytest.mark.parametrize(
    ("prediction", "golds", "expected"),
    [
        ("Denver Broncos", ["Denver Broncos"], 1.0),
        ("Broncos", ["Denver Broncos"], 2 / 3),  # precision 1, recall 1/2
        ("the big Denver team", ["Denver Broncos"], 2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2)),
        ("Denver Denver", ["Denver Broncos"], 1 / 2),  # a word counts as often as the answer holds it
        ("Carolina Panthers", ["Denver Broncos", "the Carolina team"], 1 / 2),  # the best answer counts
        ("Carolina", ["Denver Broncos"], 0.0),
        ("", ["Denver"], 0.0),
        ("Denver", [""], 0.0),
        ("the", ["a"], 0.0),  # an answer that normalises to nothing is compared as it stands
        (" A ", ["a"], 1.0),
        ("", ["The"], 0.0),
        ("!!!", ["!!!"], 1.0),
        ("Denver", [], 0.0),
    ],
)
def test_f1(prediction: str, golds: list[str], expected: float) -> None:
    assert f1(prediction, golds) == pytest.approx(expected)


def test_a_bare_string_is_one_answer() -> None:
    assert exact_match("b", "b c") == 0.0
    assert f1("b", "b c") == pytest.approx(2 / 3)


texts = st.text(max_size=40) | st.lists(st.sampled_from(["the", "a", "Oslo", "Bergen", "!", "É", "\ud800"])).map(
    " ".join
)


@settings(deadline=None)
@given(texts, st.lists(texts, max_size=4))
def test_scores_agree_with_each_other(prediction: str, golds: list[str]) -> None:
    exact, overlap = exact_match(prediction, golds), f1(prediction, golds)
    assert exact in (0.0, 1.0)
    assert 0.0 <= exact <= overlap <= 1.0
    assert not exact or normalize(prediction) in map(normalize, golds)
    if not normalize(prediction) and all(map(normalize, golds)):
        assert exact == overlap == 0.0


@settings(deadline=None)
@given(texts)
def test_case_articles_and_punctuation_do_not_matter(text: str) -> None:
    assume(normalize(text))
    dressed = f"  The, {''.join(letter + '!' * (letter == ' ') for letter in text)} {string.punctuation}"
    assert exact_match(dressed, [text]) == f1(dressed, [text]) == 1.0
