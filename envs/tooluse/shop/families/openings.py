"""What the families of the shop share: who asks, what they say about themselves, and their older orders."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from agentrl.envs.tooluse.case import Ask, Call, Do, Reveal
from agentrl.envs.tooluse.shop.world import Customer, Line, Order, Product, ShopWorld, Variant

__all__ = [
    "CONFIRM",
    "Opening",
    "YES",
    "do",
    "fresh",
    "find_orders",
    "kind_of",
    "opening",
    "product",
    "two",
    "unlike",
]

CONFIRM = (
    "confirm",
    "confirmation",
    "proceed",
    "go ahead",
    "shall I",
    "should I",
    "do you agree",
    "all right",
    "is that ok",
    "do you still want",
)
"""What asks a user to confirm."""

YES = Reveal(cues=CONFIRM, says="Yes, please do.")


@dataclass(frozen=True, kw_only=True)
class Opening:
    """How the user is known: what the request says of them, and what has to be asked and looked up."""

    text: str
    steps: tuple[Do | Ask, ...]
    reveals: tuple[Reveal, ...]


def do(tool: str, **arguments: object) -> Do:
    """Return a turn of one call."""
    return Do((Call(tool, arguments),))


def fresh(rng: random.Random, world: ShopWorld, level: int, *goods: Product) -> Customer:
    """Add a customer with a few older orders from level 3 on, none of them of `goods`.

    At level 5 there is somebody of the same name, who has ordered just those goods.
    """
    customer = world.new_customer(rng)
    if level == 5:
        double = world.new_customer(rng, customer.name)
        for good in goods or rng.sample(world.products, 2):
            _older(rng, world, double, good)
    others = [each for each in world.products if each not in goods]
    for _ in range(level - 2):
        _older(rng, world, customer, rng.choice(others))
    return customer


def opening(rng: random.Random, customer: Customer, level: int) -> Opening:
    """Return how the user is known: from level 3 on by an email, which stands in the request or has to be asked for."""
    if level < 3:
        return Opening(text="", steps=(), reveals=())
    find = do("find_customer", email=customer.email)
    reveal = Reveal(cues=("email", "e-mail", "mail"), says=f"My email is {customer.email}.")
    if rng.random() < 0.5:
        return Opening(text=f" My email is {customer.email}.", steps=(find,), reveals=(reveal,))
    return Opening(text="", steps=(Ask("Which email do you have with us?"), find), reveals=(reveal,))


def find_orders(rng: random.Random, customer: Customer, level: int) -> Opening:
    """Return how the orders of a user are found who names none: the email is always asked for.

    At level 5 the user tells a name, which is not enough: somebody else has the same.
    """
    known = Reveal(cues=("email", "e-mail", "mail"), says=f"It is {customer.email}.")
    ask = Ask(rng.choice(("Which email do you have with us?", "What is your email?")))
    steps = (ask, do("find_customer", email=customer.email), do("list_orders", customer=customer.id))
    return Opening(text=f" My name is {customer.name}." if level == 5 else "", steps=steps, reveals=(known,))


def product(rng: random.Random, world: ShopWorld, level: int, *, num_variants: int = 4) -> Product:
    """Add a product; from level 4 on beside another of nearly the same name."""
    found = world.new_product(rng, num_variants=num_variants)
    if level >= 4:
        world.new_product(rng, category=found.category, noun=found.name.split()[1])
    return found


def two(rng: random.Random, product: Product) -> tuple[Variant, Variant]:
    """Return two variants of a product, in any order."""
    first, second = rng.sample(product.variants, 2)
    return first, second


def unlike(rng: random.Random, world: ShopWorld, order: Sequence[Product]) -> Line:
    """Return an item of a product that is none of the given ones."""
    others = [each for each in world.products if each not in order]
    return Line(variant=rng.choice(rng.choice(others).variants))


def kind_of(order: Order) -> str:
    """Return how an order was paid, in words."""
    customer = order.customer
    kinds = {customer.card: "card", customer.gift: "gift card", customer.balance: "balance"}
    return kinds[order.payment]


def _older(rng: random.Random, world: ShopWorld, customer: Customer, good: Product) -> None:
    status = rng.choice(("pending", "shipped", "delivered", "cancelled"))
    payment = rng.choice((customer.card, customer.gift, customer.balance))
    line = Line(variant=rng.choice(good.variants))
    world.new_order(rng, customer, [line], status, age=rng.randint(1, 60), payment=payment)
