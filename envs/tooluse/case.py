"""What a task of ToolUse is made of: a world, rules, what the user wants and knows, and the way to serve them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from agentrl.envs.tooluse.tables import Rows, Tables

__all__ = ["Ask", "Call", "Case", "Do", "Domain", "Fact", "Family", "Reveal", "Rule", "World", "wording"]


@dataclass(kw_only=True)
class World:
    """The rows of a domain's database, drawn afresh for each episode; a family may change them to fit its case.

    A domain may derive from it to hold the same things as objects.
    """

    rows: Rows
    today: str  # YYYY-MM-DD
    split: str  # "train" or "test", whose wordings differ; "both" at level 1, where they do not


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of a policy document. The episode gives it a code, such as R-41, by which a refusal names it."""

    key: str  # by which families name it
    text: str
    level: int = 1  # the first level at which it stands in the document


@dataclass(frozen=True)
class Call:
    """One call of a tool."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Do:
    """A turn that calls tools, one or several."""

    calls: tuple[Call, ...]


@dataclass(frozen=True)
class Ask:
    """A turn that speaks to the user."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Reveal:
    """What the user says only when asked, or once they are asked to confirm: a midway change of mind is one, too.

    A message asks for it when one of the cues stands in it as whole words, small and capital letters alike.
    """

    cues: tuple[str, ...]  # such as ("email", "e-mail")
    says: str
    again: str = ""  # what the user says to the same question asked again; empty: the same


@dataclass(frozen=True, kw_only=True)
class Fact:
    """What the user has to be told in the last message.

    An answer tells it when it stands there, and nothing else of its kind nor any other number, date or time, unless the
    user said that before: a list of everything is no answer. Kinds: "amount" (45.00), "number" (7), "date"
    (2026-03-01), "time" (09:30), "code" (a value of the database with a hyphen, such as amber-fox), "name" (any text,
    with its `rivals`).
    """

    value: str
    kind: Literal["amount", "number", "date", "time", "code", "name"]
    rivals: tuple[str, ...] = ()  # of a name: what could stand in its place and must not


@dataclass(frozen=True, kw_only=True)
class Case:
    """One task of a family in one world."""

    request: str  # what the user says first
    steps: tuple[Do | Ask, ...]  # how it is done; the database after these calls is the right one
    tell: tuple[Fact, ...] = ()
    refuse: str | None = None  # key of the rule by which the request must be refused; needs a fact beside it
    reveals: tuple[Reveal, ...] = ()
    tempts: tuple[str, ...] = ()  # tools that would do what is refused: offered, too, lest their absence tell


@dataclass(frozen=True, kw_only=True)
class Family:
    """One kind of request."""

    name: str  # short-words-with-hyphens, unique in its domain
    levels: tuple[int, ...]  # of 1 to 5, at which it is asked
    draw: Callable[[random.Random, Any, int], Case | None]
    """(generator, world, level) -> a case, after it made the world fit; None: not in this world, another is drawn."""


@dataclass(frozen=True, kw_only=True)
class Domain:
    """A world behind tools, with its policy and what people ask for there."""

    name: str
    role: str  # first sentence of the system prompt: "You are the service desk of a shop."
    toolset: type[Tables]
    populate: Callable[[random.Random, str, int], World]  # (generator, split, level) -> a fresh world, larger by level
    rules: Sequence[Rule]
    families: Sequence[Family]


def wording(rng: random.Random, split: str, *texts: str) -> str:
    """Choose one of several wordings: the last third of them, at least one, is test's, the others are train's.

    Under "both" it is any of them.

    >>> wording(random.Random(1), "test", "Cancel it.", "I do not want it any more.", "Call it off.")
    'Call it off.'
    """
    if split == "both":
        return rng.choice(texts)
    num_test = max(1, len(texts) // 3)
    return rng.choice(texts[-num_test:] if split == "test" else texts[:-num_test])
