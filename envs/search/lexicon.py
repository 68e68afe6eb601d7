"""The words of the generated encyclopedias: relations, their wordings, and names.

Train and test share no wording of a relation and no name of an entity, by construction: a general frame ("The {r} of
{x} is {y}.") belongs to the test split for a quarter of the relations and to the train split for the others, so that
every word is met in training and every combination is new; an idiom ("{x} was born in {y}.") belongs to one split
outright; a name belongs to the split that a stable hash of it says.
"""

from __future__ import annotations

import functools
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "ALIAS_FRAMES",
    "FILLERS",
    "KINDS",
    "RELATIONS",
    "RUMOURS",
    "YEARS",
    "Relation",
    "doc_frames",
    "idioms",
    "make_alias",
    "make_name",
    "phrase_frames",
    "split_of",
]


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A functional relation from an entity of one kind to an entity of another, or to a literal."""

    noun: str  # how it is called in questions and plain documents
    subject: str  # kind of the entity that has it
    object: str  # kind of the value: an entity kind, or "year", "number", "river"
    idioms: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())  # (train wordings, test wordings)


def _relation(noun: str, subject: str, value: str, *idioms: str) -> Relation:
    """The last idiom is the test split's, the others are the train split's."""
    return Relation(noun=noun, subject=subject, object=value, idioms=(idioms[:-1], idioms[-1:]))


_ALL = (
    _relation(
        "birthplace",
        "person",
        "town",
        "{x} was born in {y}.",
        "{x} came into the world in {y}.",
        "It was in {y} that {x} first opened both eyes.",
    ),
    _relation(
        "employer",
        "person",
        "organisation",
        "{x} works for {y}.",
        "{x} draws a salary from {y}.",
        "{y} keeps {x} on its payroll.",
    ),
    _relation(
        "teacher",
        "person",
        "person",
        "{x} learned the craft from {y}.",
        "{y} taught {x}.",
        "{x} was once a pupil of {y}.",
    ),
    _relation(
        "spouse", "person", "person", "{x} is married to {y}.", "{x} wed {y}.", "{x} shares a home and a ring with {y}."
    ),
    _relation("birth year", "person", "year", "{x} was born in the year {y}.", "The life of {x} began in {y}."),
    _relation("author", "work", "person", "{x} was written by {y}.", "{y} wrote {x}.", "{x} came from the pen of {y}."),
    _relation(
        "publisher",
        "work",
        "organisation",
        "{x} was brought out by {y}.",
        "{y} printed {x}.",
        "{x} appeared under the imprint of {y}.",
    ),
    _relation(
        "setting", "work", "town", "{x} plays in {y}.", "{x} takes place in {y}.", "The story of {x} unfolds in {y}."
    ),
    _relation("publication year", "work", "year", "{x} came out in {y}.", "Readers first held {x} in {y}."),
    _relation(
        "founder",
        "organisation",
        "person",
        "{x} was set up by {y}.",
        "{y} started {x}.",
        "{x} owes its existence to {y}.",
    ),
    _relation(
        "seat", "organisation", "town", "{x} has its head office in {y}.", "{x} is run from {y}.", "{y} is home to {x}."
    ),
    _relation(
        "patron",
        "organisation",
        "person",
        "{x} lives on money from {y}.",
        "{y} pays the bills of {x}.",
        "{x} is funded by {y}.",
    ),
    _relation("founding year", "organisation", "year", "{x} was set up in {y}.", "{x} has been at work since {y}."),
    _relation("region", "town", "region", "{x} lies in {y}.", "{x} belongs to {y}.", "{x} is found within {y}."),
    _relation(
        "mayor",
        "town",
        "person",
        "{x} is led by {y}.",
        "{y} heads the council of {x}.",
        "The chain of office of {x} is worn by {y}.",
    ),
    _relation(
        "river",
        "town",
        "river",
        "{x} stands on the {y}.",
        "The {y} flows through {x}.",
        "The bridges of {x} cross the {y}.",
    ),
    _relation("population", "town", "number", "{x} counts {y} inhabitants.", "{y} people live in {x}."),
    _relation(
        "capital",
        "region",
        "town",
        "{x} is governed from {y}.",
        "The parliament of {x} meets in {y}.",
        "{y} is the chief city of {x}.",
    ),
    _relation(
        "governor", "region", "person", "{x} is ruled by {y}.", "{y} rules {x}.", "{y} holds the highest office of {x}."
    ),
)

RELATIONS: dict[str, Relation] = {relation.noun: relation for relation in _ALL}
KINDS: dict[str, tuple[str, ...]] = {
    kind: tuple(r.noun for r in _ALL if r.subject == kind)
    for kind in ("person", "work", "organisation", "town", "region")
}
YEARS = {"person": "birth year", "work": "publication year", "organisation": "founding year"}

# {r} relation noun, {x} the entity, {y} the value. A quarter of (relation, frame) pairs belongs to the test split. The
# first six say "relation is value" in one breath, and are all that levels 1 and 2 use.
_DOC_FRAMES = (
    "The {r} is {y}.",
    "Its {r} is {y}.",
    "As for {x}, the {r} is {y}.",
    "Here the {r} is {y}.",
    "By all accounts, its {r} is {y}.",
    "The archive says that the {r} is {y}.",
    "The {r} of {x} is {y}.",
    "The {r} listed here is {y}.",
    "{y} is the {r} of {x}.",
    "{x} has {y} as {r}.",
    "{y} is known as the {r} of {x}.",
    "The records name {y} as {r}.",
)
_PLAIN_FRAMES = 6
_PHRASES = (
    "the {r} of {p}",
    "the {r} given for {p}",
    "the {r} listed for {p}",
    "the {r} known for {p}",
    "the {r} that belongs to {p}",
    "the {r} named for {p}",
    "the {r} on record for {p}",
    "the {r} that goes with {p}",
)
ALIAS_FRAMES = (
    ("{x} is also called {a}.", "Some know {x} as {a}.", "Another name for {x} is {a}."),
    ("Many call {x} {a}.", "{a} is a second name of {x}."),
)
RUMOURS = (
    ("It is often said that the {r} is {y}, which is wrong.", "An old list gives {y} as {r}, in error."),
    ("Do not believe those who give {y} as the {r}.", "{y} was once taken for the {r}, but never was."),
)
FILLERS = (
    "The archive holds {n} pages on this entry.",
    "Few visitors ask about it in winter.",
    "The entry was last checked by a clerk in {n}.",
    "A drawing of it hangs in a hall in {o}.",
    "Scholars from {o} have asked for a longer entry.",
    "Its old seal shows a bird over water.",
    "Letters about it fill {n} boxes.",
    "A song about it is still sung in {o}.",
    "The entry replaces an older one that was lost in a fire.",
    "Nothing in it has been disputed by {o}.",
    "Its page is bound in green cloth.",
    "A copy of the entry was sent to {o}.",
)

_ONSETS = ("b", "br", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v")
_RIMES = ("a", "an", "ar", "el", "en", "i", "is", "o", "on", "ul")
_SYLLABLES = tuple(onset + rime for onset in _ONSETS for rime in _RIMES)


def _words(count: int, first: int) -> tuple[str, ...]:
    # Two syllables by a fixed rule rather than a generator: the same on every Python. 37 and 7 are prime to 150, so
    # that `first + index` below 150 * 150 gives a word of its own.
    numbers = range(first, first + count)
    size = len(_SYLLABLES)
    return tuple((_SYLLABLES[37 * n % size] + _SYLLABLES[(7 * n + n // size) % size]).capitalize() for n in numbers)


_GIVEN, _SURNAMES, _TOWNS, _REGIONS, _RIVERS, _FOUNDATIONS = (
    _words(count, first) for count, first in ((100, 0), (100, 100), (100, 200), (60, 300), (60, 360), (80, 420))
)
_QUARTERS = "Upper Lower North South East West New Old Port Great".split()
_LANDS = "Coast Hills Isles Plain Shore Vale".split()
_WATERS = "Beck Brook Stream Water".split()
_ADJECTIVES = """
    Amber Ashen Bitter Blue Bold Brass Bright Broken Calm Clear Cold Copper Crimson Dark Deep Distant Dusty Early
    Empty Faint False Fallen First Frozen Gentle Gilded Golden Green Grey Hidden Hollow Iron Ivory Last Late Little
    Lonely Long Lost Marble Narrow Noble Northern Old Pale Patient Plain Proud Quiet Red Rough Salt Scarlet Secret
    Sharp Silent Silver Slow Small Still
""".split()
_NOUNS = """
    Anchor Arrow Bell Bird Boat Bridge Candle Castle Clock Cloud Coin Crown Dancer Door Eagle Feather Field Fire
    Flute Forest Fountain Fox Garden Gate Glass Hammer Harbour Harp Heron Hill Horse Island Key Ladder Lamp Lantern
    Letter Lion Map Mask Meadow Mill Mirror Moon Mountain Needle Oak Ocean Orchard Owl Painter Path Pearl Pilot
    Queen Raven Reed Ring River Road
""".split()
_ORGANISATIONS = ("House", "Guild", "Press", "Bank", "Institute", "Society", "Works", "College")

_PARTS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "person": (_GIVEN, _SURNAMES),
    "work": (_ADJECTIVES, _NOUNS),
    "organisation": (_FOUNDATIONS, _ORGANISATIONS),
    "town": (_QUARTERS, _TOWNS),
    "region": (_REGIONS, _LANDS),
    "river": (_RIVERS, _WATERS),
}


def split_of(name: str) -> str:
    """Return the split that a name belongs to; one name in five is for testing.

    >>> split_of("Torvel Amik") in ("train", "test")
    True
    """
    return "test" if zlib.crc32(name.encode()) % 5 == 0 else "train"


@functools.cache  # asked for every sentence of every world
def doc_frames(relation: str, split: str, level: int) -> tuple[str, ...]:
    """Return the general document wordings of a relation for a split and level."""
    frames = _DOC_FRAMES[:_PLAIN_FRAMES] if level <= 2 else _DOC_FRAMES
    return tuple(frame for index, frame in enumerate(frames) if _frame_split(relation, index) == split)


@functools.cache
def phrase_frames(relation: str, split: str) -> tuple[str, ...]:
    """Return how questions of a split speak of a relation."""
    return tuple(frame for index, frame in enumerate(_PHRASES) if _frame_split(relation, index) == split)


def idioms(relation: str, split: str) -> tuple[str, ...]:
    """Return the wordings that only this relation has."""
    return RELATIONS[relation].idioms[split == "test"]


def make_name(rng: random.Random, kind: str, split: str) -> str:
    """Draw a name of a kind ("person", "work", "organisation", "town", "region", "river") for a split."""
    while True:
        name = _draw(rng, kind)
        if split_of(name) == split:
            return name


def make_alias(rng: random.Random, split: str) -> str:
    """Draw a by-name for a person, such as "the Grey Heron"; the work "Grey Heron" belongs to the same split."""
    return f"the {make_name(rng, 'work', split)}"


def _draw(rng: random.Random, kind: str) -> str:
    first, second = _PARTS[kind]
    return f"{rng.choice(first)} {rng.choice(second)}"


def _frame_split(relation: str, frame: int) -> str:
    return "test" if (tuple(RELATIONS).index(relation) + frame) % 4 == 3 else "train"
