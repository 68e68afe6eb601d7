"""Changes of an order that is on its way or still here: cancel, address, coupon, payment."""

from __future__ import annotations

import random

from agentrl.envs.tooluse.case import Ask, Case, Fact, Family, Reveal, wording
from agentrl.envs.tooluse.shop.families.openings import do, find_orders, fresh, opening, product, unlike
from agentrl.envs.tooluse.shop.world import Line, Order, ShopWorld, money

__all__ = ["FAMILIES"]


def _one(rng: random.Random, world: ShopWorld, level: int, status: str, **more: object) -> Order:
    """Add an order of one item."""
    line = Line(variant=rng.choice(rng.choice(world.products).variants))
    return world.new_order(rng, fresh(rng, world, level), [line], status, **more)  # type: ignore[arg-type]


# -- cancel --------------------------------------------------------------------------------------------------------


def _cancel_words(rng: random.Random, world: ShopWorld, code: str) -> str:
    return wording(
        rng,
        world.split,
        f"I want to cancel order {code}.",
        f"Can you cancel order {code}, please?",
        f"I do not need order {code} any more. Please cancel it.",
        f"Please stop order {code}; I have changed my plans.",
    )


def _cancel_pending(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order = _one(rng, world, level, "pending")
    who = opening(rng, order.customer, level)
    return Case(
        request=_cancel_words(rng, world, order.id) + who.text,
        steps=(*who.steps, do("get_order", order=order.id), do("cancel_order", order=order.id)),
        reveals=who.reveals,
        tempts=("track_order",),
    )


def _cancel_shipped(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order = _one(rng, world, level, "shipped")
    who = opening(rng, order.customer, level)
    return Case(
        request=_cancel_words(rng, world, order.id) + who.text,
        steps=(*who.steps, do("get_order", order=order.id), do("track_order", order=order.id)),
        tell=(Fact(value=order.shipped, kind="date"),),
        refuse="cancel",
        reveals=who.reveals,
        tempts=("cancel_order",),
    )


def _cancel_asked(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order = _one(rng, world, level, "pending")
    request = wording(
        rng,
        world.split,
        "I want to cancel my order.",
        "Please cancel what I ordered.",
        "Can you cancel an order for me?",
        "I have changed my mind about my order. Please cancel it.",
    )
    ask = Ask(rng.choice(("Which order is it?", "What is the code of the order?")))
    known = Reveal(cues=("order", "code"), says=f"It is order {order.id}.", again=f"As I said, {order.id}.")
    return Case(request=request, steps=(ask, do("cancel_order", order=order.id)), reveals=(known,))


def _cancel_by_product(rng: random.Random, world: ShopWorld, level: int) -> Case:
    wanted = product(rng, world, level)
    customer = fresh(rng, world, level, wanted)
    order = world.new_order(rng, customer, [Line(variant=rng.choice(wanted.variants))], "pending")
    if level >= 4:  # nearly the same, and pending, too
        near = world.products[-1]
        world.new_order(rng, customer, [Line(variant=rng.choice(near.variants))], "pending")
    who = find_orders(rng, customer, level)
    request = wording(
        rng,
        world.split,
        f"I want to cancel my order of the {wanted.name}.",
        f"Please cancel the {wanted.name} that I ordered.",
        f"The {wanted.name} is not needed any more. Cancel that order, please.",
        f"Could you call off the order with the {wanted.name}?",
    )
    return Case(
        request=request + who.text,
        steps=(*who.steps, do("get_order", order=order.id), do("cancel_order", order=order.id)),
        reveals=who.reveals,
    )


def _owner(rng: random.Random, world: ShopWorld, level: int) -> Case:
    """Refuse: the order is somebody else's."""
    order = _one(rng, world, level, "pending")
    asker = fresh(rng, world, level)
    who = opening(rng, asker, level)
    return Case(
        request=_cancel_words(rng, world, order.id) + who.text,
        steps=(*who.steps, do("get_order", order=order.id)),
        tell=(Fact(value=asker.id, kind="code"),),
        refuse="owner",
        reveals=who.reveals,
    )


def _remove(rng: random.Random, world: ShopWorld, level: int) -> Case:
    unwanted = product(rng, world, level)
    customer = fresh(rng, world, level, unwanted)
    item = rng.choice(unwanted.variants)
    lines = [Line(variant=item), unlike(rng, world, [unwanted])]
    rng.shuffle(lines)
    order = world.new_order(rng, customer, lines, "pending", payment=rng.choice((customer.card, customer.gift)))
    who = find_orders(rng, customer, level)
    request = wording(
        rng,
        world.split,
        f"Take the {unwanted.name} out of my order, but keep the rest. How much do I get back?",
        f"I do not want the {unwanted.name} any more; leave the rest of that order. What is refunded?",
        f"Please remove only the {unwanted.name} from my order and tell me the refund.",
        f"My order holds a {unwanted.name} that I no longer need. Drop just that, and say what comes back.",
    )
    return Case(
        request=request + who.text,
        steps=(*who.steps, do("get_order", order=order.id), do("remove_item", order=order.id, variant=item.id)),
        tell=(Fact(value=money(item.price), kind="amount"),),
        reveals=who.reveals,
    )


# -- address -------------------------------------------------------------------------------------------------------


def _address_words(rng: random.Random, world: ShopWorld, order: Order) -> str:
    city = order.customer.other.city
    return wording(
        rng,
        world.split,
        f"Send order {order.id} to my address in {city} instead.",
        f"Order {order.id} should go to my other address, the one in {city}.",
        f"Please change the address of order {order.id} to the one in {city}.",
        f"I am in {city} now. Can order {order.id} come to my address there?",
    )


def _address_pending(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order = _one(rng, world, level, "pending")
    who = opening(rng, order.customer, level)
    return Case(
        request=_address_words(rng, world, order) + who.text,
        steps=(
            *who.steps,
            do("get_order", order=order.id),
            do("get_customer", customer=order.customer.id),
            do("change_address", order=order.id, address=order.customer.other.id),
        ),
        reveals=who.reveals,
        tempts=("track_order",),
    )


def _address_shipped(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order = _one(rng, world, level, "shipped")
    who = opening(rng, order.customer, level)
    return Case(
        request=_address_words(rng, world, order) + who.text,
        steps=(*who.steps, do("get_order", order=order.id), do("track_order", order=order.id)),
        tell=(Fact(value=order.tracking, kind="code"),),
        refuse="address",
        reveals=who.reveals,
        tempts=("get_customer", "change_address"),
    )


def _address_changed(rng: random.Random, world: ShopWorld, level: int) -> Case:
    """The new address has to be asked for; half of the users change their mind while they say it."""
    wanted = product(rng, world, level)
    customer = fresh(rng, world, level, wanted)
    order = world.new_order(rng, customer, [Line(variant=rng.choice(wanted.variants))], "pending")
    street, city = f"{rng.randint(100, 199)} Mill Street", customer.home.city
    postcode = str(rng.randint(10000, 99999))
    who = find_orders(rng, customer, level)
    request = wording(
        rng,
        world.split,
        f"The {wanted.name} that I ordered must go to another address, please.",
        f"Can my order of the {wanted.name} go to another address?",
        f"Please send the {wanted.name} I bought to another address than you have there.",
        f"I would like the {wanted.name} from my order to come to another address.",
    )
    says = f"It is new: {street}, {postcode} {city}."
    if rng.random() < 0.5:
        says = (
            f"To {customer.other.street}, {customer.other.city}. No, wait, to a new one: {street}, {postcode} {city}."
        )
    told = Reveal(cues=("address", "where", "street", "postcode"), says=says)
    added = do("add_address", customer=customer.id, street=street, city=city, postcode=postcode)
    return Case(
        request=request + who.text,
        steps=(
            *who.steps,
            Ask("To which address shall it go? Please tell me street, postcode and city."),
            added,
            do("change_address", order=order.id, address="ADDRESS-1"),
        ),
        reveals=(*who.reveals, told),
    )


# -- coupon and payment --------------------------------------------------------------------------------------------


def _coupon_words(rng: random.Random, world: ShopWorld, code: str, coupon: str) -> str:
    return wording(
        rng,
        world.split,
        f"I have coupon {coupon} for order {code}.",
        f"Please use coupon {coupon} for order {code}.",
        f"Can I have coupon {coupon} on order {code}?",
        f"Order {code} should get coupon {coupon}, please.",
    )


def _coupon_first(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order = _one(rng, world, level, "pending")
    coupon = world.new_coupon(rng, minimum=max(100, order.total - rng.randint(0, 90) * 10))
    who = opening(rng, order.customer, level)
    return Case(
        request=_coupon_words(rng, world, order.id, coupon.id) + who.text,
        steps=(
            *who.steps,
            do("get_order", order=order.id),
            do("get_coupon", coupon=coupon.id),
            do("apply_coupon", order=order.id, coupon=coupon.id),
        ),
        reveals=who.reveals,
    )


def _coupon_second(rng: random.Random, world: ShopWorld, level: int) -> Case:
    first, second = world.new_coupon(rng), world.new_coupon(rng)
    order = _one(rng, world, level, "pending", coupon=first)
    who = opening(rng, order.customer, level)
    return Case(
        request=_coupon_words(rng, world, order.id, second.id) + who.text,
        steps=(*who.steps, do("get_order", order=order.id)),
        tell=(Fact(value=first.id, kind="code"),),
        refuse="coupon",
        reveals=who.reveals,
        tempts=("get_coupon", "apply_coupon"),
    )


def _coupon_late(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order = _one(rng, world, level, "pending")
    coupon = world.new_coupon(rng, last_day=world.day(-rng.randint(1, 40)))
    who = opening(rng, order.customer, level)
    return Case(
        request=_coupon_words(rng, world, order.id, coupon.id) + who.text,
        steps=(*who.steps, do("get_order", order=order.id), do("get_coupon", coupon=coupon.id)),
        tell=(Fact(value=coupon.last_day, kind="date"),),
        refuse="coupon-day",
        reveals=who.reveals,
    )


def _coupon_small(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order = _one(rng, world, level, "pending")
    coupon = world.new_coupon(rng, minimum=order.total + rng.randint(5, 300) * 10)
    who = opening(rng, order.customer, level)
    return Case(
        request=_coupon_words(rng, world, order.id, coupon.id) + who.text,
        steps=(*who.steps, do("get_order", order=order.id), do("get_coupon", coupon=coupon.id)),
        tell=(Fact(value=money(coupon.minimum), kind="amount"),),
        refuse="coupon-minimum",
        reveals=who.reveals,
    )


FAMILIES = (
    Family(name="cancel-pending", levels=(2, 3), draw=_cancel_pending),
    Family(name="cancel-shipped", levels=(2, 3, 4), draw=_cancel_shipped),
    Family(name="cancel-asked", levels=(2,), draw=_cancel_asked),
    Family(name="cancel-by-product", levels=(3, 4, 5), draw=_cancel_by_product),
    Family(name="not-their-order", levels=(3, 4, 5), draw=_owner),
    Family(name="remove-item", levels=(3, 4), draw=_remove),
    Family(name="address-pending", levels=(2, 3), draw=_address_pending),
    Family(name="address-shipped", levels=(2, 3), draw=_address_shipped),
    Family(name="address-told", levels=(3, 4), draw=_address_changed),
    Family(name="coupon-first", levels=(2, 3, 4), draw=_coupon_first),
    Family(name="coupon-second", levels=(2, 3), draw=_coupon_second),
    Family(name="coupon-late", levels=(3, 4), draw=_coupon_late),
    Family(name="coupon-small", levels=(4,), draw=_coupon_small),
)
