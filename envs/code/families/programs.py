"""Families of whole programs: text on standard input, text on standard output, nothing else.

Every line of output ends with a line break; input lines hold no blanks at their ends.
"""

from __future__ import annotations

import random
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["FAMILIES"]

_NAMES = ("ada", "bo", "cleo", "dan", "eve", "finn", "gus", "hana")
_VERBS = ("put", "store", "keep", "save", "note", "hold", "write", "enter", "place", "record")
_ASKS = ("show", "read", "tell", "view", "say", "fetch", "look", "query")


def _in_ledger(rng: random.Random, params: Params) -> tuple[Any, ...]:
    names = rng.sample(_NAMES, rng.randint(2, 6))
    return ("".join(f"{rng.choice(names)} {rng.randint(-40, 80)}\n" for _ in range(rng.randint(0, 18))),)


_LEDGER = Family(
    name="ledger-program",
    topic="programs",
    levels=(2, 3),
    draw=lambda rng, level: {"floor": rng.randint(1, 60), "top": rng.randint(2, 5)},
    signature="",
    statement="""Each line of the input is a name and a whole number with one blank between them. Add up the numbers of each name. Print the names whose total is at least $floor, at most the first $top of them, one to a line as `name total`, by total from the greatest to the least, equal totals by name in alphabetical order. Then print a last line `others N`, where N is the number of names in the input that were not printed. An empty input gives only `others 0`.""",  # noqa: E501
    kind="program",
    reference="""import sys

totals = {}
for line in sys.stdin:
    name, number = line.split()
    totals[name] = totals.get(name, 0) + int(number)
rows = sorted((-total, name) for name, total in totals.items() if total >= $floor)[:$top]
for total, name in rows:
    print(name, -total)
print("others", len(totals) - len(rows))
""",
    second="""import sys
from collections import Counter

count = Counter()
for line in sys.stdin.read().splitlines():
    name, _, number = line.partition(" ")
    count[name] += int(number)
names = sorted(count)
names.sort(key=count.__getitem__, reverse=True)
shown = 0
for name in names:
    if count[name] >= $floor and shown < $top:
        sys.stdout.write(f"{name} {count[name]}\\n")
        shown += 1
sys.stdout.write(f"others {len(names) - shown}\\n")
""",
    wrong=(
        """import sys

totals = {}
for line in sys.stdin:
    name, number = line.split()
    totals[name] = totals.get(name, 0) + int(number)
rows = sorted(((total, name) for name, total in totals.items() if total >= $floor), reverse=True)[:$top]
for total, name in rows:
    print(name, total)
print("others", len(totals) - len(rows))
""",
    ),
    inputs=_in_ledger,
    edges=lambda params: [
        ("",),
        (f"ada {params['floor']}\nbo {params['floor']}\ncleo {params['floor'] - 1}\n",),
        ("ada -5\nada 5\n",),
        ("".join(f"{name} 90\n" for name in reversed(_NAMES)),),
    ],
)


def _draw_store(rng: random.Random, level: int) -> dict[str, Any]:
    words = rng.sample(["begin", "open", "start", "branch"], 1) + rng.sample(["undo", "back", "revert", "cancel"], 1)
    return {"put": rng.choice(_VERBS), "ask": rng.choice(_ASKS), "open": words[0], "undo": words[1], "none": "-"}


def _in_store(rng: random.Random, params: Params) -> tuple[Any, ...]:
    lines = []
    for _ in range(rng.randint(5, 30)):
        key = rng.choice("abc")
        kind = rng.choice(["put", "put", "ask", "ask", "open", "undo", "commit"])
        rest = {"put": f" {key} {rng.randint(0, 99)}", "ask": f" {key}"}.get(kind, "")
        lines.append(params.get(kind, kind) + rest + "\n")
    return ("".join(lines),)


_STORE = Family(
    name="store-program",
    topic="programs",
    levels=(4, 5),
    draw=_draw_store,
    signature="",
    statement="""The input has one command a line, for a store of keys and values that is empty at first.
`$put K V` sets key K to value V. `$ask K` prints the value of K, or `$none` if K has none. `$open` opens a block; blocks may be opened inside blocks. `$undo` ends the innermost open block and takes back everything that was set since it was opened, also in blocks inside it. `commit` ends the innermost open block and keeps what was set: it then belongs to the block around it, if there is one. `$undo` and `commit` without an open block print `no block`. Blocks still open at the end of the input mean nothing.""",  # noqa: E501
    kind="program",
    reference="""import sys

store, saved = {}, []
for line in sys.stdin:
    word, *rest = line.split()
    if word == "$put":
        store[rest[0]] = rest[1]
    elif word == "$ask":
        print(store.get(rest[0], "$none"))
    elif word == "$open":
        saved.append(dict(store))
    elif not saved:
        print("no block")
    elif word == "$undo":
        store = saved.pop()
    else:
        saved.pop()
""",
    second="""import sys

log, marks = [], []
for line in sys.stdin.read().splitlines():
    part = line.split(" ")
    if part[0] == "$put":
        log.append((part[1], part[2]))
    if part[0] == "$ask":
        print(next((v for k, v in reversed(log) if k == part[1]), "$none"))
    if part[0] == "$open":
        marks.append(len(log))
    if part[0] in ("$undo", "commit"):
        if not marks:
            print("no block")
            continue
        mark = marks.pop()
        if part[0] == "$undo":
            del log[mark:]
""",
    wrong=(
        """import sys

store, saved = {}, []
for line in sys.stdin:
    word, *rest = line.split()
    if word == "$put":
        store[rest[0]] = rest[1]
    elif word == "$ask":
        print(store.get(rest[0], "$none"))
    elif word == "$open":
        saved.append(dict(store))
    elif not saved:
        print("no block")
    elif word == "$undo":
        store = saved.pop()
    else:
        saved.clear()
""",
    ),
    inputs=_in_store,
    edges=lambda params: [
        ("",),
        ("commit\n" + params["undo"] + "\n",),
        (
            "{put} a 1\n{open}\n{put} a 2\n{open}\n{put} a 3\ncommit\n{ask} a\n{undo}\n{ask} a\n{undo}\n".format(
                **params
            ),
        ),
        ("{open}\n{put} b 7\n{open}\ncommit\n{undo}\n{ask} b\n".format(**params),),
    ],
)


def _in_wrap(rng: random.Random, params: Params) -> tuple[Any, ...]:
    lines = []
    for _ in range(rng.randint(0, 8)):
        words = ["x" * rng.randint(1, params["width"] // 2) for _ in range(rng.randint(0, 8))]
        lines.append(" ".join(words + ["y" * (params["width"] + 2)] * (rng.random() < 0.2)) + "\n")
    return ("".join(lines),)


_WRAP = Family(
    name="wrap-program",
    topic="programs",
    levels=(3, 4),
    draw=lambda rng, level: {
        "width": rng.randint(8, 30),
        "lead": rng.choice(["> ", "* ", "  ", "| ", "- ", "# ", "+ ", ": "]),
    },
    signature="",
    statement="""The input is text in paragraphs: lines in a row that are not empty are one paragraph, and one or more empty lines stand between paragraphs (perhaps also at the start and the end). Words are separated by blanks. Print each paragraph anew: fill each line with as many words, one blank between them, as fit into $width characters; a longer word stands alone on its line, uncut. Before the first line of each paragraph print the two characters `$lead` in addition; they do not count for the width. Print one empty line between paragraphs and none elsewhere. Without words print nothing.""",  # noqa: E501
    kind="program",
    reference="""import sys

paragraphs, current = [], []
for line in sys.stdin.read().split("\\n") + [""]:
    if line.split():
        current += line.split()
    elif current:
        paragraphs.append(current)
        current = []
for number, words in enumerate(paragraphs):
    if number:
        print()
    row, lead = words[0], "$lead"
    for word in words[1:]:
        if len(row) + 1 + len(word) <= $width:
            row += " " + word
        else:
            print(lead + row)
            row, lead = word, ""
    print(lead + row)
""",
    second="""import itertools, sys, textwrap

blocks = []
for full, lines in itertools.groupby(sys.stdin.read().splitlines(), key=lambda line: bool(line.strip())):
    if full:
        text = " ".join(" ".join(lines).split())
        rows = textwrap.wrap(text, $width, break_long_words=False, break_on_hyphens=False)
        blocks.append("$lead" + "\\n".join(rows) + "\\n")
sys.stdout.write("\\n".join(blocks))
""",
    wrong=(
        """import sys

for number, block in enumerate(sys.stdin.read().split("\\n\\n")):
    words = block.split()
    if number:
        print()
    row, lead = words[0], "$lead"
    for word in words[1:]:
        if len(row) + len(word) < $width:
            row += " " + word
        else:
            print(lead + row)
            row, lead = word, ""
    print(lead + row)
""",
    ),
    inputs=_in_wrap,
    edges=lambda params: [
        ("",),
        ("\n\none\n\n\ntwo words\n\n",),
        ("z" * params["width"] + " a\n",),
        ("a " + "b" * (params["width"] - 2) + " c\n",),
        ("z" * (params["width"] + 5) + "\n",),
    ],
)


def _draw_machine(rng: random.Random, level: int) -> dict[str, Any]:
    words = rng.sample(["push", "copy", "swap", "add", "less", "drop", "mul", "flip", "twin", "sum", "cut", "zap"], 5)
    return dict(zip(("copy", "swap", "add", "sub", "drop"), words, strict=True)) | {"limit": rng.randint(4, 9)}


def _in_machine(rng: random.Random, params: Params) -> tuple[Any, ...]:
    words = []
    for _ in range(rng.randint(3, 25)):
        kind = rng.choice(["n", "n", "n", "copy", "swap", "add", "sub", "drop"])
        words.append(str(rng.randint(-20, 20)) if kind == "n" else params[kind])
    return ("".join(word + rng.choice([" ", "\n"]) for word in words).rstrip() + "\n",)


_MACHINE = Family(
    name="stack-program",
    topic="programs",
    levels=(3, 4),
    draw=_draw_machine,
    signature="",
    statement="""The input is a program of words separated by blanks and line breaks, for a machine with a stack that is empty at first. A whole number (perhaps with a minus) is put on the stack. `$copy` puts the top value on the stack once more; `$swap` exchanges the two topmost values; `$add` replaces the two topmost values by their sum; `$sub` replaces them by the lower one minus the top one; `$drop` removes the top value. No other words occur. If a word needs more values than there are, print `empty at N` and stop; if a word would leave more than $limit values on the stack, print `full at N` and stop, where N is the number of the word, counted from 1. If all words were done, print the stack on one line from bottom to top with one blank between values, or `nothing` if it is empty.""",  # noqa: E501
    kind="program",
    reference="""import sys

def run(words):
    stack = []
    needs = {"$copy": 1, "$swap": 2, "$add": 2, "$sub": 2, "$drop": 1}
    for n, word in enumerate(words, 1):
        if len(stack) < needs.get(word, 0):
            return f"empty at {n}"
        if word == "$copy":
            stack.append(stack[-1])
        elif word == "$drop":
            stack.pop()
        elif word in needs:
            top, low = stack.pop(), stack.pop()
            stack += [top, low] if word == "$swap" else [low + top if word == "$add" else low - top]
        else:
            stack.append(int(word))
        if len(stack) > $limit:
            return f"full at {n}"
    return " ".join(map(str, stack)) or "nothing"

print(run(sys.stdin.read().split()))
""",
    second="""import sys

stack, said = (), None
rules = {
    "$copy": (1, lambda a: (a, a)),
    "$swap": (2, lambda a, b: (b, a)),
    "$add": (2, lambda a, b: (a + b,)),
    "$sub": (2, lambda a, b: (a - b,)),
    "$drop": (1, lambda a: ()),
}
for n, word in enumerate(sys.stdin.read().split()):
    take, make = rules[word] if word in rules else (0, lambda: (int(word),))
    rest = len(stack) - take
    if rest < 0:
        said = "empty at %d" % (n + 1)
        break
    stack = stack[:rest] + make(*stack[rest:])
    if len(stack) > $limit:
        said = "full at %d" % (n + 1)
        break
print(said or " ".join(str(v) for v in stack) or "nothing")
""",
    wrong=(
        """import sys

stack = []
try:
    for n, word in enumerate(sys.stdin.read().split(), 1):
        if word == "$copy":
            stack.append(stack[-1])
        elif word == "$drop":
            stack.pop()
        elif word in ("$swap", "$add", "$sub"):
            a, b = stack.pop(), stack.pop()
            stack += [a, b] if word == "$swap" else [a + b if word == "$add" else a - b]
        else:
            stack.append(int(word))
        if len(stack) > $limit:
            print("full at", n)
            break
    else:
        print(*stack)
except IndexError:
    print("empty at", n)
""",
    ),
    inputs=_in_machine,
    edges=lambda params: [
        ("",),
        (params["add"] + "\n",),
        ("1 " * params["limit"] + params["copy"] + "\n",),
        ("1 " * params["limit"] + "\n",),
        (f"9 2 {params['sub']}\n",),
        (f"1 {params['drop']}\n",),
        *((f"3 {params[each]}\n",) for each in ("swap", "add", "sub")),  # one value too few
        *((f"{params[each]}\n",) for each in ("copy", "drop")),
        (f"5 6 {params['swap']} {params['sub']} 4 {params['add']} {params['copy']}\n",),  # just enough
        (f"5 6 {params['copy']}\n",),
        ("1 " * params["limit"] + "1\n",),
    ],
)

FAMILIES: tuple[Family, ...] = (_LEDGER, _STORE, _WRAP, _MACHINE)
