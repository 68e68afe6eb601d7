"""The names and words that tasks are made of, cut into a train and a test half by a stable hash; and the draws."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from agentrl.envs.math.story import Draw as Choices
from agentrl.envs.math.words import NAMES, half

__all__ = ["EPOCH", "POOLS", "Draw", "text"]

EPOCH = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
"""When the tasks' worlds begin."""

_STEMS = """
    alpha anchor apple arrow atlas badge basil beam bell birch blaze bolt bridge brook cabin camp candle canyon cedar
    chart cliff clover coast comet copper coral crane creek crown dawn delta diary dune eagle ember falcon fern field
    flint forest fox frost garden glade glass globe grape grove harbor hawk hazel hill honey horn ice iris island ivory
    jade juniper kettle kite lake lamp lantern larch leaf lemon lily linen lion lodge lotus maple marsh meadow mint moon
    moss oak ocean olive onyx opal orbit otter owl palm panda pearl pebble pepper pine plum pond poppy prairie quartz
    quill rain raven reef ridge river robin rose ruby sage sail salt sand shell silver sky slate snow spark spruce star
    stone storm sugar summit swan thistle tiger topaz torch trail tulip valley velvet violet walnut wave wheat willow
    wolf wren yarrow zebra
"""
_FOLDERS = """
    archive attic backup box cache cellar chest crate data depot desk docs drafts drawer folder gallery hall inbox
    items lab library media notes outbox pack papers parts photos pile plans pool press prints rack records
    repo reports room safe sales scans shelf shop site store studio tools tray vault work yard
"""

POOLS: Mapping[str, tuple[str, ...]] = {
    "stems": tuple(dict.fromkeys(_STEMS.split())),
    "folders": tuple(dict.fromkeys(_FOLDERS.split())),
    "people": tuple(dict.fromkeys(name.lower() for name in NAMES)),
}
"""Words by kind; a split sees its half of each."""

_HALVES = {(split, kind): half(words, split) for split in ("train", "test") for kind, words in POOLS.items()}


def text(lines: Sequence[object]) -> bytes:
    r"""Write lines, each with its end.

    >>> text(["a", 2])
    b'a\n2\n'
    """
    return "".join(f"{line}\n" for line in lines).encode()


class Draw(Choices):
    """Every random choice of a task, from one seed, with the words and wordings of its split alone."""

    def __init__(self, seed: int, split: str, level: int, *, shared_wordings: bool = False) -> None:
        super().__init__(seed, split, level)
        self._worded = "train" if shared_wordings else split

    @property
    def split(self) -> str:
        """The split whose words are drawn."""
        return self._split

    def some(self, kind: str, num: int) -> list[str]:
        """Draw `num` different words of a kind that are not yet in the task."""
        found = [word for word in self.shuffled(_HALVES[self._split, kind]) if word not in self._used][:num]
        self._used.update(found)
        return found

    def stem(self) -> str:
        """Draw the name of a file, without an ending."""
        return self.some("stems", 1)[0]

    def file(self, ending: str = "txt") -> str:
        """Draw the name of a file."""
        return f"{self.stem()}.{ending}"

    def folder(self) -> str:
        """Draw the name of a folder."""
        return self.some("folders", 1)[0]

    def people(self, num: int) -> list[str]:
        """Draw names in small letters."""
        return self.some("people", num)

    def words(self, num: int) -> list[str]:
        """Draw words, which may come again."""
        return [self.pick(_HALVES[self._split, "stems"]) for _ in range(num)]

    def lines(self, num: int, length: int = 3) -> list[str]:
        """Draw lines of words, no two alike."""
        found: dict[str, None] = {}
        while len(found) < num:
            found[" ".join(self.words(length))] = None
        return list(found)

    def chance(self, share: float) -> bool:
        """Draw True as often as `share` says."""
        return self._random() < share

    def moment(self, days: int = 300) -> datetime.datetime:
        """Draw a time in the first `days` of the world, to the second."""
        return EPOCH + datetime.timedelta(seconds=self.whole(0, days * 86_400 - 1))

    def wording(self, train: Sequence[str], test: Sequence[str]) -> str:
        """Draw one of the wordings of this split, or of training where the splits share them."""
        return self.pick(test if self._worded == "test" else train)
