"""Whether an episode of ToolUse succeeded: the database equals the right one, and the last message tells the facts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agentrl.envs.tooluse.case import Fact
from agentrl.envs.tooluse.tables import Rows, Tables

__all__ = ["MAX_ANSWER", "RULE", "same_rows", "tells"]

MAX_ANSWER = 600
"""Characters of a last message; a longer one tells nothing."""
RULE = re.compile(r"\bR-\d\d\b", re.IGNORECASE)
_COUNTED = ("amount", "number", "date", "time")

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\b\d{1,2}:\d\d\b")
_HYPHENS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\ufe63\uff0d", "-"))  # models write some of these
_CODE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)+")
_NUMBER = re.compile(r"(?<![\w.,-])\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")


def same_rows(kind: type[Tables], first: Rows, final: Rows, wanted: Rows) -> bool:
    """Return whether two states of a database are equal, whatever keys new rows were given and in which order.

    Args:
        kind: The toolset, which names its columns of free text.
        first: The rows at the beginning.
        final: As the episode left them.
        wanted: As they should be.
    """
    return _canonical(kind, first, final) == _canonical(kind, first, wanted)


def tells(answer: str, facts: Sequence[Fact], *, rule: str | None, known: str, rows: Rows) -> bool:
    """Return whether a last message tells every fact, and the rule where it is a refusal.

    Args:
        answer: The message.
        facts: What it has to tell.
        rule: The code of the rule that it has to name; None: it must name none.
        known: All that the user said, which may be repeated.
        rows: The database, for the codes that stand in it.
    """
    if len(answer) > MAX_ANSWER:
        return False
    if {code.upper() for code in RULE.findall(answer)} != ({rule} if rule is not None else set()):
        return False
    said = answer.translate(_HYPHENS).casefold()
    may = known.casefold() + " " + " ".join(fact.value for fact in facts).casefold()
    if facts and any(_of_kind(kind, said) - _of_kind(kind, may) for kind in _COUNTED):
        return False  # a right answer among others, of whatever kind, is a guess
    return all(_told(said, fact, may, rows) for fact in facts)


def _told(said: str, fact: Fact, may: str, rows: Rows) -> bool:
    value = fact.value.casefold()
    if fact.kind == "name":
        rivals = [rival.casefold() for rival in fact.rivals]
        return _holds(said, value) and not any(
            _holds(said.replace(value, " "), rival) and not _holds(may, rival) for rival in rivals if rival != value
        )
    if fact.kind == "code":
        codes = {text for row in _values(rows) if isinstance(row, str) for text in [row.casefold()] if "-" in text}
        found = set(_CODE.findall(said))
        return value in found and not ((found & codes) - set(_CODE.findall(may)))
    return _of_kind(fact.kind, value) <= _of_kind(fact.kind, said)


def _of_kind(kind: str, text: str) -> set[str]:
    if kind == "date":
        return set(_DATE.findall(text))
    if kind == "time":
        return {each.zfill(5) for each in _TIME.findall(text)}
    rest = RULE.sub(" ", _TIME.sub(" ", _DATE.sub(" ", text)))
    numbers = [each.replace(",", "") for each in _NUMBER.findall(rest)]
    if kind == "amount":
        return {f"{float(each):.2f}" for each in numbers if "." in each}
    return {each for each in numbers if "." not in each}


def _holds(text: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) is not None


def _values(rows: Rows) -> Iterable[Any]:
    return (value for lines in rows.values() for line in lines for value in line)


def _canonical(kind: type[Tables], first: Rows, rows: Rows) -> str:
    old = {table: {line[0] for line in lines} for table, lines in first.items()}
    new = {line[0] for table, lines in rows.items() for line in lines if line[0] not in old.get(table, ())}
    blank = _blank(kind)

    def plain(table: str, place: int, value: Any) -> Any:
        if place in blank.get(table, ()):  # of old rows, too: a reason may be given where the known way gives none
            return None
        return "new" if isinstance(value, str) and value in new else value

    shown = {
        table: sorted(json.dumps([plain(table, place, value) for place, value in enumerate(line)]) for line in lines)
        for table, lines in rows.items()
    }
    return json.dumps(shown, sort_keys=True)


def _blank(kind: type[Tables]) -> Mapping[str, set[int]]:
    """Return which columns of which table are free text, by their places."""
    return {
        table: {place for place, name in enumerate(kind.columns(table)) if name in columns}
        for table, columns in kind.volatile.items()
    }
