"""`AgentRL/TwentyQuestions-v0`: find a thing by questions that are answered yes or no, and name it once.

The world is closed: the things are listed, and every answer follows from one table (`things.py`). At levels 1 and 2
the table is shown; from 3 on it is what one knows of the things. From level 4 a question may join properties by `and`,
`or` and `not`; at level 5 one answer of an episode may be false, as in the game of Ulam ("Adventures of a
Mathematician", 1976).
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from typing import ClassVar

import numpy as np

from agentrl.envs.errors import nearest
from agentrl.envs.games.base import GameEnv, IllegalMove, Played, moved, quoted, split_of
from agentrl.envs.games.things import PROPERTIES, TABLE
from agentrl.envs.protocol import Policy
from agentrl.envs.turns import final_answers

__all__ = ["TwentyQuestionsEnv", "holds"]

# Level -> things, whether the table is shown, whether properties may be joined, turns beside those that halving takes.
_LEVELS = {1: (8, True, False, 2), 2: (14, True, False, 3), 3: (20, False, False, 4), 4: (32, False, True, 2)}
_LEVELS[5] = (40, False, True, 8)
_ASKED = re.compile(r"is it (.+?) ?\??")
_NAMED = re.compile(r"(?:it is )?(?:the |an? )?([a-z]+)\.?")
_LISTED = re.compile(r"^Things: ([a-z, ]+)\.$", re.MULTILINE)
_SHOWN = re.compile(r"^([a-z]+): ([a-z, -]*)$", re.MULTILINE)
_HEARD = re.compile(r"^Is it (.+)\? (Yes|No)\.$", re.MULTILINE)


class TwentyQuestionsEnv(GameEnv):
    """Twenty questions: 8 things with their properties at level 1, 40 and one false answer at level 5; see GameEnv."""

    state: ClassVar[tuple[str, ...]] = ("_things", "_shown", "_secret", "_level_now", "_left", "_false_at", "_asked")
    most_turns: ClassVar[int] = 14
    example = "is it alive?"
    _things: tuple[str, ...] = ()
    _shown: Mapping[str, frozenset[str]] = {}
    _secret, _level_now, _false_at, _asked = "", 1, -1, 0
    _left: tuple[str, ...] = ()

    def instructions(self) -> str:
        """Return the rules of the level."""
        joined = _LEVELS[self._level_now][2]
        rules = [
            "Twenty questions. Find the thing by yes-or-no questions about its properties.",
            "Ask <answer>is it alive?</answer>"
            + (", or join properties, as in <answer>is it alive and not furry?</answer>." if joined else "."),
            *(["One of the answers may be false."] if self._level_now == 5 else []),
            "When you know it, name it, as in <answer>it is the owl</answer>; you may do so once. One move a turn.",
        ]
        return " ".join(rules)

    @property
    def limit(self) -> int:
        """Turns that halving takes, the last one to name the thing, and some more."""
        return (len(self._things) - 1).bit_length() + _LEVELS[self._level_now][3] if self._things else 0

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw things, and one of them that is neither the first nor the last."""
        number = int(rng.integers(2**62))
        generator = random.Random(number)
        num_things, is_shown, *_ = _LEVELS[level]
        while True:
            things = tuple(generator.sample(sorted(TABLE), num_things))
            secret = generator.choice(things[1:-1])
            if split_of(f"{sorted(things)} {secret}") != split:
                continue
            self._shown = _few_properties(generator, things) if is_shown else {}
            if is_shown and not self._shown:
                continue
            self._things, self._secret, self._level_now, self._left, self._asked = things, secret, level, things, 0
            self._false_at = generator.randrange(10) if level == 5 else -1
            if is_shown and not self._can_be_found():
                continue
            return f"{split}-{level}-{number:016x}"

    def opening(self) -> str:
        """Return the things, and the table or the properties."""
        things = f"Things: {', '.join(self._things)}."
        if not self._shown:
            return f"{things}\nProperties: {', '.join(PROPERTIES)}."
        rows = (f"{each}: {', '.join(p for p in PROPERTIES if p in self._shown[each])}" for each in self._things)
        return "\n".join([things, *rows])

    def play(self, move: str) -> Played:
        """Answer a question, or say whether the thing was named."""
        text = move.lower()
        question = _ASKED.fullmatch(text)
        if question:
            return self._answered(question[1])
        name = _NAMED.fullmatch(text)
        if not name or name[1] not in self._things:
            near = nearest(name[1], self._things) if name else ""
            raise IllegalMove(f"{quoted(move)} is neither a question nor one of the things{near}.")
        is_won = name[1] == self._secret
        text = f"It is the {name[1]}." if is_won else f"It is not the {name[1]}."
        return Played(text=text, is_over=True, is_won=is_won)

    def legal(self) -> Sequence[str]:
        """Return questions about one property, and every thing as a guess."""
        known = self._known()
        asked = [p for p in PROPERTIES if 0 < sum(p in known[each] for each in self._things) < len(self._things)]
        return [*(f"is it {each}?" for each in asked), *(f"it is the {each}" for each in self._things)]

    def progress(self) -> float:
        """Return the share of other things that the answers leave out, false answers taken as true."""
        others = len(self._things) - 1
        return (others - len([each for each in self._left if each != self._secret])) / others if others > 0 else 0.0

    def oracle(self) -> Policy:
        """Return a policy that asks what halves the things that are left best, and names the last."""
        player = _Player()
        return lambda observation, info: player.turn(observation, self._level_now)

    def _answered(self, question: str) -> Played:
        known = self._known()
        allowed = tuple(p for p in PROPERTIES if any(p in known[each] for each in self._things)) or PROPERTIES
        terms = _terms(question, allowed if self._shown else PROPERTIES)
        if len(terms) > 1 + 2 * _LEVELS[self._level_now][2] or (
            len(terms) == 1 and terms[0][1] and self._level_now < 4
        ):
            raise IllegalMove("ask about one property." if self._level_now < 4 else "ask about three at most.")
        is_yes = holds(known[self._secret], terms) != (self._asked == self._false_at)
        self._asked += 1
        self._left = tuple(each for each in self._left if holds(known[each], terms) == is_yes)
        return Played(text=f"Is it {question}? {'Yes' if is_yes else 'No'}.")

    def _can_be_found(self) -> bool:
        """Whether the oracle finds the thing in time: halving properties are not always there."""
        oracle, said = self.oracle(), self.opening()
        for _ in range(self.limit):
            played = self.play(final_answers(oracle(said, {}))[0])
            said = played.text
            if played.is_over:
                break
        self._left, self._asked = self._things, 0
        return played.is_won

    def _known(self) -> Mapping[str, frozenset[str]]:
        return self._shown or TABLE


Terms = Sequence[tuple[str, bool, str]]
"""For each property: the word before it ("and" or "or", "" before the first), whether it is denied, the property."""


def holds(properties: frozenset[str], terms: Terms) -> bool:
    """Return whether a question is true of something; `and` and `or` join from left to right.

    >>> holds(frozenset({"alive"}), [("", False, "alive"), ("and", True, "furry")])
    True
    """
    result = False
    for word, is_denied, name in terms:
        value = (name in properties) != is_denied
        result = value if not word else (result and value) if word == "and" else (result or value)
    return result


def _terms(question: str, allowed: Sequence[str]) -> Terms:
    found: list[tuple[str, bool, str]] = []
    word = ""
    for part in re.split(r" (and|or) ", question):
        if part in ("and", "or"):
            word = part
            continue
        is_denied = part.startswith("not ")
        name = part.removeprefix("not ")
        if re.sub("^(the|an?) ", "", name) in TABLE:
            raise IllegalMove(f"{quoted(name)} is no property; to name a thing write {moved('it is the owl')}.")
        if name not in allowed:
            raise IllegalMove(f"{quoted(name)} is no property here{nearest(name, allowed)}.")
        found.append((word, is_denied, name))
    return found


def _few_properties(rng: random.Random, things: Sequence[str]) -> Mapping[str, frozenset[str]]:
    """Return the things with a few properties that tell them all apart by single questions soon; empty for bad luck."""
    names = [p for p in PROPERTIES if 1 < sum(p in TABLE[each] for each in things) < len(things) - 1]
    for _ in range(20):
        few = frozenset(rng.sample(names, min(len(names), len(things) // 2 + 1)))
        table = {each: TABLE[each] & few for each in things}
        if len(set(table.values())) == len(things):
            return table
    return {}


class _Player:
    """Keeps the things that agree with all answers, and with all but one."""

    def __init__(self) -> None:
        self._table: Mapping[str, frozenset[str]] = {}
        self._things: tuple[str, ...] = ()
        self._left: tuple[int, int] = (0, 0)  # things that agree with all answers, with all but one; a bit each
        self._turns = 0

    def turn(self, observation: str, level: int) -> str:
        """Return the next question, or the name."""
        listed = _LISTED.search(observation)
        if listed:
            self._things = tuple(listed[1].split(", "))
            shown = {name: frozenset(text.split(", ")) - {""} for name, text in _SHOWN.findall(observation)}
            self._table = shown or {each: TABLE[each] for each in self._things}
            self._left = ((1 << len(self._things)) - 1, 0)
        for question, answer in _HEARD.findall(observation):
            true = self._true(_terms(question, PROPERTIES))
            self._hear(true if answer == "Yes" else ~true, is_liar=level == 5)
        self._turns += 1
        if not self._things:
            return "There are no things."
        sure, unsure = self._left
        left = [each for place, each in enumerate(self._things) if (sure | unsure) >> place & 1]
        if len(left) <= 1:
            return moved(f"it is the {left[0] if left else self._things[1]}")
        return moved(f"is it {self._chosen(joined=level >= 4, is_liar=level == 5)}?")

    def _hear(self, true: int, *, is_liar: bool) -> None:
        sure, unsure = self._left
        self._left = (sure & true, (unsure & true) | (sure & ~true if is_liar else 0))

    def _true(self, terms: Terms) -> int:
        return sum(1 << place for place, each in enumerate(self._things) if holds(self._table[each], terms))

    def _chosen(self, *, joined: bool, is_liar: bool) -> str:
        """Return the question after which the worse answer leaves the least."""
        sure, unsure = self._left
        weight = max(2, 10 - self._turns) if is_liar else 1  # of a thing that may still have been lied about
        names = [p for p in PROPERTIES if any(p in each for each in self._table.values())]
        sets = {name: self._true([("", False, name)]) for name in names}
        questions = dict(sets)
        if joined:
            questions |= _joined(tuple(sets.items()), (1 << len(self._things)) - 1)

        def worse(true: int) -> int:
            left = []
            for part in (true, ~true):
                kept = weight * (sure & part).bit_count() + (unsure & part).bit_count()
                left.append(kept + ((sure & ~part).bit_count() if is_liar else 0))
            return max(left)

        return min(questions, key=lambda question: worse(questions[question]))


@lru_cache(maxsize=32)
def _joined(sets: tuple[tuple[str, int], ...], everything: int) -> dict[str, int]:
    """Return all questions about two properties, each with the things of which it is true."""
    found = {}
    for (one, these), (other, those) in combinations(sets, 2):
        for left, first in ((one, these), (f"not {one}", everything & ~these)):
            for right, second in ((other, those), (f"not {other}", everything & ~those)):
                found[f"{left} and {right}"] = first & second
                found[f"{left} or {right}"] = first | second
    return found
