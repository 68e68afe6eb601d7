"""The kind invoice: invoices with taxes, discounts and shipping."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

ITEMS = "bolt lamp rope chair brush kettle tile hinge".split()

_MONEY = '''
"""Amounts in cents."""


def cents(text):
    """Return the cents of an amount such as 12.50."""
    whole, _, rest = text.strip().partition(".")
    if len(rest) > 2:
        raise ValueError("too many digits: " + text)
    sign = -1 if whole.startswith("-") else 1
    return int(whole or "0") * 100 + sign * int((rest + "00")[:2])


def share(amount, percent):
    """Return a percentage of an amount, half a cent rounded up."""
    return (amount * percent + 50) // 100


def shown(amount):
    """Return an amount as text."""
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), 100)
    return "%s%d.%02d" % (sign, whole, rest)
'''

_LINES = '''
"""Lines of an invoice."""

from @money import cents, share

RATES = {"food": $food, "book": $book}


class Line:
    """Some pieces of one thing."""

    def __init__(self, name, price, count=1, kind="", off=0):
        if count < 1:
            raise ValueError("at least one piece")
        self.name = name
        self.price = cents(price)
        self.count = count
        self.kind = kind
        self.off = off

    def net(self):
        """Return the amount before tax."""
        full = self.price * self.count
        return full - share(full, self.off)

    def rate(self):
        """Return the tax in percent."""
        return RATES.get(self.kind, $rate)
'''

_INVOICE = '''
"""Invoices."""

from @lines import Line
from @money import share, shown


class $cls:
    """An invoice with several lines."""

    def __init__(self, customer, free_from=$free):
        self.customer = customer
        self.free_from = free_from
        self.lines = []

    def add(self, name, price, count=1, kind="", off=0):
        """Add a line."""
        self.lines.append(Line(name, price, count, kind, off))

    def net(self):
        """Return the sum before tax."""
        return sum(line.net() for line in self.lines)

    def taxes(self):
        """Return the tax of each rate, as text."""
        sums = {}
        for line in self.lines:
            sums[line.rate()] = sums.get(line.rate(), 0) + line.net()
        return {rate: shown(share(net, rate)) for rate, net in sorted(sums.items())}

    def shipping(self):
        """Return what sending costs; nothing from some amount on."""
        if not self.lines or self.net() >= self.free_from * 100:
            return 0
        return $shipping

    def total(self):
        """Return what has to be paid, as text."""
        sums = {}
        for line in self.lines:
            sums[line.rate()] = sums.get(line.rate(), 0) + line.net()
        tax = sum(share(net, rate) for rate, net in sums.items())
        return shown(self.net() + tax + self.shipping())
'''


def _invoice(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [(f"invoices:{params['cls']}=", ["Ada"])]
    for _ in range(rng.randrange(0, 4)):
        price = rng.choice([f"{rng.randrange(1, 40)}.{rng.randrange(100):02}", str(rng.randrange(1, 60)), "4.5"])
        rest = [rng.randrange(0, 5), rng.choice(["", "food", "book", "toy"]), rng.choice([0, 0, 10, 15, 33])]
        steps.append((".add", [rng.choice(ITEMS), price, *rest[: rng.randrange(0, 4)]]))
    edge = int(params["free"])
    if rng.random() < 0.4:
        steps.append((".add", ["crate", rng.choice([str(edge), f"{edge - 1}.99"])]))
    return [*steps, *((f".{name}", []) for name in rng.sample(["net", "taxes", "total", "shipping"], 3))]


KIND = Kind(
    name="invoice",
    about="Invoices with taxes, discounts and shipping.",
    modules={"money": _MONEY, "lines": _LINES, "invoices": _INVOICE},
    case=_invoice,
    packages=("billing", "invoicing", "tills"),
    choices={
        "cls": ("Invoice", "Bill"),
        "food": ("5", "7"),
        "book": ("6", "9"),
        "rate": ("19", "20", "21"),
        "free": ("50", "80"),
        "shipping": ("490", "590"),
    },
    bugs=(
        Bug(
            name="one-digit",
            module="money",
            old='int((rest + "00")[:2])',
            new='int(rest or "0")',
            report="Some prices are far too low: 4.5 does not count as 4.50.",
        ),
        Bug(
            name="half",
            module="money",
            old="(amount * percent + 50) // 100",
            new="amount * percent // 100",
            report="Amounts are now and then one cent lower than they should be.",
        ),
        Bug(
            name="off-piece",
            module="lines",
            old="full - share(full, self.off)",
            new="full - share(self.price, self.off)",
            report="The discount is too small when I order several pieces.",
        ),
        Bug(
            name="free-edge",
            module="invoices",
            old="self.net() >= self.free_from * 100",
            new="self.net() > self.free_from * 100",
            report="Shipping should be free from exactly $free on, and it is charged.",
        ),
        Bug(
            name="empty",
            module="invoices",
            old="if not self.lines or self.net()",
            new="if self.net()",
            report="An invoice without any line is not free.",
        ),
        Bug(
            name="rates",
            module="lines",
            old='RATES = {"food": $food, "book": $book}',
            new='RATES = {"food": $food}',
            report="Books are to be taxed at $book percent instead of the usual rate.",
            feature=True,
        ),
    ),
)
"""Invoices with taxes, discounts and shipping."""
