"""The closed world of the twenty questions: things, and which properties each has."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["PROPERTIES", "TABLE"]

_CODES: Final = {
    "v": "alive",
    "a": "an animal",
    "p": "a plant",
    "f": "able to fly",
    "s": "able to swim",
    "b": "bigger than a person",
    "e": "food",
    "m": "made of metal",
    "w": "made of wood",
    "h": "found at home",
    "l": "electric",
    "t": "soft",
    "x": "worn",
    "c": "a vehicle",
    "u": "furry",
    "4": "four-legged",
    "n": "loud",
    "k": "sharp",
    "r": "round",
    "y": "yellow",
    "g": "green",
    "d": "dangerous",
}

_THINGS: Final = """
owl:vaf duck:vafsy penguin:vas eagle:vafdk bee:vafyd shark:vasbdk whale:vasb frog:vasg4 crocodile:vasbdk4g cat:vau4ht
dog:vau4htns horse:vau4b cow:vau4bn lion:vau4bdny elephant:va4bn mouse:vau4 ant:va snake:vadsg tortoise:va4g
canary:vafyhn butterfly:vaft bear:vau4bdsn oak:vpbw rose:vpk grass:vptg cactus:vpkgh sunflower:vpyb apple:ersg
lemon:eyr bread:eth egg:erh cheese:ethy carrot:ek pea:erg banana:ety hammer:mwhn knife:mhkd spoon:mh pan:mhr
saw:mwkdh pencil:wky chair:wh4 table:wh4b bed:whtb lamp:lhm radio:lhn computer:lhmw drill:lhmdkn fridge:lhmbn car:mclbdn
bicycle:mc boat:cwbs plane:mcfbn train:mclbn ball:rt coin:mr ring:mxr hat:xt shoe:xh coat:xtb drum:wrn bell:mrn
piano:wbnh broom:wht candle:hyd sledge:wc kite:ft
"""


def _read() -> dict[str, frozenset[str]]:
    pairs = (each.split(":") for each in _THINGS.split())
    return {name: frozenset(_CODES[code] for code in codes) for name, codes in pairs}


PROPERTIES: Final = tuple(_CODES.values())
"""All properties."""

TABLE: Final[Mapping[str, frozenset[str]]] = MappingProxyType(_read())
"""The properties of each thing; no two things have the same."""
