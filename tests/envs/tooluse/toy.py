"""A domain of one table, small enough to know by heart, for the tests of what all domains share."""

from __future__ import annotations

import random

from agentrl.envs.tools.toolset import ToolError
from agentrl.envs.tooluse.case import Ask, Call, Case, Do, Domain, Fact, Family, Reveal, Rule, World
from agentrl.envs.tooluse.tables import Tables
from agentrl.envs.tooluse.words import Codes

__all__ = ["DOMAIN", "ToyTools"]


class ToyTools(Tables):
    """Boxes with a price and a state."""

    schema = "CREATE TABLE boxes (id TEXT PRIMARY KEY, state TEXT, price TEXT, note TEXT);"
    volatile = {"boxes": ("note",)}  # noqa: RUF012

    def look(self, box: str) -> dict[str, object]:
        """Look at a box.

        Args:
            box: Its code.
        """
        return self._one(f"box {box!r}", "SELECT * FROM boxes WHERE id = ?", box)

    def shut(self, box: str, note: str = "") -> str:
        """Shut a box.

        Args:
            box: Its code.
            note: Anything.
        """
        if self.look(box)["state"] == "shut":
            raise ToolError(f"box {box} is shut already")
        self._db.execute("UPDATE boxes SET state = 'shut', note = ? WHERE id = ?", (note, box))
        return f"box {box} is shut"

    def add(self, state: str, price: str) -> str:
        """Add a box.

        Args:
            state: open or shut.
            price: Such as 4.50.
        """
        new = self._next("boxes", "BOX")
        self._db.execute("INSERT INTO boxes VALUES (?, ?, ?, '')", (new, state, price))
        return new


def _populate(rng: random.Random, split: str, level: int) -> World:
    codes = Codes(rng)
    rows = [[codes.draw(), "open", f"{rng.randint(1, 99)}.{rng.randint(10, 99)}", ""] for _ in range(3 + level)]
    return World(rows={"boxes": rows}, today="2026-03-01", split=split)


def _shut(rng: random.Random, world: World, level: int) -> Case:
    code = rng.choice(world.rows["boxes"])[0]
    return Case(request=f"Shut box {code}.", steps=(Do((Call("shut", {"box": code}),)),))


def _price(rng: random.Random, world: World, level: int) -> Case:
    row = rng.choice(world.rows["boxes"])
    return Case(
        request="What does my box cost?",
        steps=(Ask("Which box is it?"), Do((Call("look", {"box": row[0]}),))),
        tell=(Fact(value=row[2], kind="amount"),),
        reveals=(Reveal(cues=("which box",), says=f"It is {row[0]}.", again=f"I said it: {row[0]}."),),
    )


def _refused(rng: random.Random, world: World, level: int) -> Case:
    row = rng.choice(world.rows["boxes"])
    return Case(
        request=f"Add a box like {row[0]}.",
        steps=(Do((Call("look", {"box": row[0]}),)),),
        tell=(Fact(value=row[2], kind="amount"),),
        refuse="no-boxes",
    )


DOMAIN = Domain(
    name="toy",
    role="You keep boxes.",
    toolset=ToyTools,
    populate=_populate,
    rules=(Rule(key="no-boxes", text="No box is added; tell the price of the one that is there."),),
    families=(
        Family(name="shut", levels=(1, 2, 3, 4, 5), draw=_shut),
        Family(name="price", levels=(1, 2, 3, 4, 5), draw=_price),
        Family(name="refused", levels=(2, 3, 4, 5), draw=_refused),
    ),
)
