"""Levels 4 and 5: two or three wishes in one request, of which some must not be met."""

from __future__ import annotations

import random

from agentrl.envs.tooluse.case import Case, Fact, Family, wording
from agentrl.envs.tooluse.shop.families.buying import asks_price, ordered
from agentrl.envs.tooluse.shop.families.openings import YES, do, find_orders, fresh, product, two
from agentrl.envs.tooluse.shop.families.returns import days_late
from agentrl.envs.tooluse.shop.rules import CREDIT_A_DAY, RETURN_DAYS
from agentrl.envs.tooluse.shop.world import Line, ShopWorld, money

__all__ = ["FAMILIES"]


def _cancel_and_buy(rng: random.Random, world: ShopWorld, level: int) -> Case:
    """Cancel a pending order, then order another variant of the same product."""
    wanted = product(rng, world, level)
    customer = fresh(rng, world, level, wanted)
    old, new = two(rng, wanted)
    order = world.new_order(rng, customer, [Line(variant=old)], "pending", payment=customer.gift)
    city = customer.other.city
    who = find_orders(rng, customer, level)
    request = wording(
        rng,
        world.split,
        f"Cancel my order of the {wanted.name}. Then order one in {new.color}, {new.size}, to my address in {city}, by "
        "card.",
        f"I chose the wrong {wanted.name}. Please cancel that order and place a new one: {new.color}, {new.size}, sent "
        f"to {city}, on my card.",
        f"Two things: my order of the {wanted.name} should be cancelled, and I want the {new.color} one, {new.size}, "
        f"to {city}, paid by card.",
        f"Drop the order with the {wanted.name}. In its place I want {new.color}, {new.size}; it goes to {city} and on "
        "my card.",
    )
    return Case(
        request=request + who.text,
        steps=(
            *who.steps,
            do("get_order", order=order.id),
            do("get_customer", customer=customer.id),
            do("search_products", text=wanted.name),
            do("get_product", product=wanted.id),
            asks_price(new),
            do("cancel_order", order=order.id),
            ordered(customer, new, 1, customer.other.id, customer.card),
        ),
        reveals=(*who.reveals, YES),
    )


def _cancel_both(rng: random.Random, world: ShopWorld, level: int) -> Case:
    """Part is allowed: one order is pending, the other was shipped."""
    first, second = product(rng, world, level), product(rng, world, level)
    customer = fresh(rng, world, level, first, second)
    pending = world.new_order(rng, customer, [Line(variant=rng.choice(first.variants))], "pending")
    shipped = world.new_order(rng, customer, [Line(variant=rng.choice(second.variants))], "shipped")
    names = [first.name, second.name]
    rng.shuffle(names)
    who = find_orders(rng, customer, level)
    request = wording(
        rng,
        world.split,
        f"Please cancel my orders of the {names[0]} and of the {names[1]}.",
        f"I want to cancel two orders: the {names[0]} and the {names[1]}.",
        f"I need neither the {names[0]} nor the {names[1]}. Cancel both orders, as far as you may.",
        f"Call off my orders with the {names[0]} and with the {names[1]}, please.",
    )
    return Case(
        request=request + who.text,
        steps=(
            *who.steps,
            do("get_order", order=pending.id),
            do("get_order", order=shipped.id),
            do("track_order", order=shipped.id),
            do("cancel_order", order=pending.id),
        ),
        tell=(Fact(value=shipped.shipped, kind="date"),),
        refuse="cancel",
        reveals=who.reveals,
    )


def _return_both(rng: random.Random, world: ShopWorld, level: int) -> Case:
    """Part is allowed: one item came in time to be returned, the other did not."""
    first, second = product(rng, world, level), product(rng, world, level)
    customer = fresh(rng, world, level, first, second)
    line = Line(variant=rng.choice(first.variants))
    good = world.new_order(
        rng, customer, [line], "delivered", age=rng.randint(2, RETURN_DAYS - 1), payment=customer.gift
    )
    late = Line(variant=rng.choice(second.variants))
    bad = world.new_order(rng, customer, [late], "delivered", age=RETURN_DAYS + rng.randint(1, 12))
    names = [first.name, second.name]
    rng.shuffle(names)
    who = find_orders(rng, customer, level)
    request = wording(
        rng,
        world.split,
        f"I want to return the {names[0]} and the {names[1]}.",
        f"Please take back two things that I bought: the {names[0]} and the {names[1]}.",
        f"Neither the {names[0]} nor the {names[1]} is any good. Both should go back.",
        f"I am done with the {names[0]} and with the {names[1]}; please accept them back.",
    )
    return Case(
        request=request + who.text,
        steps=(
            *who.steps,
            do("get_order", order=good.id),
            do("track_order", order=good.id),
            do("get_order", order=bad.id),
            do("track_order", order=bad.id),
            do("return_item", order=good.id, variant=line.variant.id, refund_to=good.payment),
        ),
        tell=(Fact(value=bad.delivered, kind="date"),),
        refuse="window",
        reveals=who.reveals,
    )


def _credit_all(rng: random.Random, world: ShopWorld, level: int) -> Case:
    """Every late order earns a credit of its own; the orders in time earn none."""
    customer = fresh(rng, world, level)
    late = []
    for _ in range(rng.randint(2, level - 2)):
        line = Line(variant=rng.choice(rng.choice(world.products).variants))
        late.append(world.new_order(rng, customer, [line], "delivered", late=rng.randint(1, 9)))
    world.new_order(rng, customer, [Line(variant=rng.choice(world.products[0].variants))], "delivered")
    mine = [order for order in world.orders if order.customer is customer and order.status == "delivered"]
    cents = {order.id: CREDIT_A_DAY * days_late(order) for order in late}
    who = find_orders(rng, customer, level)
    request = wording(
        rng,
        world.split,
        "Several of my orders came late. Please credit me for each of them, and tell me the sum.",
        "Book the credits for all of my orders that were late. How much is that together?",
        "You were late more than once. I want the credit for each such order, and the total of the credits.",
        "Look at all I ordered: wherever you were late, give me the credit. What does it come to?",
    )
    return Case(
        request=request + who.text,
        steps=(
            *who.steps,
            *(do("track_order", order=order.id) for order in mine),
            *(do("give_credit", order=order, amount=amount / 100) for order, amount in cents.items()),
        ),
        tell=(Fact(value=money(sum(cents.values())), kind="amount"),),
        reveals=who.reveals,
    )


def _three(rng: random.Random, world: ShopWorld, level: int) -> Case:
    """An item goes back, a pending order gets another address, and a third order's tracking code is wanted."""
    goods = [product(rng, world, level) for _ in range(3)]
    customer = fresh(rng, world, level, *goods)
    first, second, third = (Line(variant=rng.choice(each.variants)) for each in goods)
    delivered = world.new_order(rng, customer, [first], "delivered", age=rng.randint(2, RETURN_DAYS - 1))
    pending = world.new_order(rng, customer, [second], "pending")
    shipped = world.new_order(rng, customer, [third], "shipped")
    back, moved, awaited = (each.name for each in goods)
    city = customer.other.city
    who = find_orders(rng, customer, level)
    request = wording(
        rng,
        world.split,
        f"Three things: take back the {back}, send the {moved} to my address in {city}, and tell me the tracking code "
        f"of the {awaited}.",
        f"I return the {back}. The {moved} must go to {city} instead. And by which code do I track the {awaited}?",
        f"Please change my order of the {moved} to my address in {city}, accept the {back} back, and give me the "
        f"tracking code of the {awaited}.",
        f"What is the tracking code of my {awaited}? The {back} goes back to you, the {moved} to my place in {city}.",
    )
    return Case(
        request=request + who.text,
        steps=(
            *who.steps,
            do("get_customer", customer=customer.id),
            do("get_order", order=delivered.id),
            do("track_order", order=delivered.id),
            do("get_order", order=pending.id),
            do("track_order", order=shipped.id),
            do("return_item", order=delivered.id, variant=first.variant.id, refund_to=delivered.payment),
            do("change_address", order=pending.id, address=customer.other.id),
        ),
        tell=(Fact(value=shipped.tracking, kind="code"),),
        reveals=who.reveals,
    )


FAMILIES = (
    Family(name="cancel-and-buy", levels=(4, 5), draw=_cancel_and_buy),
    Family(name="cancel-both", levels=(4, 5), draw=_cancel_both),
    Family(name="return-both", levels=(4, 5), draw=_return_both),
    Family(name="credit-all", levels=(5,), draw=_credit_all),
    Family(name="three-wishes", levels=(5,), draw=_three),
)
