"""The tools of travel over a small database whose sums can be worked by hand."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest

from agentrl.envs.tools import Tool
from agentrl.envs.tools.sources import sources_of
from agentrl.envs.tools.toolset import ToolError
from agentrl.envs.tooluse.tables import Rows
from agentrl.envs.tooluse.travel.tools import TravelTools

TODAY = "2026-03-01"


def flight(key: str, origin: str, destination: str, date: str, times: str, *prices: int, left: int = 2) -> list[Any]:
    departs, arrives = times.split("-")
    return [
        key,
        "Skylark",
        origin,
        destination,
        date,
        departs,
        arrives,
        *prices,
        left,
        left,
        left,
        1000,
        500,
        "desk-one",
    ]


def rows() -> Rows:
    return {
        "cities": [["Lumora", "Arvenia"], ["Tessel", "Arvenia"], ["Norwick", "Boreland"]],
        "travellers": [
            ["ada-code", "Ada Ben", "ada@mail.test", "1980-01-01", 15000, "old-pass", "2030-01-01"],
            ["bo-code", "Bo Dahl", "bo@mail.test", "1990-01-01", 60000, "bo-pass", "2031-01-01"],
            ["bo-other", "Bo Dahl", "bo1@mail.test", "1991-01-01", 100, "other-pass", "2031-01-01"],
        ],
        "flights": [
            flight("fl-a", "Lumora", "Tessel", "2026-03-10", "08:00-09:30", 5000, 8000, 20000),
            flight("fl-b", "Lumora", "Tessel", "2026-03-10", "06:00-07:30", 6000, 9500, 20000),
            flight("fl-c", "Tessel", "Norwick", "2026-03-10", "10:15-12:00", 4000, 7000, 9000),
            flight("fl-d", "Lumora", "Tessel", "2026-02-20", "08:00-09:00", 1000, 2000, 3000),
            flight("fl-full", "Lumora", "Tessel", "2026-03-11", "08:00-09:00", 1000, 2000, 3000, left=1),
        ],
        "bookings": [
            ["bk-flex", "ada-code", "flex", "booked", 0, 16000],
            ["bk-off", "ada-code", "flex", "cancelled", 0, 8000],
        ],
        "segments": [["s1", "bk-flex", "fl-a"], ["s2", "bk-off", "fl-b"]],
        "passengers": [
            ["p1", "bk-flex", "ada-code", "Ada Bne", 0],
            ["p2", "bk-flex", "bo-code", "Bo Dahl", 1],
            ["p3", "bk-off", "ada-code", "Ada Ben", 0],
        ],
        "paybacks": [],
        "vouchers": [
            ["v-open", "ada-code", 3000, "2026-06-01", "open"],
            ["v-used", "ada-code", 3000, "2026-06-01", "used"],
        ],
        "hotels": [["ho-a", "Old Mill", "Tessel", 3, 5]],
        "rooms": [
            ["r1", "ho-a", "single", "2026-03-10", 4000, 1],
            ["r2", "ho-a", "single", "2026-03-11", 4550, 2],
            ["r3", "ho-a", "double", "2026-03-10", 7000, 0],
            ["r4", "ho-a", "double", "2026-03-11", 7000, 3],
        ],
        "stays": [
            ["st-a", "ada-code", "ho-a", "single", "2026-03-10", 2, 8550, "booked"],
            ["st-off", "ada-code", "ho-a", "single", "2026-03-10", 1, 4000, "cancelled"],
        ],
    }


@pytest.fixture
def tools() -> Iterator[TravelTools]:
    toolset = TravelTools(rows(), TODAY)
    yield toolset
    toolset.close()


def row(tools: TravelTools, table: str, key: str) -> dict[str, Any]:
    found = next(line for line in tools.snapshot()["rows"][table] if line[0] == key)
    return dict(zip(TravelTools.columns(table), found, strict=True))


def test_travellers_are_found_by_name_or_email_in_any_case(tools: TravelTools) -> None:
    assert [each["id"] for each in tools.find_travellers(name="bo dahl")] == ["bo-code", "bo-other"]
    assert [each["id"] for each in tools.find_travellers(name="Bo Dahl", email="BO1@mail.test")] == ["bo-other"]
    assert tools.find_travellers(email="nobody@mail.test") == []
    shown = tools.get_traveller("ada-code")
    assert (shown["bookings"], shown["stays"]) == (["bk-flex", "bk-off"], ["st-a", "st-off"])
    assert shown["vouchers"][0] == {"id": "v-open", "amount": "30.00", "valid_until": "2026-06-01", "status": "open"}
    assert tools.get_traveller("bo-code")["bookings"] == ["bk-flex"]


def test_bookings_and_flights_are_shown_with_amounts_as_text(tools: TravelTools) -> None:
    shown = tools.get_booking("bk-flex")
    assert (shown["paid"], shown["insured"], shown["flights"][0]["id"]) == ("160.00", False, "fl-a")
    assert [each["traveller"] for each in shown["passengers"]] == ["ada-code", "bo-code"]
    one = tools.get_flight("fl-c")
    assert (one["abroad"], one["fares"]["flex"], one["seats_left"]["basic"], one["bag"]) == (True, "70.00", 2, "10.00")
    assert [each["id"] for each in tools.search_flights("lumora", "Tessel", "2026-03-10")] == ["fl-b", "fl-a"]
    assert tools.search_flights("Lumora", "Tessel", "2026-03-12") == []
    found = tools.search_connections("Lumora", "Norwick", "2026-03-10")
    assert [(each["first"], each["second"], each["wait"]) for each in found] == [
        ("fl-b", "fl-c", 165),
        ("fl-a", "fl-c", 45),
    ]


def test_rooms_are_free_only_when_they_are_on_every_night(tools: TravelTools) -> None:
    assert [each["id"] for each in tools.search_hotels("Tessel")] == ["ho-a"]
    assert tools.list_rooms("ho-a", "2026-03-10", 2) == [{"kind": "single", "price": "85.50"}]
    assert tools.list_rooms("ho-a", "2026-03-11") == [
        {"kind": "single", "price": "45.50"},
        {"kind": "double", "price": "70.00"},
    ]
    assert tools.list_rooms("ho-a", "2026-03-11", 2) == []
    assert tools.get_stay("st-a")["cancel_days"] == 5


def test_a_flight_is_booked_for_several_and_a_voucher_pays_a_part(tools: TravelTools) -> None:
    made = tools.book_flight("ada-code", "fl-a, fl-c", "flex", others="bo-code", voucher="v-open")
    assert made["paid"] == "270.00"  # 2 * (80 + 70) - 30
    assert row(tools, "bookings", made["booking"])["payer"] == "ada-code"
    assert [row(tools, "flights", key)["flex_left"] for key in ("fl-a", "fl-c")] == [0, 0]
    assert row(tools, "flights", "fl-a")["basic_left"] == 2
    assert row(tools, "vouchers", "v-open")["status"] == "used"
    assert [each["name"] for each in tools.get_booking(made["booking"])["passengers"]] == ["Ada Ben", "Bo Dahl"]


def test_a_booking_moves_and_the_difference_is_paid_for_each_passenger(tools: TravelTools) -> None:
    assert tools.change_flight("bk-flex", "fl-a", "fl-b")["paid"] == "190.00"  # 160 + 2 * 15
    assert [row(tools, "flights", key)["flex_left"] for key in ("fl-a", "fl-b")] == [4, 0]
    assert tools.change_flight("bk-flex", "fl-b", "fl-a")["paid"] == "160.00"
    assert tools.snapshot() == {"rows": rows(), "today": TODAY}


def test_a_cancelled_booking_gives_its_seats_back_and_is_paid_back(tools: TravelTools) -> None:
    tools.cancel_booking("bk-flex")
    assert row(tools, "bookings", "bk-flex")["status"] == "cancelled"
    assert row(tools, "flights", "fl-a")["flex_left"] == 4
    tools.pay_back("bk-flex", 100, "money")
    tools.pay_back("bk-flex", 59.99, "voucher")
    after = tools.snapshot()["rows"]
    assert [line[1:] for line in after["paybacks"]] == [
        ["bk-flex", "money", 10000, TODAY],
        ["bk-flex", "voucher", 5999, TODAY],
    ]
    assert after["vouchers"][-1][1:] == ["ada-code", 5999, "2027-03-01", "open"]
    with pytest.raises(ToolError, match=r"0\.01 of booking"):
        tools.pay_back("bk-flex", 0.02, "money")


def test_extras_are_paid(tools: TravelTools) -> None:
    assert tools.add_bags("bk-flex", "bo-code", 2) == {"bags": 3, "price": "20.00"}
    assert tools.insure_booking("bk-flex") == {"booking": "bk-flex", "price": "10.00"}
    assert row(tools, "bookings", "bk-flex")["paid"] == 19000
    tools.set_name("bk-flex", "ada-code", "Ada Ben")
    assert row(tools, "passengers", "p1")["name"] == "Ada Ben"
    tools.set_passport("ada-code", "new-pass", "2036-01-01")
    assert row(tools, "travellers", "ada-code")["passport"] == "new-pass"


def test_a_room_is_booked_and_given_back(tools: TravelTools) -> None:
    assert tools.book_room("bo-code", "ho-a", "single", "2026-03-10", 2)["paid"] == "85.50"
    assert [row(tools, "rooms", key)["rooms_left"] for key in ("r1", "r2")] == [0, 1]
    tools.cancel_stay("st-a")
    assert row(tools, "stays", "st-a")["status"] == "cancelled"
    assert [row(tools, "rooms", key)["rooms_left"] for key in ("r1", "r2")] == [1, 2]


BOOK = {"traveller": "ada-code", "flights": "fl-a", "fare": "flex"}
ROOM = {"traveller": "ada-code", "hotel": "ho-a", "kind": "single", "arrives": "2026-03-10"}


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("find_travellers", {}, "give a name or an email"),
        ("get_traveller", {"traveller": "x"}, "there is no traveller 'x'"),
        ("get_booking", {"booking": "x"}, "there is no booking 'x'"),
        ("get_flight", {"flight": "x"}, "there is no flight 'x'"),
        ("get_stay", {"stay": "x"}, "there is no stay 'x'"),
        ("search_flights", {"origin": "Rome", "destination": "Tessel", "date": TODAY}, "cities are Lumora, Norwick"),
        ("search_flights", {"origin": "Lumora", "destination": "Tessel", "date": "soon"}, "YYYY-MM-DD"),
        ("search_connections", {"origin": "Lumora", "destination": "Rome", "date": TODAY}, "no city 'Rome'"),
        ("search_hotels", {"city": "Rome"}, "no city 'Rome'"),
        ("list_rooms", {"hotel": "x", "arrives": TODAY}, "no hotel 'x'"),
        ("list_rooms", {"hotel": "ho-a", "arrives": TODAY, "nights": 0}, "between 1 and 30"),
        ("book_flight", {**BOOK, "traveller": "x"}, "no traveller 'x'"),
        ("book_flight", {**BOOK, "others": "bo-code,ada-code"}, "named twice"),
        ("book_flight", {**BOOK, "flights": ""}, "no flight is named"),
        ("book_flight", {**BOOK, "flights": "fl-a,fl-a"}, "named twice"),
        ("book_flight", {**BOOK, "flights": "fl-c,fl-a"}, "does not leave from Norwick"),
        ("book_flight", {**BOOK, "flights": "fl-d"}, "has left"),
        ("book_flight", {**BOOK, "fare": "first"}, "no fare 'first'"),
        ("book_flight", {**BOOK, "others": "bo-code,bo-other"}, "2 flex seats left"),
        ("book_flight", {**BOOK, "voucher": "v-used"}, "is used"),
        ("book_flight", {**BOOK, "traveller": "bo-code", "voucher": "v-open"}, "of traveller bo-code"),
        ("change_flight", {"booking": "bk-off", "old_flight": "fl-b", "new_flight": "fl-a"}, "is cancelled"),
        ("change_flight", {"booking": "bk-flex", "old_flight": "fl-b", "new_flight": "fl-a"}, "is not in booking"),
        ("change_flight", {"booking": "bk-flex", "old_flight": "fl-a", "new_flight": "fl-a"}, "already"),
        ("change_flight", {"booking": "bk-flex", "old_flight": "fl-a", "new_flight": "fl-c"}, "goes from Tessel"),
        ("change_flight", {"booking": "bk-flex", "old_flight": "fl-a", "new_flight": "fl-d"}, "has left"),
        ("change_flight", {"booking": "bk-flex", "old_flight": "fl-a", "new_flight": "fl-full"}, "1 flex seats left"),
        ("cancel_booking", {"booking": "bk-off"}, "is cancelled"),
        ("pay_back", {"booking": "bk-flex", "amount": 1, "how": "money"}, "is not cancelled"),
        ("pay_back", {"booking": "bk-off", "amount": 80.01, "how": "money"}, r"80\.00 of booking"),
        ("pay_back", {"booking": "bk-off", "amount": 0, "how": "money"}, "can be paid back, not 0"),
        ("pay_back", {"booking": "bk-off", "amount": 1, "how": "miles"}, "neither money nor voucher"),
        ("add_bags", {"booking": "bk-flex", "traveller": "bo-other", "bags": 1}, "no passenger 'bo-other'"),
        ("add_bags", {"booking": "bk-flex", "traveller": "bo-code", "bags": 0}, "between 1 and 9"),
        ("add_bags", {"booking": "bk-off", "traveller": "ada-code", "bags": 1}, "is cancelled"),
        ("insure_booking", {"booking": "bk-off"}, "is cancelled"),
        ("set_name", {"booking": "bk-flex", "traveller": "bo-code", "name": "Bo Dahl"}, "already"),
        ("set_name", {"booking": "bk-flex", "traveller": "bo-code", "name": " "}, "is empty"),
        ("set_passport", {"traveller": "ada-code", "passport": "p-q", "valid_until": "2026-02-01"}, "has expired"),
        ("set_passport", {"traveller": "ada-code", "passport": "", "valid_until": "2036-02-01"}, "is empty"),
        ("book_room", {**ROOM, "kind": "double"}, "no double room"),
        ("book_room", {**ROOM, "nights": 3}, "no single room"),
        ("book_room", {**ROOM, "arrives": "2026-02-01"}, "has passed"),
        ("book_room", {**ROOM, "hotel": "x"}, "no hotel 'x'"),
        ("cancel_stay", {"stay": "st-off"}, "cancelled already"),
    ],
)
def test_what_is_refused_changes_nothing(tools: TravelTools, tool: str, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ToolError, match=words):
        getattr(tools, tool)(**arguments)
    assert tools.snapshot() == {"rows": rows(), "today": TODAY}


def test_an_insured_booking_is_not_insured_again(tools: TravelTools) -> None:
    tools.insure_booking("bk-flex")
    before = tools.snapshot()
    with pytest.raises(ToolError, match="insured already"):
        tools.insure_booking("bk-flex")
    assert tools.snapshot() == before


def test_a_snapshot_brings_the_database_back(tools: TravelTools) -> None:
    before = json.loads(json.dumps(tools.snapshot()))
    tools.book_flight("ada-code", "fl-a", "flex")
    tools.cancel_stay("st-a")
    tools.restore(before)
    assert tools.snapshot() == {"rows": rows(), "today": TODAY}
    assert tools.book_flight("ada-code", "fl-a", "flex")["booking"] == "booking-1"


def test_every_tool_has_a_schema_and_its_sources_can_be_sent_into_a_box(tools: TravelTools) -> None:
    for name, function in TravelTools.functions().items():
        tool = Tool.of(getattr(tools, name))
        assert tool.parameters["required"] == [
            each.name
            for each in inspect.signature(function).parameters.values()
            if each.default is each.empty and each.name != "self"
        ]
    assert "agentrl/envs/tooluse/travel/reading.py" in sources_of(TravelTools)


@pytest.mark.bwrap
def test_the_tools_answer_the_same_in_a_box() -> None:
    from agentrl.envs.tooluse.env import ToolUseEnv

    with (
        ToolUseEnv(domain="travel", level=3, backend="bwrap") as boxed,
        ToolUseEnv(domain="travel", level=3, backend="local") as local,
    ):
        for seed in range(2):
            heard = []
            for env in (boxed, local):
                observation, info = env.reset(seed=seed)
                policy, done = env.oracle(), False
                said = [(observation, 0.0)]
                while not done:
                    observation, reward, terminated, truncated, info = env.step(policy(observation, info))
                    said.append((observation, float(reward)))
                    done = terminated or truncated
                heard.append(said)
            assert heard[0] == heard[1]
            assert heard[0][-1][1] == 1.0
