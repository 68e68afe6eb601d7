"""Soft limits on turns, length and time: 1 up to the soft limit, falling linearly to 0 at the hard one.

A limit alone is best met by saying nothing. It belongs beside a component that pays for being right, or behind one as
a gate.
"""

from __future__ import annotations

from collections.abc import Callable

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.components.arguments import Falling, Scorer, check_flag, checked_choice, reader
from agentrl.envs.rubrics.transcript import Transcript
from agentrl.envs.turns import spoken

__all__ = ["latency", "length", "num_turns"]

UNITS = ("words", "characters", "tokens")
PARTS = ("answer", "last_turn", "turns")


def num_turns(*, soft: int, hard: int) -> Scorer:
    """Score how few turns the episode took.

    Args:
        soft: Turns of the agent up to which the value is 1.
        hard: Turns from which it is 0.

    Raises:
        UsageError: A limit that cannot work.

    >>> score = num_turns(soft=2, hard=6)
    >>> score(Transcript(messages=({"role": "assistant", "content": "Hm."},) * 3))
    0.75
    """
    limit = Falling(soft=soft, hard=hard)
    return lambda transcript: limit(transcript.num_turns)


def length(*, soft: float, hard: float, unit: str = "words", of: str = "last_turn", thoughts: bool = False) -> Scorer:
    """Score how short the answer, the last turn or the whole episode is.

    Words stand between white space, so a text in a script without spaces is one word: count its characters.

    Args:
        soft: Length up to which the value is 1.
        hard: Length from which it is 0.
        unit: "words", "characters" or "tokens" (completion tokens of the whole episode, so `of` has to be "turns").
        of: "answer" (the tag; without one the length is 0), "last_turn" or "turns" (all of the agent's, together).
        thoughts: Whether thoughts count too; of an answer there are none, and of tokens they always do.

    Raises:
        UsageError: An argument that cannot work; at an episode: its tokens were not counted.

    >>> score = length(soft=2, hard=4)
    >>> score(Transcript(messages=({"role": "assistant", "content": "<think>a b c d e</think>It is Paris."},)))
    0.5
    """
    limit = Falling(soft=soft, hard=hard)
    checked_choice("unit", unit, UNITS)
    checked_choice("of", of, PARTS)
    check_flag("thoughts", thoughts)
    if unit == "tokens":
        if of != "turns":
            raise UsageError(f"of is {of!r}, but tokens are counted over the whole episode; write of = 'turns'")
        return _counting_tokens(limit)
    if of == "answer" and thoughts:
        raise UsageError("thoughts = true has no effect on the answer; leave it out, or write of = 'last_turn'")
    count: Callable[[str], int] = len if unit == "characters" else _num_words
    if of == "answer":
        read = reader("answer")
        return lambda transcript: limit(count(read(transcript) or ""))
    first = -1 if of == "last_turn" else 0

    def score(transcript: Transcript) -> float:
        turns = transcript.turns[first:]
        return limit(sum(count(turn if thoughts else spoken(turn)) for turn in turns))

    return score


def latency(*, soft_s: float, hard_s: float, of: str = "slowest") -> Scorer:
    """Score how quickly the agent took its turns.

    Time depends on the machine and on what else runs there, so the same episode may score differently elsewhere.

    Args:
        soft_s: Seconds up to which the value is 1.
        hard_s: Seconds from which it is 0.
        of: "slowest" turn, "mean" of the turns, or "episode" (its whole time, the environment's included).

    Raises:
        UsageError: An argument that cannot work; at an episode: its turns were not timed.

    >>> episode = Transcript(messages=({"role": "assistant", "content": "4"},), latencies=(2.0, 4.0))
    >>> latency(soft_s=1, hard_s=5)(episode), latency(soft_s=1, hard_s=5, of="mean")(episode)
    (0.25, 0.5)
    """
    limit = Falling(soft=soft_s, hard=hard_s, unit="_s")
    checked_choice("of", of, ("slowest", "mean", "episode"))

    def score(transcript: Transcript) -> float:
        if of == "episode":
            return limit(transcript.seconds)
        times = transcript.latencies
        if not times and transcript.num_turns:
            raise UsageError(
                "the turns of this episode were not timed, so latency cannot be scored; play it again, or leave the "
                "component out"
            )
        return limit(max(times, default=0.0) if of == "slowest" else sum(times) / max(1, len(times)))

    score.needs_times = True  # type: ignore[attr-defined]
    return score


def _counting_tokens(limit: Falling) -> Scorer:
    def score(transcript: Transcript) -> float:
        return limit(_tokens(transcript))

    score.needs_tokens = True  # type: ignore[attr-defined]  # read by whoever cannot tell them
    return score


def _tokens(transcript: Transcript) -> int:
    if transcript.completion_tokens is None:
        raise UsageError("the tokens of this episode were not counted; write unit = 'words' or 'characters'")
    return transcript.completion_tokens


def _num_words(text: str) -> int:
    return len(text.split())
