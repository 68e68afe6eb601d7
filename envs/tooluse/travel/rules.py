"""The policy of the travel desk. Each rule by which a request is refused says what has to be told then."""

from __future__ import annotations

from agentrl.envs.tooluse.case import Rule

__all__ = ["BAG_MILES", "FEE", "MAX_PARTY", "MIN_WAIT", "PASSPORT_DAYS", "RULES"]

BAG_MILES = (20_000, 50_000)  # from which two and three bags are allowed
FEE = 2000  # cents, kept when an insured basic fare is cancelled
MAX_PARTY = 4
MIN_WAIT = 45  # minutes
PASSPORT_DAYS = 180

RULES = (
    Rule(
        key="basic",
        level=2,
        text="A basic fare cannot be moved to another flight. When refusing, tell what was paid for the booking.",
    ),
    Rule(
        key="soon",
        level=2,
        text="A booking with a flight that leaves today or tomorrow can be neither moved nor cancelled. When refusing, "
        "tell the time at which it leaves.",
    ),
    Rule(
        key="stay",
        level=2,
        text="A hotel stay can be cancelled until the hotel's cancel_days before it begins, that day included. When "
        "refusing, tell the last day on which it could be cancelled.",
    ),
    Rule(
        key="bags",
        level=2,
        text=f"A passenger may have 1 bag in all below {BAG_MILES[0]} miles, 2 below {BAG_MILES[1]} miles, 3 from "
        "there on. When refusing, tell the passenger's miles.",
    ),
    Rule(
        key="name",
        level=2,
        text="A misspelled name on a ticket may be put right to the name in the traveller's profile; another person "
        "can never take a ticket. When refusing, tell the traveller code of the ticket.",
    ),
    Rule(
        key="passport",
        level=3,
        text=f"For a flight abroad the passport of each traveller must be valid for {PASSPORT_DAYS} days after the "
        "flight. When refusing, tell until when it is valid.",
    ),
    Rule(
        key="party",
        level=3,
        text=f"A booking has at most {MAX_PARTY} travellers. When refusing, tell the flight's group desk.",
    ),
    Rule(
        key="voucher",
        level=3,
        text="A voucher pays only for flights until the day until which it is valid. When refusing, tell that day.",
    ),
    Rule(
        key="connection",
        level=3,
        text=f"Between two flights of one day in a booking there are at least {MIN_WAIT} minutes. When refusing, tell "
        "the time at which the first lands.",
    ),
    Rule(
        key="refund",
        level=3,
        text="After a cancelled booking pay back at once: for flex and business all that was paid, in money; for an "
        f"insured basic fare all but {FEE // 100}.{FEE % 100:02d}, in money; for another basic fare half, as a "
        "voucher, never money. When refusing money, tell the amount of the voucher.",
    ),
    Rule(
        key="parts",
        level=4,
        text="When one of several wishes is forbidden, do the others, and refuse that one.",
    ),
    Rule(
        key="confirm",
        level=3,
        text="Before you book, move or add anything, tell the user the price or the difference and ask them to "
        "confirm.",
    ),
)
