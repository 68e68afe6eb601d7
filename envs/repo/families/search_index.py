"""The kind search-index: searches texts."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_WORDS = '''
"""Words of texts."""

STOP = ("the", "a", "of", "and", "$stop")


def words(text):
    """Return the words of a text in small letters, without those that say nothing."""
    out = []
    word = ""
    for letter in text.lower() + " ":
        if letter.isalnum() or letter == "'":
            word += letter
        elif word:
            if word not in STOP:
                out.append(stem(word))
            word = ""
    return out


def stem(word):
    """Return a word without the ending of its plural."""
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word
'''

_INDEX = '''
"""Where words are."""

from @words import words


class Index:
    """For each word, how often it is in each text."""

    def __init__(self):
        self.places = {}
        self.sizes = {}

    def add(self, name, text):
        """Add a text, in place of one of the same name."""
        self.remove(name)
        found = words(text)
        self.sizes[name] = len(found)
        for word in found:
            counts = self.places.setdefault(word, {})
            counts[name] = counts.get(name, 0) + 1

    def remove(self, name):
        """Forget a text; return whether it was there."""
        for counts in self.places.values():
            counts.pop(name, None)
        return self.sizes.pop(name, None) is not None

    def count(self, word, name):
        """Return how often a word is in a text."""
        return self.places.get(word, {}).get(name, 0)

    def names(self, word):
        """Return the texts that have a word."""
        return set(self.places.get(word, {}))
'''

_FIND = '''
"""Search texts."""

from @index import Index
from @words import stem, words


class $cls:
    """Texts that can be searched."""

    def __init__(self):
        self.index = Index()

    def add(self, name, text):
        """Add or replace a text."""
        self.index.add(name, text)

    def drop(self, name):
        """Remove a text; return whether it was there."""
        return self.index.remove(name)

    def find(self, query, most=$most):
        """Return names of texts that have all words and none after a minus; the best first, then by name."""
        wanted, refused = [], []
        for part in query.split():
            (refused if part.startswith("-") else wanted).extend(words(part))
        if not wanted:
            return []
        names = set(self.index.sizes)
        for word in wanted:
            names &= self.index.names(word)
        for word in refused:
            names -= self.index.names(word)
        return sorted(names, key=lambda name: (-self.score(wanted, name), name))[:most]

    def score(self, wanted, name):
        """Return how well a text fits: how often it has the words, more for words that few texts have."""
        total = 0
        for word in wanted:
            total += self.index.count(word, name) * 100 // len(self.index.names(word))
        return total

    def common(self, word):
        """Return how many texts have a word."""
        return len(self.index.names(stem(word.lower())))
'''


def _search(rng: random.Random, params: Params) -> Steps:
    stop = params["stop"]
    pool = ["River", "rivers", "boat", "glass", "the", "of", stop, "fish", "Fish,", "bus", "boats", "net", "it's"]
    steps: Steps = [(f"finder:{params['cls']}=", [])]
    for _ in range(rng.randrange(2, 6)):
        text = " ".join(rng.choice(pool) for _ in range(rng.randrange(1, 8)))
        steps.append((".add", [rng.choice("abcde"), text]))
    if rng.random() < 0.3:
        steps.append((".drop", [rng.choice("abz")]))
    for _ in range(2):
        query = " ".join(rng.choice(["", "", "", "-"]) + rng.choice(pool) for _ in range(rng.randrange(1, 4)))
        steps.append((".find", [query, *([rng.randrange(1, 3)] if rng.random() < 0.3 else [])]))
    return [*steps, (".common", [rng.choice(["boats", "River", "glass"])])]


KIND = Kind(
    name="search-index",
    about="Searches texts.",
    modules={"words": _WORDS, "index": _INDEX, "finder": _FIND},
    case=_search,
    packages=("lookup", "textfind", "seeker"),
    choices={"cls": ("Finder", "Library"), "stop": ("to", "in"), "most": ("3", "5")},
    bugs=(
        Bug(
            name="stem",
            module="words",
            old='word.endswith("s") and not word.endswith("ss")',
            new='word.endswith("s") and word.endswith("ss")',
            report="A search for the singular does not find the plural.",
        ),
        Bug(
            name="stop",
            module="words",
            old="            if word not in STOP:\n                out.append(stem(word))\n            word",
            new="            out.append(stem(word))\n            word",
            report="Words that say nothing, such as `the`, play a part in searches.",
        ),
        Bug(
            name="replace",
            module="index",
            old="        self.remove(name)\n        found",
            new="        found",
            report="After a text was replaced it is still found by its old words.",
        ),
        Bug(
            name="many",
            module="index",
            old="counts[name] = counts.get(name, 0) + 1",
            new="counts[name] = 1",
            report="Texts that have a word many times should come first.",
        ),
        Bug(
            name="minus",
            module="finder",
            old="names -= self.index.names(word)",
            new="names &= self.index.names(word)",
            report="A word after a minus is treated the wrong way.",
        ),
        Bug(
            name="tie",
            module="finder",
            old="(-self.score(wanted, name), name)",
            new="(-self.score(wanted, name), -len(name), self.index.sizes[name], name)",
            report="Texts that fit equally well should come by name.",
        ),
    ),
)
"""Searches texts."""
