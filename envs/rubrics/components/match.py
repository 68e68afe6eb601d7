"""Compare the answer with the accepted ones as text: equal, overlapping in words, or the same items in any order.

Answers are normalised as in SQuAD (`envs/search/scoring.py`). Word overlap and recall can be raised by saying more
than was asked: give them a companion that limits the length, or use the exact measures for training.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence

from agentrl.envs.errors import UsageError
from agentrl.envs.math.answers import read_number
from agentrl.envs.rubrics.components.arguments import Reference, Scorer, check_flag, checked_choice, reader
from agentrl.envs.rubrics.transcript import Transcript
from agentrl.envs.search import scoring

__all__ = ["exact_match", "f1", "set_match"]

MEASURES = ("exact", "f1", "precision", "recall")
MAX_CHARS = 100_000  # of a list of items; what is longer is no list
_BETWEEN = re.compile(r"[,;\n]")


def exact_match(*, reference: str | Sequence[str] | None = None, normalize: bool = True, of: str = "answer") -> Scorer:
    """Score 1 where the answer equals an accepted one.

    Args:
        reference: The right answer or a list of accepted ones; None: those that the environment tells.
        normalize: Leave case, punctuation, articles and white space out, as SQuAD does; else only white space around.
        of: "answer" (the tag) or "last_turn" (without a tag, all that the last turn speaks).

    Raises:
        UsageError: An argument that cannot work; at an episode: it has no accepted answer.

    The normalisation drops signs and points of numbers ("-1.5" is "15"): for numbers there is `numeric`.

    Source: the normalisation of Rajpurkar et al. 2016, evaluation script 1.1.

    >>> score = exact_match(reference=["Eiffel Tower"])
    >>> score(Transcript(messages=({"role": "assistant", "content": "<answer>the Eiffel tower.</answer>"},)))
    1.0
    """
    references, read = Reference(reference), reader(of)
    check_flag("normalize", normalize)
    for gold in references.own if normalize else ():
        if read_number(gold) is not None and scoring.normalize(gold) != gold.strip().lower():
            raise UsageError(
                f"reference is {gold!r}, of which normalising leaves {scoring.normalize(gold)!r}, as of other numbers "
                "too; use numeric, or write normalize = false"
            )

    def score(transcript: Transcript) -> float:
        said, golds = read(transcript), references.of(transcript)
        if said is None:
            return 0.0
        if said in golds:
            return 1.0
        if normalize:
            return scoring.exact_match(said, golds)
        return float(said.strip() in [gold.strip() for gold in golds])

    return references.mark(score)


def f1(*, reference: str | Sequence[str] | None = None, of: str = "answer") -> Scorer:
    """Score how far the words of the answer and of an accepted one overlap: F1, the best of the accepted.

    Args:
        reference: The right answer or a list of accepted ones; None: those that the environment tells.
        of: "answer" (the tag) or "last_turn" (without a tag, all that the last turn speaks).

    Raises:
        UsageError: An argument that cannot work; at an episode: it has no accepted answer.

    Source: Rajpurkar et al. 2016, section 6.1.

    >>> score = f1(reference="Paris")
    >>> score(Transcript(messages=({"role": "assistant", "content": "<answer>in Paris, France</answer>"},)))
    0.5
    """
    references, read = Reference(reference), reader(of)

    def score(transcript: Transcript) -> float:
        said, golds = read(transcript), references.of(transcript)
        if said is None:
            return 0.0
        return 1.0 if said in golds else scoring.f1(said, golds)

    return references.mark(score)


def set_match(*, reference: str | Sequence[str] | None = None, measure: str = "exact", of: str = "answer") -> Scorer:
    """Score whether the answer lists the right items, in any order.

    A list is JSON, or its items stand between commas, semicolons or lines, in brackets or not. Items are compared as
    `exact_match` does; an item listed twice counts twice, so repeating one costs precision.

    Args:
        reference: The right list, as text; or several accepted ones. None: those that the environment tells.
        measure: "exact" (1 or 0), "f1", "precision" or "recall" over items. Recall alone rewards listing everything.
        of: "answer" (the tag) or "last_turn" (without a tag, all that the last turn speaks).

    Raises:
        UsageError: An argument that cannot work; at an episode: it has no accepted answer.

    >>> episode = Transcript(messages=({"role": "assistant", "content": "<answer>Oslo; Rome, Bern</answer>"},))
    >>> set_match(reference='["bern", "oslo", "rome"]')(episode)
    1.0
    >>> round(set_match(reference="Oslo, Rome", measure="precision")(episode), 2)
    0.67
    """
    references, read = Reference(reference), reader(of)
    checked_choice("measure", measure, MEASURES)

    def score(transcript: Transcript) -> float:
        said, golds = read(transcript), references.of(transcript)
        if said is None:
            return 0.0
        listed = _items(said)
        return max(_measured(measure, listed, _items(gold)) for gold in golds)

    return references.mark(score)


def _items(text: str) -> Counter[str]:
    text = text.strip()
    if len(text) > MAX_CHARS:
        return Counter()
    if text.startswith("["):
        try:
            plain = [each if isinstance(each, str) else json.dumps(each) for each in json.loads(text)]
            return Counter(map(_form, plain))
        except (ValueError, RecursionError):
            pass  # as Python writes it
    if text[:1] in ("[", "(", "{") and text[-1:] in ("]", ")", "}"):
        text = text[1:-1]
    return Counter(form for form in map(_form, _BETWEEN.split(text)) if form)


def _form(item: str) -> str:
    return scoring.normalize(item) or item.strip().strip("'\"").lower()


def _measured(measure: str, said: Counter[str], gold: Counter[str]) -> float:
    if said == gold:
        return 1.0
    common = (said & gold).total()
    if measure == "exact" or common == 0:
        return 0.0
    precision, recall = common / said.total(), common / gold.total()
    return {"precision": precision, "recall": recall, "f1": 2 * precision * recall / (precision + recall)}[measure]
