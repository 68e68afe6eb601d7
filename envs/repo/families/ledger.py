"""The kind ledger: accounts, entries and balances."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_ENTRIES = '''
"""Entries of a ledger."""


class Entry:
    """Moves an amount from one account to another on a day."""

    def __init__(self, day, source, target, amount, text=""):
        if amount <= 0:
            raise ValueError("an amount is above zero")
        if source == target:
            raise ValueError("two accounts are needed")
        self.day = day
        self.source = source
        self.target = target
        self.amount = amount
        self.text = text

    def effect(self, account):
        """Return what the entry adds to an account; accounts below it count."""
        total = 0
        if below(self.target, account):
            total += self.amount
        if below(self.source, account):
            total -= self.amount
        return total


def below(account, above):
    """Return whether an account is another one, or below it: bank:savings is below bank."""
    return account == above or account.startswith(above + ":")
'''

_PERIODS = '''
"""Periods of time."""


def month(day):
    """Return the month of a day such as 2024-03-05."""
    return day[:7]


def within(day, first, last):
    """Return whether a day is in a period, both ends included; an open end is None."""
    return (first is None or day >= first) and (last is None or day <= last)
'''

_LEDGER = '''
"""A ledger."""

from @entries import Entry
from @periods import month, within


class $cls:
    """Entries, balances and limits."""

    def __init__(self):
        self.entries = []
        self.limits = {}

    def limit(self, account, lowest):
        """Set how low the balance of an account may get."""
        self.limits[account] = lowest

    def move(self, day, source, target, amount, text=""):
        """Add an entry; return whether the limit of the source allows it."""
        entry = Entry(day, source, target, amount, text)
        if source in self.limits and self.balance(source) - amount < self.limits[source]:
            return False
        self.entries.append(entry)
        self.entries.sort(key=lambda each: each.day)
        return True

    def balance(self, account, last=None):
        """Return the balance of an account at the end of a day, or now."""
        return sum(entry.effect(account) for entry in self.entries if within(entry.day, None, last))

    def months(self, account):
        """Return the sum of each month in which something was moved."""
        sums = {}
        for entry in self.entries:
            if entry.effect(account):
                sums[month(entry.day)] = sums.get(month(entry.day), 0) + entry.effect(account)
        return sums

    def statement(self, account, first=None, last=None):
        """Return day, change and balance after it, for each entry of a period."""
        out = []
        total = 0
        for entry in self.entries:
            change = entry.effect(account)
            if not change:
                continue
            total += change
            if within(entry.day, first, last):
                out.append((entry.day, change, total))
        return out
'''


def _ledger(rng: random.Random, params: Params) -> Steps:
    steps: Steps = [(f"ledger:{params['cls']}=", [])]
    accounts = ["bank", "bank:save", "cash", "shop", "banker"]
    if rng.random() < 0.5:
        steps.append((".limit", [rng.choice(["cash", "bank"]), rng.choice([0, -20])]))
    for _ in range(rng.randrange(2, 7)):
        day = f"2024-0{rng.randrange(1, 4)}-{rng.choice(['01', '15', '28'])}"
        steps.append((".move", [day, rng.choice(accounts), rng.choice(accounts), rng.choice([0, 10, 20, 35])]))
    day = f"2024-0{rng.randrange(1, 4)}-15"
    account = rng.choice(["bank", "bank", "cash"])
    steps += [(".balance", [account]), (".balance", [account, day]), (".months", [account])]
    periods: list[list[str | None]] = [[], [day], [None, day]]
    return [*steps, (".statement", [account, *rng.choice(periods)])]


KIND = Kind(
    name="ledger",
    about="Accounts, entries and balances.",
    modules={"entries": _ENTRIES, "periods": _PERIODS, "ledger": _LEDGER},
    case=_ledger,
    packages=("books", "moneyflow", "bookkeeping"),
    choices={"cls": ("Ledger", "Books")},
    bugs=(
        Bug(
            name="below",
            module="entries",
            old='account == above or account.startswith(above + ":")',
            new="account.startswith(above)",
            report="The balance of an account counts entries of another one that has nothing to do with it.",
        ),
        Bug(
            name="inside",
            module="entries",
            old="        if below(self.source, account):\n",
            new="        elif below(self.source, account):\n",
            report="Moving money between an account and one below it changes the balance of the upper one.",
        ),
        Bug(
            name="last-day",
            module="periods",
            old="(last is None or day <= last)",
            new="(last is None or day < last)",
            report="The last day of a period is missing.",
        ),
        Bug(
            name="limit",
            module="ledger",
            old="- amount < self.limits[source]",
            new="- amount <= self.limits[source]",
            report="It is refused to use an account up to exactly its limit.",
        ),
        Bug(
            name="order",
            module="ledger",
            old="        self.entries.sort(key=lambda each: each.day)\n",
            new="",
            report="Statements are out of order when entries are made later for an earlier day.",
        ),
        Bug(
            name="carried",
            module="ledger",
            old="            total += change\n            if within(entry.day, first, last):\n",
            new="            if within(entry.day, first, last):\n                total += change\n",
            report="The balances of a statement do not count what was before its first day.",
        ),
    ),
)
"""Accounts, entries and balances."""
