"""The words of the sites, each of them in the train or the test half by a stable hash, and how they are drawn."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from agentrl.envs.math.story import Draw as Choices
from agentrl.envs.math.words import NAMES, half

__all__ = ["POOLS", "Draw"]

_COLOURS = """
    amber azure beige black blue bronze brown copper coral cream crimson cyan golden green grey indigo ivory jade khaki
    lavender lilac lime maroon mint navy ochre olive orange pink plum purple red rose ruby rust sand scarlet silver
    teal turquoise violet white yellow
"""
_STYLES = """
    Alpine Arctic Atlas Avalon Baltic Boreal Breeze Cascade Cedar Celtic Cirrus Comet Coral Delta Drift Echo Ember
    Fjord Frost Garnet Glade Harbor Haven Helix Heron Horizon Iris Juniper Karst Lagoon Larch Lotus Lumen Lynx Maple
    Meadow Meridian Mistral Monsoon Nimbus Nova Oasis Onyx Opal Orbit Osprey Pebble Pine Polar Prairie Quartz Raven
    Ridge Sable Saffron Sierra Solstice Sparrow Summit Tempest Thistle Tundra Umbra Vale Vega Vista Willow Zephyr
"""
_THINGS = """
    Backpack Basket Bench Blanket Bottle Bowl Cabinet Candle Chair Clock Coat Compass Cushion Desk Drill Easel Fan
    Flask Frame Hammock Helmet Jacket Kettle Ladder Lamp Lantern Mirror Mug Notebook Pan Pillow Planter Radio Rug
    Scale Scarf Shelf Speaker Stool Stove Table Teapot Tent Toaster Towel Tray Trunk Umbrella Vase Wallet Watch
"""
_TOPICS = """
    archery astronomy baking beekeeping birding boats books bridges camping canals candles carpentry castles caving
    ceramics chess cider cinema climbing clocks coins comics cycling dance dyeing fencing ferries fishing gardens
    geology glass hiking honey insects jazz kayaks kites knitting lace lighthouses maps masonry mosaics mosses museums
    mushrooms music opera orchards origami painting pianos poetry pottery puzzles quilts radio railways rivers rowing
    running sailing sculpture sewing skating skiing soap stamps surfing tea theatre trams trees violins weaving wells
    windmills wine yoga
"""
_WORDS = """
    anchor apple arrow bakery balcony banner barrel basin beacon bishop bottle branch bridge bucket button cabin camera
    candle canyon carpet castle cellar chapel cherry cinema circle clover cobalt cotton cradle crystal curtain dagger
    desert diamond dragon engine fabric falcon feather fiddle flower forest fossil fountain galaxy garden garlic ginger
    glacier granite guitar hammer harbor helmet hollow honey island jacket jasmine jungle kettle kitten ladder lagoon
    lantern lemon letter linen lizard magnet marble market meadow melody mirror mitten mountain needle nickel oyster
    paddle palace panther parrot pebble pepper pillow pirate planet pocket poplar puzzle rabbit ribbon river rocket
    saddle salmon satin shadow silver sparrow spider spiral stable statue summer tailor temple thunder timber tunnel
    turtle valley velvet violin walnut window winter wizard yellow zipper
"""
_VERBS = """
    Accept Apply Archive Attach Begin Browse Calculate Call Collect Compare Confirm Connect Continue Convert Copy Create
    Deliver Deposit Discard Display Donate Draw Edit Enable Enlarge Export Finish Follow Forward Generate Go Hide Import
    Install Invite Join Launch Leave List Load Lock Measure Merge Move Mute Notify Open Order Pause Pay Pin Play Preview
    Print Proceed Publish Record Refresh Register Rename Repeat Replace Reply Reserve Reset Restore Resume Review Save
    Scan Schedule Search Send Share Show Skip Sort Split Start Stop Store Subscribe Switch Sync Test Track Transfer
    Translate Unlock Update Upload Upgrade Verify View Vote Watch Withdraw Wrap Zoom
"""
_CITIES = """
    Alderton Ashcombe Birchdale Brackwater Cinderford Coldspring Dovecote Dunmarsh Eastvale Elmstead Fennick Foxley
    Gallowmere Greywater Hartsfield Inverlow Ironbridge Kestrelbay Kingsmoor Larkhaven Lowfield Marshgate Millbrook
    Nettlebed Northwick Oakhollow Otterburn Pinecrest Plumstead Ravensby Redcliff Saltmarsh Stonehaven Thornbury
    Underhill Valemont Westerham Yarrowpoint
"""
_SURNAMES = """
    Adler Almeida Baldwin Barros Becker Berg Bianchi Blom Calder Castell Cole Conti Crane Dahl Delgado Dietz Duarte
    Ellery Farrow Fiala Fischer Fontana Gallo Garrick Gomes Haas Hansen Hartley Holm Jansen Jurado Kaplan Keller Kovac
    Larkin Lowell Maddox Mendez Moreau Nakata Navarro Novak Okafor Olsen Orban Palmer Petrov Pryor Quist Ramos Reyes
    Rhodes Ritter Rossi Sato Schultz Sorensen Tanaka Thorne Toth Ueda Vance Varga Vogel Wagner Weiss Winslow Yamada
    Zeller Zima
"""

POOLS: Mapping[str, tuple[str, ...]] = {
    "names": NAMES,
    **{
        kind: tuple(dict.fromkeys(words.split()))
        for kind, words in {
            "colours": _COLOURS,
            "styles": _STYLES,
            "things": _THINGS,
            "topics": _TOPICS,
            "words": _WORDS,
            "verbs": _VERBS,
            "cities": _CITIES,
            "surnames": _SURNAMES,
        }.items()
    },
}
"""Words by kind; a split sees its half of each."""

_HALVES = {(split, kind): half(words, split) for split in ("train", "test") for kind, words in POOLS.items()}


class Draw(Choices):
    """Every random choice of an episode, from one seed, with the words of its split alone."""

    def some(self, kind: str, num: int) -> list[str]:
        """Draw `num` different words of a kind."""
        return self.shuffled(_HALVES[self._split, kind])[:num]

    def one(self, kind: str) -> str:
        """Draw a word of a kind."""
        return self.pick(_HALVES[self._split, kind])

    def chance(self, share: float) -> bool:
        """Draw True as often as `share` says."""
        return self._random() < share

    def numbers(self, num: int, low: int, high: int) -> list[int]:
        """Draw `num` different whole numbers from `low` to `high`."""
        found: dict[int, None] = {}
        while len(found) < num:
            found[self.whole(low, high)] = None
        return list(found)

    def day(self) -> datetime.date:
        """Draw a day of the years that the sites are about."""
        return datetime.date(self.whole(2021, 2026), self.whole(1, 12), self.whole(1, 28))

    def code(self) -> str:
        """Draw a code that cannot be guessed, such as "K7F-204": a letter, a digit, a letter and three digits."""
        letters = "ABCDEFGHJKLMNPRSTUVWXYZ"
        return f"{self.pick(letters)}{self.whole(2, 9)}{self.pick(letters)}-{self.whole(100, 999)}"

    def people(self, num: int) -> list[str]:
        """Draw `num` people of different first and last names."""
        pairs = zip(self.some("names", num), self.some("surnames", num), strict=True)
        return [f"{first} {last}" for first, last in pairs]
