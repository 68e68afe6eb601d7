"""Families that read small notations: durations, version numbers, settings, formulas.

Every text that is handed in is well formed, as the statement says.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]

_UNITS = "abcdefghkmnpqrstuvwxyz"
_SIGNS = "#%&!~:|;@*/"
_ATOMS = "A B C D Ab Ba Cd".split()


def _draw_units(rng: random.Random, level: int) -> dict[str, Any]:
    one, two, three = rng.sample(_UNITS, 3)
    size = rng.randint(2, 20)
    return {"one": one, "two": two, "three": three, "size": size, "large": size * rng.randint(2, 12 * level)}


def _duration(rng: random.Random, params: Params) -> tuple[Any, ...]:
    units = [params[name] for name in ("one", "two", "three")]
    return ("".join(f"{rng.randint(0, 130)}{rng.choice(units)}" for _ in range(rng.randint(0, 4))),)


def _draw_versions(rng: random.Random, level: int) -> dict[str, Any]:
    sep = rng.choice(".-_:/")
    return {"sep": sep, "mark": rng.choice(_UNITS), "first": rng.choice(["lowest", "highest"])}


def _version(rng: random.Random, params: Params) -> str:
    text: str = params["sep"].join(str(rng.choice([0, 1, 2, 9, 10, 11])) for _ in range(rng.randint(1, 3)))
    return text + (f"{params['mark']}{rng.choice([1, 2, 10])}" if rng.random() < 0.4 else "")


def _draw_settings(rng: random.Random, level: int) -> dict[str, Any]:
    comment, assign, join = rng.sample(_SIGNS, 3)
    return {"comment": comment, "assign": assign, "join": join}


def _settings(rng: random.Random, params: Params) -> tuple[Any, ...]:
    lines = []
    for _ in range(rng.randint(0, 9)):
        gap = rng.choice(["", " ", "  "])
        key, value = rng.choice(["one", "two", "max"]), rng.choice(["5", "a b", "", "x" + params["assign"] + "y"])
        pair = f"{gap}{key}{gap}{params['assign']} {value}{gap}"
        note = f"{gap}{params['comment']} old{params['assign']}7"
        lines.append(rng.choice([pair, pair, pair + note, note, f"[{rng.choice(['net', 'disk'])}]", gap]))
    return ("\n".join(lines),)


def _formula(rng: random.Random, params: Params, depth: int = 2) -> str:
    out = ""
    for _ in range(rng.randint(1, 3)):
        if depth and rng.random() < 0.4:
            out += params["left"] + _formula(rng, params, depth - 1) + params["right"]
        else:
            out += rng.choice([*_ATOMS, params["heavy"]])
        out += rng.choice(["", "", str(rng.randint(2, 12))])
    return out


def _draw_formula(rng: random.Random, level: int) -> dict[str, Any]:
    brackets = rng.choice(["()", "[]", "{}", "<>"] if level == 4 else ["/!", "<>", "^_", ";:"])
    return {"left": brackets[0], "right": brackets[1], "heavy": rng.choice(_ATOMS), "mass": rng.randint(20, 90)}


_SETTINGS = """def settings(text):
    out, section = {}, ""
    for line in text.split("\\n"):
        line = line.split("$comment")[0].strip()
        if line.startswith("["):
            section = line[1:-1] + "$join"
        elif "$assign" in line:
            key, _, value = line.partition("$assign")
            out[section + key.strip()] = value.strip()
    return out
"""
_MASS = """def mass(formula):
    stack, i = [[]], 0
    while i < len(formula):
        c = formula[i]
        i += 1
        if c == "$left":
            stack.append([])
            continue
        if c == "$right":
            item = sum(stack.pop())
        else:
            if i < len(formula) and "a" <= formula[i] <= "z":
                c += formula[i]
                i += 1
            item = $mass if c == "$heavy" else len(c)
        start = i
        while i < len(formula) and "0" <= formula[i] <= "9":
            i += 1
        stack[-1].append(item * int(formula[start:i] or 1))
    return sum(stack[0])
"""

FAMILIES: tuple[Family, ...] = (
    Family(
        name="parse-own-duration",
        topic="parsing",
        levels=(1, 2),
        draw=_draw_units,
        signature="total(text: str) -> int",
        statement="The text consists of pairs of a whole number in decimal and a unit, with nothing between or around "
        "them, in any order; a unit may occur several times. `$one` stands for 1, `$two` for $size and `$three` "
        "for $large. Return the sum of all numbers, each multiplied by what its unit stands for. An empty text "
        "gives 0.",
        reference=(
            "import re\n\n\ndef total(text):\n    worth = {'$one': 1, '$two': $size, '$three': $large}\n"
            "    return sum(int(n) * worth[unit] for n, unit in re.findall(r'([0-9]+)([a-z])', text))\n"
        ),
        second=(
            "def total(text):\n    total, n = 0, 0\n    for c in text:\n        if c.isdigit():\n"
            "            n = 10 * n + int(c)\n        else:\n"
            "            total += n * (1 if c == '$one' else $size if c == '$two' else $large)\n"
            "            n = 0\n    return total\n"
        ),
        wrong=(
            "import re\n\n\ndef total(text):\n    worth = {'$one': 1, '$two': $size, '$three': $large}\n"
            "    return sum(int(n) * worth[unit] for n, unit in re.findall(r'([0-9])([a-z])', text))\n",
            "import re\n\n\ndef total(text):\n    counts = {unit: int(n) for n, unit in re.findall(r'([0-9]+)([a-z])', "
            "text)}\n    one, two = counts.get('$one', 0), counts.get('$two', 0)\n"
            "    return one + two * $size + counts.get('$three', 0) * $large\n",
        ),
        inputs=_duration,
        edges=lambda p: [("",), (f"0{p['two']}",), (f"3{p['three']}12{p['one']}10{p['one']}4{p['three']}",)],
    ),
    Family(
        name="parse-version-order",
        topic="parsing",
        levels=(3, 4),
        draw=_draw_versions,
        signature="ordered(versions: list[str]) -> list[str]",
        statement="A version is one to three whole numbers separated by `$sep`, for instance 1${sep}10. It may be "
        "followed by the letter `$mark` and a whole number: then it is a trial version. Versions are compared number "
        "by number, and a missing number counts as 0. With equal numbers, trial versions are lower than the version "
        "without `$mark`, and among themselves ordered by the number after `$mark`. Return the versions as they are "
        "written, the $first first. Versions that compare as equal stay in the order in which they were given.",
        reference="""def ordered(versions):
    def key(version):
        main, _, trial = version.partition("$mark")
        numbers = [int(part) for part in main.split("$sep")]
        return numbers + [0] * (3 - len(numbers)), float(trial or "inf")

    return sorted(versions, key=key, reverse="$first" == "highest")
""",
        second="""import re


def ordered(versions):
    out = []
    for version in versions:
        body, *trial = version.split("$mark")
        a, b, c = ([int(n) for n in re.findall("[0-9]+", body)] + [0, 0])[:3]
        rank = ((a * 10**6 + b) * 10**6 + c) * 10**6 + (int(trial[0]) if trial else 10**6 - 1)
        out.append((-rank if "$first" == "highest" else rank, len(out), version))
    return [version for _, _, version in sorted(out)]
""",
        wrong=(
            'def ordered(versions):\n    return sorted(versions, reverse="$first" == "highest")\n',
            """def ordered(versions):
    def key(version):
        main, _, trial = version.partition("$mark")
        return [int(part) for part in main.split("$sep")], int(trial or 10**9)

    return sorted(versions, key=key, reverse="$first" == "highest")
""",
            """def ordered(versions):
    def key(version):
        main, _, trial = version.partition("$mark")
        numbers = [int(part) for part in main.split("$sep")]
        return numbers + [0] * (3 - len(numbers)), int(trial or 0)

    return sorted(versions, key=key, reverse="$first" == "highest")
""",
        ),
        inputs=lambda rng, params: ([_version(rng, params) for _ in range(rng.randint(0, 8))],),
        edges=lambda p: [
            ([],),
            (["1", f"1{p['sep']}0", "2", f"1{p['sep']}0{p['sep']}0"],),
            ([f"1{p['mark']}10", "1", f"1{p['mark']}2"],),
            ([f"1{p['sep']}0{p['mark']}1", f"1{p['mark']}1", f"1{p['sep']}10", f"1{p['sep']}9"],),
        ],
    ),
    Family(
        name="parse-sections",
        topic="parsing",
        levels=(3, 4),
        draw=_draw_settings,
        signature="settings(text: str) -> dict[str, str]",
        statement="Read the text line by line (lines are separated by a newline). In each line, `$comment` and all "
        "after it is a comment and left out, and then spaces around the line. What remains is nothing; or a section "
        "such as `[net]`; or a key and a value separated by the first `$assign` of the line, with spaces around either "
        "left out (the value may be empty and may contain further `$assign`). Return a dictionary from keys to values: "
        "before the first section under the key itself, after it under the name of the section, `$join` and the key. "
        "Of several values for one key the last counts.",
        reference=_SETTINGS,
        second="""import re


def settings(text):
    out, section = {}, None
    for line in text.splitlines():
        line = re.sub(re.escape("$comment") + ".*", "", line)
        head = re.fullmatch(r" *\\[(.*)\\] *", line)
        pair = re.fullmatch(" *(.*?) *" + re.escape("$assign") + " *(.*?) *", line)
        if head:
            section = head[1]
        elif pair:
            out[pair[1] if section is None else section + "$join" + pair[2 - 1]] = pair[2]
    return out
""",
        wrong=(
            _SETTINGS.replace('line.split("$comment")[0].strip()', "line.strip()"),
            _SETTINGS.replace("line.partition", "line.rpartition"),
            _SETTINGS.replace("out[section + key.strip()]", "out[key.strip()]"),
            _SETTINGS.replace("value.strip()", "value"),
        ),
        inputs=_settings,
        edges=lambda p: [
            ("",),
            ("[net]",),
            ("a{assign} 1\n[x]\na{assign}  2 \n[y]\na {assign}3".format(**p),),
            ("{comment} a{assign}1\n b {assign} c{assign} d {comment} e".format(**p),),
        ],
    ),
    Family(
        name="parse-mass-of-formula",
        topic="parsing",
        levels=(4, 5),
        draw=_draw_formula,
        signature="mass(formula: str) -> int",
        statement="A formula is a row of items. An item is an atom, written as one capital letter and perhaps one "
        "small letter after it, or a formula within `$left` and `$right`; a whole number directly after an item says "
        "how many times it is there (without a number once). The atom $heavy has the mass $mass; every other atom "
        "whose name has one letter has the mass 1, with two letters 2. Return the mass of the formula. It may be "
        "empty and then has the mass 0.",
        reference=_MASS,
        second="""import re


def mass(formula):
    found = re.findall(r"[A-Z][a-z]?|[0-9]+|[^A-Za-z0-9]", formula)
    parts = []
    for token in found:
        if token == "$left":
            parts.append("+(0")
        elif token == "$right":
            parts.append(")")
        elif token.isdigit():
            parts.append("*" + token)
        else:
            parts.append("+" + str($mass if token == "$heavy" else len(token)))
    return eval("0" + "".join(parts))
""",
        wrong=(
            _MASS.replace("while i < len(formula) and", "if i < len(formula) and"),
            _MASS.replace(
                "item = sum(stack.pop())", "stack[-2].extend(stack[-1])\n            item = 0\n            stack.pop()"
            ),
            """import re


def mass(formula):
    atoms = re.findall(r"([A-Z][a-z]?)([0-9]*)", formula)
    return sum(($mass if name == "$heavy" else len(name)) * int(n or 1) for name, n in atoms)
""",
        ),
        inputs=lambda rng, params: (_formula(rng, params),),
        edges=lambda p: [
            ("",),
            (p["heavy"] + "12",),
            ("{left}{heavy}2B{right}3".format(**p),),
            ("A{left}{left}B10{right}2C{right}11{left}{right}".format(**p),),
        ],
    ),
)
