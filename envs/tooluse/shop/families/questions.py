"""Questions that change nothing: a number in stock, a day, a sum."""

from __future__ import annotations

import random

from agentrl.envs.tooluse.case import Case, Fact, Family, wording
from agentrl.envs.tooluse.shop.families.openings import do, find_orders, fresh, opening, product
from agentrl.envs.tooluse.shop.world import Line, ShopWorld, money

__all__ = ["FAMILIES"]


def _stock(rng: random.Random, world: ShopWorld, level: int) -> Case | None:
    one = rng.choice(world.products)
    variant = rng.choice(one.variants)
    if variant.stock < 10:  # small numbers could be guessed
        return None
    look = f"{one.name} in {variant.color}, {variant.size}"
    request = wording(
        rng,
        world.split,
        f"How many of the {look}, do you have?",
        f"I would like to know the stock of the {look}.",
        f"What number of the {look}, is left?",
        f"Tell me how many there are of the {look}.",
    )
    return Case(
        request=request,
        steps=(do("search_products", text=one.name), do("get_product", product=one.id)),
        tell=(Fact(value=str(variant.stock), kind="number"),),
    )


def _coupon_day(rng: random.Random, world: ShopWorld, level: int) -> Case:
    coupon = world.new_coupon(rng)
    order = world.new_order(
        rng, fresh(rng, world, level), [Line(variant=rng.choice(world.products[0].variants))], "pending", coupon=coupon
    )
    request = wording(
        rng,
        world.split,
        f"There is a coupon on order {order.id}. Until when does it count?",
        f"What is the last day of the coupon that I used for order {order.id}?",
        f"How long is the coupon of order {order.id} good?",
        f"I used a coupon for order {order.id}. When does it end?",
    )
    return Case(
        request=request,
        steps=(do("get_order", order=order.id), do("get_coupon", coupon=coupon.id)),
        tell=(Fact(value=coupon.last_day, kind="date"),),
    )


def _where(rng: random.Random, world: ShopWorld, level: int) -> Case:
    wanted = product(rng, world, level)
    customer = fresh(rng, world, level, wanted)
    order = world.new_order(rng, customer, [Line(variant=rng.choice(wanted.variants))], "shipped")
    who = find_orders(rng, customer, level)
    request = wording(
        rng,
        world.split,
        f"Where is my {wanted.name}? I need the tracking code, and the day for which it is promised.",
        f"Please give me the tracking code of the {wanted.name} I ordered, and its promised day.",
        f"I am waiting for the {wanted.name}. By which code can I track it, and when did you promise it?",
        f"My {wanted.name} has not come. Tell me its tracking code and for when it was promised.",
    )
    return Case(
        request=request + who.text,
        steps=(*who.steps, do("track_order", order=order.id)),
        tell=(Fact(value=order.tracking, kind="code"), Fact(value=order.promised, kind="date")),
        reveals=who.reveals,
    )


def _spent(rng: random.Random, world: ShopWorld, level: int) -> Case:
    customer = fresh(rng, world, level)
    for _ in range(level - 1):
        line = Line(variant=rng.choice(rng.choice(world.products).variants), quantity=rng.randint(1, 3))
        world.new_order(rng, customer, [line], rng.choice(("pending", "delivered")), age=rng.randint(1, 50))
    orders = [order for order in world.orders if order.customer is customer and order.status != "cancelled"]
    who = find_orders(rng, customer, level)
    request = wording(
        rng,
        world.split,
        "How much have I spent with you in all? Leave out what was cancelled.",
        "What is the sum of my orders, those aside that were cancelled?",
        "Please add up the totals of all my orders that are not cancelled.",
        "Not counting cancelled ones, what do all my orders come to?",
    )
    return Case(
        request=request + who.text,
        steps=who.steps,
        tell=(Fact(value=money(sum(order.total for order in orders)), kind="amount"),),
        reveals=who.reveals,
    )


def _refund_with_coupon(rng: random.Random, world: ShopWorld, level: int) -> Case:
    """What comes back of one item when the order had a coupon: the price less its share."""
    wanted = product(rng, world, level)
    customer = fresh(rng, world, level, wanted)
    coupon = world.new_coupon(rng)
    line = Line(variant=rng.choice(wanted.variants), quantity=rng.randint(1, 3))
    other = Line(variant=rng.choice(world.products[0].variants))
    lines = [line, other]
    rng.shuffle(lines)
    order = world.new_order(rng, customer, lines, "delivered", age=rng.randint(2, 25), coupon=coupon)
    who = opening(rng, customer, level)
    request = wording(
        rng,
        world.split,
        f"If I return the {wanted.name} of order {order.id}, how much do I get back, the coupon counted? Only tell me.",
        f"What would the refund of the {wanted.name} in order {order.id} be, with the coupon? Do not return it yet.",
        f"Just a question: order {order.id} had a coupon. What did I pay in it for the {wanted.name}, all pieces?",
        f"I only want to know what I really paid for the {wanted.name}, all of it in {order.id}, less the coupon.",
    )
    return Case(
        request=request + who.text,
        steps=(*who.steps, do("get_order", order=order.id), do("get_coupon", coupon=coupon.id)),
        tell=(Fact(value=money(line.full * (100 - coupon.percent) // 100), kind="amount"),),
        reveals=who.reveals,
    )


FAMILIES = (
    Family(name="stock", levels=(2,), draw=_stock),
    Family(name="coupon-day", levels=(2,), draw=_coupon_day),
    Family(name="where-is-it", levels=(3, 4, 5), draw=_where),
    Family(name="spent", levels=(3, 4, 5), draw=_spent),
    Family(name="refund-with-coupon", levels=(4, 5), draw=_refund_with_coupon),
)
