"""Exact match and F1 of short answers, by the normalisation of the SQuAD 1.1 evaluation (Rajpurkar et al. 2016).

Lower case, ASCII punctuation removed, the articles a, an and the removed, white space joined; a prediction is compared
with every accepted answer and the best counts. Only ASCII punctuation is removed, as there: scores stay comparable with
papers. One departure: an accepted answer that normalises to nothing ("A", "!!!") is compared as it stands, apart from
case and outer white space; else saying nothing would be right.
HotpotQA's special case for yes and no in its F1 is not applied.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable

__all__ = ["exact_match", "f1", "normalize"]

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(text: str) -> str:
    """Return the form of an answer that is compared.

    >>> normalize("  The  Beatles' “Help!” ")
    'beatles “help”'
    """
    # The order matters and is SQuAD's: "the-end" first becomes "theend", which holds no article.
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(prediction: str, golds: Iterable[str]) -> float:
    """Return 1.0 if the prediction equals one of the accepted answers after normalisation, else 0.0.

    >>> exact_match("the Eiffel tower.", ["Eiffel Tower", "La Tour Eiffel"])
    1.0
    """
    return float(any(_form(prediction, gold) == _form(gold, gold) for gold in _several(golds)))


def f1(prediction: str, golds: Iterable[str]) -> float:
    """Return the highest harmonic mean of precision and recall over words, in [0, 1], among the accepted answers.

    >>> round(f1("in Paris, France", ["Paris"]), 3)
    0.5
    """
    pairs = [(_form(prediction, gold), _form(gold, gold)) for gold in _several(golds)]
    return max((_overlap(Counter(said.split()), Counter(gold.split())) for said, gold in pairs), default=0.0)


def _form(text: str, gold: str) -> str:
    return normalize(text) if normalize(gold) else text.strip().lower()


def _overlap(predicted: Counter[str], gold: Counter[str]) -> float:
    if not predicted or not gold:
        return float(predicted == gold)
    common = (predicted & gold).total()
    if common == 0:
        return 0.0
    precision, recall = common / predicted.total(), common / gold.total()
    return 2 * precision * recall / (precision + recall)


def _several(golds: Iterable[str]) -> Iterable[str]:
    # A bare string is an iterable of letters: "a" would then be accepted for the answer "Paris".
    return [golds] if isinstance(golds, str) else golds
