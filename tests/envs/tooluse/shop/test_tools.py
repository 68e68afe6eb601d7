"""The shop's tools: what each does, and what it refuses without a trace."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from agentrl.envs.tools.tool import Tool
from agentrl.envs.tools.toolset import ToolError
from agentrl.envs.tooluse.shop.tools import ShopTools
from agentrl.envs.tooluse.shop.world import populate

TODAY = "2026-03-10"


def world() -> dict[str, list[list[Any]]]:
    return {
        "customers": [["ann", "Ann Bell", "ann@mail.test"], ["bob", "Bob Cole", "bob@mail.test"]],
        "addresses": [
            ["home", "ann", "1 Oak Street", "Ashford", "11111"],
            ["away", "ann", "2 Elm Street", "Millport", "22222"],
            ["bobs", "bob", "3 Fir Street", "Norwold", "33333"],
        ],
        "payments": [
            ["card", "ann", "card", ""],
            ["gift", "ann", "gift card", "10.00"],
            ["purse", "ann", "balance", "1.00"],
            ["bobcard", "bob", "card", ""],
        ],
        "products": [["lamp", "nordic lamp", "home"], ["tent", "royal tent", "outdoor"]],
        "variants": [
            ["lamp-red", "lamp", "red", "small", "10.00", 4],
            ["lamp-blue", "lamp", "blue", "small", "12.50", 2],
            ["lamp-grey", "lamp", "grey", "small", "9.00", 0],
            ["tent-red", "tent", "red", "large", "80.00", 5],
        ],
        "orders": [
            ["wait", "ann", "home", "gift", "", "pending", "2026-03-01", "2026-03-20", "90.00"],
            ["sent", "ann", "home", "card", "ten", "shipped", "2026-03-01", "2026-03-20", "18.00"],
            ["here", "ann", "home", "card", "ten", "delivered", "2026-02-01", "2026-02-05", "90.00"],
        ],
        "items": [
            ["wait/1", "wait", "lamp-red", 1, "10.00", 0, "ordered"],
            ["wait/2", "wait", "tent-red", 1, "80.00", 0, "ordered"],
            ["sent/1", "sent", "lamp-red", 2, "10.00", 0, "ordered"],
            ["here/1", "here", "lamp-red", 2, "10.00", 1, "ordered"],
            ["here/2", "here", "tent-red", 1, "80.00", 0, "ordered"],
        ],
        "shipments": [["track-1", "sent", "2026-03-03", ""], ["track-2", "here", "2026-02-03", "2026-02-07"]],
        "coupons": [["ten", 10, "0.00", "2026-12-31"], ["half", 50, "500.00", "2026-01-01"]],
    }


@pytest.fixture
def tools() -> Iterator[ShopTools]:
    made = ShopTools(world(), TODAY)
    yield made
    made.close()


def row(tools: ShopTools, table: str, key: str) -> list[Any]:
    found = [each for each in tools.snapshot()["rows"][table] if each[0] == key]
    assert len(found) == 1, f"{key} is {len(found)} times in {table}"
    return list(found[0])


def stock(tools: ShopTools, variant: str) -> int:
    return int(row(tools, "variants", variant)[5])


def balance(tools: ShopTools, payment: str) -> str:
    return str(row(tools, "payments", payment)[3])


# -- reading ---------------------------------------------------------------------------------------------------------


def test_customers_are_found_by_email_and_by_name(tools: ShopTools) -> None:
    assert tools.find_customer(email="ANN@mail.test") == tools.find_customer(name="ann bell")
    assert tools.find_customer(email="ann@mail.test")[0]["id"] == "ann"
    found = tools.get_customer("ann")
    assert [each["id"] for each in found["addresses"]] == ["away", "home"]
    assert {"id": "gift", "kind": "gift card", "balance": "10.00"} in found["payments"]
    assert {"id": "card", "kind": "card"} in found["payments"]
    for wrong in ({}, {"email": "no@mail.test"}, {"name": "Ann"}):
        with pytest.raises(ToolError):
            tools.find_customer(**wrong)


def test_orders_are_listed_newest_first_and_read_with_their_items(tools: ShopTools) -> None:
    assert [each["id"] for each in tools.list_orders("ann")] == ["sent", "wait", "here"]
    assert tools.list_orders("ann")[1]["items"] == "nordic lamp, royal tent"
    assert tools.list_orders("bob") == []
    order = tools.get_order("here")
    assert (order["status"], order["payment"], order["coupon"], order["total"]) == ("delivered", "card", "ten", "90.00")
    assert [(item["variant"], item["quantity"], item.get("final_sale")) for item in order["items"]] == [
        ("lamp-red", 2, "yes"),
        ("tent-red", 1, None),
    ]
    assert "coupon" not in tools.get_order("wait")
    assert tools.track_order("here") == {
        "order": "here",
        "promised": "2026-02-05",
        "tracking": "track-2",
        "shipped": "2026-02-03",
        "delivered": "2026-02-07",
    }
    assert tools.track_order("wait") == {"order": "wait", "promised": "2026-03-20"}
    assert "delivered" not in tools.track_order("sent")


def test_products_are_searched_by_text_category_and_price(tools: ShopTools) -> None:
    assert [each["id"] for each in tools.search_products()] == ["lamp", "tent"]
    assert tools.search_products(text="LAMP") == [
        {"id": "lamp", "name": "nordic lamp", "category": "home", "from": "9.00"}
    ]
    assert [each["id"] for each in tools.search_products(category="Outdoor")] == ["tent"]
    assert [each["id"] for each in tools.search_products(max_price=9.0)] == ["lamp"]
    assert tools.search_products(max_price=8.99) == []
    assert [each["id"] for each in tools.get_product("lamp")["variants"]] == ["lamp-blue", "lamp-grey", "lamp-red"]
    assert tools.get_coupon("half")["last_day"] == "2026-01-01"
    assert tools.get_payment("gift") == {"id": "gift", "customer": "ann", "kind": "gift card", "balance": "10.00"}


# -- writing ---------------------------------------------------------------------------------------------------------


def test_a_cancelled_order_is_refunded_and_its_items_are_in_stock_again(tools: ShopTools) -> None:
    assert "90.00 refunded to gift" in tools.cancel_order("wait")
    assert row(tools, "orders", "wait")[5] == "cancelled"
    assert row(tools, "items", "wait/2")[6] == "cancelled"
    assert (stock(tools, "lamp-red"), stock(tools, "tent-red")) == (5, 6)
    assert balance(tools, "gift") == "100.00"
    assert row(tools, "refunds", "REFUND-1") == ["REFUND-1", "wait", "gift", "90.00", TODAY]


def test_the_tools_do_what_only_the_policy_forbids(tools: ShopTools) -> None:
    """Whoever does not follow the policy must be able to fail."""
    tools.change_address("sent", "away")  # it was shipped
    tools.return_item("here", "lamp-red", "purse")  # on final sale, too late, and to another method
    tools.exchange_item("here", "tent-red", "lamp-blue")  # another product
    tools.apply_coupon("wait", "half")  # too late and below its minimum
    tools.apply_coupon("wait", "ten")  # a second one
    tools.cancel_order("sent")  # it was shipped
    tools.give_credit("wait", 5)  # it is not late


def test_an_item_taken_out_lowers_the_total_by_what_was_paid_for_it(tools: ShopTools) -> None:
    tools.remove_item("wait", "tent-red")
    assert row(tools, "orders", "wait")[8] == "10.00"
    assert row(tools, "items", "wait/2")[6] == "cancelled"
    assert balance(tools, "gift") == "90.00"
    with pytest.raises(ToolError, match="only item"):
        tools.remove_item("wait", "lamp-red")


def test_an_address_is_added_once_and_an_order_sent_there(tools: ShopTools) -> None:
    new = tools.add_address("ann", " 9  Mill Street ", "Ashford", "99999")
    assert row(tools, "addresses", new) == [new, "ann", "9 Mill Street", "Ashford", "99999"]
    tools.change_address("wait", new)
    assert row(tools, "orders", "wait")[2] == new
    with pytest.raises(ToolError, match=new):
        tools.add_address("ann", "9 Mill Street", "Ashford", "99999")


def test_a_change_of_payment_moves_the_money(tools: ShopTools) -> None:
    tools.change_payment("wait", "card")
    assert (row(tools, "orders", "wait")[3], balance(tools, "gift")) == ("card", "100.00")


def test_a_coupon_takes_the_place_of_another_and_its_share_is_given_back(tools: ShopTools) -> None:
    tools.apply_coupon("wait", "ten")
    assert (row(tools, "orders", "wait")[4], row(tools, "orders", "wait")[8]) == ("ten", "81.00")
    assert balance(tools, "gift") == "19.00"
    tools.apply_coupon("wait", "half")
    assert (row(tools, "orders", "wait")[4], row(tools, "orders", "wait")[8]) == ("half", "45.00")
    assert balance(tools, "gift") == "55.00"


def test_a_return_refunds_what_was_paid_with_the_coupon(tools: ShopTools) -> None:
    assert "18.00 refunded to purse" in tools.return_item("here", "lamp-red", "purse", reason="broken")
    assert balance(tools, "purse") == "19.00"
    assert stock(tools, "lamp-red") == 6
    assert row(tools, "returns", "RETURN-1") == ["RETURN-1", "here/1", TODAY, "broken"]
    with pytest.raises(ToolError, match="was returned before"):
        tools.return_item("here", "lamp-red", "card")


def test_an_exchange_moves_the_stock_and_pays_the_difference(tools: ShopTools) -> None:
    assert "5.00 charged to gift" in tools.exchange_item("here", "lamp-red", "lamp-blue", "gift")
    assert (stock(tools, "lamp-red"), stock(tools, "lamp-blue")) == (6, 0)
    assert row(tools, "items", "here/1")[2] == "lamp-blue"
    assert balance(tools, "gift") == "5.00"
    assert row(tools, "exchanges", "EXCHANGE-1")[1:5] == ["here/1", "lamp-red", "lamp-blue", "gift"]


def test_an_order_takes_from_stock_and_from_the_balance(tools: ShopTools) -> None:
    assert "10.00 charged to gift" in tools.place_order("ann", "lamp-red", 1, "away", "gift")
    assert row(tools, "orders", "ORDER-1")[1:6] == ["ann", "away", "gift", "", "pending"]
    assert row(tools, "items", "ORDER-1/1")[1:5] == ["ORDER-1", "lamp-red", 1, "10.00"]
    assert (stock(tools, "lamp-red"), balance(tools, "gift")) == (3, "0.00")


def test_a_credit_goes_to_the_balance_once(tools: ShopTools) -> None:
    tools.give_credit("here", 6.0)
    assert balance(tools, "purse") == "7.00"
    with pytest.raises(ToolError, match="already"):
        tools.give_credit("here", 6.0)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("cancel_order", ("no-such",), "there is no order 'no-such'"),
        ("cancel_order", ("here",), "delivered"),
        ("remove_item", ("here", "lamp-red"), "delivered"),
        ("remove_item", ("wait", "lamp-blue"), "there is no item 'lamp-blue' in order wait"),
        ("change_address", ("wait", "bobs"), "does not belong to ann"),
        ("change_address", ("wait", "home"), "already"),
        ("change_address", ("here", "away"), "delivered"),
        ("change_address", ("wait", "no-such"), "there is no address"),
        ("add_address", ("no-such", "1 Oak Street", "Ashford", "1"), "there is no customer"),
        ("add_address", ("ann", " ", "Ashford", "1"), "must not be empty"),
        ("change_payment", ("wait", "bobcard"), "does not belong to ann"),
        ("change_payment", ("wait", "purse"), "there is 1.00 on purse, not 90.00"),
        ("change_payment", ("wait", "gift"), "already"),
        ("change_payment", ("sent", "gift"), "must be pending"),
        ("apply_coupon", ("sent", "half"), "must be pending"),
        ("apply_coupon", ("wait", "no-such"), "there is no coupon"),
        ("return_item", ("wait", "lamp-red", "gift"), "must be delivered"),
        ("return_item", ("here", "lamp-blue", "card"), "there is no item"),
        ("return_item", ("here", "lamp-red", "bobcard"), "does not belong to ann"),
        ("exchange_item", ("here", "lamp-red", "lamp-grey"), "there are 0 of lamp-grey in stock"),
        ("exchange_item", ("here", "lamp-red", "lamp-red"), "already"),
        ("exchange_item", ("here", "lamp-red", "tent-red"), "holds tent-red already"),
        ("exchange_item", ("here", "lamp-red", "lamp-blue", "purse"), "there is 1.00 on purse, not 5.00"),
        ("exchange_item", ("sent", "lamp-red", "lamp-blue"), "must be delivered"),
        ("place_order", ("ann", "lamp-blue", 3, "home", "card"), "there are 2 of lamp-blue in stock, not 3"),
        ("place_order", ("ann", "lamp-blue", 0, "home", "card"), "quantity must be 1 to 99"),
        ("place_order", ("ann", "lamp-blue", 1, "bobs", "card"), "does not belong to ann"),
        ("place_order", ("bob", "lamp-blue", 1, "bobs", "card"), "does not belong to bob"),
        ("place_order", ("ann", "tent-red", 1, "home", "gift"), "there is 10.00 on gift, not 80.00"),
        ("give_credit", ("here", 0.0), "more than 0"),
        ("give_credit", ("here", 100.01), "at most 100"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words_and_changes_nothing(
    tools: ShopTools, name: str, arguments: tuple[Any, ...], words: str
) -> None:
    before = tools.snapshot()
    with pytest.raises(ToolError, match=words):
        getattr(tools, name)(*arguments)
    assert tools.snapshot() == before


def test_a_snapshot_can_be_gone_back_to(tools: ShopTools) -> None:
    before = tools.snapshot()
    tools.cancel_order("wait")
    assert tools.snapshot() != before
    tools.restore(before)
    assert tools.snapshot() == before
    tools.cancel_order("wait")


def test_every_tool_has_a_schema_that_is_short() -> None:
    functions = ShopTools.functions()
    assert len(functions) == 19
    for function in functions.values():
        tool = Tool.hosted(function, lambda name, arguments: "")
        assert len(tool.description) < 80
        assert {each.get("type") for each in tool.parameters["properties"].values()} <= {"string", "integer", "number"}


@pytest.mark.parametrize("level", range(1, 6))
def test_worlds_come_from_the_generator_alone_and_grow(level: int) -> None:
    assert populate(random.Random(5), "train", level).rows == populate(random.Random(5), "train", level).rows
    assert populate(random.Random(5), "train", level).rows != populate(random.Random(6), "train", level).rows

    def size(level: int) -> int:
        return sum(
            len(lines) for seed in range(5) for lines in populate(random.Random(seed), "train", level).rows.values()
        )

    assert level == 1 or size(level) > size(level - 1)
    assert level < 5 or size(level) > 5 * 200
