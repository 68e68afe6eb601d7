"""Names and codes of the generated worlds: codes of two words, such as amber-fox, and people.

Both splits share the words, and a code or a name is a draw from thousands of pairs.
"""

from __future__ import annotations

import random

__all__ = ["FIRST_NAMES", "LAST_NAMES", "Codes", "person"]

_FIRST = (
    "amber azure brisk calm coral crisp dapper dusty eager early fancy fleet gentle golden grand happy hazel honest "
    "icy ivory jade jolly keen kind lemon lively lucky mellow merry mighty misty noble olive plum proud quick quiet "
    "rapid rosy ruby rustic sandy scarlet shiny silent silver sleek snowy solar spicy steady stormy sunny swift tender "
    "tidy tiny urban velvet vivid warm wild windy witty young zesty"
).split()
_SECOND = (
    "anchor apple arrow badger basket beacon bear birch bison bridge cactus camel candle canyon castle cedar cherry "
    "cliff cloud comet cricket crow delta dolphin eagle ember falcon feather fern finch forest fox garden gecko "
    "glacier grove harbor heron island jaguar kettle lagoon lantern lark lily lion lotus magpie maple meadow meteor "
    "otter owl panda pebble pepper pine planet pony quail rabbit raven reef ridge river robin rocket salmon shell "
    "sparrow spruce squid stork tiger tulip turtle valley violet walrus willow wolf zebra"
).split()
FIRST_NAMES = (
    "Ada Ben Cara Dan Ella Finn Gina Hugo Ida Jon Kira Leo Mia Nils Olga Paul Rosa Sam Tara Uwe Vera Will Yara Zoe "
    "Amir Bela Chen Dora Emil Fay Goran Hana Ivan June Karl Lena Milo Nora Omar Petra Quinn Rafi Sofia Tom Una Viktor"
).split()
LAST_NAMES = (
    "Abbott Baker Carter Diaz Evans Fisher Garcia Hughes Ivanov Jensen Keller Lopez Moreau Novak Olsen Park Quist "
    "Rossi Silva Turner Urban Vance Weber Xu Young Zeman Berg Costa Dahl Engel Foster Grant Hall Irwin Jacobs Klein "
    "Lang Meyer Nash Ortiz Peters Reyes Stone Tanaka Ueda Vogel Wolfe Yates Ziegler"
).split()


class Codes:
    """Draws codes of two words, none of them twice.

    >>> codes = Codes(random.Random(1))
    >>> codes.draw() != codes.draw()
    True
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._drawn: set[str] = set()

    def draw(self) -> str:
        """Return a new code."""
        while True:
            code = f"{self._rng.choice(_FIRST)}-{self._rng.choice(_SECOND)}"
            if code not in self._drawn:
                self._drawn.add(code)
                return code


def person(rng: random.Random) -> tuple[str, str]:
    """Draw a first and a last name."""
    return rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
