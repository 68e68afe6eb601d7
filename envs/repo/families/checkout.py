"""The kind checkout: baskets, codes and what has to be paid."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

ITEMS = "bolt lamp rope chair brush kettle tile hinge".split()

_BASKET = '''
"""A basket."""


class Basket:
    """Things with prices in cents and counts."""

    def __init__(self):
        self.items = {}

    def add(self, name, price, count=1):
        """Add pieces; the last price that was given counts for all."""
        _, before = self.items.get(name, (price, 0))
        self.items[name] = (price, before + count)

    def remove(self, name, count=1):
        """Take pieces out."""
        price, before = self.items[name]
        if count >= before:
            del self.items[name]
        else:
            self.items[name] = (price, before - count)

    def sum(self):
        """Return the sum of prices."""
        return sum(price * count for price, count in self.items.values())
'''

_OFFERS = '''
"""Offers: each returns what it takes off."""


def percent(basket, value):
    """Return a part of the whole sum."""
    return basket.sum() * value // 100


def free_piece(basket, size):
    """Return the price of every piece that completes a set of some size."""
    return sum(price * (count // size) for price, count in basket.items.values())


def amount(basket, value):
    """Return a fixed amount, where the basket is worth at least ten times as much."""
    return value if basket.sum() >= 10 * value else 0


OFFERS = {"percent": percent, "set": free_piece, "amount": amount}
'''

_CHECKOUT = '''
"""What has to be paid."""

from @basket import Basket
from @offers import OFFERS


class $cls:
    """A basket with codes; offers do not add up past a share of the sum."""

    def __init__(self, most=$most):
        self.basket = Basket()
        self.codes = []
        self.most = most

    def scan(self, name, price, count=1):
        """Add pieces to the basket."""
        self.basket.add(name, price, count)

    def put_back(self, name, count=1):
        """Take pieces out of the basket."""
        self.basket.remove(name, count)

    def code(self, text):
        """Take a code such as percent:10; return whether it counts."""
        kind, _, value = text.partition(":")
        if kind not in OFFERS or not value.isdigit() or int(value) == 0:
            return False
        if any(each == kind for each, _ in self.codes):
            return False
        self.codes.append((kind, int(value)))
        return True

    def off(self):
        """Return what is taken off."""
        whole = sum(OFFERS[kind](self.basket, value) for kind, value in self.codes)
        return min(whole, self.basket.sum() * self.most // 100)

    def total(self):
        """Return what has to be paid."""
        return self.basket.sum() - self.off()
'''


def _checkout(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [(f"checkout:{params['cls']}=", [])]
    names = rng.sample(ITEMS, 3)
    for _ in range(rng.randrange(1, 5)):
        steps.append((".scan", [rng.choice(names), rng.randrange(1, 30) * 25, rng.randrange(1, 6)]))
    if rng.random() < 0.4:
        steps.append((".put_back", [rng.choice(names), rng.randrange(1, 4)]))
    codes = ["percent:10", "percent:20", "set:3", "set:2", "amount:50", "amount:100", "gift:5", "percent:0", "set"]
    for _ in range(rng.randrange(0, 4)):
        steps.append((".code", [rng.choice(codes)]))
    return [*steps, (".off", []), (".total", [])]


KIND = Kind(
    name="checkout",
    about="Baskets, codes and what has to be paid.",
    modules={"basket": _BASKET, "offers": _OFFERS, "checkout": _CHECKOUT},
    case=_checkout,
    packages=("shopping", "tillpoint", "register_desk"),
    choices={"cls": ("Checkout", "Till", "Desk"), "most": ("40", "50", "30")},
    bugs=(
        Bug(
            name="price",
            module="basket",
            old="self.items[name] = (price, before + count)",
            new="self.items[name] = (_ or price, before + count)",
            report="When the price of a thing changes, the old one is still taken.",
        ),
        Bug(
            name="put-back",
            module="basket",
            old="(price, before - count)",
            new="(price, count)",
            report="After I put some pieces back, the sum is wrong.",
        ),
        Bug(
            name="sets",
            module="offers",
            old="price * (count // size)",
            new="price * (count // (size + 1))",
            report="The offer for sets takes off too little.",
        ),
        Bug(
            name="tenfold",
            module="offers",
            old=">= 10 * value",
            new="> 20 * value",
            report="A code for a fixed amount is ignored although the basket is worth enough.",
        ),
        Bug(
            name="twice",
            module="checkout",
            old="        if any(each == kind for each, _ in self.codes):\n            return False\n",
            new="",
            report="The same kind of code can be used several times.",
        ),
        Bug(
            name="most",
            module="checkout",
            old="return min(whole, self.basket.sum() * self.most // 100)",
            new="return whole",
            report="All offers together must never take off more than $most percent of the sum; they do.",
        ),
    ),
)
"""Baskets, codes and what has to be paid."""
