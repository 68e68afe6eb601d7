"""The shop's policy."""

from __future__ import annotations

from agentrl.envs.tooluse.case import Rule

__all__ = ["CREDIT_A_DAY", "RETURN_DAYS", "RULES"]

RETURN_DAYS = 30
CREDIT_A_DAY = 300  # cents

RULES = (
    Rule(
        key="cancel",
        level=2,
        text="Cancel an order, or take an item out of it, only while it is pending. Else refuse and tell the day on "
        "which it was shipped.",
    ),
    Rule(
        key="address",
        level=2,
        text="Change the address only while the order is pending. Else refuse and tell its tracking code.",
    ),
    Rule(
        key="window",
        level=2,
        text=f"Take back or exchange an item up to {RETURN_DAYS} days after delivery. Later refuse and tell the day of "
        "delivery.",
    ),
    Rule(
        key="final",
        level=2,
        text="An item on final sale is not taken back and not exchanged. Refuse and tell its price.",
    ),
    Rule(
        key="coupon",
        level=2,
        text="At most one coupon an order. Refuse a second one and tell the code of the first.",
    ),
    Rule(
        key="origin",
        level=2,
        text="A refund goes to the payment method of the order and to no other, so a gift card is never paid out to a "
        "card. Where another is demanded, refuse and tell the code of the order's payment method.",
    ),
    Rule(
        key="owner",
        level=3,
        text="Before you change anything, find the customer by email, and ask for the email where it was not given. An "
        "order of somebody else is not touched: refuse and tell the code of the customer who asks.",
    ),
    Rule(
        key="exchange",
        level=3,
        text="Exchange an item only for another variant of the same product that is in stock. Else refuse and tell the "
        "price of the variant that was wanted.",
    ),
    Rule(
        key="confirm",
        level=3,
        text="Before you place an order or exchange an item, tell the user the price and ask them to confirm; what "
        "they say then counts.",
    ),
    Rule(
        key="credit",
        level=3,
        text=f"An order delivered after the promised day earns a credit of {CREDIT_A_DAY / 100:.2f} for each day that "
        "it was late. One that came in time earns none: refuse and tell the day of delivery.",
    ),
    Rule(
        key="coupon-day",
        level=3,
        text="A coupon counts up to its last day. Later refuse and tell that day.",
    ),
    Rule(
        key="coupon-minimum",
        level=3,
        text="A coupon needs an order of at least its minimum. Else refuse and tell that minimum.",
    ),
)
