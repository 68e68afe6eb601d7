"""What Gymnasium's documentation says of its own small environments and their spaces do not: names, goals, ends.

Data only. An environment that is not here is spoken of in numbers. Sources: the pages "Toy Text" and "Classic Control"
of Gymnasium's documentation, and their code for the order of values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["KNOWN", "Ending", "Known"]

Ending = Literal["goal", "survived", "won"]
"""What a good end is: it ended before the turns did, it did not, or rewards above 0 in sum."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """One environment."""

    task: str  # for the system prompt
    actions: tuple[str, ...] | None = None  # in the order of the action's number; none: a number is said
    parts: tuple[str, ...] | None = None  # of an observation, in its order
    ending: Ending | None = None  # when an episode succeeded; none: nobody defines it
    invalid_reward: float = -1.0  # at most what its worst step pays, so that saying nothing is no way out


_LAKE = Known(
    task="Walk over a frozen lake from S to the goal G; F is ice, H a hole that ends everything. [ ] marks your place.",
    actions=("left", "down", "right", "up"),
    ending="won",
)
_CLIFF = Known(
    task="Walk from the lower left corner to the lower right one (T), and not over the cliff (C). x marks your place.",
    actions=("up", "right", "down", "left"),
    ending="goal",
    invalid_reward=-100.0,
)
_CART = Known(
    task="Push a cart to keep the pole on it upright; angle and spin are the pole's, above 0 to the right.",
    actions=("left", "right"),
    parts=("cart", "speed", "angle", "spin"),
    ending="survived",
)
_CAR = "Drive a weak car out of a valley to the hill on its right (position {}): swing to gain speed."

KNOWN: dict[str, Known] = {
    "FrozenLake": _LAKE,
    "FrozenLake8x8": _LAKE,
    "CliffWalking": _CLIFF,
    "CliffWalkingSlippery": _CLIFF,
    "Taxi": Known(
        task="Fetch the passenger (blue letter) and bring them to the magenta letter. The taxi is yellow, and green "
        "with the passenger inside; | is a wall.",
        actions=("south", "north", "east", "west", "pickup", "dropoff"),
        ending="goal",
        invalid_reward=-10.0,
    ),
    "Blackjack": Known(
        task="Play Blackjack: come closer to 21 than the dealer, who shows one card, and not above it.",
        actions=("stick", "hit"),
        parts=("sum", "dealer", "ace"),
        ending="won",
    ),
    "CartPole": _CART,
    "MountainCar": Known(
        task=_CAR.format(0.5), actions=("left", "coast", "right"), parts=("position", "speed"), ending="goal"
    ),
    "MountainCarContinuous": Known(task=_CAR.format(0.45), parts=("position", "speed"), ending="goal"),
    "Acrobot": Known(
        task="Swing two linked rods up by the joint between them until the tip is a rod's length above the top.",
        actions=("back", "rest", "forth"),
        parts=("cos1", "sin1", "cos2", "sin2", "spin1", "spin2"),
        ending="goal",
    ),
    "Pendulum": Known(
        task="Swing a pendulum up and hold it there (x 1, y 0) with little torque.",
        parts=("x", "y", "spin"),
        invalid_reward=-17.0,
    ),
}
"""By the name in the id, without version; all are Gymnasium's own, which have no namespace."""
