"""What an answer is (a number, a text, a date, or a list of these), and when a text equals it. Nothing is evaluated.

Numbers are compared exactly, as in `agentrl.envs.math.answers`; texts without case, quotes and spare blanks; dates as
days of the calendar; lists item by item, in order or, for a "set", in any order with as many of each.
"""

from __future__ import annotations

import datetime
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from agentrl.envs.math.answers import matches as is_number
from agentrl.envs.math.answers import read_number
from agentrl.envs.math.answers import show as show_number

__all__ = ["KINDS", "Answer", "any_order", "day", "in_order", "matches", "number", "readable", "show", "text"]

KINDS = ("number", "text", "date", "list", "set")
MAX_CHARS = 10_000

_MONTHS = "january february march april may june july august september october november december".split()
_DATE = re.compile(
    r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})"
    r"|(?P<d2>\d{1,2})(?:st|nd|rd|th)? (?P<month>[a-z]{3,9})\.?,? (?P<y2>\d{4})"
    r"|(?P<month2>[a-z]{3,9})\.? (?P<d3>\d{1,2})(?:st|nd|rd|th)?,? (?P<y3>\d{4})"
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A right answer: `value` is a number, a text or day, or the items of a list, by its kind."""

    kind: str  # one of KINDS
    value: Fraction | str | datetime.date | tuple[Answer, ...]
    places: int | None = None  # decimals to which the number was rounded; the question asks for them


def number(value: int | Fraction, places: int | None = None) -> Answer:
    """Return a number, rounded to `places` decimals where they are given."""
    exact = Fraction(value)
    return Answer(kind="number", value=exact if places is None else round(exact, places), places=places)


def text(value: str) -> Answer:
    """Return a text."""
    return Answer(kind="text", value=value)


def day(value: datetime.date) -> Answer:
    """Return a day."""
    return Answer(kind="date", value=value)


def in_order(items: Iterable[str]) -> Answer:
    """Return a list of texts whose order counts."""
    return Answer(kind="list", value=tuple(map(text, items)))


def any_order(items: Iterable[str]) -> Answer:
    """Return a list of texts whose order does not count."""
    return Answer(kind="set", value=tuple(map(text, items)))


def matches(said: str, answer: Answer) -> bool:
    """Return whether what was said is the answer.

    >>> matches("1,250.5", number(Fraction(2501, 2))), matches("5 March 2024", day(datetime.date(2024, 3, 5)))
    (True, True)
    >>> matches("['Ida', 'Bo']", any_order(["bo", "ida"])), matches("Ida, Bo", in_order(["Bo", "Ida"]))
    (True, False)
    """
    value = answer.value
    if isinstance(value, tuple):
        items = _items(said)
        if items is None or len(items) != len(value):
            return False
        if answer.kind == "list":
            return all(matches(item, each) for item, each in zip(items, value, strict=True))
        return _paired(items, value)
    if isinstance(value, Fraction):
        return is_number(said, value)
    if isinstance(value, datetime.date):
        return _day(said) == value
    return _plain(said) == _plain(value)


def readable(said: str, answer: Answer) -> bool:
    """Return whether what was said has the form that was asked for, right or wrong."""
    if isinstance(answer.value, tuple):
        return bool(_items(said))
    if isinstance(answer.value, Fraction):
        return read_number(said) is not None
    if isinstance(answer.value, datetime.date):
        return _day(said) is not None
    return bool(_plain(said)) and len(said) <= 200


def show(answer: Answer) -> str:
    """Write an answer as a person would.

    >>> show(number(Fraction(7, 3), 2)), show(in_order(["Ida", "Bo"]))
    ('2.33', 'Ida, Bo')
    """
    value = answer.value
    if isinstance(value, tuple):
        return ", ".join(map(show, value))
    if isinstance(value, Fraction):
        return show_number(value)
    return value.isoformat() if isinstance(value, datetime.date) else value


def _plain(said: str) -> str:
    words = unicodedata.normalize("NFKC", said[:MAX_CHARS]).casefold().split()
    return " ".join(words).rstrip(".").strip("\"'`“”‘’ ")


def _day(said: str) -> datetime.date | None:
    match = _DATE.fullmatch(_plain(said))
    if match is None:
        return None
    month = match["month"] or match["month2"]
    number = int(match["m"] or 0)
    if month is not None:
        number = next((at for at, name in enumerate(_MONTHS, 1) if month in (name, name[:3])), 0)
    try:
        return datetime.date(
            int(match["y"] or match["y2"] or match["y3"]), number, int(match["d"] or match["d2"] or match["d3"])
        )
    except ValueError:
        return None


def _items(said: str) -> list[str] | None:
    """Return the items of a list: JSON, or separated by commas, semicolons or lines, in brackets or not."""
    said = said.strip()
    if len(said) > MAX_CHARS:
        return None
    if said.startswith("["):
        try:
            items = json.loads(said, parse_int=str, parse_float=str)
            return items if all(isinstance(item, str) for item in items) else None
        except (ValueError, RecursionError):
            pass  # as Python writes it
    if said[:1] in ("[", "(", "{") and said[-1:] in ("]", ")", "}"):
        said = said[1:-1]
    items = [item.strip() for item in re.split(r"[,;\n]", said)]
    return None if "" in items else items


def _paired(items: list[str], wanted: tuple[Answer, ...]) -> bool:
    """Return whether each item is another one of the wanted; equal ones of them stand in for each other."""
    left = Counter(wanted)
    for item in items:
        found = next((each for each in left if matches(item, each)), None)
        if found is None:
            return False
        left[found] -= 1
        left = +left
    return True
