"""What the factories of this package share: their arguments are checked at once, and what "the answer" is.

The answer is what stands in the one `<answer>` tag of the last turn. With `of="last_turn"` an episode without tags is
read too: its answer is what the last turn speaks, thoughts left out. Several tags are no answer, however it is read: a
list of guesses must never score. Nor is there an answer in a turn that calls a tool, as in the environments: else a
model could answer in every turn and go on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.rubrics.transcript import Transcript
from agentrl.envs.turns import spoken

__all__ = [
    "Falling",
    "Reference",
    "Scorer",
    "answer_of",
    "check_flag",
    "checked_choice",
    "checked_names",
    "checked_number",
    "reader",
]

Scorer = Callable[[Transcript], float]
"""Returns what an episode is worth, in [0, 1]."""


class Reference:
    """Where a scorer takes the right answers from: its own argument, or the episode.

    Args:
        reference: The right answer, or a list of accepted ones; None: those of the episode.
        name: Of the argument.

    Raises:
        UsageError: It is neither a text nor a list of at least one.
    """

    def __init__(self, reference: str | Sequence[str] | None, *, name: str = "reference") -> None:
        given = [reference] if isinstance(reference, str) else reference
        if given is not None and not (
            isinstance(given, list | tuple) and given and all(isinstance(each, str) for each in given)
        ):
            raise UsageError(f"{name} is {reference!r:.80}, but must be a text or a list of texts")
        self._name = name
        self.own: tuple[str, ...] = tuple(given or ())

    def of(self, transcript: Transcript) -> tuple[str, ...]:
        """Return the right answers for an episode.

        Raises:
            UsageError: There are none.
        """
        found = self.own or transcript.references
        if not found:
            raise UsageError(
                f"no accepted answer is known for {transcript.env_id or 'this episode'}: its environment tells none; "
                f"give the component {self._name} = '…', or use one that compares with nothing"
            )
        return found

    def mark(self, scorer: Scorer) -> Scorer:
        """Return the scorer, which asks its caller for the episode's references where it has none of its own."""
        scorer.needs_reference = not self.own  # type: ignore[attr-defined]  # functions have attributes
        return scorer


class Reader(Protocol):
    """Finds the answer of an episode."""

    def __call__(self, transcript: Transcript, /) -> str | None:
        """Return it; None where there is none, or several."""


def reader(of: str) -> Reader:
    """Return what reads the answer of an episode: "answer" or "last_turn".

    Raises:
        UsageError: There is no such way.

    >>> said = Transcript(messages=({"role": "assistant", "content": "<think>hm</think> Paris"},))
    >>> reader("answer")(said), reader("last_turn")(said)
    (None, 'Paris')
    """
    checked_choice("of", of, ("answer", "last_turn"))
    return answer_of if of == "answer" else _last_turn


def answer_of(transcript: Transcript) -> str | None:
    """Return the answer in the tag of the last turn; None where there is none, or several, or a call beside it."""
    return transcript.answer


def checked_choice(name: str, value: Any, known: Sequence[str]) -> str:
    """Return the value.

    Raises:
        UsageError: It is not among those known.
    """
    if not isinstance(value, str) or value not in known:
        hint = nearest(value, known) if isinstance(value, str) else ""
        raise UsageError(f"{name} is {value!r:.80}{hint}; there are {', '.join(map(repr, known))}")
    return value


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither true nor false.

    Raises:
        UsageError: It is neither.
    """
    if not isinstance(value, bool):
        raise UsageError(f"{name} is {value!r:.80}, but must be true or false")


def checked_names(name: str, value: Any, *, example: str) -> tuple[str, ...]:
    """Return a list of texts.

    Raises:
        UsageError: It is none, is empty, or has an empty or a repeated text.
    """
    if (
        isinstance(value, str)
        or not isinstance(value, Sequence)
        or not value
        or not all(isinstance(each, str) and each.strip() for each in value)
        or len(set(value)) < len(value)
    ):
        raise UsageError(f"{name} is {value!r:.80}, but must be a list of names, each once: {name} = {example}")
    return tuple(value)


def checked_number(name: str, value: Any, *, least: float = -math.inf, whole: bool = False) -> float:
    """Return a number of at least `least`.

    Raises:
        UsageError: It is none, is too small, or is not whole where it has to be.
    """
    right = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= least
    if not right or (whole and not isinstance(value, int)):
        kind = "a whole number" if whole else "a finite number"
        bound = f" of at least {least:g}" if math.isfinite(least) else ""
        raise UsageError(f"{name} is {value!r:.80}, but must be {kind}{bound}")
    number: float = value
    return number


class Falling:
    """A soft limit: 1 up to `soft`, falling linearly to 0 at `hard`.

    Raises:
        UsageError: A limit that is no number of at least 0, or a hard one below the soft.

    >>> limit = Falling(soft=4, hard=8)
    >>> limit(4), limit(6), limit(8), limit(100)
    (1.0, 0.5, 0.0, 0.0)
    """

    def __init__(self, *, soft: float, hard: float, unit: str = "") -> None:
        self._soft = checked_number(f"soft{unit}", soft, least=0)
        self._hard = checked_number(f"hard{unit}", hard, least=0)
        if hard < soft:
            raise UsageError(f"hard{unit} is {hard!r}, below soft{unit} = {soft!r}; the value falls from soft to hard")

    def __call__(self, amount: float) -> float:
        """Return the value of an amount."""
        if amount <= self._soft:
            return 1.0
        return (self._hard - amount) / (self._hard - self._soft) if amount < self._hard else 0.0


def _last_turn(transcript: Transcript) -> str | None:
    if transcript.answers or not transcript.turns:
        return answer_of(transcript)
    said = spoken(transcript.turns[-1]).strip()
    calls = transcript.tool_names and transcript.called(transcript.num_turns - 1)
    return said if said and not calls else None
