"""Families of short tasks over one text that a single expression solves: cut, swap, pick, count, repeat.

Marks and letters are drawn; texts are short, and the empty text is always tried.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family

__all__ = ["FAMILIES"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_MARKS = "#*+@%&=~!?:;|<>^_-/"


def _text(rng: random.Random, letters: str, low: int = 0, high: int = 24) -> str:
    return "".join(rng.choice(letters) for _ in range(rng.randint(low, high)))


def _two(names: tuple[str, str], letters: str, rng: random.Random) -> dict[str, Any]:
    return dict(zip(names, rng.sample(letters, 2), strict=True))


def _draw_index(rng: random.Random, level: int) -> dict[str, Any]:
    k = rng.randint(2, 24)
    return {"k": k, "r": rng.randrange(k)}


FAMILIES: tuple[Family, ...] = (
    Family(
        name="cut-or-pad",
        topic="strings",
        levels=(1,),
        draw=lambda rng, level: {"k": rng.randint(3, 20), "mark": rng.choice(_MARKS)},
        signature="fit(text: str) -> str",
        statement="Return a text of exactly $k characters: the first $k characters of the text if it has as many, "
        "otherwise the whole text followed by as many `$mark` as are missing.",
        reference='def fit(text):\n    return text[:$k].ljust($k, "$mark")\n',
        second='def fit(text):\n    return "".join(text[i] if i < len(text) else "$mark" for i in range($k))\n',
        wrong=(
            'def fit(text):\n    return text.ljust($k, "$mark")\n',
            'def fit(text):\n    return text[:$k].rjust($k, "$mark")\n',
        ),
        inputs=lambda rng, params: (_text(rng, _LETTERS, 0, 2 * params["k"]),),
        edges=lambda params: [("",), ("a" * params["k"],), ("ab" * params["k"],)],
    ),
    Family(
        name="swap-two-letters",
        topic="strings",
        levels=(1,),
        draw=lambda rng, level: dict(zip(("one", "two"), sorted(rng.sample(_LETTERS, 2)), strict=True)),
        signature="swap_letters(text: str) -> str",
        statement="Return the text with every `$one` replaced by `$two` and, at the same time, every `$two` replaced "
        "by `$one`. Only these small letters change.",
        reference='def swap_letters(text):\n    return text.translate(str.maketrans("$one$two", "$two$one"))\n',
        second=(
            'def swap_letters(text):\n    other = {"$one": "$two", "$two": "$one"}\n'
            '    return "".join(other.get(c, c) for c in text)\n'
        ),
        wrong=('def swap_letters(text):\n    return text.replace("$one", "$two").replace("$two", "$one")\n',),
        inputs=lambda rng, params: (_text(rng, (params["one"] + params["two"]) * 2 + "xyz" + params["one"].upper()),),
        edges=lambda params: [("",), (params["one"] + params["two"],), (params["two"].upper(),)],
    ),
    Family(
        name="count-endings",
        topic="strings",
        levels=(1,),
        draw=lambda rng, level: {"end": rng.choice(_LETTERS) + rng.choice("aeioust")},
        signature="count_endings(text: str) -> int",
        statement="Words are separated by single spaces. Return how many of the words end in `$end`. The word may also "
        "consist of nothing else; the same letters elsewhere in a word do not count. An empty text gives 0.",
        reference='def count_endings(text):\n    return sum(w.endswith("$end") for w in text.split(" "))\n',
        second='def count_endings(text):\n    return (text + " ").count("$end ")\n',
        wrong=(
            'def count_endings(text):\n    return text.count("$end")\n',
            'def count_endings(text):\n    return int(text.endswith("$end"))\n',
        ),
        inputs=lambda rng, params: (
            " ".join(_text(rng, "abc", 0, 3) + params["end"] + rng.choice(["", "", "r"]) for _ in range(6)),
        ),
        edges=lambda params: [("",), (params["end"],), (params["end"] * 2 + " " + params["end"] + "x",)],
    ),
    Family(
        name="between-two-marks",
        topic="strings",
        levels=(1, 2),
        draw=lambda rng, level: _two(("left", "right"), _MARKS, rng),
        signature="between(text: str) -> str",
        statement="Return what stands after the first `$left` of the text and before the next `$right` that follows "
        "it; if none follows, all that stands after that `$left`. If the text has no `$left`, return an empty text.",
        reference='def between(text):\n    return text.partition("$left")[2].partition("$right")[0]\n',
        second=(
            "def between(text):\n    out, inside = [], False\n    for c in text:\n"
            '        if inside and c == "$right":\n            break\n        if inside:\n            out.append(c)\n'
            '        inside = inside or c == "$left"\n    return "".join(out)\n'
        ),
        wrong=(
            'def between(text):\n    return text[text.find("$left") + 1 : text.find("$right")]\n',
            'def between(text):\n    return text.split("$left")[-1].split("$right")[0]\n',
        ),
        inputs=lambda rng, params: (_text(rng, params["left"] + params["right"] + "abcd", 0, 14),),
        edges=lambda params: [
            ("",),
            ("abc",),
            ("a{left}b".format(**params),),
            ("{right}a{left}b{right}".format(**params),),
            ("{left}a{left}b{right}".format(**params),),
        ],
    ),
    Family(
        name="raise-every-kth",
        topic="strings",
        levels=(1, 2),
        draw=_draw_index,
        signature="raise_some(text: str) -> str",
        statement="The first character of the text has index 0. Return the text with every character whose index "
        "leaves the remainder $r on division by $k as a capital letter, and all others as small letters.",
        reference=(
            "def raise_some(text):\n"
            '    return "".join(c.upper() if i % $k == $r else c.lower() for i, c in enumerate(text))\n'
        ),
        second=(
            "def raise_some(text):\n    out = list(text.lower())\n    for i in range($r, len(text), $k):\n"
            '        out[i] = out[i].upper()\n    return "".join(out)\n'
        ),
        wrong=(
            "def raise_some(text):\n"
            '    return "".join(c.upper() if i % $k == $r else c.lower() for i, c in enumerate(text, 1))\n',
            'def raise_some(text):\n    return "".join(c.upper() if i % $k == $r else c for i, c in enumerate(text))\n',
        ),
        inputs=lambda rng, params: (_text(rng, _LETTERS + _LETTERS.upper() + " ", 0, 3 * params["k"]),),
        edges=lambda params: [("",), ("aB" * params["k"],)],
    ),
    Family(
        name="repeat-the-ends",
        topic="strings",
        levels=(1,),
        draw=lambda rng, level: dict(zip("ab", rng.sample(range(2, 17), 2), strict=True)),
        signature="stretch_ends(text: str) -> str",
        statement="Return the text with $a further copies of its first character before it and $b further copies of "
        "its last character after it. An empty text stays empty.",
        reference="def stretch_ends(text):\n    return text[:1] * $a + text + text[-1:] * $b\n",
        second=(
            "def stretch_ends(text):\n    n = len(text)\n    places = range(-$a, n + $b) if n else ()\n"
            '    return "".join(text[min(max(i, 0), n - 1)] for i in places)\n'
        ),
        wrong=(
            "def stretch_ends(text):\n    return text[0] * $a + text + text[-1] * $b\n",
            "def stretch_ends(text):\n    return text[:1] * $a + text[1:-1] + text[-1:] * $b\n",
        ),
        inputs=lambda rng, params: (_text(rng, "abcxyz ", 0, 9),),
        edges=lambda params: [("",), ("q",), ("no",)],
    ),
)
