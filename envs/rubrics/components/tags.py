"""The form of a turn: tags that must stand in it, each once and in their order."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.components.arguments import Scorer, check_flag, checked_choice, checked_names
from agentrl.envs.rubrics.transcript import Transcript

__all__ = ["format_tags"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


def format_tags(
    *,
    tags: Sequence[str] = ("think", "answer"),
    turns: str = "last",
    alone: bool = False,
    opened: bool = False,
) -> Scorer:
    """Score 1 where a turn has every tag exactly once, in order, side by side, with something in each.

    It is all or nothing: a share of the tags would pay for tags without an answer, a count for repeating them.

    Args:
        tags: Their names, in order.
        turns: "last" (the last turn) or "every" (the share of turns that are well formed).
        alone: Nothing but white space may stand outside the tags.
        opened: The chat template opens the first tag, so that a turn begins inside it.

    Raises:
        UsageError: An argument that cannot work.

    >>> score = format_tags(alone=True)
    >>> score(Transcript(messages=({"role": "assistant", "content": "<think>2 + 2</think> <answer>4</answer>"},)))
    1.0
    >>> score(Transcript(messages=({"role": "assistant", "content": "<answer>4</answer><answer>5</answer>"},)))
    0.0
    """
    names = checked_names("tags", tags, example="['think', 'answer']")
    for name in names:
        if not _NAME.fullmatch(name):
            raise UsageError(f"tags has {name!r}, but a tag's name is letters, digits, _ and -, without the brackets")
    checked_choice("turns", turns, ("last", "every"))
    check_flag("alone", alone)
    check_flag("opened", opened)
    pairs = [(f"<{name}>", f"</{name}>") for name in names]

    def score(transcript: Transcript) -> float:
        said = transcript.turns[-1:] if turns == "last" else transcript.turns
        formed = [_is_formed(f"{pairs[0][0]}{turn}" if opened else turn, pairs, alone) for turn in said]
        return sum(formed) / len(formed) if formed else 0.0

    return score


def _is_formed(text: str, pairs: Sequence[tuple[str, str]], alone: bool) -> bool:
    end = 0
    for opening, closing in pairs:
        first = text.find(opening, end)
        last = text.find(closing, first)
        begin = first + len(opening)
        if first < 0 or last < 0 or text.count(opening) != 1 or text.count(closing) != 1:
            return False
        if (alone and text[end:first].strip()) or not text[begin:last].strip():
            return False
        end = last + len(closing)
    return not (alone and text[end:].strip())
