"""The kind template-engine: fills templates with values."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_PIECES = '''
"""Cut a template into text and fields."""

OPEN, CLOSE = "$open", "$close"


def pieces(template):
    """Return pairs: ("text", ...) or ("field", ...)."""
    found = []
    at = 0
    while True:
        start = template.find(OPEN, at)
        if start < 0:
            break
        end = template.find(CLOSE, start)
        if end < 0:
            raise ValueError("a field is not closed")
        if start > at:
            found.append(("text", template[at:start]))
        found.append(("field", template[start + len(OPEN):end].strip()))
        at = end + len(CLOSE)
    if at < len(template):
        found.append(("text", template[at:]))
    return found
'''

_FILTERS = '''
"""What a field may do with its value."""


def upper(value):
    """Return the text in capitals."""
    return str(value).upper()


def money(value):
    """Return an amount with two digits."""
    return "%.2f" % value


def join(value):
    """Return the items of a list as one text."""
    return ", ".join(str(each) for each in value)


def title(value):
    """Return the text with its first letter as a capital."""
    text = str(value)
    return text[:1].upper() + text[1:]


FILTERS = {"upper": upper, "money": money, "join": join, "title": title}
'''

_RENDER = '''
"""Fill templates."""

from @filters import FILTERS
from @pieces import pieces


def $render(template, values, missing="$missing"):
    """Return the template with its fields filled: name, name.key, and filters after a bar."""
    out = []
    for kind, text in pieces(template):
        if kind == "text":
            out.append(text)
            continue
        name, *filters = [part.strip() for part in text.split("|")]
        value = lookup(values, name)
        if value is None:
            out.append(missing)
            continue
        for each in filters:
            if each not in FILTERS:
                raise KeyError(each)
            value = FILTERS[each](value)
        out.append(str(value))
    return "".join(out)


def lookup(values, name):
    """Return what a dotted name leads to, None where there is nothing."""
    found = values
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    return found
'''


def _template(rng: random.Random, params: Params) -> Steps:
    names = ["name", "user.city", "user.age", "price", "items", "gone", "user.gone", "price.tax", "user.age.unit"]
    filters = ["", "|title", " | upper", "|title", " | money", "|join", " | title | upper", "|odd"]
    fits = {"price": [" | money", "|upper", ""], "items": ["|join", " | join | upper"]}
    parts = []
    for _ in range(rng.randrange(1, 5)):
        name = rng.choice(names)
        suffix = rng.choice(fits.get(name, filters[:4] + filters[6:]))
        field = f"{params['open']}{rng.choice(['', ' '])}{name}{suffix}{rng.choice(['', ' '])}{params['close']}"
        parts.append(rng.choice(["", "Dear ", " and ", "total: "]) + field)
    text = "".join(parts) + rng.choice(["", ".", " end", params["open"]])
    values = {
        "name": rng.choice(["ada", "bo Li", "mcKay", "van Dyk"]),
        "user": {"city": rng.choice(["oslo", "rome"]), "age": rng.randrange(0, 90)},
        "price": rng.choice([2.5, 10, 0, 3.999]),
        "items": [rng.randrange(5) for _ in range(rng.randrange(0, 4))],
    }
    return [(f"templates:{params['render']}", [text, values])]


KIND = Kind(
    name="template-engine",
    about="Fills templates with values.",
    modules={"pieces": _PIECES, "filters": _FILTERS, "templates": _RENDER},
    case=_template,
    packages=("letters", "stencil", "mailmerge"),
    choices={
        "render": ("render", "fill", "expand"),
        "open": ("{{", "<%", "[["),
        "close": ("}}", "%>", "]]"),
        "missing": ("", "?", "n/a"),
    },
    bugs=(
        Bug(
            name="rest",
            module="pieces",
            old="at = end + len(CLOSE)",
            new="at = end + 1",
            report="Stray characters show up in the text after a field.",
        ),
        Bug(
            name="title",
            module="filters",
            old="text[:1].upper() + text[1:]",
            new="text.capitalize()",
            report="The title filter changes more than the first letter when filters are combined, "
            "or it loses capitals.",
        ),
        Bug(
            name="zero",
            module="templates",
            old="if value is None:",
            new="if not value:",
            report="Values that are there are treated as if they were missing.",
        ),
        Bug(
            name="deep",
            module="templates",
            old="if not isinstance(found, dict) or part not in found:",
            new="if part not in found:",
            report="Asking for a part of something that has no parts ends with an error instead of the text for "
            "missing values.",
        ),
        Bug(
            name="joined",
            module="filters",
            old='FILTERS = {"upper": upper, "money": money, "join": join, "title": title}',
            new='FILTERS = {"upper": upper, "money": money, "title": title}',
            report="A filter `join` is missing: it should write the items of a list as one text with a comma and a "
            "blank between them.",
            feature=True,
        ),
    ),
)
"""Fills templates with values."""
