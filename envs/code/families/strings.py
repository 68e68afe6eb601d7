"""Families of tasks over one text: cut, count, replace, encode, split.

Texts are short and mostly of small ASCII letters; where other characters matter, the statement says so.
"""

from __future__ import annotations

import random

from agentrl.envs.code.family import Family

__all__ = ["FAMILIES"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORDS = (
    "sun moon river stone cloud lamp table green quiet north amber cedar copper delta ember flint basil "
    "iris cobalt dune fern hazel ivory juniper lilac maple olive poppy quartz"
).split()
_MARKS = "#*+@%&=~!?;:|<>^_-/,"


def _text(rng: random.Random, letters: str, low: int = 0, high: int = 24) -> str:
    return "".join(rng.choice(letters) for _ in range(rng.randint(low, high)))


def _draw_frame(rng: random.Random, level: int) -> dict[str, object]:
    left, right = rng.sample(_WORDS, 2)
    return {"left": left, "right": right}


def _draw_quoted(rng: random.Random, level: int) -> dict[str, object]:
    sep, quote = rng.sample(_MARKS, 2)
    return {"sep": sep, "quote": quote}


FAMILIES: tuple[Family, ...] = (
    Family(
        name="frame-text",
        topic="strings",
        levels=(1,),
        draw=_draw_frame,
        signature="frame(text: str) -> str",
        statement="Return the text with `$left` put directly before it and `$right` directly after it, with nothing "
        "between. The text itself stays as it is, also when it is empty.",
        reference='def frame(text):\n    return "$left" + text + "$right"\n',
        second='def frame(text):\n    return "".join(["$left", text, "$right"])\n',
        wrong=(
            'def frame(text):\n    return "$right" + text + "$left"\n',
            'def frame(text):\n    return "$left " + text + " $right"\n',
        ),
        inputs=lambda rng, params: (_text(rng, _LETTERS + " "),),
        edges=lambda params: [("",), (" ",)],
    ),
    Family(
        name="letter-score",
        topic="strings",
        levels=(1,),
        draw=lambda rng, level: {"letter": rng.choice(_LETTERS), "k": rng.randint(2, 9)},
        signature="score(text: str) -> int",
        statement="Return $k times the number of occurrences of the letter `$letter` in the text. Capital and small "
        "letters count alike. An empty text scores 0.",
        reference='def score(text):\n    return $k * text.lower().count("$letter")\n',
        second='def score(text):\n    return sum($k for c in text if c in ("$letter", "$letter".upper()))\n',
        wrong=('def score(text):\n    return $k * text.count("$letter")\n',),
        inputs=lambda rng, params: (_text(rng, str(params["letter"]) * 3 + str(params["letter"]).upper() + "abXY z"),),
        edges=lambda params: [("",), (str(params["letter"]).upper(),)],
    ),
    Family(
        name="swap-parts",
        topic="strings",
        levels=(1,),
        draw=lambda rng, level: {"k": rng.randint(1, 10), "middle": rng.choice(_WORDS)},
        signature="swap_parts(text: str) -> str",
        statement="Return the text without its first $k characters, then `$middle`, then those first $k characters. "
        "If the text has fewer than $k characters, all of it counts as the first part.",
        reference='def swap_parts(text):\n    return text[$k:] + "$middle" + text[:$k]\n',
        second=(
            "def swap_parts(text):\n    head = [c for i, c in enumerate(text) if i < $k]\n"
            '    return "".join(c for i, c in enumerate(text) if i >= $k) + "$middle" + "".join(head)\n'
        ),
        wrong=('def swap_parts(text):\n    return text[-$k:] + "$middle" + text[:-$k]\n',),
        inputs=lambda rng, params: (_text(rng, _LETTERS),),
        edges=lambda params: [("",), ("q",), ("abcdefghijklmnopq",)],
    ),
    Family(
        name="mask-word",
        topic="strings",
        levels=(2,),
        draw=lambda rng, level: {"word": rng.choice(_WORDS), "mark": rng.choice(_MARKS)},
        signature="mask(text: str) -> str",
        statement="The text consists of words with one space between neighbours. Replace every word that equals "
        "`$word`, capital and small letters counting alike, by as many `$mark` as it has characters. A word that "
        "only contains `$word` stays as it is. An empty text gives an empty text.",
        reference=(
            'def mask(text):\n    words = text.split(" ")\n'
            '    return " ".join("$mark" * len(w) if w.lower() == "$word" else w for w in words)\n'
        ),
        second=(
            "import re\n\n\ndef mask(text):\n"
            '    return re.sub(r"(?i)(?<![^ ])$word(?![^ ])", lambda m: "$mark" * len(m.group()), text)\n'
        ),
        wrong=(
            'def mask(text):\n    return text.replace("$word", "$mark" * len("$word"))\n',
            'def mask(text):\n    return " ".join("$mark" * len(w) if w == "$word" else w for w in text.split(" "))\n',
        ),
        inputs=lambda rng, params: (
            " ".join(
                rng.choice([str(params["word"]), str(params["word"]).title(), f"{params['word']}s", *_WORDS[:5]])
                for _ in range(rng.randint(1, 7))
            ),
        ),
        edges=lambda params: [("",), (str(params["word"]).upper(),), (f"x{params['word']}",)],
    ),
    Family(
        name="shorten-runs",
        topic="strings",
        levels=(2, 3),
        draw=lambda rng, level: {"letter": rng.choice(_LETTERS), "k": rng.randint(1, 3 + 2 * level)},
        signature="shorten(text: str) -> str",
        statement="Shorten every run of more than $k consecutive letters `$letter` (small letters only) to exactly $k "
        "of them. All other characters, and shorter runs, stay as they are.",
        reference=(
            "def shorten(text):\n    kept, run = [], 0\n    for c in text:\n"
            '        run = run + 1 if c == "$letter" else 0\n'
            '        if run <= $k:\n            kept.append(c)\n    return "".join(kept)\n'
        ),
        second='import re\n\n\ndef shorten(text):\n    return re.sub("$letter{$k,}", "$letter" * $k, text)\n',
        wrong=('def shorten(text):\n    return text.replace("$letter" * ($k + 1), "$letter" * $k)\n',),
        inputs=lambda rng, params: (
            "".join(
                rng.choice([str(params["letter"]) * rng.randint(1, int(params["k"]) + 5), "k", "QQ"]) for _ in range(6)
            ),
        ),
        edges=lambda params: [("",), (str(params["letter"]) * (int(params["k"]) + 3),), ("BBBBBBBBBBBB",)],
    ),
    Family(
        name="shift-letters",
        topic="strings",
        levels=(2, 3),
        draw=lambda rng, level: {"k": rng.randint(1, 25), "j": rng.randint(1, 25)},
        signature="shift(text: str) -> str",
        statement="Move every letter a-z forward by $k places in the alphabet and every letter A-Z forward by $j "
        "places; after z comes a, after Z comes A. Every other character stays as it is, also letters such as é.",
        reference=(
            'def shift(text):\n    out = []\n    for c in text:\n        if "a" <= c <= "z":\n'
            "            c = chr((ord(c) - 97 + $k) % 26 + 97)\n"
            '        elif "A" <= c <= "Z":\n            c = chr((ord(c) - 65 + $j) % 26 + 65)\n'
            '        out.append(c)\n    return "".join(out)\n'
        ),
        second=(
            "from string import ascii_lowercase as low, ascii_uppercase as up\n\n\ndef shift(text):\n"
            "    return text.translate(str.maketrans(low + up, low[$k:] + low[:$k] + up[$j:] + up[:$j]))\n"
        ),
        wrong=(
            'def shift(text):\n    return "".join(chr(ord(c) + ($k if c.islower() else $j)) if c.isalpha() else c '
            "for c in text)\n",
        ),
        inputs=lambda rng, params: (_text(rng, _LETTERS + _LETTERS.upper() + " .,7é"),),
        edges=lambda params: [("",), ("zZ",), ("é É",)],
    ),
    Family(
        name="last-longest-word",
        topic="strings",
        levels=(3,),
        draw=lambda rng, level: {"letter": rng.choice(_LETTERS), "k": rng.randint(2, 8)},
        signature="longest_word(text: str) -> str",
        statement="Words are separated by whitespace. Among the words that contain the letter `$letter` (a small "
        "letter) and have at least $k characters, return the longest; of several equally long ones, the last in the "
        "text. If there is none, return an empty text.",
        reference=(
            'def longest_word(text):\n    best = ""\n    for word in text.split():\n'
            '        if "$letter" in word and len(word) >= $k and len(word) >= len(best):\n'
            "            best = word\n    return best\n"
        ),
        second=(
            'def longest_word(text):\n    words = [w for w in text.split() if len(w) >= $k and w.count("$letter")]\n'
            '    return max(reversed(words), key=len, default="")\n'
        ),
        wrong=(
            'def longest_word(text):\n    words = [w for w in text.split() if len(w) >= $k and "$letter" in w]\n'
            '    return max(words, key=len, default="")\n',
        ),
        inputs=lambda rng, params: (
            rng.choice([" ", "  "]).join(_text(rng, f"{params['letter']}abcdefgh", 1, 10) for _ in range(8)),
        ),
        edges=lambda params: [
            ("",),
            (f"{params['letter']}xxxxxxxx {params['letter']}yyyyyyyy zzzzzzzzzz",),
            *((f"zz {params['letter'] * (params['k'] + more)} zzz",) for more in (-1, 0)),
        ],
    ),
    Family(
        name="split-outside-quotes",
        topic="strings",
        levels=(3, 4),
        draw=_draw_quoted,
        signature="split_text(text: str) -> list[str]",
        statement="Split the text at every `$sep` that stands outside quotes. The quote character is `$quote`: the "
        "first opens, the next closes, and so on; one that is never closed reaches to the end of the text. Quote "
        "characters stay in the pieces. Blanks at the ends of a piece are dropped (also within quotes), and pieces "
        "that are then empty are left out. Return the pieces from the last to the first.",
        reference=(
            'def split_text(text):\n    pieces, inside = [""], False\n    for c in text:\n'
            '        if c == "$quote":\n            inside = not inside\n'
            '        if c == "$sep" and not inside:\n            pieces.append("")\n'
            "        else:\n            pieces[-1] += c\n"
            "    return [p.strip() for p in reversed(pieces) if p.strip()]\n"
        ),
        second=(
            "def split_text(text):\n"
            '    cuts = [i for i, c in enumerate(text) if c == "$sep" and text[:i].count("$quote") % 2 == 0]\n'
            "    pieces = [text[a + 1 : b].strip() for a, b in zip([-1] + cuts, cuts + [len(text)])]\n"
            "    return list(filter(None, pieces[::-1]))\n"
        ),
        wrong=(
            'def split_text(text):\n    return [p.strip() for p in text.split("$sep")[::-1] if p.strip()]\n',
            'def split_text(text):\n    pieces, inside = [""], False\n    for c in text:\n'
            '        if c == "$quote":\n            inside = not inside\n'
            '        if c == "$sep" and not inside:\n            pieces.append("")\n'
            "        else:\n            pieces[-1] += c\n    return [p for p in reversed(pieces) if p]\n",
        ),
        inputs=lambda rng, params: (_text(rng, f"{params['sep']}{params['sep']}{params['quote']}abc "),),
        edges=lambda params: [
            ("",),
            ("a{quote}b{sep}c{quote}{sep}d".format(**params),),
            ("a{sep} {sep} b ".format(**params),),
            (str(params["quote"]),),
        ],
    ),
    Family(
        name="pack-runs",
        topic="strings",
        levels=(3, 4),
        draw=lambda rng, level: {"k": rng.randint(2, 3 + 2 * level), "mark": rng.choice(_MARKS)},
        signature="pack(text: str) -> str",
        statement="Replace every longest run of at least $k equal characters by the character, `$mark`, the length of "
        "the run in decimal, and `$mark` again. Shorter runs stay as they are. The text has only small letters.",
        reference=(
            "def pack(text):\n    out, i = [], 0\n    while i < len(text):\n        j = i\n"
            "        while j < len(text) and text[j] == text[i]:\n            j += 1\n"
            '        out.append(text[i] + "$mark" + str(j - i) + "$mark" if j - i >= $k else text[i:j])\n'
            '        i = j\n    return "".join(out)\n'
        ),
        second=(
            "import re\n\n\ndef pack(text):\n    rule = r'(.)\\1{%d,}' % ($k - 1)\n"
            '    return re.sub(rule, lambda m: m[1] + "$mark" + str(len(m[0])) + "$mark", text)\n'
        ),
        wrong=(
            "from itertools import groupby\n\n\ndef pack(text):\n    runs = [(c, len(list(g))) for c, g in "
            "groupby(text)]\n"
            '    return "".join(c + "$mark" + str(n) + "$mark" if n > $k else c * n for c, n in runs)\n',
        ),
        inputs=lambda rng, params: (
            "".join(rng.choice("abc") * rng.randint(1, int(params["k"]) + 4) for _ in range(rng.randint(1, 6))),
        ),
        edges=lambda params: [
            ("",),
            ("a" * int(params["k"]),),
            ("z" * 12,),
            ("a" * (int(params["k"]) - 1) + "b" * int(params["k"]) + "c" * (int(params["k"]) + 1),),
            ("a" * (int(params["k"]) - 1) + "b",),
        ],
    ),
    Family(
        name="longest-stretch",
        topic="strings",
        levels=(4,),
        draw=lambda rng, level: {"k": rng.randint(2, 8), "letter": rng.choice(_LETTERS)},
        signature="longest_stretch(text: str) -> int",
        statement="Return the length of the longest stretch of consecutive characters that has at most $k different "
        "characters and does not contain `$letter`. If there is no such stretch, return 0.",
        reference=(
            "def longest_stretch(text):\n    best, start, counts = 0, 0, {}\n    for i, c in enumerate(text):\n"
            '        if c == "$letter":\n            start, counts = i + 1, {}\n            continue\n'
            "        counts[c] = counts.get(c, 0) + 1\n        while len(counts) > $k:\n"
            "            d = text[start]\n            counts[d] -= 1\n            if not counts[d]:\n"
            "                del counts[d]\n            start += 1\n        best = max(best, i + 1 - start)\n"
            "    return best\n"
        ),
        second=(
            "def longest_stretch(text):\n    n = len(text)\n"
            "    parts = (text[i:j] for i in range(n) for j in range(i + 1, n + 1))\n"
            '    return max((len(p) for p in parts if "$letter" not in p and len(set(p)) <= $k), default=0)\n'
        ),
        wrong=(
            "def longest_stretch(text):\n    n = len(text)\n"
            "    parts = (text[i:j] for i in range(n) for j in range(i + 1, n + 1))\n"
            "    return max((len(p) for p in parts if len(set(p)) <= $k), default=0)\n",
        ),
        inputs=lambda rng, params: (_text(rng, f"abcdefguvwxyz{params['letter']}", 0, 40),),
        edges=lambda params: [("",), (str(params["letter"]) * 4,), ("aaaabbbbccccddddeeeeffff",)],
    ),
)
