"""The kind markup: turns a little markup into HTML."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_INLINE = '''
"""Marks inside of a line."""


def escape(text):
    """Return text that is safe in a page."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def marked(text, mark, tag):
    """Return the text with what stands between two marks in a tag; a single mark stays."""
    parts = text.split(mark)
    if len(parts) % 2 == 0:
        parts[-2:] = [mark.join(parts[-2:])]
    out = []
    for at, part in enumerate(parts):
        out.append("<%s>%s</%s>" % (tag, part, tag) if at % 2 == 1 else part)
    return "".join(out)


def inline(text):
    """Return a line with its marks replaced."""
    text = escape(text)
    text = marked(text, "**", "strong")
    return marked(text, "$em", "em")
'''

_BLOCKS = '''
"""Find the blocks of a text."""


def blocks(text):
    """Return pairs of a kind and its lines: head, list or text."""
    found = []
    for line in text.split("\\n"):
        line = line.rstrip()
        if not line:
            found.append(("gap", []))
        elif line.startswith("#"):
            found.append(("head", [line]))
        elif line.startswith("$bullet "):
            if not found or found[-1][0] != "list":
                found.append(("list", []))
            found[-1][1].append(line[2:].strip())
        else:
            if not found or found[-1][0] != "text":
                found.append(("text", []))
            found[-1][1].append(line)
    return [block for block in found if block[0] != "gap"]
'''

_PAGE = '''
"""Turn a little markup into HTML."""

from @blocks import blocks
from @inline import inline

DEEPEST = $deepest


def $convert(text):
    """Return the HTML of a text."""
    return "\\n".join(block(kind, lines) for kind, lines in blocks(text))


def block(kind, lines):
    """Return one block."""
    if kind == "head":
        title = lines[0].lstrip("#")
        depth = min(len(lines[0]) - len(title), DEEPEST)
        return "<h%d>%s</h%d>" % (depth, inline(title.strip()), depth)
    if kind == "list":
        items = "".join("<li>%s</li>" % inline(line) for line in lines)
        return "<ul>%s</ul>" % items
    return "<p>%s</p>" % inline(" ".join(lines))
'''


def _markup(rng: random.Random, params: Params) -> Steps:
    em = params["em"]
    words = ["one", "a < b", "**bold**", f"{em}soft{em}", "R&D", "**", em, "two three", f"**{em}both{em}**"]
    lines = []
    for _ in range(rng.randrange(1, 7)):
        said = " ".join(rng.choice(words) for _ in range(rng.randrange(1, 4)))
        head = "#" * rng.randrange(1, 6) + " "
        lines.append(
            rng.choice([said, said, head + said, f"{params['bullet']} {said}", f"{params['bullet']} {said}", ""])
        )
    return [(f"pages:{params['convert']}", ["\n".join(lines)])]


KIND = Kind(
    name="markup",
    about="Turns a little markup into HTML.",
    modules={"inline": _INLINE, "blocks": _BLOCKS, "pages": _PAGE},
    case=_markup,
    packages=("pagemaker", "markup", "notes_html"),
    choices={
        "convert": ("convert", "to_html", "page"),
        "em": ("*", "_", "/"),
        "bullet": ("-", "+"),
        "deepest": ("3", "4"),
    },
    bugs=(
        Bug(
            name="ampersand",
            module="inline",
            old='text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")',
            new='text.replace("<", "&lt;").replace(">", "&gt;").replace("&", "&amp;")',
            report="Signs such as < are garbled in the page.",
        ),
        Bug(
            name="single",
            module="inline",
            old="    if len(parts) % 2 == 0:\n        parts[-2:] = [mark.join(parts[-2:])]\n",
            new="",
            report="A mark that stands alone in a line opens a tag.",
        ),
        Bug(
            name="gap",
            module="blocks",
            old='        if not line:\n            found.append(("gap", []))\n',
            new="        if not line:\n            continue\n",
            report="Blocks with an empty line between them run together.",
        ),
        Bug(
            name="deepest",
            module="pages",
            old="min(len(lines[0]) - len(title), DEEPEST)",
            new="len(lines[0]) - len(title)",
            report="Headings go deeper than they should.",
        ),
        Bug(
            name="list-marks",
            module="pages",
            old='"<li>%s</li>" % inline(line)',
            new='"<li>%s</li>" % line',
            report="Marks are not replaced everywhere.",
        ),
    ),
)
"""Turns a little markup into HTML."""
