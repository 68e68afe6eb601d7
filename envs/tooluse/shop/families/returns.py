"""Returns, exchanges and credits of delivered orders."""

from __future__ import annotations

import random
from datetime import date

from agentrl.envs.tooluse.case import Ask, Case, Fact, Family, Reveal, wording
from agentrl.envs.tooluse.shop.families.openings import (
    CONFIRM,
    YES,
    do,
    find_orders,
    fresh,
    kind_of,
    opening,
    product,
    two,
    unlike,
)
from agentrl.envs.tooluse.shop.rules import CREDIT_A_DAY, RETURN_DAYS
from agentrl.envs.tooluse.shop.world import Line, Order, ShopWorld, Variant, money

__all__ = ["FAMILIES"]


def _bought(
    rng: random.Random, world: ShopWorld, level: int, *, age: int | None = None, final: bool = False, payment: str = ""
) -> tuple[Order, Line]:
    """Add a delivered order of a new product and another one; return it with the item of the new product."""
    wanted = product(rng, world, level)
    customer = fresh(rng, world, level, wanted)
    line = Line(variant=rng.choice(wanted.variants), final=final)
    lines = [line, unlike(rng, world, [wanted])]
    rng.shuffle(lines)
    paid = {"card": customer.card, "gift card": customer.gift, "balance": customer.balance}
    method = paid[payment] if payment else rng.choice(list(paid.values()))
    age = rng.randint(2, RETURN_DAYS - 2) if age is None else age
    return world.new_order(rng, customer, lines, "delivered", age=age, payment=method), line


# -- returns -------------------------------------------------------------------------------------------------------


def _return_words(rng: random.Random, world: ShopWorld, order: Order, line: Line) -> str:
    name = line.variant.name
    return wording(
        rng,
        world.split,
        f"I want to return the {name} of order {order.id}.",
        f"The {name} from order {order.id} is not for me. Please take it back.",
        f"Can I give back the {name} that came with order {order.id}?",
        f"Order {order.id} had a {name} in it. I would like to send that back.",
    )


def _return_allowed(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order, line = _bought(rng, world, level)
    who = opening(rng, order.customer, level)
    return Case(
        request=_return_words(rng, world, order, line) + who.text,
        steps=(
            *who.steps,
            do("get_order", order=order.id),
            do("track_order", order=order.id),
            do("return_item", order=order.id, variant=line.variant.id, refund_to=order.payment),
        ),
        reveals=who.reveals,
    )


def _return_late(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order, line = _bought(rng, world, level, age=RETURN_DAYS + rng.randint(1, 25))
    who = opening(rng, order.customer, level)
    return Case(
        request=_return_words(rng, world, order, line) + who.text,
        steps=(*who.steps, do("get_order", order=order.id), do("track_order", order=order.id)),
        tell=(Fact(value=order.delivered, kind="date"),),
        refuse="window",
        reveals=who.reveals,
        tempts=("return_item",),
    )


def _return_final(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order, line = _bought(rng, world, level, final=True)
    who = opening(rng, order.customer, level)
    return Case(
        request=_return_words(rng, world, order, line) + who.text,
        steps=(*who.steps, do("get_order", order=order.id), do("track_order", order=order.id)),
        tell=(Fact(value=money(line.variant.price), kind="amount"),),
        refuse="final",
        reveals=who.reveals,
        tempts=("return_item",),
    )


def _refund_words(rng: random.Random, world: ShopWorld, line: Line, kind: str) -> str:
    name = line.variant.name
    return wording(
        rng,
        world.split,
        f"I want to return the {name} and have the money on my {kind}.",
        f"Please take back the {name}; the refund has to go to my {kind}.",
        f"I am sending back the {name} that I bought. Refund it to my {kind} only.",
        f"The {name} goes back to you, and I want the money on my {kind}.",
    )


def _refund_same(rng: random.Random, world: ShopWorld, level: int) -> Case:
    order, line = _bought(rng, world, level)
    who = find_orders(rng, order.customer, level)
    return Case(
        request=_refund_words(rng, world, line, kind_of(order)) + who.text,
        steps=(
            *who.steps,
            do("get_order", order=order.id),
            do("get_customer", customer=order.customer.id),
            do("track_order", order=order.id),
            do("return_item", order=order.id, variant=line.variant.id, refund_to=order.payment),
        ),
        reveals=who.reveals,
    )


def _refund_other(rng: random.Random, world: ShopWorld, level: int) -> Case:
    paid, wanted = rng.choice(
        (("gift card", "card"), ("gift card", "balance"), ("balance", "card"), ("card", "balance"))
    )
    order, line = _bought(rng, world, level, payment=paid)
    who = find_orders(rng, order.customer, level)
    return Case(
        request=_refund_words(rng, world, line, wanted) + who.text,
        steps=(
            *who.steps,
            do("get_order", order=order.id),
            do("get_customer", customer=order.customer.id),
            do("track_order", order=order.id),
        ),
        tell=(Fact(value=order.payment, kind="code"),),
        refuse="origin",
        reveals=who.reveals,
    )


def _return_rest(rng: random.Random, world: ShopWorld, level: int) -> Case:
    """Part is allowed: what is on final sale stays, all else of the order goes back."""
    customer = fresh(rng, world, level)
    products = [world.new_product(rng) for _ in range(level - 1)]
    num_final = rng.randint(1, level - 2)
    lines = [
        Line(variant=rng.choice(each.variants), quantity=rng.choice((1, 1, 2)), final=place < num_final)
        for place, each in enumerate(products)
    ]
    rng.shuffle(lines)
    order = world.new_order(rng, customer, lines, "delivered", age=rng.randint(2, RETURN_DAYS - 2))
    who = opening(rng, customer, level)
    request = wording(
        rng,
        world.split,
        f"I want to return all of order {order.id} that you take back. How much do I get in all?",
        f"Please take back whatever can go back of order {order.id}, and tell me the whole refund.",
        f"Everything of order {order.id} that may be returned should be. What is the refund in total?",
        f"Return each item of order {order.id} for which that is allowed. What sum comes back?",
    )
    back = [line for line in lines if not line.final]
    returned = (do("return_item", order=order.id, variant=line.variant.id, refund_to=order.payment) for line in back)
    return Case(
        request=request + who.text,
        steps=(*who.steps, do("get_order", order=order.id), do("track_order", order=order.id), *returned),
        tell=(Fact(value=money(sum(line.full for line in back)), kind="amount"),),
        reveals=who.reveals,
    )


# -- exchanges -----------------------------------------------------------------------------------------------------


def _exchange_words(rng: random.Random, world: ShopWorld, old: Variant, new: Variant) -> str:
    wanted = f"a {new.look}" if new.name != old.name else f"one in {new.color}, {new.size}"
    return wording(
        rng,
        world.split,
        f"I want to exchange the {old.name} that I bought for {wanted}.",
        f"Please swap my {old.name} for {wanted}.",
        f"The {old.name} you sent me is not right. I would rather have {wanted}.",
        f"Can I trade the {old.name} from my order for {wanted}?",
    )


def _exchange(rng: random.Random, world: ShopWorld, level: int, *, changed: bool) -> Case:
    wanted = product(rng, world, level)
    customer = fresh(rng, world, level, wanted)
    old, new, *rest = rng.sample(wanted.variants, 3)
    order = world.new_order(rng, customer, [Line(variant=old)], "delivered", age=rng.randint(2, RETURN_DAYS - 2))
    who = find_orders(rng, customer, level)
    final, answer = new, YES
    if changed:
        final = rest[0]
        look = f"{final.color}, {final.size}"
        says = wording(
            rng,
            world.split,
            f"No, I have thought again: make it {look}.",
            f"Then rather the one in {look}, please.",
            f"Hm, no. Take {look} instead.",
            f"On second thoughts, give me {look}.",
        )
        answer = Reveal(cues=CONFIRM, says=says, again=f"Yes, {look}.")
    asks = [Ask(f"That one costs {money(new.price)}. Do you confirm?")]
    if changed:
        asks.append(Ask(f"That one costs {money(final.price)}. Do you confirm?"))
    return Case(
        request=_exchange_words(rng, world, old, new) + who.text,
        steps=(
            *who.steps,
            do("get_order", order=order.id),
            do("track_order", order=order.id),
            do("search_products", text=wanted.name),
            do("get_product", product=wanted.id),
            *asks,
            do("exchange_item", order=order.id, variant=old.id, new_variant=final.id, payment=order.payment),
        ),
        reveals=(*who.reveals, answer),
    )


def _exchange_size(rng: random.Random, world: ShopWorld, level: int) -> Case:
    return _exchange(rng, world, level, changed=False)


def _exchange_changed(rng: random.Random, world: ShopWorld, level: int) -> Case:
    return _exchange(rng, world, level, changed=True)


def _exchange_other(rng: random.Random, world: ShopWorld, level: int) -> Case:
    """Refuse: another product is wanted."""
    have, other = product(rng, world, level), world.new_product(rng)
    customer, old, new = fresh(rng, world, level, have), rng.choice(have.variants), rng.choice(other.variants)
    order = world.new_order(rng, customer, [Line(variant=old)], "delivered", age=rng.randint(2, RETURN_DAYS - 2))
    return _exchange_refused(rng, world, level, order, old, new)


def _exchange_sold_out(rng: random.Random, world: ShopWorld, level: int) -> Case:
    """Refuse: the wanted variant is not in stock."""
    have = product(rng, world, level)
    customer = fresh(rng, world, level, have)
    old, new = two(rng, have)
    world.sold_out(new)
    order = world.new_order(rng, customer, [Line(variant=old)], "delivered", age=rng.randint(2, RETURN_DAYS - 2))
    return _exchange_refused(rng, world, level, order, old, new)


def _exchange_refused(
    rng: random.Random, world: ShopWorld, level: int, order: Order, old: Variant, new: Variant
) -> Case:
    who = find_orders(rng, order.customer, level)
    return Case(
        request=_exchange_words(rng, world, old, new) + who.text,
        steps=(
            *who.steps,
            do("get_order", order=order.id),
            do("search_products", text=new.name),
            do("get_product", product=new.product),
        ),
        tell=(Fact(value=money(new.price), kind="amount"),),
        refuse="exchange",
        reveals=who.reveals,
    )


# -- credits -------------------------------------------------------------------------------------------------------


def _credit_words(rng: random.Random, world: ShopWorld, name: str) -> str:
    return wording(
        rng,
        world.split,
        f"The {name} I ordered came too late. I want the credit for that. How much is it?",
        f"You delivered my {name} late, I think. Please credit me and tell me the amount.",
        f"My order with the {name} did not arrive when you promised. What credit do I get? Please book it.",
        f"I waited too long for my {name}. Give me what I am due for that, and say how much.",
    )


def _credit_due(rng: random.Random, world: ShopWorld, level: int) -> Case:
    wanted = product(rng, world, level)
    customer = fresh(rng, world, level, wanted)
    line = Line(variant=rng.choice(wanted.variants))
    order = world.new_order(rng, customer, [line], "delivered", late=rng.randint(1, 19))
    cents = CREDIT_A_DAY * days_late(order)
    who = find_orders(rng, customer, level)
    return Case(
        request=_credit_words(rng, world, wanted.name) + who.text,
        steps=(
            *who.steps,
            do("track_order", order=order.id),
            do("give_credit", order=order.id, amount=cents / 100),
        ),
        tell=(Fact(value=money(cents), kind="amount"),),
        reveals=who.reveals,
    )


def _credit_none(rng: random.Random, world: ShopWorld, level: int) -> Case:
    wanted = product(rng, world, level)
    customer = fresh(rng, world, level, wanted)
    order = world.new_order(rng, customer, [Line(variant=rng.choice(wanted.variants))], "delivered")
    who = find_orders(rng, customer, level)
    return Case(
        request=_credit_words(rng, world, wanted.name) + who.text,
        steps=(*who.steps, do("track_order", order=order.id)),
        tell=(Fact(value=order.delivered, kind="date"),),
        refuse="credit",
        reveals=who.reveals,
    )


def days_late(order: Order) -> int:
    """Return how many days after the promised one an order was delivered."""
    return (date.fromisoformat(order.delivered) - date.fromisoformat(order.promised)).days


FAMILIES = (
    Family(name="return-allowed", levels=(2, 3), draw=_return_allowed),
    Family(name="return-late", levels=(2, 3), draw=_return_late),
    Family(name="return-final", levels=(2, 3), draw=_return_final),
    Family(name="refund-same", levels=(3, 4), draw=_refund_same),
    Family(name="refund-other", levels=(3, 4), draw=_refund_other),
    Family(name="return-rest", levels=(4, 5), draw=_return_rest),
    Family(name="exchange-size", levels=(3, 4), draw=_exchange_size),
    Family(name="exchange-changed", levels=(4, 5), draw=_exchange_changed),
    Family(name="exchange-other", levels=(3, 4), draw=_exchange_other),
    Family(name="exchange-sold-out", levels=(3, 4), draw=_exchange_sold_out),
    Family(name="credit-due", levels=(3, 4), draw=_credit_due),
    Family(name="credit-none", levels=(3, 4), draw=_credit_none),
)
