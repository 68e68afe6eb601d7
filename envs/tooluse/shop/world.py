"""The shop's world: customers, products and orders, drawn afresh; families add the orders that their cases need.

What is added becomes rows at once, and comes back as a record that a family can read.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from agentrl.envs.tooluse.case import World
from agentrl.envs.tooluse.words import Codes, person

__all__ = [
    "COLORS",
    "SIZES",
    "Address",
    "Coupon",
    "Customer",
    "Line",
    "Order",
    "Product",
    "ShopWorld",
    "Variant",
    "money",
    "populate",
]

COLORS = ("red", "blue", "green", "black", "white", "grey")
SIZES = ("small", "medium", "large")
_KINDS = {
    "clothing": "jacket scarf sweater hat coat shirt vest belt glove robe".split(),
    "home": "lamp kettle rug vase mirror clock blanket teapot pillow bowl".split(),
    "office": "desk chair shelf notebook stapler drawer pencil folder printer easel".split(),
    "outdoor": "tent hammock backpack stove canoe bottle compass saddle sledge kite".split(),
}
_MAKES = "alpine classic compact nordic rustic royal urban vintage coastal arctic desert prairie".split()
_STREETS = "Mill Oak Station Church Garden Bridge Market School River Castle Park Harbor".split()
_CITIES = (
    "Ashford Brinwell Corvale Dunmore Eastlake Farwick Glenhurst Holbrook Inverdale Kelstone Larkmoor Millport Norwold "
    "Oakridge Penbury Quenfield Rosedale Selwick Thornbay Uxbury Westholm Yarrow"
).split()
_TABLES = (
    "customers addresses payments products variants orders items shipments coupons refunds returns exchanges credits"
).split()
# level -> customers, orders of each at most, products
_SIZES = {1: (2, 1, 2), 2: (3, 2, 3), 3: (6, 3, 8), 4: (10, 4, 14), 5: (18, 5, 18)}


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a customer lives."""

    id: str
    street: str
    city: str
    postcode: str

    @property
    def line(self) -> str:
        """The address in one line."""
        return f"{self.street}, {self.postcode} {self.city}"


@dataclass(frozen=True, kw_only=True)
class Customer:
    """Somebody who buys here: two addresses, a card, a gift card and a balance."""

    id: str
    name: str
    email: str
    home: Address
    other: Address
    card: str  # codes of the payment methods
    gift: str
    balance: str
    on_gift: int  # cents
    on_balance: int


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A colour and size of a product."""

    id: str
    product: str  # code
    name: str  # of the product
    color: str
    size: str
    price: int  # cents
    stock: int

    @property
    def look(self) -> str:
        """The variant in words, without its code."""
        return f"{self.color} {self.name}, {self.size}"


@dataclass(frozen=True, kw_only=True)
class Product:
    """What is sold, in several variants."""

    id: str
    name: str
    category: str
    variants: tuple[Variant, ...]


@dataclass(frozen=True, kw_only=True)
class Coupon:
    """A share off the total."""

    id: str
    percent: int
    minimum: int  # cents
    last_day: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """An item of an order."""

    variant: Variant
    quantity: int = 1
    final: bool = False  # on final sale

    @property
    def full(self) -> int:
        """Cents for all pieces, without a coupon."""
        return self.variant.price * self.quantity


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order as it was placed; days that have not come are empty."""

    id: str
    customer: Customer
    lines: tuple[Line, ...]
    status: str
    placed: str
    promised: str
    shipped: str
    delivered: str
    tracking: str
    payment: str
    coupon: str
    total: int


@dataclass(kw_only=True)
class ShopWorld(World):
    """The rows, and what a family needs to add to them."""

    codes: Codes
    customers: list[Customer] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    names: set[str] = field(default_factory=set)  # of products and customers, none twice

    def day(self, offset: int) -> str:
        """Return the day so many days from today."""
        return (date.fromisoformat(self.today) + timedelta(days=offset)).isoformat()

    def new_customer(self, rng: random.Random, name: str = "") -> Customer:
        """Add a customer; a name that is given may be another's, too."""
        while not name:
            drawn = " ".join(person(rng))
            name = drawn if drawn not in self.names else ""
        code = self.codes.draw()
        namesakes = sum(each.name == name for each in self.customers)
        email = f"{name.lower().replace(' ', '.')}{namesakes + 1 if namesakes else ''}@mail.test"
        self.names.add(name)
        cities = rng.sample(_CITIES, 2)
        home, other = (self._new_address(rng, code, city) for city in cities)
        card, gift, balance = (self.codes.draw() for _ in range(3))
        customer = Customer(
            id=code,
            name=name,
            email=email,
            home=home,
            other=other,
            card=card,
            gift=gift,
            balance=balance,
            on_gift=rng.randint(20, 900) * 10,
            on_balance=rng.randint(20, 900) * 10,
        )
        self.rows["customers"].append([code, name, email])
        self.rows["payments"] += [
            [card, code, "card", ""],
            [gift, code, "gift card", money(customer.on_gift)],
            [balance, code, "balance", money(customer.on_balance)],
        ]
        self.customers.append(customer)
        return customer

    def new_product(self, rng: random.Random, *, num_variants: int = 4, category: str = "", noun: str = "") -> Product:
        """Add a product with variants in stock, which have different prices."""
        while True:
            kind = category or rng.choice(list(_KINDS))
            name = f"{rng.choice(_MAKES)} {noun or rng.choice(_KINDS[kind])}"
            if name not in self.names:
                break
        self.names.add(name)
        code = self.codes.draw()
        looks = rng.sample([(color, size) for color in COLORS for size in SIZES], num_variants)
        low = rng.randint(80, 600)
        prices = rng.sample(range(low, low + 200), num_variants)
        variants = []
        for (color, size), price in zip(looks, prices, strict=True):
            one = Variant(
                id=self.codes.draw(),
                product=code,
                name=name,
                color=color,
                size=size,
                price=price * 10,
                stock=rng.randint(5, 60),
            )
            self.rows["variants"].append([one.id, code, color, size, money(one.price), one.stock])
            variants.append(one)
        self.rows["products"].append([code, name, kind])
        self.products.append(Product(id=code, name=name, category=kind, variants=tuple(variants)))
        return self.products[-1]

    def sold_out(self, variant: Variant) -> None:
        """Take a variant out of stock."""
        for row in self.rows["variants"]:
            if row[0] == variant.id:
                row[5] = 0

    def new_coupon(
        self, rng: random.Random, *, percent: int = 0, minimum: int = 0, last_day: str = "", first: int = 5
    ) -> Coupon:
        """Add a coupon: by default without a minimum, and good for some days from `first` days from today."""
        coupon = Coupon(
            id=self.codes.draw(),
            percent=percent or rng.choice((10, 20, 30)),
            minimum=minimum,
            last_day=last_day or self.day(first + rng.randint(0, 60)),
        )
        self.rows["coupons"].append([coupon.id, coupon.percent, money(minimum), coupon.last_day])
        return coupon

    def new_order(
        self,
        rng: random.Random,
        customer: Customer,
        lines: Sequence[Line],
        status: str,
        *,
        age: int | None = None,
        late: int = 0,
        payment: str = "",
        coupon: Coupon | None = None,
    ) -> Order:
        """Add an order.

        Args:
            rng: Decides the days.
            customer: Who placed it.
            lines: Its items.
            status: pending, shipped, delivered or cancelled.
            age: Days since it was delivered, shipped or placed, as its status is.
            late: Days after the promised one on which it was delivered.
            payment: A code of the customer's; the card's by default.
            coupon: On the order.
        """
        age = rng.randint(1, 20) if age is None else age
        ride, packing, spare = rng.randint(2, 6), rng.randint(1, 5), rng.randint(1, 4)
        delivered = -age if status == "delivered" else None
        shipped = -age - ride if status == "delivered" else -age if status == "shipped" else None
        placed = -age if shipped is None else shipped - packing
        promised = delivered - late + (0 if late else spare) if delivered is not None else max(placed + 12, spare)
        payment = payment or customer.card
        full = sum(line.full for line in lines)
        total = full * (100 - coupon.percent) // 100 if coupon else full
        order = Order(
            id=self.codes.draw(),
            customer=customer,
            lines=tuple(lines),
            status=status,
            placed=self.day(placed),
            promised=self.day(promised),
            shipped="" if shipped is None else self.day(shipped),
            delivered="" if delivered is None else self.day(delivered),
            tracking="" if shipped is None else self.codes.draw(),
            payment=payment,
            coupon=coupon.id if coupon else "",
            total=total,
        )
        row = [order.id, customer.id, customer.home.id, payment, order.coupon, status, order.placed, order.promised]
        self.rows["orders"].append([*row, money(total)])
        state = "cancelled" if status == "cancelled" else "ordered"
        for number, line in enumerate(lines, 1):
            item = [f"{order.id}/{number}", order.id, line.variant.id, line.quantity, money(line.variant.price)]
            self.rows["items"].append([*item, int(line.final), state])
        if order.tracking:
            self.rows["shipments"].append([order.tracking, order.id, order.shipped, order.delivered])
        self.orders.append(order)
        return order

    def _new_address(self, rng: random.Random, customer: str, city: str) -> Address:
        street = f"{rng.randint(1, 99)} {rng.choice(_STREETS)} Street"
        address = Address(id=self.codes.draw(), street=street, city=city, postcode=str(rng.randint(10000, 99999)))
        self.rows["addresses"].append([address.id, customer, street, city, address.postcode])
        return address


def money(cents: int) -> str:
    """Return an amount as it stands in the rows.

    >>> money(450)
    '4.50'
    """
    return f"{cents / 100:.2f}"


def populate(rng: random.Random, split: str, level: int) -> ShopWorld:
    """Draw a world: a few customers, products and orders at level 1, hundreds of rows at level 5."""
    today = (date(2026, 1, 1) + timedelta(days=rng.randrange(365))).isoformat()
    rows: dict[str, list[list[object]]] = {table: [] for table in _TABLES}
    world = ShopWorld(rows=rows, today=today, split=split, codes=Codes(rng))
    num_customers, num_orders, num_products = _SIZES[level]
    for _ in range(num_products):
        world.new_product(rng, num_variants=2 if level == 1 else rng.randint(3, 5))
    coupons = [world.new_coupon(rng) for _ in range(1 + level // 2)]
    for _ in range(num_customers):
        customer = world.new_customer(rng)
        for _ in range(rng.randint(1, num_orders)):
            products = rng.sample(world.products, rng.randint(1, min(level, 3, num_products)))
            lines = [
                Line(variant=rng.choice(product.variants), quantity=rng.choice((1, 1, 1, 2)), final=rng.random() < 0.15)
                for product in products
            ]
            status = rng.choice(("pending", "shipped", "delivered", "delivered", "cancelled"))
            coupon = rng.choice(coupons) if rng.random() < 0.25 else None
            payment = rng.choice((customer.card, customer.card, customer.gift, customer.balance))
            late = rng.choice((0, 0, 0, 1, 2, 3))
            world.new_order(
                rng, customer, lines, status, age=rng.randint(1, 60), late=late, payment=payment, coupon=coupon
            )
    return world
