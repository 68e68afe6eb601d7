"""Families of whole programs that read lines and report on them: sums, bars, tables, differences, a small language.

Every line of output ends with a line break; input lines hold no blanks at their ends.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]

_NAMES = "ada bo cleo dan eve finn gus hana".split()
_MARKS = "#*+@%&=~!?ox"
_WORDS = "added gone changed new old lost found grown shrunk up down".split()


def _lines(rows: list[str]) -> str:
    return "".join(row + "\n" for row in rows)


def _numbers(rng: random.Random, low: int, high: int, most: int = 12) -> str:
    return _lines([str(rng.randint(low, high)) for _ in range(rng.randint(0, most))])


def _sales(rng: random.Random, params: Params) -> tuple[Any, ...]:
    return (_lines([f"{rng.choice(_NAMES)} {rng.randint(1, 250)}" for _ in range(rng.randint(0, 12))]),)


def _draw_stock(rng: random.Random, level: int) -> dict[str, Any]:
    more, less = rng.sample(_WORDS, 2)
    return {"more": more, "less": less, "least": rng.randint(1, 5 * level)}


def _stock(rng: random.Random, params: Params) -> tuple[Any, ...]:
    parts = [[f"{name} {rng.randint(0, 30)}" for name in rng.sample(_NAMES, rng.randint(0, 6))] for _ in range(2)]
    return (_lines([*parts[0], "", *parts[1]]),)


def _draw_language(rng: random.Random, level: int) -> dict[str, Any]:
    return {
        "loop": rng.choice(["loop", "repeat", "times", "again"]),
        "say": rng.choice(["say", "show", "out", "tell"]),
        "start": rng.randint(0, 9),
        "limit": rng.randint(20, 99),
    }


def _language(rng: random.Random, params: Params) -> tuple[Any, ...]:
    def block(depth: int) -> list[str]:
        rows = []
        for _ in range(rng.randint(1, 4)):
            kind = rng.choice(["add", "add", "move", params["say"], params["loop"] if depth else "add"])
            one, two = rng.choice("abc"), rng.choice("abc")
            if kind == params["loop"]:
                rows += [f"{kind} {rng.choice(['0', '1', '2', '3', one])}", *block(depth - 1), "end"]
            elif kind == params["say"]:
                rows.append(f"{kind} {one}")
            else:
                rows.append(f"{kind} {one} {rng.choice([two, str(rng.randint(0, 12))])}")
        return rows

    return (_lines([*block(2), f"{params['say']} a", f"{params['say']} b"]),)


_SUM = """import sys

total = count = 0
for line in sys.stdin:
    number = int(line)
    if number >= $least:
        total += number
        count += 1
print($scale * total, count)
"""
_BARS = """import sys

for line in sys.stdin:
    number = int(line)
    print(f"{number:>$width} " + "$mark" * (number // $unit) if number >= $unit else f"{number:>$width}")
"""
_TABLE = """import sys

totals = {}
for line in sys.stdin:
    name, amount = line.split()
    totals[name] = totals.get(name, 0) + int(amount)
for name in sorted(totals):
    print(name + "$fill" * ($width - len(name) - len(str(totals[name]))) + str(totals[name]))
print("$rule" * $width)
whole = str(sum(totals.values()))
print("$fill" * ($width - len(whole)) + whole)
"""
_STOCK = """import sys

first, second, now = {}, {}, None
now = first
for line in sys.stdin.read().split("\\n"):
    if not line:
        now = second
        continue
    name, count = line.split()
    now[name] = int(count)
same = 0
for name in sorted(first.keys() | second.keys()):
    change = second.get(name, 0) - first.get(name, 0)
    if abs(change) < $least:
        same += 1
    elif change > 0:
        print("$more", name, change)
    else:
        print("$less", name, -change)
print("same", same)
"""
_RUN = """import sys

rows = [line.split() for line in sys.stdin]
values = dict.fromkeys("abc", $start)


def worth(word):
    return values[word] if word in values else int(word)


def run(i, stop):
    while i < stop:
        word, *rest = rows[i]
        i += 1
        if word == "add":
            values[rest[0]] += worth(rest[1])
            if values[rest[0]] > $limit:
                values[rest[0]] = $start
        elif word == "move":
            values[rest[0]] = worth(rest[1])
        elif word == "$say":
            print(rest[0], values[rest[0]])
        else:
            depth, j = 1, i
            while depth:
                depth += (rows[j][0] == "$loop") - (rows[j][0] == "end")
                j += 1
            for _ in range(worth(rest[0])):
                run(i, j - 1)
            i = j


run(0, len(rows))
"""

FAMILIES: tuple[Family, ...] = (
    Family(
        name="sum-program",
        topic="programs",
        levels=(1,),
        draw=lambda rng, level: {"least": rng.randint(-9, 40), "scale": rng.randint(2, 9)},
        signature="",
        statement="Each line of the input is a whole number. Take the numbers that are at least $least. Print one "
        "line: $scale times their sum, a blank, and how many they are. Without such numbers, print `0 0`.",
        kind="program",
        reference=_SUM,
        second=(
            "import sys\n\nrow = [n for n in map(int, sys.stdin.read().split()) if not n < $least]\n"
            'sys.stdout.write(f"{sum(row) * $scale} {len(row)}\\n")\n'
        ),
        wrong=(_SUM.replace("number >= $least", "number > $least"), _SUM.replace("$scale * total", "total")),
        inputs=lambda rng, params: (_numbers(rng, params["least"] - 4, params["least"] + 12),),
        edges=lambda params: [("",), (f"{params['least']}\n",), (f"{params['least']}\n{params['least'] + 20}\n",)],
    ),
    Family(
        name="bars-program",
        topic="programs",
        levels=(1, 2),
        draw=lambda rng, level: {
            "mark": rng.choice(_MARKS),
            "unit": rng.randint(2, 12),
            "width": rng.randint(3, 6),
        },
        signature="",
        statement="Each line of the input is a whole number from 0 to 99. Print a line for each: the number, with "
        "blanks before it so that it takes up $width characters; then, if the number is at least $unit, a blank and as "
        "many `$mark` as $unit goes whole times into the number. An empty input gives no output.",
        kind="program",
        reference=_BARS,
        second=(
            "import sys\n\nfor word in sys.stdin.read().split():\n"
            '    print((word.rjust($width) + " " + (int(word) // $unit) * "$mark").rstrip(" "))\n'
        ),
        wrong=(
            _BARS.replace("number // $unit", "number"),
            _BARS.replace("number // $unit", "-(-number // $unit)"),
            _BARS.replace(":>$width", ""),
        ),
        inputs=lambda rng, params: (_numbers(rng, 0, rng.choice([20, 99])),),
        edges=lambda params: [("",), ("0\n",), (f"{params['unit']}\n{params['unit'] - 1}\n{params['unit'] + 1}\n",)],
    ),
    Family(
        name="table-program",
        topic="programs",
        levels=(2, 3),
        draw=lambda rng, level: {
            "fill": rng.choice(".-_:"),
            "rule": rng.choice("=~^#*"),
            "width": rng.randint(10, 8 + 6 * level),
        },
        signature="",
        statement="Each line of the input is a name and a whole number of at least 1 with a blank between them. Add up "
        "the numbers of each name. Print a line for each name, in alphabetical order: the name, then `$fill` "
        "repeated, then its total, so that the line has exactly $width characters. Then print a line of $width times "
        "`$rule`, and last the sum of everything with `$fill` before it, also exactly $width characters long (for an "
        "empty input the sum is 0). Names and totals are so short that there is always room.",
        kind="program",
        reference=_TABLE,
        second="""import sys
from collections import Counter

count = Counter()
for line in sys.stdin.read().splitlines():
    name, amount = line.split(" ")
    count.update({name: int(amount)})
rows = [(name, count[name]) for name in sorted(count)]
for name, total in [*rows, (None, None), ("", sum(count.values()))]:
    print("$rule" * $width if name is None else name + str(total).rjust($width - len(name), "$fill"))
""",
        wrong=(
            _TABLE.replace(" * ($width - len(name) - len(str(totals[name])))", " * ($width - len(name))"),
            _TABLE.replace("sorted(totals)", "totals"),
            _TABLE.replace("totals.get(name, 0) + int(amount)", "int(amount)"),
        ),
        inputs=_sales,
        edges=lambda params: [("",), ("bo 5\nada 7\nbo 5\n",), ("hana 999\n",), ("gus 1\nada 1\n",)],
    ),
    Family(
        name="stock-difference-program",
        topic="programs",
        levels=(3, 4),
        draw=_draw_stock,
        signature="",
        statement="The input has two lists with an empty line between them; either may be empty. Each line of a list "
        "is a name and a whole number of 0 or more with a blank between them; a name occurs at most once in a list, "
        "and a name that is missing from a list has the number 0 there. For each name of either list, in alphabetical "
        "order, compare the numbers: if the second is greater than the first by $least or more, print `$more`, the "
        "name and by how much; if it is less by $least or more, print `$less`, the name and by how much (a positive "
        "number); words are separated by one blank. Otherwise print nothing for it. Then print `same` and the number "
        "of names for which nothing was printed.",
        kind="program",
        reference=_STOCK,
        second="""import sys

rows = sys.stdin.read().split("\\n")
cut = rows.index("")
table = {}
for place, part in enumerate((rows[:cut], rows[cut + 1 : -1])):
    for row in part:
        name, number = row.split()
        table.setdefault(name, [0, 0])[place] = int(number)
out = []
for name, (old, new) in sorted(table.items()):
    if new - old >= $least:
        out.append(f"$more {name} {new - old}")
    elif old - new >= $least:
        out.append(f"$less {name} {old - new}")
print(*out, f"same {len(table) - len(out)}", sep="\\n")
""",
        wrong=(
            _STOCK.replace("first.keys() | second.keys()", "first.keys() & second.keys()"),
            _STOCK.replace("abs(change) < $least", "abs(change) <= $least"),
            _STOCK.replace("change > 0", "change < 0"),
        ),
        inputs=_stock,
        edges=lambda p: [
            ("\n",),
            (f"ada {p['least']}\n\n",),
            (f"\nbo {p['least']}\n",),
            (f"ada 1\nbo 5\n\nbo {5 + p['least']}\nada {p['least']}\n",),
        ],
    ),
    Family(
        name="small-language-program",
        topic="programs",
        levels=(5,),
        draw=_draw_language,
        signature="",
        statement="The input is a program in a small language, a command a line, which you run. It has three variables "
        "a, b and c, which begin with $start. A value is a variable or a whole number of 0 or more. `add X V` adds "
        "value V to variable X; if X is then greater than $limit, it becomes $start again. `move X V` sets variable X "
        "to value V. `$say X` prints the name of the variable, a blank and its number. `$loop V` runs the commands up "
        "to the `end` that belongs to it as often as value V says when the command is reached (0 means not at all; "
        "later changes of a variable do not matter); these may hold further `$loop` commands with their own `end`. "
        "Every program is well formed and may be empty.",
        kind="program",
        reference=_RUN,
        second="""import sys

lines = sys.stdin.read().splitlines()
close, open_ = {}, []
for i, line in enumerate(lines):
    if line.startswith("$loop "):
        open_.append(i)
    elif line == "end":
        close[open_.pop()] = i
store = {"a": $start, "b": $start, "c": $start}
i, stack = 0, []
while i < len(lines):
    words = lines[i].split()
    value = words[-1]
    number = store.get(value, int(value) if value.isdigit() else 0)
    if words[0] == "add":
        store[words[1]] += number
        if store[words[1]] > $limit:
            store[words[1]] = $start
    elif words[0] == "move":
        store[words[1]] = number
    elif words[0] == "$say":
        print(f"{words[1]} {number}")
    elif words[0] == "$loop":
        if number:
            stack.append([i, number])
        else:
            i = close[i]
    else:
        stack[-1][1] -= 1
        if stack[-1][1]:
            i = stack[-1][0]
        else:
            stack.pop()
    i += 1
""",
        wrong=(
            _RUN.replace("> $limit", ">= $limit"),
            _RUN.replace("while depth:", 'while rows[j - 1][0] != "end":'),
            _RUN.replace("for _ in range(worth(rest[0])):", "for _ in range(max(1, worth(rest[0]))):"),
        ),
        inputs=_language,
        edges=lambda p: [
            ("",),
            ("{loop} 0\n{say} a\nend\n{say} b\n".format(**p),),
            ("move a 0\nadd a {limit}\n{say} a\nadd a 1\n{say} a\n".format(**p),),
            ("{loop} 2\n{loop} 2\nadd b 1\nend\n{say} b\nend\n{say} c\n".format(**p),),
            ("move c 3\n{loop} c\nadd c 1\n{say} c\nend\n".format(**p),),
        ],
    ),
)
