"""The kind todo-cli: a list of things to do, as a command."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_ITEMS = '''
"""Things to do."""


class Item:
    """A text with a day, tags and whether it is done."""

    def __init__(self, text, day="", tags=(), is_done=False):
        self.text = text
        self.day = day
        self.tags = list(tags)
        self.is_done = is_done

    def line(self):
        """Return the item as a line of a file."""
        parts = ["x" if self.is_done else "-", self.text]
        if self.day:
            parts.append("@" + self.day)
        return " ".join(parts + ["$tag" + tag for tag in self.tags])


def item(line):
    """Return the item of a line."""
    words = line.split()
    is_done = words[0] == "x"
    tags = [word[1:] for word in words[1:] if word.startswith("$tag")]
    days = [word[1:] for word in words[1:] if word.startswith("@")]
    text = [word for word in words[1:] if not word.startswith(("$tag", "@"))]
    return Item(" ".join(text), days[0] if days else "", tags, is_done)
'''

_LISTING = '''
"""Choose and order things to do."""


def chosen(items, tag=None, open_only=False, before=None):
    """Return pairs of number and item, as a list is asked for."""
    found = []
    for number, each in enumerate(items, 1):
        if tag and tag not in each.tags:
            continue
        if open_only and each.is_done:
            continue
        if before and (not each.day or each.day >= before):
            continue
        found.append((number, each))
    return found


def ordered(pairs):
    """Return pairs by day; those without a day come last."""
    return sorted(pairs, key=lambda pair: (pair[1].day == "", pair[1].day))
'''

_CLI = '''
"""A list of things to do, as a command."""

import argparse

from @items import item
from @listing import chosen, ordered


def main(argv):
    """Read items, separated by semicolons, and print those that are asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="todo")
    parser.add_argument("items")
    parser.add_argument("--tag")
    parser.add_argument("--open", action="store_true")
    parser.add_argument("--before")
    parser.add_argument("--by-day", action="store_true")
    parser.add_argument("--done", type=int, action="append", default=[])
    options = parser.parse_args(argv)
    items = [item(line) for line in options.items.split(";") if line.strip()]
    for number in options.done:
        if not 1 <= number <= len(items):
            print("there is no item", number)
            return 2
        items[number - 1].is_done = True
    pairs = chosen(items, options.tag, options.open, options.before)
    if options.by_day:
        pairs = ordered(pairs)
    for number, each in pairs:
        print("%2d %s" % (number, each.line()))
    if not pairs:
        print("$nothing")
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
'''


def _todo(rng: random.Random, params: Params) -> Steps:
    tag = params["tag"]
    lines = []
    for _ in range(rng.randrange(1, 6)):
        words = [rng.choice("-x"), rng.choice(["buy", "call", "read"]), rng.choice(["milk", "Bo", "mail"])]
        words += [f"@2024-0{rng.randrange(1, 4)}-1{rng.randrange(3)}"] if rng.random() < 0.6 else []
        words += [tag + each for each in rng.sample(["home", "work", "fun"], rng.randrange(0, 3))]
        lines.append(" ".join(words))
    args = [rng.choice([";", " ; "]).join(lines)]
    args += ["--tag", rng.choice(["home", "work", "hom"])] if rng.random() < 0.35 else []
    args += ["--open"] if rng.random() < 0.4 else []
    args += ["--by-day"] if rng.random() < 0.4 else []
    args += ["--before", f"2024-0{rng.randrange(1, 4)}-1{rng.randrange(3)}"] if rng.random() < 0.35 else []
    args += ["--done", str(rng.randrange(0, 6))] if rng.random() < 0.4 else []
    return [("$todo:main", list(args))]


KIND = Kind(
    name="todo-cli",
    about="A list of things to do, as a command.",
    modules={"items": _ITEMS, "listing": _LISTING, "todo": _CLI},
    case=_todo,
    packages=("todolist", "agenda", "checklist"),
    choices={"tag": ("+", "%"), "nothing": ("nothing to do", "no items", "-")},
    bugs=(
        Bug(
            name="done-line",
            module="items",
            old='"x" if self.is_done else "-"',
            new='"-" if self.is_done else "-"',
            report="Items that are done are printed as if they were open.",
        ),
        Bug(
            name="tags",
            module="items",
            old='if not word.startswith(("$tag", "@"))',
            new='if not word.startswith("@")',
            report="Tags are printed twice.",
        ),
        Bug(
            name="no-day",
            module="listing",
            old='key=lambda pair: (pair[1].day == "", pair[1].day)',
            new="key=lambda pair: pair[1].day",
            report="With --by-day, items without a day should come last.",
        ),
        Bug(
            name="before",
            module="listing",
            old="(not each.day or each.day >= before)",
            new="(not each.day or each.day > before)",
            report="--before shows items of the day itself, too.",
        ),
        Bug(
            name="number",
            module="listing",
            old="        found.append((number, each))",
            new="        found.append((len(found) + 1, each))",
            report="When items are left out, the numbers of the others are wrong.",
        ),
        Bug(
            name="exit",
            module="todo",
            old="if not 1 <= number <= len(items):",
            new="if number > len(items):",
            report="--done 0 should be refused like any other number that is not there.",
        ),
    ),
)
"""A list of things to do, as a command."""
