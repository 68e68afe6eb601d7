"""Figures about what the model wrote: how much alike episodes are, and which phrase has become common.

All are shares of words, cheap enough to be taken of every episode of every step; at most `MAX_WORDS` of an episode are
looked at. Only the model's own turns count: what an environment answers says nothing about the policy.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

from agentrl.trainer.types import Episode

__all__ = [
    "MAX_WORDS",
    "Phrasebook",
    "Risen",
    "Words",
    "distinct",
    "last_turn",
    "overlap",
    "shingles",
    "turns_of",
    "words_of",
]

MAX_WORDS = 400  # of one episode
SHINGLE = 3  # words of a phrase
_REFERENCE_STEPS = 5
_MAX_PHRASES = 3000
_TOKEN = re.compile(r"\w+|[^\w\s]")

Words = tuple[str, ...]
"""Neighbouring words."""


def turns_of(episode: Episode) -> list[str]:
    """Return the model's turns, as texts."""
    return [
        message["content"]
        for message in episode.messages
        if message.get("role") == "assistant" and not message.get("given") and isinstance(message.get("content"), str)
    ]


def last_turn(episode: Episode) -> str:
    """Return the turn that ended an episode, without differences of case and white space; empty where there is none."""
    turns = turns_of(episode)
    return " ".join(turns[-1].casefold().split())[:400] if turns else ""


def words_of(text: str) -> list[str]:
    """Split a text into words and signs, in lower case and with every number as 0.

    >>> words_of("<answer>1904</answer>")
    ['<', 'answer', '>', '0', '<', '/', 'answer', '>']
    """
    return ["0" if word.isdigit() else word for word in _TOKEN.findall(text.casefold())]


def shingles(turns: Iterable[str]) -> set[Words]:
    """Return the phrases of an episode's turns; the ends of a turn count as words, so that a short one has some too."""
    found: set[Words] = set()
    left = MAX_WORDS
    for turn in turns:
        words = ["^", *words_of(turn[: 12 * left])[:left], "$"]
        found.update(zip(*(words[start:] for start in range(SHINGLE)), strict=False))
        left -= len(words) - 2
        if left <= 0:
            break
    return found


@dataclass(frozen=True, kw_only=True)
class Risen:
    """The phrase whose share of episodes has grown most since the reference."""

    phrase: str
    share: float  # of the episodes of the step that hold it
    before: float  # of those of the reference


@dataclass(kw_only=True)
class Phrasebook:
    """In what share of episodes each phrase stood during the first steps; later steps are compared with it."""

    num_steps: int = 0
    num_episodes: int = 0
    counts: Counter[Words] = field(default_factory=Counter)

    def note(self, told: Sequence[set[Words]]) -> Risen | None:
        """Take the phrases of a step's episodes; return what has risen most, None while the reference is gathered."""
        seen: Counter[Words] = Counter(phrase for each in told for phrase in each)
        if self.num_steps < _REFERENCE_STEPS:
            self.num_steps += 1
            self.num_episodes += len(told)
            self.counts.update(seen)
            if len(self.counts) > _MAX_PHRASES:  # rare ones count as absent
                self.counts = Counter(dict(sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))))
                self.counts = Counter(dict(list(self.counts.items())[:_MAX_PHRASES]))
            return None
        if not seen or not told:
            return None
        before = {phrase: self.counts[phrase] / max(1, self.num_episodes) for phrase in seen}
        rise, phrase = max((seen[phrase] / len(told) - before[phrase], phrase) for phrase in seen)
        return Risen(phrase=" ".join(phrase), share=rise + before[phrase], before=before[phrase])

    def state(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "num_steps": self.num_steps,
            "num_episodes": self.num_episodes,
            "counts": [[list(phrase), count] for phrase, count in self.counts.items()],
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Self:
        """Make one from plain data."""
        counts = Counter({tuple(phrase): int(count) for phrase, count in state["counts"]})
        return cls(num_steps=state["num_steps"], num_episodes=state["num_episodes"], counts=counts)


def distinct(told: Iterable[set[Words]]) -> float | None:
    """Return different phrases divided by all, each counted once an episode; None where there are none."""
    sets = list(told)
    total = sum(map(len, sets))
    return len(set().union(*sets)) / total if total else None


def overlap(groups: Iterable[Sequence[set[Words]]]) -> float | None:
    """Return how much neighbours within a group have in common: the mean of shared phrases divided by all of both."""
    values = [len(one & other) / len(one | other) for group in groups for one, other in pairwise(group) if one | other]
    return sum(values) / len(values) if values else None
