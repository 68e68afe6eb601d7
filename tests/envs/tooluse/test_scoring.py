"""What counts as told, and when two databases are equal."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from agentrl.envs.tooluse.case import Fact
from agentrl.envs.tooluse.scoring import MAX_ANSWER, same_rows, tells
from agentrl.envs.tooluse.tables import Rows, Tables

ROWS: Rows = {"orders": [["amber-fox", "Ada Berg", "45.00", 7], ["jade-owl", "Bo Carter", "44.00", 8]]}

AMOUNT = Fact(value="45.00", kind="amount")
NUMBER = Fact(value="7", kind="number")
DATE = Fact(value="2026-03-01", kind="date")
TIME = Fact(value="09:30", kind="time")
CODE = Fact(value="amber-fox", kind="code")
NAME = Fact(value="Ada Berg", kind="name", rivals=("Bo Carter", "Ada Berg", "Bergstrom"))


def told(answer: str, *facts: Fact, rule: str | None = None, known: str = "") -> bool:
    return tells(answer, facts, rule=rule, known=known, rows=ROWS)


@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        ("45.00", AMOUNT),
        ("You get 45.00, in all.", AMOUNT),
        ("$45.00.", AMOUNT),
        ("EUR 45.0", AMOUNT),
        ("**45.00** for all pieces", AMOUNT),
        ("7", NUMBER),
        ("There are 7.", NUMBER),
        ("On 2026-03-01.", DATE),
        ("9:30", TIME),
        ("It is Amber-Fox.", CODE),
        ("amber-fox, a well-known order", CODE),
        ("That was ada berg.", NAME),
    ],
)
def test_a_fact_is_told_in_any_sentence(answer: str, fact: Fact) -> None:
    assert told(answer, fact)


@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        ("", AMOUNT),
        ("45", AMOUNT),
        ("145.00", AMOUNT),
        ("45.01", AMOUNT),
        ("45.00 or 44.00", AMOUNT),
        ("seven", NUMBER),
        ("7 or 8", NUMBER),
        ("77", NUMBER),
        ("2026-07-07", NUMBER),
        ("7.50", NUMBER),
        ("2026-03-02", DATE),
        ("2026-03-01 or 2026-03-02", DATE),
        ("1 March 2026", DATE),
        ("09:31", TIME),
        ("09:30 or 10:30", TIME),
        ("45.00 or 71134", AMOUNT),
        ("7 or 7.50", NUMBER),
        ("2026-03-01 or Zanzibar or 71134", DATE),
        ("09:30 or 7", TIME),
        ("amber-fox or 2026-03-01", CODE),
        ("Ada Berg, 7", NAME),
        ("amber fox", CODE),
        ("amber-foxes", CODE),
        ("amber-fox or jade-owl", CODE),
        ("amber-fox-jade-owl", CODE),
        ("Ada", NAME),
        ("Ada Bergmann", NAME),
        ("Ada Berg or Bo Carter", NAME),
    ],
)
def test_what_is_missing_or_stands_beside_a_rival_is_not_told(answer: str, fact: Fact) -> None:
    assert not told(answer, fact)


@pytest.mark.parametrize(
    ("answer", "fact", "known"),
    [
        ("45.00 instead of 44.00", AMOUNT, "I paid 44.00."),
        ("7, not 8", NUMBER, "Are there 8?"),
        ("2026-03-01, not 2026-03-02", DATE, "It was 2026-03-02."),
        ("09:30, not 10:30", TIME, "At 10:30?"),
        ("amber-fox, not jade-owl", CODE, "Is it JADE-OWL?"),
        ("Ada Berg, not Bo Carter", NAME, "Was it Bo Carter?"),
    ],
)
def test_what_the_user_said_may_be_repeated(answer: str, fact: Fact, known: str) -> None:
    assert told(answer, fact, known=known)
    assert not told(answer, fact)


def test_all_facts_must_be_told_and_one_is_no_rival_of_another() -> None:
    other = Fact(value="44.00", kind="amount")
    assert told("45.00 and then 44.00 for amber-fox", AMOUNT, other, CODE)
    assert not told("45.00 for amber-fox", AMOUNT, other, CODE)
    assert not told("45.00, 44.00 and 43.00 for amber-fox", AMOUNT, other, CODE)


def test_large_amounts_may_have_commas() -> None:
    fact = Fact(value="1234.50", kind="amount")
    assert told("1,234.50", fact)
    assert told("1234.50", fact)
    assert not told("234.50", fact)


def test_a_message_that_is_too_long_tells_nothing() -> None:
    assert told("45.00".ljust(MAX_ANSWER), AMOUNT)
    assert not told("45.00".ljust(MAX_ANSWER + 1), AMOUNT)
    assert not told("x" * (MAX_ANSWER + 1))


def test_a_refusal_names_its_rule_and_no_other() -> None:
    assert told("R-41 forbids it: 45.00", AMOUNT, rule="R-41")
    assert told("r-41: it was 45.00, R-41", AMOUNT, rule="R-41")
    assert not told("It was 45.00", AMOUNT, rule="R-41")
    assert not told("R-42 forbids it: 45.00", AMOUNT, rule="R-41")
    assert not told("R-41 and R-42 forbid it: 45.00", AMOUNT, rule="R-41")
    assert not told("R-41 forbids it.", AMOUNT, rule="R-41")
    assert not told("45.00, by R-41", AMOUNT)
    assert told("R-41 forbids it: 7", NUMBER, rule="R-41")


# -- databases -------------------------------------------------------------------------------------------------------


class Ledger(Tables):
    """Two tables that name each other."""

    schema = (
        "CREATE TABLE orders (id TEXT PRIMARY KEY, state TEXT, note TEXT);"
        "CREATE TABLE items (id TEXT PRIMARY KEY, order_id TEXT, price TEXT);"
    )
    volatile = {"orders": ("note",)}  # noqa: RUF012


FIRST: Rows = {"orders": [["amber-fox", "open", ""]], "items": [["i-1", "amber-fox", "4.00"]]}


def rows(orders: list[list[Any]] | None = None, items: list[list[Any]] | None = None) -> Rows:
    found = copy.deepcopy(FIRST)
    found["orders"] += orders or []
    found["items"] += items or []
    return found


def same(final: Rows, wanted: Rows) -> bool:
    return same_rows(Ledger, FIRST, final, wanted)


def test_new_rows_may_have_any_key_and_any_order() -> None:
    wanted = rows([["N-1", "open", ""], ["N-2", "shut", ""]], [["i-2", "N-1", "5.00"]])
    assert same(rows([["N-2", "open", ""], ["N-1", "shut", ""]], [["i-9", "N-2", "5.00"]]), wanted)
    assert same(rows([["N-2", "shut", ""], ["N-1", "open", ""]], [["i-2", "N-1", "5.00"]]), wanted)


def test_rows_that_differ_are_seen() -> None:
    wanted = rows([["N-1", "open", ""]], [["i-2", "N-1", "5.00"]])
    assert not same(rows(), wanted)
    assert not same(wanted, rows())
    assert not same(rows([["N-1", "shut", ""]], [["i-2", "N-1", "5.00"]]), wanted)
    assert not same(rows([["N-1", "open", ""]], [["i-2", "N-1", "5.01"]]), wanted)
    assert not same(rows([["N-1", "open", ""]], [["i-2", "amber-fox", "5.00"]]), wanted)
    assert not same(rows([["N-1", "open", ""], ["N-2", "open", ""]], [["i-2", "N-1", "5.00"]]), wanted)


def test_old_rows_keep_their_keys() -> None:
    changed = rows()
    changed["orders"][0][0] = "jade-owl"
    changed["items"][0][1] = "jade-owl"
    assert not same(changed, rows())
    gone = rows()
    gone["items"].clear()
    assert not same(gone, rows())


def test_free_text_is_not_compared() -> None:
    assert same(rows([["N-1", "open", "as you like"]]), rows([["N-1", "open", ""]]))
    noted = rows()
    noted["orders"][0][2] = "broken"
    assert same(noted, rows())
    noted["orders"][0][1] = "broken"
    assert not same(noted, rows())


@pytest.mark.parametrize("hyphen", ["\u2010", "\u2011", "\u2013"])
def test_a_code_may_be_written_with_another_hyphen(hyphen: str) -> None:
    fact = Fact(value="amber-fox", kind="code")
    rows = {"boxes": [["amber-fox"], ["misty-owl"]]}
    assert tells(f"It is amber{hyphen}fox.", [fact], rule=None, known="", rows=rows)
    assert not tells(f"amber{hyphen}fox or misty{hyphen}owl", [fact], rule=None, known="", rows=rows)
