"""Families on parsing: small notations with separators, brackets, counts and precedence of their own."""

from __future__ import annotations

import random

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]


def _sum(rng: random.Random, params: Params) -> tuple[str]:
    text = str(rng.randint(0, 20))
    for _ in range(rng.randint(2, 6)):
        text += rng.choice((params["low"], params["high"])) + str(rng.randint(0, 20))
    return (text,)


_CALC = """def calculate(text):
    total = 0
    for i, part in enumerate(text.split("$low")):
        value = None
        for number in part.split("$high"):
            value = int(number) if value is None else (value * $factor + int(number))
        total = value if i == 0 else total - value
    return total
"""
_PAIRS = """def read(text):
    out = {}
    for part in text.split("$end"):
        key, found, value = part.partition("$sign")
        key, value = key.strip(), value.strip()
        if found and key and key not in out:
            out[key] = value
    return out
"""
_DEPTH = """def score(text):
    depth = total = 0
    for x in text:
        if x == "$left":
            depth += 1
            total += $factor * depth
        elif x == "$right":
            depth -= 1
            if depth < 0:
                return -1
    return total if depth == 0 else -1
"""
_RUNS = """def unpack(text):
    out, count = "", ""
    for x in text:
        if x.isdigit():
            count += x
        else:
            out += ("$blank" if x == "$mark" else x) * (int(count) if count else $default)
            count = ""
    return out
"""

_NEST = """def total(text):
    stack = [0]
    number = 0
    for x in text:
        if x.isdigit():
            number = number * 10 + int(x)
            continue
        stack[-1] += number
        number = 0
        if x == "[":
            stack.append(0)
        elif x == "]":
            inner = stack.pop()
            stack[-1] += inner * $factor + $add
    return stack[0] + number
"""
_QUOTED = """def fields(text):
    out, part, quoted = [], "", False
    for x in text:
        if x == "$quote":
            quoted = not quoted
        elif x == "$end" and not quoted:
            out.append(part)
            part = ""
        else:
            part += x
    return [*out, part]
"""

FAMILIES: tuple[Family, ...] = (
    Family(
        name="parse-two-operators",
        topic="parsing",
        levels=(3, 4),
        draw=lambda rng, level: dict(
            zip(("low", "high"), rng.sample("@#%&!~:|", 2), strict=True), factor=rng.randint(2, 9)
        ),
        signature="calculate(text: str) -> int",
        statement="The text has whole numbers of at least 0 with an operator between each two, and no blanks. "
        "'a${low}b' means a - b and "
        "'a${high}b' means a * $factor + b. '$high' binds tighter than '$low'; both work from left to right. "
        "Return the "
        "value. A single number is its own value.",
        reference=_CALC,
        second="""import re
def calculate(text):
    tokens = re.findall(r"[0-9]+|[^0-9]", text)
    numbers, marks = [int(tokens[0])], []
    for mark, number in zip(tokens[1::2], tokens[2::2]):
        if mark == "$high":
            numbers[-1] = numbers[-1] * $factor + int(number)
        else:
            numbers.append(int(number))
    return 2 * numbers[0] - sum(numbers)
""",
        wrong=(
            """import re
def calculate(text):
    tokens = re.findall(r"[0-9]+|[^0-9]", text)
    value = int(tokens[0])
    for mark, number in zip(tokens[1::2], tokens[2::2]):
        value = value * $factor + int(number) if mark == "$high" else value - int(number)
    return value
""",
        ),
        inputs=_sum,
        edges=lambda p: [("0",), ("17",), (f"1{p['low']}2{p['low']}3",), (f"1{p['low']}2{p['high']}3",)],
    ),
    Family(
        name="parse-first-pairs",
        topic="parsing",
        levels=(2, 3),
        draw=lambda rng, level: dict(zip(("end", "sign"), rng.sample("@#%&!~:|;,^*+/", 2), strict=True)),
        signature="read(text: str) -> dict[str, str]",
        statement="The text has parts separated by '$end'. A part is a key, the first '$sign' in it, and a "
        "value (which may hold "
        "further '$sign'). Blanks around key and value are dropped. Parts without '$sign' and parts with an "
        "empty key are "
        "left out; an empty value is kept. Of equal keys the first counts. Return the pairs as a dict.",
        reference=_PAIRS,
        second="""def read(text):
    pairs = []
    for part in text.split("$end"):
        at = part.find("$sign")
        if at >= 0 and part[:at].strip():
            pairs.append((part[:at].strip(), part[at + 1:].strip()))
    return {key: next(v for k, v in pairs if k == key) for key, _ in pairs}
""",
        wrong=(_PAIRS.replace(" and key not in out", ""), _PAIRS.replace("part.partition", "part.rpartition")),
        inputs=lambda rng, p: ("".join(rng.choices(["a", "b", " ", p["sign"], p["sign"], p["end"]], k=30)),),
        edges=lambda p: (
            [
                ("",),
                (p["end"],),
                (p["sign"],),
                (f"a{p['sign']}1{p['end']}a{p['sign']}2",),
                (f"a{p['sign']}{p['sign']}b",),
            ]
        ),
    ),
    Family(
        name="parse-bracket-score",
        topic="parsing",
        levels=(2, 3),
        draw=lambda rng, level: dict(
            zip(("left", "right"), rng.sample("()[]{}<>", 2), strict=True), factor=rng.randint(2, 9)
        ),
        signature="score(text: str) -> int",
        statement="In the text, '$left' opens a group and '$right' closes the innermost open one; all other "
        "characters mean nothing. A "
        "group at depth d (1 for an outermost one) scores $factor * d. Return the sum over all groups, 0 if "
        "there are none, "
        "and -1 if the text is not balanced.",
        reference=_DEPTH,
        second="""def score(text):
    text = "".join(x for x in text if x in "$left$right")
    total = sum($factor * (text[:i + 1].count("$left") - text[:i].count("$right"))
                for i, x in enumerate(text) if x == "$left")
    while "$left$right" in text:
        text = text.replace("$left$right", "")
    return -1 if text else total
""",
        wrong=(
            _DEPTH.replace("if depth < 0:\n                return -1", "pass"),
            _DEPTH.replace("$factor * depth", "$factor"),
        ),
        inputs=lambda rng, p: (
            "".join(
                rng.choices([p["left"] + p["right"], p["left"] * 2 + "a" + p["right"] * 2, "x"], k=rng.randint(1, 6))
            ),
        ),
        edges=lambda p: [
            ("",),
            ("ab",),
            (p["left"],),
            (p["right"],),
            (p["right"] + p["left"],),
            (p["left"] * 2 + p["right"] * 2,),
        ],
    ),
    Family(
        name="parse-counted-runs",
        topic="parsing",
        levels=(2, 3),
        draw=lambda rng, level: {
            "mark": rng.choice("@#%&!~:|^*"),
            "blank": rng.choice("_-=.,;"),
            "default": rng.randint(2, 4),
        },
        signature="unpack(text: str) -> str",
        statement="Each character of the text that is not a digit 0-9 stands for a run of itself; the number "
        "written just before it says how "
        "long the run is (perhaps several digits, perhaps 0), and without a number it is $default long. The character "
        "'$mark' stands for a run of '$blank' instead. Digits at the end, with nothing after them, mean "
        "nothing. Return the "
        "text with all runs written out.",
        reference=_RUNS,
        second="""import re
def unpack(text):
    def run(match):
        count = $default if match[1] == "" else int(match[1])
        return match[2].replace("$mark", "$blank") * count
    return "".join(map(run, re.finditer(r"([0-9]*)([^0-9])", text)))
""",
        wrong=(_RUNS.replace("count += x", "count = x"), _RUNS.replace("$default)", "1)")),
        inputs=lambda rng, p: (
            "".join(rng.choices("ab120" + p["mark"], k=rng.randint(3, 9)))[-9:]
            .replace("000", "0a")
            .replace("22", "2a")
            .replace("21", "b1"),
        ),
        edges=lambda p: [("",), ("3",), ("0a",), ("12a",), ("a",), (p["mark"],), ("2" + p["mark"] + "b",)],
    ),
    Family(
        name="parse-nested-sum",
        topic="parsing",
        levels=(4, 5),
        draw=lambda rng, level: {"mark": rng.choice(",;|:"), "factor": rng.randint(2, 9), "add": rng.randint(1, 9)},
        signature="total(text: str) -> int",
        statement="The text is a list of elements separated by '$mark', perhaps empty. An element is a whole "
        "number of at least 0 or "
        "such a list in square brackets. A number is worth itself; a bracketed list is worth $factor times the "
        "sum of its "
        "elements, plus $add. Return the sum of the elements of the outermost list (which has no brackets); 0 "
        "if it is empty.",
        reference=_NEST,
        second="""def total(text):
    python = text.replace("$mark", ",")
    def worth(element):
        return element if isinstance(element, int) else sum(map(worth, element)) * $factor + $add
    return sum(map(worth, __import__("ast").literal_eval("[" + python + "]")))
""",
        wrong=(
            _NEST.replace("number * 10 + int(x)", "int(x)"),
            _NEST.replace("inner * $factor + $add", "inner * $factor"),
        ),
        inputs=lambda rng, p: (
            p["mark"].join(
                rng.choice(("{a}", "[]", "[{a}]", "[{a}{m}[{b}]]", "[[{b}]{m}{a}]")).format(
                    a=rng.randint(1, 40), b=rng.randint(1, 40), m=p["mark"]
                )
                for _ in range(rng.randint(1, 4))
            ),
        ),
        edges=lambda p: [("",), ("0",), ("12",), ("[]",), ("[[]]",), ("[10]",)],
    ),
    Family(
        name="parse-quoted-fields",
        topic="parsing",
        levels=(3, 4),
        draw=lambda rng, level: dict(zip(("end", "quote"), rng.sample("@#%&!~:|;,^*+/", 2), strict=True)),
        signature="fields(text: str) -> list[str]",
        statement="Split the text at each '$end' that is not quoted. '$quote' begins and ends a quoted stretch, "
        "anywhere in a field; a "
        "stretch that is not ended goes on to the end of the text. The '$quote' characters themselves are "
        "dropped; all else "
        "is kept, blanks too. Fields may be empty; an empty text has one empty field.",
        reference=_QUOTED,
        second="""def fields(text):
    out = [""]
    for i, stretch in enumerate(text.split("$quote")):
        pieces = [stretch] if i % 2 else stretch.split("$end")
        out[-1] += pieces[0]
        out += pieces[1:]
    return out
""",
        wrong=(
            _QUOTED.replace(" and not quoted", ""),
            _QUOTED.replace("[*out, part]", "out + ([part] if part else [])"),
        ),
        inputs=lambda rng, p: (
            "".join(rng.choices(["a", "b", " ", p["quote"], p["end"], p["end"]], k=rng.randint(4, 14))),
        ),
        edges=lambda p: [
            ("",),
            (p["end"],),
            (p["quote"],),
            (p["quote"] + p["end"],),
            (p["end"] + p["quote"] * 2 + "a",),
        ],
    ),
)
