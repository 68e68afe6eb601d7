"""The names that files and questions are made of, cut into a train and a test half by a stable hash; and the draws."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from agentrl.envs.math.story import Draw as Choices
from agentrl.envs.math.words import ITEMS, NAMES, PLACES, half

__all__ = ["POOLS", "Draw"]

_SURNAMES = """
    Adler Almeida Anker Baldwin Barros Becker Bellamy Berg Bianchi Blom Brandt Calder Castell Chandra Cole Conti Crane
    Dahl Delgado Dietz Drummond Duarte Ekdal Ellery Farrow Fiala Fischer Fontana Forsberg Gallo Garrick Gomes Grady
    Haas Halloran Hansen Hartley Hoffman Holm Ivarsen Jansen Jurado Kaplan Keller Kovac Kruger Larkin Lindqvist Lowell
    Maddox Marchetti Mendez Moreau Nakata Navarro Nolan Novak Okafor Olsen Orban Pacheco Palmer Petrov Pryor Quist
    Ramos Reyes Rhodes Ritter Rossi Sandoval Sato Schultz Serrano Sorensen Tanaka Thorne Toth Ueda Vance Varga Vogel
    Wagner Weiss Winslow Yamada Zeller Zima
"""
_ROOMS = """
    atrium attic bakery ballroom basement boathouse cellar chapel clinic coldstore corridor courtyard dairy darkroom den
    dock foundry foyer gallery garage gatehouse greenhouse gym hall hangar hatchery kiln kitchen laundry library lobby
    loft lounge nursery observatory office orangery pantry porch pressroom quarry refectory sacristy sauna scullery shed
    smithy stable storeroom studio terrace theatre tower tunnel turbine vault veranda vestry vineyard workshop
"""
_COURSES = """
    algebra anatomy archery astronomy ballet biology botany calculus carpentry ceramics chemistry choir civics cookery
    debate design drama drawing economics ethics fencing French geography geology geometry German grammar Greek harmony
    history Italian Japanese joinery journalism judo Latin law logic masonry mechanics medicine music navigation optics
    painting philosophy phonetics physics poetry printing rhetoric sculpture sewing sociology statistics surveying
    swimming theology weaving zoology
"""
_PATHS = """
    about account albums alerts api archive artists basket blog booking careers cart catalog charts checkout cities
    comments contact coupons credits delivery drafts events export faq feed forum friends gallery gifts groups guides
    help home inbox invoices jobs labels legal lists login maps media menu news offers orders partners photos plans
    press prices profile queue quotes ratings recipes refunds reports reviews routes search shop signup sitemap stats
    status stores support tags terms topics tours trends upload videos wishlist
"""
_ADJECTIVES = """
    Amber Ancient Bitter Blue Borrowed Brass Broken Burning Careful Clever Cold Crimson Crooked Distant Drowned Early
    Empty Endless Fallen Final Forgotten Frozen Gentle Gilded Golden Green Grey Hidden Hollow Hungry Idle Iron Ivory
    Late Little Lonely Lost Lucky Marble Midnight Narrow Northern Pale Patient Quiet Restless Sacred Scarlet Secret
    Seventh Silent Silver Simple Sleeping Stolen Stubborn Sudden Tender Twisted Velvet Wandering Western White Winter
"""
_NOUNS = """
    Anchor Apple Arrow Atlas Autumn Bell Bridge Candle Castle Choir Clock Compass Crown Desert Diary Door Dream Echo
    Ember Feather Ferry Field Flame Forest Fountain Garden Gate Ghost Harbour Harvest Heron Horizon House Island Journey
    Key Kingdom Lake Lantern Letter Lighthouse Meadow Mirror Mountain Orchard Palace Path Piano River Road Rose Sailor
    Shadow Ship Shore Song Station Stone Storm Stranger Summer Tide Tower Train Valley Violin Voyage Wall Window Winter
"""

POOLS: Mapping[str, tuple[str, ...]] = {
    "names": NAMES,
    "items": tuple(each for each in ITEMS if " " not in each and "-" not in each),
    "places": PLACES,
    **{
        kind: tuple(dict.fromkeys(words.split()))
        for kind, words in {
            "surnames": _SURNAMES,
            "rooms": _ROOMS,
            "courses": _COURSES,
            "paths": _PATHS,
            "adjectives": _ADJECTIVES,
            "nouns": _NOUNS,
        }.items()
    },
}
"""Names by kind; a split sees its half of each."""

_HALVES = {(split, kind): half(words, split) for split in ("train", "test") for kind, words in POOLS.items()}


class Draw(Choices):
    """Every random choice of a task, from one seed, with the names and wordings of its split alone."""

    def some(self, kind: str, num: int) -> list[str]:
        """Draw `num` different names of a kind."""
        return self.shuffled(_HALVES[self._split, kind])[:num]

    def chance(self, share: float) -> bool:
        """Draw True as often as `share` says."""
        return self._random() < share

    def day(self) -> datetime.date:
        """Draw the first day of the time that the data are about."""
        return datetime.date(self.whole(2016, 2025), self.whole(1, 9), self.whole(1, 28))

    def wording(self, train: tuple[str, ...], test: tuple[str, ...]) -> str:
        """Draw one of the wordings of this split."""
        return self.pick(test if self._split == "test" else train)
