"""A made-up shop: a stock list behind two tools, questions about it, and who can answer them.

`draw` gives the tasks, `solve` the right turns, `demonstrate` turns that often err, from which a model learns the form
and hardly the skill. The things of the test split are in no question of the train split.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["demonstrate", "draw", "find", "solve", "stock"]

_KINDS = "Red Blue Green Black White Small Large Round Tall Soft Old New Light Heavy Plain Fine".split()
_NOUNS = "Lamp Table Chair Mirror Basket Kettle Pillow Carpet Shelf Clock Vase Bucket Ladder Hammer Candle".split()
_SLIPS = {"none": 0.3, "stops early": 0.4, "asks by name": 0.2, "guesses": 0.1}
_THINGS: dict[str, list[str]] = {"train": [], "test": []}
for _thing in (f"{kind} {noun}" for kind in _KINDS for noun in _NOUNS):
    _THINGS["test" if zlib.crc32(_thing.encode()) % 5 == 0 else "train"].append(_thing)


def find(name: str) -> str:
    """Find a thing in the catalogue.

    Args:
        name: What it is called.
    """
    return f"article {_number(name, 9000) + 1000}" if _is_sold(name) else f"There is no {name}."


def stock(article: str) -> str:
    """Tell how many pieces of an article are in stock.

    Args:
        article: Its number.
    """
    if not (article.isdecimal() and len(article) == 4):
        return f"{article} is no article."
    return f"{_number(article, 90) + 10} pieces"


def draw(generator: np.random.Generator, split: str, level: int) -> dict[str, Any]:
    """Return a task: about one thing, from level 2 on about two."""
    things = [str(thing) for thing in generator.choice(_THINGS[split], 1 if level == 1 else 2, replace=False)]
    counts = [stock(find(thing).split()[-1]).split()[0] for thing in things]
    return {
        "id": "-".join(things).replace(" ", "").lower(),
        "question": f"How many pieces of {' and of '.join(things)} are there?",
        "answer": " and ".join(counts),
        "_things": things,
        "_slip": str(generator.choice(list(_SLIPS), p=list(_SLIPS.values()))),
    }


def solve(task: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the right turn: find the things, ask for the stock of each, answer."""
    counts, articles = _told(messages, " pieces"), _told(messages, "article ")
    if len(counts) == len(task["_things"]):
        return _answer(" and ".join(counts), messages)
    if articles:
        return "".join(_call("stock", article=article) for article in articles)
    return "".join(_call("find", name=thing) for thing in task["_things"])


def demonstrate(task: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> str:
    """Return a turn of a player that errs as the task says."""
    slip, articles = task["_slip"], _told(messages, "article ")
    if slip == "guesses":
        return _answer(str(_number(task["id"], 90) + 10), messages)
    if slip == "stops early" and articles:
        return _answer(articles[0], messages)
    if slip == "asks by name" and articles:
        if any("is no article" in str(message["content"]) for message in messages):
            return _answer("0", messages)
        return _call("stock", article=task["_things"][0])
    return solve(task, messages)


def _number(text: str, below: int) -> int:
    return zlib.crc32(text.encode()) % below


def _is_sold(name: str) -> bool:
    return name in _THINGS["train"] or name in _THINGS["test"]


def _told(messages: Sequence[Mapping[str, Any]], mark: str) -> list[str]:
    """Return the numbers that stand beside a mark in what tools have told."""
    found = []
    for message in messages:
        if message["role"] in ("tool", "user"):
            for line in str(message["content"]).splitlines():
                before, middle, after = line.partition(mark)
                number = before.split()[-1:] if mark.startswith(" ") else after.split()[:1]
                found += [each.strip(".,'\"") for each in number if middle and each.strip(".,'\"").isdecimal()]
    return found


def _call(tool: str, **arguments: str) -> str:
    return f"<tool_call>{json.dumps({'name': tool, 'arguments': arguments})}</tool_call>"


def _answer(text: str, messages: Sequence[Mapping[str, Any]]) -> str:
    """Answer in words, or by the tool that the program's instructions name for it."""
    by_tool = any(message["role"] == "system" and "final_answer" in str(message["content"]) for message in messages)
    return _call("final_answer", answer=text) if by_tool else text
