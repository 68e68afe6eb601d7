"""Generated word problems of levels 1 to 5: the same seed, split and level give the same task on any machine.

A task is drawn again when its answer stands in the question as a given number, or is one that can be guessed, so that
no copying of the prompt scores. Train and test share neither wordings nor names.
"""

import zlib
from collections.abc import Callable
from fractions import Fraction

from agentrl.envs.math import measures, puzzles
from agentrl.envs.math.answers import numbers_in
from agentrl.envs.math.chains import CHAINS
from agentrl.envs.math.story import Draw, Story, Task

__all__ = ["FAMILIES", "Task", "generate"]

FAMILIES: dict[str, Callable[[Story, Draw], str]] = {
    **CHAINS,
    **{name: getattr(module, name) for module in (puzzles, measures) for name in module.__all__},
}
GUESSES = frozenset(map(Fraction, (0, 1, 10, 42, 100)))
LARGEST = 10**7


def generate(seed: int, split: str = "train", level: int = 1, *, family: str | None = None) -> Task:
    """Make one task.

    Args:
        seed: Decides everything.
        split: "train" or "test".
        level: 1 to 5: more calculations and larger numbers.
        family: The name of one of `FAMILIES`; drawn when None.

    >>> task = generate(3, "test", 2)
    >>> task == generate(3, "test", 2) != generate(4, "test", 2)
    True
    >>> task.steps[-1].endswith(f"= {task.answer}")
    True
    """
    draw = Draw(seed, split, level)
    while True:
        name = draw.pick(tuple(FAMILIES)) if family is None else family
        draw = Draw(draw.whole(0, 2**50), split, level)
        story = Story(draw)
        unit = FAMILIES[name](story, draw)
        question = " ".join(story.sentences)
        if _is_fair(story.value, question):
            break
    return Task(
        id=f"math-{name}-{zlib.crc32(question.encode()):08x}",
        question=question,
        answer=story.value,
        unit=unit,
        steps=tuple(story.steps),
        family=name,
    )


def _is_fair(answer: Fraction, question: str) -> bool:
    """Return whether an answer is positive, of reasonable size, and cannot be had by copying or guessing."""
    return 0 < answer <= LARGEST and answer not in GUESSES and answer not in numbers_in(question)
