"""Repositories of level 1 about text: one module with one function."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KINDS"]

WORDS = "river stone lamp green quick otter paper seven window cloud amber tin maple north field".split()


def _sentence(rng: random.Random, most: int = 9) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, most)))


_INITIALS = """
\"\"\"Short forms of names.\"\"\"


def $fn(name):
    \"\"\"Return the first letters of the words of a name.\"\"\"
    letters = []
    for word in name.replace("-", " ").split():
        if word in ("of", "the", "and"):
            continue
        letters.append(word[0].upper())
    if not letters:
        return "$none"
    return "$sep".join(letters)
"""


def _initials(rng: random.Random, params: Params) -> Steps:
    words = [rng.choice([*WORDS, "of", "the", "and", "red-hot"]) for _ in range(rng.randrange(0, 6))]
    return [(f"names:{params['fn']}", [" ".join(words)])]


_WRAP = """
\"\"\"Break text into lines.\"\"\"


def $fn(text, width):
    \"\"\"Return the lines of a text, none longer than width unless one word is.\"\"\"
    lines = []
    line = ""
    for word in text.split():
        if not line:
            line = word
        elif len(line) + 1 + len(word) <= width:
            line = line + " " + word
        else:
            lines.append(line)
            line = word
    if line:
        lines.append(line)
    return lines
"""


def _wrap(rng: random.Random, params: Params) -> Steps:
    return [(f"wrap:{params['fn']}", [_sentence(rng, 14), rng.randrange(4, 24)])]


_SLUG = """
\"\"\"Names for links.\"\"\"


def $fn(title):
    \"\"\"Return a title as it stands in a link.\"\"\"
    parts = []
    word = ""
    for letter in title.lower():
        if letter.isalnum():
            word += letter
        elif word:
            parts.append(word)
            word = ""
    if word:
        parts.append(word)
    return "$sep".join(parts[:$most])
"""


def _slug(rng: random.Random, params: Params) -> Steps:
    marks = [" ", " - ", ", ", "! ", "  ", "_"]
    words = [rng.choice([*WORDS, "7", "Big", "No1"]) + rng.choice(marks) for _ in range(rng.randrange(0, 9))]
    return [(f"links:{params['fn']}", ["".join(words) + rng.choice(["", "end", "?"])])]


_RUNS = """
\"\"\"Pack text by its repeated letters.\"\"\"


def $fn(text):
    \"\"\"Return each letter with the number of times that it follows itself.\"\"\"
    packed = []
    count = 0
    for at, letter in enumerate(text):
        count += 1
        if at + 1 == len(text) or text[at + 1] != letter:
            packed.append(letter if count < $least else letter + str(count))
            count = 0
    return "".join(packed)
"""


def _runs(rng: random.Random, params: Params) -> Steps:
    return [
        (
            f"packing:{params['fn']}",
            ["".join(rng.choice("abcde") * rng.choice([1, 1, 1, 1, 2, 4]) for _ in range(rng.randrange(1, 6)))],
        )
    ]


_MASK = """
\"\"\"Hide parts of numbers.\"\"\"


def $fn(number):
    \"\"\"Return a number of a card with all but the last digits hidden.\"\"\"
    num_digits = sum(letter.isdigit() for letter in number)
    hidden = max(0, num_digits - $shown)
    out = []
    for letter in number:
        if letter.isdigit() and hidden > 0:
            out.append("$mark")
            hidden -= 1
        else:
            out.append(letter)
    return "".join(out)
"""


def _mask(rng: random.Random, params: Params) -> Steps:
    groups = ["".join(rng.choice("0123456789") for _ in range(rng.randrange(1, 5))) for _ in range(rng.randrange(1, 5))]
    return [(f"cards:{params['fn']}", [rng.choice(" -").join(groups)])]


_TITLE = """
\"\"\"Capital letters in titles.\"\"\"

SMALL = ("a", "an", "of", "the", "in", "$extra")


def $fn(text):
    \"\"\"Return a text with capitals as in a title.\"\"\"
    words = text.lower().split()
    out = []
    for at, word in enumerate(words):
        is_edge = at == 0 or at == len(words) - 1
        if word in SMALL and not is_edge:
            out.append(word)
        else:
            out.append(word[0].upper() + word[1:])
    return " ".join(out)
"""


def _title(rng: random.Random, params: Params) -> Steps:
    words = [rng.choice([*WORDS, "a", "of", "the", "in", "Of", params["extra"]]) for _ in range(rng.randrange(0, 7))]
    return [(f"titles:{params['fn']}", [" ".join(words)])]


_COUNT = """
\"\"\"Count words.\"\"\"


def $fn(text, least=$least):
    \"\"\"Return how often each word of some length comes, in any spelling.\"\"\"
    counts = {}
    for word in text.split():
        word = word.strip(".,;:!?").lower()
        if len(word) < least:
            continue
        counts[word] = counts.get(word, 0) + 1
    return counts
"""


def _count(rng: random.Random, params: Params) -> Steps:
    words = [rng.choice(WORDS[:6]) for _ in range(rng.randrange(1, 10))]
    text = " ".join(rng.choice([str.title, str.lower])(word) + rng.choice(["", "", ".", "!", ","]) for word in words)
    return [(f"counting:{params['fn']}", [text, *([rng.randrange(1, 7)] if rng.random() < 0.5 else [])])]


KINDS = (
    Kind(
        name="initials",
        about="Short forms of names.",
        modules={"names": _INITIALS},
        case=_initials,
        choices={
            "fn": ("initials", "short_form", "letters_of"),
            "none": ("?", "-", "n/a"),
            "sep": ("", ".", "-"),
        },
        bugs=(
            Bug(name="one-stop", module="names", old='("of", "the", "and")', new='("of", "the")', report=""),
            Bug(name="case", module="names", old="word[0].upper()", new="word[0]", report=""),
            Bug(name="hyphen", module="names", old='name.replace("-", " ").split()', new="name.split()", report=""),
            Bug(name="stops-early", module="names", old="            continue", new="            break", report=""),
        ),
    ),
    Kind(
        name="wrap",
        about="Breaks text into lines.",
        modules={"wrap": _WRAP},
        case=_wrap,
        choices={"fn": ("wrap", "lines_of", "fold", "broken")},
        bugs=(
            Bug(name="width", module="wrap", old=" <= width", new=" < width", report=""),
            Bug(name="blank", module="wrap", old="len(line) + 1 + len(word)", new="len(line) + len(word)", report=""),
            Bug(
                name="lost",
                module="wrap",
                old="            line = word\n    if",
                new='            line = ""\n    if',
                report="",
            ),
        ),
    ),
    Kind(
        name="link-name",
        about="Names for links.",
        modules={"links": _SLUG},
        case=_slug,
        choices={"fn": ("slug", "link_name", "to_link"), "sep": ("-", "_", "."), "most": ("4", "5", "6")},
        bugs=(
            Bug(name="case", module="links", old="title.lower()", new="title", report=""),
            Bug(name="digits", module="links", old="isalnum", new="isalpha", report=""),
            Bug(
                name="last",
                module="links",
                old="    if word:\n        parts.append(word)\n    return",
                new="    return",
                report="",
            ),
            Bug(name="most", module="links", old="[:$most]", new="[:$most - 1]", report=""),
        ),
    ),
    Kind(
        name="letter-runs",
        about="Packs text by its repeated letters.",
        modules={"packing": _RUNS},
        case=_runs,
        choices={"fn": ("pack", "squeeze", "runs"), "least": ("2", "3")},
        bugs=(
            Bug(name="least", module="packing", old="count < $least", new="count <= $least", report=""),
            Bug(name="swapped", module="packing", old="letter + str(count)", new="str(count) + letter", report=""),
        ),
    ),
    Kind(
        name="card-mask",
        about="Hides parts of numbers.",
        modules={"cards": _MASK},
        case=_mask,
        choices={"fn": ("mask", "hide", "covered"), "shown": ("2", "3", "4"), "mark": ("*", "x", "#")},
        bugs=(
            Bug(name="all", module="cards", old="num_digits - $shown", new="len(number) - $shown", report=""),
            Bug(name="one-less", module="cards", old="num_digits - $shown)", new="num_digits - $shown - 1)", report=""),
            Bug(name="letters", module="cards", old="if letter.isdigit() and hidden", new="if hidden", report=""),
        ),
    ),
    Kind(
        name="title-case",
        about="Capital letters in titles.",
        modules={"titles": _TITLE},
        case=_title,
        choices={"fn": ("title", "title_case", "as_title"), "extra": ("to", "on", "at")},
        bugs=(
            Bug(name="last", module="titles", old=" or at == len(words) - 1", new="", report=""),
            Bug(name="first", module="titles", old="at == 0 or ", new="", report=""),
            Bug(name="case", module="titles", old="text.lower().split()", new="text.split()", report=""),
            Bug(name="and", module="titles", old="and not is_edge", new="or is_edge", report=""),
        ),
    ),
    Kind(
        name="word-count",
        about="Counts words.",
        modules={"counting": _COUNT},
        case=_count,
        choices={"fn": ("word_counts", "count_words", "frequencies"), "least": ("1", "2", "4")},
        bugs=(
            Bug(name="case", module="counting", old=".lower()", new="", report=""),
            Bug(name="least", module="counting", old="len(word) < least", new="len(word) <= least", report=""),
            Bug(name="start", module="counting", old="counts.get(word, 0)", new="counts.get(word, 1)", report=""),
            Bug(name="marks", module="counting", old='".,;:!?"', new='".,;:"', report=""),
        ),
    ),
)
"""The kinds of this file."""
