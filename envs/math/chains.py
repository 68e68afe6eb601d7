"""Families of word problems in which one quantity changes step by step: a bill, a stock, a tank, a purse, a crop.

Their wordings are data, in `chains.toml`; here is what each kind of sentence does to the number. The level sets how
many changes happen and how large the numbers are. An event that would leave no whole number does not happen.
"""

import functools
import math
import tomllib
from collections.abc import Callable, Mapping
from fractions import Fraction
from importlib.resources import files

from agentrl.envs.math.story import Draw, Story

__all__ = ["CHAINS"]

PERCENTS = (5, 10, 20, 25, 30, 40, 50, 60, 75, 80)

Numbers = Mapping[str, int]


def _tell(wording: Mapping[str, list[str]], story: Story, draw: Draw) -> str:
    """Tell one story of a family; return the unit of its answer."""
    words = {"who": draw.name(), "friend": draw.name(), "item": draw.item(), "other": draw.item()}
    words |= {"place": draw.place(), "goal": draw.place()}
    if "nouns" in wording:
        words["noun"] = draw.say(*wording["nouns"])

    def tell(kind: str, numbers: Numbers) -> None:
        sentence = draw.say(*wording[kind]).format(**words, **numbers)
        story.sentences.append(sentence)

    numbers = {"a": draw.whole(3, draw.size + 5), "b": draw.whole(3, draw.size + 5)}
    if draw.whole(0, 1):
        tell("start", numbers)
        story.start(numbers["a"])
        story.times(numbers["b"])
    else:
        numbers["a"] *= draw.pick((1, 6, 10, 12, 20))  # most have many divisors, so that shares and percentages fit
        tell("have", numbers)
        story.start(numbers["a"])
    for kind in draw.shuffled([kind for kind in wording if kind in _EVENTS] + ["more", "less"]):
        if len(story.steps) < draw.num_steps:
            changed = _EVENTS[kind](story, draw)
            if changed is not None:
                tell(kind, changed)
    tell("ask", {})
    return str(wording.get("unit", ""))


def _more(story: Story, draw: Draw) -> Numbers | None:
    num = draw.small() * draw.whole(1, 3)
    story.add(num)
    return {"n": num}


def _less(story: Story, draw: Draw) -> Numbers | None:
    num = draw.whole(1, max(1, min(int(story.value / 2), 4 * draw.size)))
    if num >= story.value:
        return None
    story.take(num)
    return {"n": num}


def _rows(story: Story, draw: Draw) -> Numbers | None:
    num, each = draw.whole(2, 9), draw.small()
    if len(story.steps) + 2 > draw.num_steps:
        return None
    story.note(f"{num} * {each}", Fraction(num * each))
    story.add(num * each)
    return {"n": num, "each": each}


def _leak(story: Story, draw: Draw) -> Numbers | None:
    num, each = draw.small(), draw.whole(2, 9)
    if num * each >= story.value or len(story.steps) + 2 > draw.num_steps:
        return None
    story.note(f"{num} * {each}", Fraction(num * each))
    story.take(num * each)
    return {"n": num, "each": each}


def _share(story: Story, draw: Draw) -> Numbers | None:
    parts = story.divisor(3, 4, 5, 6, 7, 8, 9, 10)
    if parts is None:
        return None
    story.times(Fraction(parts - 1, parts))
    return {"parts": parts}


def _part(story: Story, draw: Draw) -> Numbers | None:
    parts = story.divisor(3, 4, 5, 7, 8, 9)
    if parts is None:
        return None
    upper = draw.pick([each for each in range(1, parts) if math.gcd(each, parts) == 1])
    story.times(Fraction(parts - upper, parts))
    return {"parts": parts, "upper": upper}


def _split(story: Story, draw: Draw) -> Numbers | None:
    parts = story.divisor(3, 4, 5, 6, 7, 8)
    if parts is None:
        return None
    story.over(parts)
    return {"parts": parts}


def _times(story: Story, draw: Draw) -> Numbers | None:
    num = draw.whole(2, 6)
    story.times(num)
    return {"n": num}


def _percent(sign: int, story: Story, draw: Draw) -> Numbers | None:
    fitting = [percent for percent in PERCENTS if story.value * percent % 100 == 0]
    if not fitting:
        return None
    percent = draw.pick(fitting)
    story.times(Fraction(100 + sign * percent, 100))
    return {"n": percent}


_EVENTS: dict[str, Callable[[Story, Draw], Numbers | None]] = {
    "more": _more,
    "less": _less,
    "rows": _rows,
    "leak": _leak,
    "share": _share,
    "part": _part,
    "split": _split,
    "times": _times,
    "percent_off": functools.partial(_percent, -1),
    "percent_up": functools.partial(_percent, 1),
}

CHAINS: dict[str, Callable[[Story, Draw], str]] = {
    name: functools.partial(_tell, wording)
    for name, wording in tomllib.loads((files(__package__) / "chains.toml").read_text(encoding="utf-8")).items()
}
