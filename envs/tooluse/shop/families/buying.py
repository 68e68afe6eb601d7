"""New orders: as described, the cheapest that fits, with a change of mind, or once more the same."""

from __future__ import annotations

import random

from agentrl.envs.tooluse.case import Ask, Case, Do, Family, Reveal, wording
from agentrl.envs.tooluse.shop.families.openings import CONFIRM, YES, do, find_orders, fresh, opening, product
from agentrl.envs.tooluse.shop.world import Customer, Line, ShopWorld, Variant, money

__all__ = ["FAMILIES", "asks_price", "ordered"]


def asks_price(variant: Variant, quantity: int = 1) -> Ask:
    """Return the question that comes before an order."""
    return Ask(f"That is {money(variant.price * quantity)} in all. Do you confirm?")


def ordered(customer: Customer, variant: Variant, quantity: int, address: str, payment: str) -> Do:
    """Return the turn that orders."""
    return do(
        "place_order", customer=customer.id, variant=variant.id, quantity=quantity, address=address, payment=payment
    )


def _buy_words(rng: random.Random, world: ShopWorld, what: str, city: str) -> str:
    return wording(
        rng,
        world.split,
        f"I would like to order {what}, to my address in {city}, paid by card.",
        f"Please order {what} for me. Send it to {city} and charge my card.",
        f"Order {what}, please; my card pays, and it goes to my place in {city}.",
        f"Get me {what}. It should come to my address in {city}, on my card.",
    )


def _buy(rng: random.Random, world: ShopWorld, level: int) -> Case:
    wanted = product(rng, world, level)
    customer = fresh(rng, world, level, wanted)
    variant, quantity = rng.choice(wanted.variants), rng.randint(1, 3)
    address = rng.choice((customer.home, customer.other))
    who = opening(rng, customer, level)
    return Case(
        request=_buy_words(rng, world, f"{quantity} x {variant.look}", address.city) + who.text,
        steps=(
            *who.steps,
            do("get_customer", customer=customer.id),
            do("search_products", text=wanted.name),
            do("get_product", product=wanted.id),
            asks_price(variant, quantity),
            ordered(customer, variant, quantity, address.id, customer.card),
        ),
        reveals=(*who.reveals, YES),
    )


def _buy_changed(rng: random.Random, world: ShopWorld, level: int) -> Case:
    """Asked to confirm, the user wants another variant or number."""
    wanted = product(rng, world, level)
    customer = fresh(rng, world, level, wanted)
    (first, final), quantity = rng.sample(wanted.variants, 2), rng.randint(1, 2)
    who = opening(rng, customer, level)
    if rng.random() < 0.5:
        final = first
        new_quantity = quantity + rng.randint(1, 2)
        rather = f"{new_quantity} of them"
    else:
        new_quantity = quantity
        rather = f"{final.color}, {final.size}"
    says = wording(
        rng,
        world.split,
        f"No, I would rather have {rather}.",
        f"I have changed my mind: {rather}, please.",
        f"Wait, make it {rather}.",
        f"Not quite; let it be {rather}.",
    )
    change = Reveal(cues=CONFIRM, says=says, again=f"Yes, {rather}.")
    return Case(
        request=_buy_words(rng, world, f"{quantity} x {first.look}", customer.home.city) + who.text,
        steps=(
            *who.steps,
            do("get_customer", customer=customer.id),
            do("search_products", text=wanted.name),
            do("get_product", product=wanted.id),
            asks_price(first, quantity),
            asks_price(final, new_quantity),
            ordered(customer, final, new_quantity, customer.home.id, customer.card),
        ),
        reveals=(*who.reveals, change),
    )


def _buy_cheapest(rng: random.Random, world: ShopWorld, level: int) -> Case | None:
    """Several products of one noun; the cheapest in one colour that is in stock."""
    customer, category = fresh(rng, world, level), rng.choice(("clothing", "home", "office", "outdoor"))
    first = world.new_product(rng, category=category, num_variants=5)
    noun = first.name.split()[1]
    shelf = [first, *(world.new_product(rng, category=category, noun=noun, num_variants=5) for _ in range(level - 2))]
    shelf += [each for each in world.products if each.name.split()[1] == noun and each not in shelf]
    color = rng.choice(first.variants).color
    fitting = sorted(
        (each for one in shelf for each in one.variants if each.color == color), key=lambda each: each.price
    )
    if len(fitting) < 3:
        return None
    world.sold_out(fitting[0])  # the cheapest of all cannot be had
    wanted = fitting[1]
    if wanted.price == fitting[2].price:
        return None
    who = opening(rng, customer, level)
    city = customer.home.city
    what = f"the cheapest {color} {noun} that you have in stock"
    return Case(
        request=_buy_words(rng, world, what, city) + who.text,
        steps=(
            *who.steps,
            do("get_customer", customer=customer.id),
            do("search_products", text=noun),
            *(do("get_product", product=each.id) for each in shelf),
            asks_price(wanted),
            ordered(customer, wanted, 1, customer.home.id, customer.card),
        ),
        reveals=(*who.reveals, YES),
    )


def _buy_again(rng: random.Random, world: ShopWorld, level: int) -> Case:
    """Order the same as in the order of a product, with the money on the balance if that is enough, else the card."""
    wanted = product(rng, world, level)
    customer = fresh(rng, world, level, wanted)
    variant, quantity = rng.choice(wanted.variants), rng.randint(1, 3)
    line = Line(variant=variant, quantity=quantity)
    old = world.new_order(rng, customer, [line], "delivered", age=rng.randint(5, 60))
    payment = customer.balance if customer.on_balance >= line.full else customer.card
    who = find_orders(rng, customer, level)
    request = wording(
        rng,
        world.split,
        f"Order the {wanted.name} for me once more: same kind, same number, same address. Take my balance if there is "
        "enough on it, else my card.",
        f"I need again what I had with my order of the {wanted.name}, to the same address. Pay by my balance if it "
        "covers all, else by card.",
        f"Please repeat my order of the {wanted.name} just as it was. Use my balance when that is enough, and my card "
        "when it is not.",
        f"Same again, please: the {wanted.name}, as many as last time, same place. My balance pays if it can, else the "
        "card.",
    )
    return Case(
        request=request + who.text,
        steps=(
            *who.steps,
            do("get_order", order=old.id),
            do("get_customer", customer=customer.id),
            do("search_products", text=wanted.name),
            do("get_product", product=wanted.id),
            asks_price(variant, quantity),
            ordered(customer, variant, quantity, customer.home.id, payment),
        ),
        reveals=(*who.reveals, YES),
    )


FAMILIES = (
    Family(name="buy", levels=(3, 4), draw=_buy),
    Family(name="buy-changed", levels=(4, 5), draw=_buy_changed),
    Family(name="buy-cheapest", levels=(4, 5), draw=_buy_cheapest),
    Family(name="buy-again", levels=(4, 5), draw=_buy_again),
)
