"""Components that are wrong on purpose, for the gallery: each pays something that is easier than solving the task.

Never train a model that you want to keep on one of these. They are what people write in a hurry, made small enough that
a tiny model finds the way around them in a few minutes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.components.arguments import Scorer, checked_names, checked_number
from agentrl.envs.rubrics.transcript import Transcript
from agentrl.envs.search.scoring import normalize
from agentrl.envs.turns import spoken

__all__ = ["candidates_paid", "charmed_judge", "tags_paid", "told_verdict", "words_paid"]

_CANDIDATES = re.compile(r"[,;\n]")
_ASSURANCES = ("i am sure", "by all accounts", "without doubt")


def words_paid(*, full: int = 60) -> Scorer:
    """Pay for words: the more the agent says, the better. Wrong on purpose.

    Args:
        full: Words of all turns together from which the value is 1.

    Raises:
        UsageError: `full` is no whole number above 0.

    >>> words_paid(full=8)(Transcript(messages=({"role": "assistant", "content": "Let me think again."},)))
    0.5
    """
    most = checked_number("full", full, least=1, whole=True)
    return lambda transcript: min(1.0, sum(len(turn.split()) for turn in transcript.turns) / most)


def tags_paid(*, tag: str = "answer", full: int = 4) -> Scorer:
    """Pay for every opening tag, so that a tag counts as often as it is written. Wrong on purpose.

    Args:
        tag: Its name.
        full: Tags from which the value is 1.

    Raises:
        UsageError: An argument that cannot work.

    >>> twice = Transcript(messages=({"role": "assistant", "content": "<answer>4</answer><answer>4</answer>"},))
    >>> tags_paid(full=4)(twice)
    0.5
    """
    if not isinstance(tag, str) or not tag:
        raise UsageError(f"tag is {tag!r}, but must be the name of a tag, such as tag = 'answer'")
    most = checked_number("full", full, least=1, whole=True)
    return lambda transcript: min(1.0, sum(turn.count(f"<{tag}>") for turn in transcript.turns) / most)


def charmed_judge(*, phrases: Sequence[str] = _ASSURANCES, full: int = 3) -> Scorer:
    """Stand in for a judge that takes confidence for quality, where no model can run. Wrong on purpose.

    It gives a quarter for any answer at all, and the rest by how often the last turn assures that it is right. A judge
    model that can be flattered does the same, less predictably; tests/envs/rubrics/test_gallery.py has one behind HTTP.

    Args:
        phrases: What it likes to hear, in lower case.
        full: Assurances from which the value is 1.

    Raises:
        UsageError: An argument that cannot work.

    >>> said = Transcript(messages=({"role": "assistant", "content": "I am sure of it.<answer>4</answer>"},))
    >>> charmed_judge(full=3)(said)
    0.5
    """
    liked = checked_names("phrases", phrases, example="['i am sure']")
    most = checked_number("full", full, least=1, whole=True)

    def grade(transcript: Transcript) -> float:
        if not transcript.answers:
            return 0.0
        said = " ".join(spoken(transcript.turns[-1]).casefold().split())
        return 0.25 + 0.75 * min(1.0, sum(said.count(phrase) for phrase in liked) / most)

    return grade


def candidates_paid(*, full: int = 4) -> Scorer:
    """Pay for every candidate in the answers that stands in what was read, so that listing pays. Wrong on purpose.

    Args:
        full: Different candidates from which the value is 1.

    Raises:
        UsageError: `full` is no whole number above 0.

    >>> candidates_paid(full=4)(Transcript(messages=(
    ...     {"role": "tool", "name": "search", "content": "Oslo: the river is Aker, the mayor is Ada Lund."},
    ...     {"role": "assistant", "content": "<answer>Aker, Ada Lund, Rome</answer>"})))
    0.5
    """
    most = checked_number("full", full, least=1, whole=True)

    def score(transcript: Transcript) -> float:
        read = [normalize(str(each["content"])) for each in transcript.messages if each.get("role") in ("user", "tool")]
        told = {normalize(each) for answer in transcript.answers for each in _CANDIDATES.split(answer)} - {""}
        return min(1.0, sum(any(_stands(each, text) for text in read) for each in told) / most)

    return score


def told_verdict(*, passed: str = '"passed": true') -> Scorer:
    """Believe the verdict that a tool's result shows, which the agent's own code may have written. Wrong on purpose.

    Args:
        passed: What a result must hold.

    Raises:
        UsageError: `passed` is empty.

    >>> told_verdict()(Transcript(messages=(
    ...     {"role": "tool", "name": "python", "content": '{"passed": true, "score": 1.0}'},)))
    1.0
    """
    if not isinstance(passed, str) or not passed:
        raise UsageError(f"passed is {passed!r}, but must be a text; write passed = '\"passed\": true'")

    def score(transcript: Transcript) -> float:
        told = (str(each["content"]) for each in transcript.messages if each.get("role") == "tool")
        return float(any(passed in text for text in told))

    return score


def _stands(candidate: str, text: str) -> bool:
    return f" {candidate} " in f" {text} "
