"""Level 1: one call with what the request says, or one look and one fact."""

from __future__ import annotations

import random

from agentrl.envs.tooluse.case import Case, Fact, Family, wording
from agentrl.envs.tooluse.shop.families.openings import do, fresh
from agentrl.envs.tooluse.shop.world import Line, Order, ShopWorld, money

__all__ = ["FAMILIES"]


def _order(rng: random.Random, world: ShopWorld, status: str) -> Order:
    line = Line(variant=rng.choice(rng.choice(world.products).variants))
    return world.new_order(rng, fresh(rng, world, 1), [line], status)


def _cancel(rng: random.Random, world: ShopWorld, level: int) -> Case:
    code = _order(rng, world, "pending").id
    request = wording(
        rng, world.split, f"Cancel order {code}.", f"Please cancel order {code}.", f"Order {code}: please cancel."
    )
    return Case(request=request, steps=(do("cancel_order", order=code),))


def _total(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order = _order(rng, world, rng.choice(("pending", "shipped", "delivered")))
    request = wording(
        rng,
        world.split,
        f"What is the total of order {order.id}?",
        f"Please tell me the total of order {order.id}.",
        f"Order {order.id}: what is the total?",
    )
    return Case(
        request=request,
        steps=(do("get_order", order=order.id),),
        tell=(Fact(value=money(order.total), kind="amount"),),
    )


def _tracking(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order = _order(rng, world, rng.choice(("shipped", "delivered")))
    request = wording(
        rng,
        world.split,
        f"What is the tracking code of order {order.id}?",
        f"Please tell me the tracking code of order {order.id}.",
        f"Order {order.id}: what is the tracking code?",
    )
    return Case(
        request=request,
        steps=(do("track_order", order=order.id),),
        tell=(Fact(value=order.tracking, kind="code"),),
    )


def _delivered(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order = _order(rng, world, "delivered")
    request = wording(
        rng,
        world.split,
        f"When was order {order.id} delivered?",
        f"Please tell me when order {order.id} was delivered.",
        f"Order {order.id}: when was it delivered?",
        f"Please tell me: when was order {order.id} delivered?",
    )
    return Case(
        request=request,
        steps=(do("track_order", order=order.id),),
        tell=(Fact(value=order.delivered, kind="date"),),
    )


def _coupon(rng: random.Random, world: ShopWorld, level: int) -> Case:
    code, coupon = _order(rng, world, "pending").id, world.new_coupon(rng).id
    request = wording(
        rng,
        world.split,
        f"Put coupon {coupon} on order {code}.",
        f"Please put coupon {coupon} on order {code}.",
        f"Order {code}: please put coupon {coupon} on it.",
        f"On order {code} please put coupon {coupon}.",
    )
    return Case(request=request, steps=(do("apply_coupon", order=code, coupon=coupon),))


def _address(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order = _order(rng, world, "pending")
    address = order.customer.other.id
    request = wording(
        rng,
        world.split,
        f"Send order {order.id} to address {address}.",
        f"Please send order {order.id} to address {address}.",
        f"Order {order.id}: please send to address {address}.",
    )
    return Case(request=request, steps=(do("change_address", order=order.id, address=address),))


def _return(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order = _order(rng, world, "delivered")
    item = order.lines[0].variant.id
    request = wording(
        rng,
        world.split,
        f"Return item {item} of order {order.id} and refund to {order.payment}.",
        f"Please return item {item} of order {order.id} and refund to {order.payment}.",
        f"Order {order.id}: please return item {item} and refund to {order.payment}.",
    )
    steps = (do("return_item", order=order.id, variant=item, refund_to=order.payment),)
    return Case(request=request, steps=steps)


def _gift(rng: random.Random, world: ShopWorld, level: int) -> Case:
    customer = fresh(rng, world, level)
    request = wording(
        rng,
        world.split,
        f"What is on gift card {customer.gift}?",
        f"Please tell me what is on gift card {customer.gift}.",
        f"Gift card {customer.gift}: what is on it?",
        f"Please tell me: what is on gift card {customer.gift}?",
    )
    return Case(
        request=request,
        steps=(do("get_payment", payment=customer.gift),),
        tell=(Fact(value=money(customer.on_gift), kind="amount"),),
    )


FAMILIES = (
    Family(name="cancel-code", levels=(1,), draw=_cancel),
    Family(name="total-code", levels=(1,), draw=_total),
    Family(name="tracking-code", levels=(1,), draw=_tracking),
    Family(name="delivered-code", levels=(1,), draw=_delivered),
    Family(name="coupon-code", levels=(1,), draw=_coupon),
    Family(name="address-code", levels=(1,), draw=_address),
    Family(name="return-code", levels=(1,), draw=_return),
    Family(name="gift-card-left", levels=(1,), draw=_gift),
)
