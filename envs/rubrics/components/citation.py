"""Whether the agent cites documents, such as [d3], and whether what it cites is there.

A citation is an id in square brackets that holds a digit. That an id exists or was opened does not say that the
document supports the claim: only a judge who reads both can. None of the measures pays for citing more, but "exists"
and "opened" are met by one citation of any document, and "claims" by one behind every sentence, so use two together.

An id is there where a tool named it without having been given it, or where a line of its result begins with it in
brackets: "there is no document d9" makes no document of what the agent asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from agentrl.envs.rubrics.components.arguments import Scorer, checked_choice
from agentrl.envs.rubrics.components.calls import calls_of
from agentrl.envs.rubrics.transcript import Transcript
from agentrl.envs.turns import spoken

__all__ = ["citation"]

MEASURES = ("exists", "opened", "claims")
_CITED = re.compile(r"\[([A-Za-z][A-Za-z_-]{0,23}+[0-9][A-Za-z0-9_.-]{0,39}+|[0-9]{1,9}+)\]")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*+(?:\.[A-Za-z0-9_-]++)*+")  # no full stop at its end
_HEADED = re.compile(rf"^{_CITED.pattern}", re.MULTILINE)
_SENTENCE = re.compile(r"[.!?](?=\s)|\n")
_LETTERS = 8  # fewer make no claim


def citation(*, measure: str = "exists") -> Scorer:
    """Score the citations of the last turn; 0 where it has none.

    Args:
        measure: "exists": the share of cited ids that a tool result of the episode shows; "opened": the share that was
            given to a tool as an argument, and that the tool answered; "claims": the share of sentences with a
            citation in them or behind their full stop, before the answer tag where anything is said there.

    Raises:
        UsageError: There is no such measure.

    >>> episode = Transcript(messages=(
    ...     {"role": "assistant", "content": '<tool_call>{"name": "open", "arguments": {"doc_id": "d3"}}</tool_call>'},
    ...     {"role": "tool", "name": "open", "content": "[d3] Oslo: the capital of Norway. See d4."},
    ...     {"role": "assistant", "content": "It is Oslo [d3], or so [d9]. I am sure of it. <answer>Oslo</answer>"}))
    >>> citation()(episode), citation(measure="opened")(episode), round(citation(measure="claims")(episode), 2)
    (0.5, 0.5, 0.5)
    """
    checked_choice("measure", measure, MEASURES)

    def score(transcript: Transcript) -> float:
        if not transcript.turns:
            return 0.0
        said = spoken(transcript.turns[-1])
        cited = set(_CITED.findall(said))
        if not cited:
            return 0.0
        if measure == "claims":
            before, _, behind = said.partition("<answer>")
            claims = _claims(before) or _claims(behind.replace("</answer>", "\n"))
            return sum(claims) / len(claims) if claims else 0.0
        seen = _shown(transcript) if measure == "exists" else _opened(transcript)
        return len(cited & seen) / len(cited)

    return score


def _shown(transcript: Transcript) -> set[str]:
    """Return every word of the tools' results that may be an id, but for what a tool only gives back."""
    found: set[str] = set()
    for call in calls_of(transcript):
        if call.result is not None:
            asked = {word for text in _texts(call.arguments) for word in _ID.findall(text)}
            found |= set(_ID.findall(call.result)) - asked
            found.update(_HEADED.findall(call.result))
    return found


def _opened(transcript: Transcript) -> set[str]:
    """Return every text that was an argument of an answered call and is an id that there is."""
    given = (call.arguments for call in calls_of(transcript) if call.result is not None)
    texts = {text.strip().removeprefix("[").removesuffix("]") for each in given for text in _texts(each)}
    return texts & _shown(transcript)


def _texts(arguments: Mapping[str, object]) -> Iterable[str]:
    for value in arguments.values():
        held: list[Any] = value if isinstance(value, list) else [value]
        yield from (str(each) for each in held if isinstance(each, str | int))


def _claims(text: str) -> list[bool]:
    """Return of each sentence whether it is cited. A mark between two stands for both: nobody knows which is meant."""
    claims: list[bool] = []
    for sentence in _SENTENCE.split(text):
        is_cited = _CITED.search(sentence) is not None
        if claims and (_CITED.match(sentence.lstrip()) or (is_cited and not _says(sentence))):
            claims[-1] = True
        if _says(sentence):
            claims.append(is_cited)
    return claims


def _says(sentence: str) -> bool:
    return sum(map(str.isalpha, _CITED.sub("", sentence))) >= _LETTERS
