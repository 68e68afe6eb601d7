"""Compare the answer with the accepted ones as numbers, exactly or within a tolerance; see `envs/math/answers.py`."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from agentrl.envs.errors import UsageError
from agentrl.envs.math.answers import Number, equals, read_number
from agentrl.envs.rubrics.components.arguments import Reference, Scorer, checked_number, reader
from agentrl.envs.rubrics.transcript import Transcript

__all__ = ["numeric"]

_SCALES = frozenset(("hundred", "thousand", "million", "billion", "trillion", "dozen"))


def numeric(
    *,
    reference: str | int | float | Sequence[str] | None = None,
    absolute: float = 0.0,
    relative: float = 0.0,
    unit: str = "",
    of: str = "answer",
) -> Scorer:
    """Score 1 where the answer is one number, equal to an accepted one.

    Read are integers, decimals, fractions, mixed numbers, percent, scientific notation, scale words, LaTeX and a unit
    behind the number. A range, a list, an expression, two numbers or a sentence is no number.

    Args:
        reference: The right number or a list of accepted ones, as text; None: those that the environment tells.
        absolute: How far the answer may be away.
        relative: The same as a share of the right number; the larger of the two tolerances holds.
        unit: What was asked for. "%": a percent sign changes nothing. Another: `15%` is 0.15, and an answer with a
            unit must have this one; one without any is taken. Empty: units are not compared.
        of: "answer" (the tag) or "last_turn" (without a tag, all that the last turn speaks).

    Raises:
        UsageError: An argument that cannot work; at an episode: it has no accepted answer, or one that is no number.

    >>> episode = Transcript(messages=({"role": "assistant", "content": "<answer>2 3/4 cups</answer>"},))
    >>> numeric(reference="2.75")(episode), numeric(reference=2.7, relative=0.01)(episode)
    (1.0, 0.0)
    >>> numeric(reference=2.7, absolute=0.05, unit="cups")(episode), numeric(reference="11/4", unit="kg")(episode)
    (1.0, 0.0)
    """
    references = Reference(repr(reference) if type(reference) in (int, float) else reference)  # type: ignore[arg-type]
    read = reader(of)
    near, share = (Fraction(checked_number(name, value, least=0)) for name, value in _named(absolute, relative))
    if not isinstance(unit, str):
        raise UsageError(f"unit is {unit!r}, but must be a text such as 'km' or '%'")
    asked = unit.strip() or None
    wanted = _words(unit)
    for each in references.own:
        _truth(each)

    def score(transcript: Transcript) -> float:
        said, golds = read(transcript), references.of(transcript)
        number = read_number(said) if said is not None else None
        if number is None or (wanted and asked != "%" and not _fits(number, wanted)):
            return 0.0
        return float(any(_near(number, _truth(gold), asked, near, share) for gold in golds))

    return references.mark(score)


def _named(absolute: float, relative: float) -> tuple[tuple[str, float], tuple[str, float]]:
    return ("absolute", absolute), ("relative", relative)


@lru_cache(maxsize=1024)
def _truth(text: str) -> Fraction:
    number = read_number(text)
    if number is None:
        raise UsageError(f"the accepted answer {text!r:.80} is no number; use exact_match, or give reference = '42'")
    return number.value


def _near(number: Number, truth: Fraction, unit: str | None, absolute: Fraction, relative: Fraction) -> bool:
    if equals(number, truth, unit=unit):
        return True
    tolerance = max(absolute, relative * abs(truth))
    if not tolerance:
        return False
    values = [number.value] if unit == "%" or not number.percent else [number.value / 100]
    if number.percent and unit is None:
        values.append(number.value)  # where nothing is known, 15% may be either
    return any(abs(value - truth) <= tolerance for value in values)


def _fits(number: Number, wanted: list[str]) -> bool:
    words = _words(number.unit)
    while words and words[0] in _SCALES:
        words = words[1:]
    return not words or number.percent or words == wanted


def _words(unit: str) -> list[str]:
    """Return a unit to be compared: "Cups" is "cup"; what is as short as "s" stays."""
    words = unit.lower().replace(".", " ").split()
    return [word[:-1] if len(word) > 2 and word.endswith("s") else word for word in words]
