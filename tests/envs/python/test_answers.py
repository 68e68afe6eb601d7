"""What is an answer: numbers exactly, texts without case and quotes, days in plain spellings, lists item by item."""

from __future__ import annotations

import datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.envs.python.answers import Answer, any_order, day, in_order, matches, number, readable, show, text

NUMBER, TEXT, DAY = number(Fraction(2501, 2)), text("Juniper Hill"), day(datetime.date(2024, 3, 5))
LIST, SET = in_order(["Ida", "Bo", "Bo"]), any_order(["Ida", "Bo", "Bo"])


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("1250.5", NUMBER),
        ("1,250.50", NUMBER),
        ("2501/2", NUMBER),
        ("$1250.5", NUMBER),
        ("juniper  hill", TEXT),
        ("'Juniper Hill'.", TEXT),
        ("2024-03-05", DAY),
        ("2024-3-5", DAY),
        ("5 March 2024", DAY),
        ("March 5th, 2024", DAY),
        ("Mar 5, 2024.", DAY),
        ("Ida, Bo, Bo", LIST),
        ('["Ida", "Bo", "Bo"]', LIST),
        ("['ida', 'bo', 'bo']", LIST),
        ("Ida; Bo; Bo", LIST),
        ("Ida\nBo\nBo", SET),
        ("Bo, Ida, Bo", SET),
        ("{'Bo', 'Bo', 'Ida'}", SET),
        ("[3, 1.50]", Answer(kind="set", value=(number(Fraction(3, 2)), number(3)))),
    ],
)
def test_what_is_right(said: str, answer: Answer) -> None:
    assert matches(said, answer)
    assert readable(said, answer)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("1250.51", NUMBER),
        ("1250", NUMBER),
        ("1250.5 or 7", NUMBER),
        ("1250.5, 7", NUMBER),
        ("0-10000", NUMBER),
        ("", NUMBER),
        ("Juniper", TEXT),
        ("Juniper Hill, Foxley", TEXT),
        ("", TEXT),
        ("2024-05-03", DAY),
        ("05.03.2024", DAY),
        ("2024-13-05", DAY),
        ("5 Smarch 2024", DAY),
        ("2024-03-05, 2024-03-06", DAY),
        ("Bo, Ida, Bo", LIST),
        ("Ida, Bo", LIST),
        ("Ida, Bo, Bo, Bo", LIST),
        ("Ida, Ida, Bo", SET),
        ("Bo, Ida", SET),
        ("Bo, Ida, Bo, Eve", SET),
        ("[1, [2]]", SET),
        ("[" * 5000, SET),
        ("Ida, , Bo", SET),
        ("", SET),
    ],
)
def test_what_is_wrong(said: str, answer: Answer) -> None:
    assert not matches(said, answer)


@pytest.mark.parametrize(("said", "answer"), [("about twelve", NUMBER), ("next week", DAY), ("", TEXT), ("", LIST)])
def test_what_has_not_the_form(said: str, answer: Answer) -> None:
    assert not readable(said, answer)


@given(st.text(max_size=300))
def test_any_text_can_be_compared(said: str) -> None:
    for answer in (NUMBER, TEXT, DAY, LIST, SET):
        assert not matches(said, answer) or readable(said, answer)


@given(st.fractions(min_value=-(10**9), max_value=10**9), st.integers(0, 4))
def test_a_rounded_number_is_read_as_it_is_shown(value: Fraction, places: int) -> None:
    answer = number(value, places)
    assert matches(show(answer), answer)
    assert matches(f"{float(answer.value):.{places}f}", answer)  # type: ignore[arg-type]  # a number, as it was made


@given(st.lists(st.sampled_from(["Ida", "Bo", "Quarry Bank"]), min_size=1, max_size=6))
def test_order_counts_in_lists_only(items: list[str]) -> None:
    turned = items[::-1]
    assert matches(", ".join(turned), any_order(items))
    assert matches(", ".join(turned), in_order(items)) == (turned == items)
    assert show(in_order(items)) == ", ".join(items)
