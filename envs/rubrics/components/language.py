"""The language of what the agent says, by py3langid: naive Bayes over byte sequences, the same on every machine.

Short texts and names are told badly, so a piece with fewer letters than `least_letters`, or of which the library is
less sure than `least_sure`, is not judged. Code blocks that are closed, tags, links and what nobody sees are left out,
and letters that are written apart are joined. A text is judged in pieces, so that a beginning in one language does not
stand for the rest. Of a longer text at least half must be told: what keeps its language to itself is in none.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any

from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.rubrics.components.arguments import (
    Scorer,
    check_flag,
    checked_choice,
    checked_names,
    checked_number,
    reader,
)
from agentrl.envs.rubrics.transcript import Transcript
from agentrl.envs.turns import spoken

__all__ = ["language"]

MOST_PIECES = 24  # of one text; of more, as many are looked at, spread over all of it
PIECE_CHARS = 400
LONG = 120  # letters of which half must be told
_FENCED = re.compile(r"```.*?```", re.DOTALL)
_LEFT_OUT = re.compile(r"</?[A-Za-z][A-Za-z0-9_-]{0,63}+>|https?://\S++")
_APART = re.compile(r"(?<!\w)\w(?:\s++\w(?!\w)){3,}+")
_NO_LANGUAGE = "zxx"  # what the library calls a text that is in none, such as code


def language(
    *,
    language: str | Sequence[str],
    of: str = "last_turn",
    thoughts: bool = False,
    least_letters: int = 12,
    least_sure: float = 0.3,
) -> Scorer:
    """Score the share of what was said that is in a language; 1 where too little was said to tell.

    Args:
        language: Code such as "en", or a list of codes of which any will do.
        of: "answer" (the tag), "last_turn" or "turns" (all of the agent's).
        thoughts: Whether thoughts are judged too; an answer has none.
        least_letters: Letters from which a piece of text is judged.
        least_sure: Probability, by the library, from which it is judged. Three lists of invented names had 0.05 to
            0.07, eighteen sentences of three to fourteen words in five languages 0.28 to 1.0.

    Raises:
        UsageError: An argument that cannot work, or the library is missing.

    Source: Lui and Baldwin 2012, langid.py, section 3.

    >>> score = language(language="en")
    >>> score(Transcript(messages=({"role": "assistant", "content": "The treaty was signed in the town hall."},)))
    1.0
    >>> score(Transcript(messages=({"role": "assistant", "content": "Der Vertrag wurde im Rathaus unterschrieben."},)))
    0.0
    """
    given = [language] if isinstance(language, str) else language
    codes = checked_names("language", given, example="'en'")
    classify, known = _library()
    for code in codes:
        if code not in known:
            raise UsageError(f"language is {code!r}{nearest(code, known)}; there are {', '.join(known)}")
    checked_choice("of", of, ("answer", "last_turn", "turns"))
    check_flag("thoughts", thoughts)
    if of == "answer" and thoughts:
        raise UsageError("thoughts = true has no effect on the answer; leave it out, or write of = 'last_turn'")
    least = checked_number("least_letters", least_letters, least=1, whole=True)
    sure = checked_number("least_sure", least_sure, least=0)
    wanted = frozenset(codes)
    read = reader("answer")

    def score(transcript: Transcript) -> float:
        if of == "answer":
            said = read(transcript) or ""
        else:
            turns = transcript.turns if of == "turns" else transcript.turns[-1:]
            said = "\n".join(turn if thoughts else spoken(turn) for turn in turns)
        right = told = letters = 0
        for piece in _pieces(said):
            num = sum(map(str.isalpha, piece))
            letters += num
            if num < least:
                continue
            found, probability = classify(piece)
            if found != _NO_LANGUAGE and probability >= sure:
                told += num
                right += num * (found in wanted)
        total = max(told, letters // 2) if letters >= LONG else told
        return right / total if total else 1.0

    return score


@lru_cache(maxsize=1)
def _library() -> tuple[Callable[[str], tuple[str, float]], tuple[str, ...]]:
    """Return what tells the language of a text and how likely it is, and the codes; loading takes half a second."""
    try:
        module: Any = import_module("py3langid.langid")
    except ImportError as error:
        raise UsageError(
            "the component language needs the library py3langid; type: pip install 'agentrl-gym[rubrics]'"
        ) from error
    identifier = module.LanguageIdentifier.from_model_file(module.MODEL_FILE, norm_probs=True)
    return identifier.classify, tuple(sorted(identifier.labels))


def _pieces(text: str) -> Iterator[str]:
    """Yield pieces of what is prose in the text, from all over it."""
    prose = _LEFT_OUT.sub("", _FENCED.sub(" ", text))
    starts = range(0, len(prose), PIECE_CHARS)
    step = -(-len(starts) // MOST_PIECES) or 1
    for start in starts[::step]:
        piece = prose[start : start + PIECE_CHARS]
        seen = piece if piece.isascii() else "".join(char for char in piece if unicodedata.category(char) != "Cf")
        yield _APART.sub(lambda match: "".join(match[0].split()), seen)
