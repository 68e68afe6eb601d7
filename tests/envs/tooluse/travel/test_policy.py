"""The policy of travel: what it forbids is possible through the tools and does not pay, and questions are needed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from agentrl.envs.scripted import call, scripted
from agentrl.envs.tooluse.case import Ask, Call, Do
from agentrl.envs.tooluse.env import ToolUseEnv
from agentrl.envs.tooluse.policies import solution
from agentrl.envs.tooluse.scoring import same_rows
from agentrl.envs.tooluse.tasks import Task
from agentrl.envs.tooluse.travel.domain import DOMAIN
from agentrl.envs.tooluse.travel.families.wordings import CONFIRM
from agentrl.envs.tooluse.words import FIRST_NAMES, LAST_NAMES

FARES = ("basic", "flex", "business")
NAME = re.compile(rf"(?:{'|'.join(FIRST_NAMES)}) (?:{'|'.join(LAST_NAMES)})\b")
Play = Callable[..., tuple[float, bool]]


def table(task: Task, name: str) -> list[dict[str, Any]]:
    columns = DOMAIN.toolset.columns(name)
    return [dict(zip(columns, row, strict=True)) for row in task.rows[name]]


def named(task: Task, name: str) -> list[str]:
    """Return the keys of a table that stand in the request, in their order there."""
    request = task.case.request
    found = [row[0] for row in task.rows[name] if re.search(rf"\b{row[0]}\b", request)]
    return sorted(found, key=request.index)


def user(task: Task) -> str:
    """Return the traveller who speaks, by code, email or name."""
    request = task.case.request
    people = table(task, "travellers")
    found = [each["id"] for each in people if each["email"] in request or f"I am {each['name']}." in request]
    return str((found or named(task, "travellers"))[0])


def fare(task: Task) -> str:
    return next(each for each in FARES if each in task.case.request)


def move(task: Task) -> list[Call]:
    (booking,), (new,) = named(task, "bookings"), named(task, "flights")
    old = next(row["flight"] for row in table(task, "segments") if row["booking"] == booking)
    return [Call("change_flight", {"booking": booking, "old_flight": old, "new_flight": new})]


def drop_stay(task: Task) -> list[Call]:
    return [Call("cancel_stay", {"stay": named(task, "stays")[0]})]


def add_bags(task: Task) -> list[Call]:
    count = re.search(r"(\d) more bags", task.case.request)
    bags = int(count[1]) if count else 1
    return [Call("add_bags", {"booking": named(task, "bookings")[0], "traveller": user(task), "bags": bags})]


def pass_on(task: Task) -> list[Call]:
    booking = named(task, "bookings")[0]
    tickets = [row for row in table(task, "passengers") if row["booking"] == booking]
    names = NAME.findall(task.case.request)
    ticket = next(row for row in tickets if row["name"] in names)
    wanted = next(name for name in names if name != ticket["name"])
    return [Call("set_name", {"booking": booking, "traveller": ticket["traveller"], "name": wanted})]


def book(task: Task) -> list[Call]:
    arguments = {"traveller": user(task), "flights": ",".join(named(task, "flights")), "fare": fare(task)}
    others = [each for each in named(task, "travellers") if each != user(task)]
    return [Call("book_flight", {**arguments, "others": ",".join(others)})]


def book_by_voucher(task: Task) -> list[Call]:
    voucher = next(row["id"] for row in table(task, "vouchers") if row["traveller"] == user(task))
    return [Call("book_flight", {**book(task)[0].arguments, "voucher": voucher})]


def money_back(task: Task) -> list[Call]:
    booking = named(task, "bookings")[0]
    paid = next(row["paid"] for row in table(task, "bookings") if row["id"] == booking)
    back = Call("pay_back", {"booking": booking, "amount": paid / 100, "how": "money"})
    return [Call("cancel_booking", {"booking": booking}), back]


def cancel_late(task: Task) -> list[Call]:
    flights = [row["id"] for row in table(task, "flights") if row["departs"] == task.case.tell[0].value]
    tickets = [row["booking"] for row in table(task, "passengers") if row["traveller"] == user(task)]
    segments = table(task, "segments")
    booking = next(row["booking"] for row in segments if row["booking"] in tickets and row["flight"] in flights)
    return [Call("cancel_booking", {"booking": booking})]


def bags_for_both(task: Task) -> list[Call]:
    done = next(
        each for step in task.case.steps if isinstance(step, Do) for each in step.calls if each.tool == "add_bags"
    )
    tickets = [row["traveller"] for row in table(task, "passengers") if row["booking"] == done.arguments["booking"]]
    (friend,) = [each for each in tickets if each != done.arguments["traveller"]]
    return [Call("add_bags", {**done.arguments, "traveller": friend})]


def stay_off_too(task: Task) -> list[Call]:
    (stay,) = [row["id"] for row in table(task, "stays") if row["traveller"] == user(task)]
    return [Call("cancel_stay", {"stay": stay})]


OBEYED: dict[str, tuple[int, Callable[[Task], list[Call]]]] = {
    "move-basic-fare": (2, move),
    "move-too-late": (2, move),
    "drop-stay-too-late": (2, drop_stay),
    "too-many-bags": (2, add_bags),
    "pass-ticket-on": (2, pass_on),
    "passport-too-short": (3, book),
    "party-too-large": (3, book),
    "voucher-expired": (3, book_by_voucher),
    "connection-too-short": (3, book),
    "only-voucher-back": (4, money_back),
    "cancel-too-late": (4, cancel_late),
    "bags-for-one-of-two": (5, bags_for_both),
    "trip-partly-off": (5, stay_off_too),
}


@pytest.mark.parametrize("family", OBEYED)
def test_obeying_what_the_policy_forbids_is_possible_and_does_not_pay(family: str, play: Play) -> None:
    level, obeyed = OBEYED[family]
    with ToolUseEnv(domain="travel", family=family, level=level, backend="local") as env:
        for seed in range(12):
            observation, info = env.reset(seed=seed)
            task = env._current()
            assert task.refusal is not None
            calls = obeyed(task)
            assert {each.tool for each in calls} <= set(task.tools), "a tool that is missing would tell the answer"
            tools = DOMAIN.toolset(task.rows, task.today)
            for each in calls:
                getattr(tools, each.tool)(**each.arguments)  # a ToolError here would forbid it for the agent
            assert not same_rows(DOMAIN.toolset, task.rows, task.rows, tools.snapshot()["rows"])
            tools.close()
            way = solution(task)
            turns = [*way[:-1], *(call(each.tool, **each.arguments) for each in calls), way[-1]]
            assert play(env, scripted(lambda: turns), observation, info) == (0.0, False)  # noqa: B023


@pytest.mark.parametrize("family", OBEYED)
def test_a_refusal_needs_the_rule_and_the_fact(family: str, play: Play) -> None:
    level, _ = OBEYED[family]
    with ToolUseEnv(domain="travel", family=family, level=level, backend="local") as env:
        for seed in range(4):
            env.reset(seed=seed)
            task = env._current()
            way = solution(task)
            other = next(code for code, _ in task.rules if code != task.refusal)
            for last in (
                f"<answer>{task.refusal} forbids it.</answer>",
                way[-1].replace(str(task.refusal), other),
                way[-1].replace(str(task.refusal), "The policy"),
            ):
                start = env.reset(seed=seed)
                assert play(env, scripted(lambda: [*way[:-1], last]), *start) == (0.0, False), last  # noqa: B023


def changed(name: str, value: Any, task: Task) -> Any:
    """Return another value than the one that the user tells when asked."""
    if name == "fare":
        return next(each for each in FARES if each != value)
    if name == "bags":
        return value + 1
    if name == "valid_until":
        return f"{int(value[:4]) + 1}{value[4:]}" if value[5:] != "02-29" else f"{value[:5]}03-01"
    if name == "passport":
        return f"{value}x"
    return next(row["id"] for row in table(task, "bookings") if row["id"] != value and row["status"] == "booked")


@pytest.mark.parametrize(
    ("family", "told"),
    [
        ("which-booking", ("booking",)),
        ("which-fare", ("fare",)),
        ("how-many-bags", ("bags",)),
        ("new-passport", ("passport", "valid_until")),
    ],
)
def test_what_the_user_tells_when_asked_is_needed(family: str, told: tuple[str, ...], play: Play) -> None:
    with ToolUseEnv(domain="travel", family=family, level=2, backend="local") as env:
        for seed in range(8):
            for name in told:
                observation, info = env.reset(seed=seed)
                task = env._current()
                step = task.case.steps[-1]
                assert isinstance(step, Do)
                (last,) = step.calls
                value = last.arguments[name]
                says = " ".join(reveal.says for reveal in task.case.reveals).lower()
                assert ("one bag" if (name, value) == ("bags", 1) else str(value)) in says
                assert name == "bags" or str(value) not in task.case.request
                guess = call(last.tool, **{**last.arguments, name: changed(name, value, task)})
                way = [turn for turn in solution(task)[:-2] if "<tool_call>" in turn]
                turns = [*way, guess, "<answer>Done.</answer>"]
                assert play(env, scripted(lambda: turns), observation, info) == (0.0, False)  # noqa: B023


@pytest.mark.parametrize("level", [4, 5])
def test_namesakes_can_be_told_apart_only_by_asking(level: int, play: Play) -> None:
    with ToolUseEnv(domain="travel", family="namesakes", level=level, backend="local") as env:
        for seed in range(8):
            env.reset(seed=seed)
            task = env._current()
            way = solution(task)
            booking = re.findall(r'"booking": "([a-z-]+)"', way[-2])[0]
            name = NAME.findall(task.case.request)[0]
            people = [each for each in table(task, "travellers") if each["name"] == name]
            right = next(row["traveller"] for row in table(task, "passengers") if row["booking"] == booking)
            assert len(people) == level - 1
            for each in people:
                assert (each["id"] == right) == (each["birth"] in task.case.reveals[0].says)
                assert (each["id"] == right) == (task.case.reveals[1].says == f"My email is {each['email']}.")
                theirs = [row["booking"] for row in table(task, "passengers") if row["traveller"] == each["id"]]
                turns = [turn.replace(booking, theirs[0]) for turn in way if "<tool_call>" in turn]
                start = env.reset(seed=seed)
                scored = play(env, scripted(lambda: [*turns, way[-1]]), *start)  # noqa: B023
                assert scored == ((1.0, True) if each["id"] == right else (0.0, False))


def test_the_kinds_of_families_and_tools() -> None:
    names = [family.name for family in DOMAIN.families]
    assert len(names) == len(set(names)) >= 28
    assert all(count >= 6 for count in Counter(level for family in DOMAIN.families for level in family.levels).values())
    assert 14 <= len(DOMAIN.toolset.functions()) <= 19
    keys = [rule.key for rule in DOMAIN.rules]
    assert len(keys) == len(set(keys))
    refused, questions, asked, minds, two = set(), set(), set(), set(), set()
    for family in DOMAIN.families:
        for level in family.levels:
            with ToolUseEnv(domain="travel", family=family.name, level=level, backend="local") as env:
                env.reset(seed=1)
                case = env._current().case
                assert case.refuse is None or (level >= 2 and case.refuse in keys)
                steps = [each for step in case.steps if isinstance(step, Do) for each in step.calls]
                writes = [
                    each.tool for each in steps if not each.tool.startswith(("find_", "get_", "search_", "list_"))
                ]
                refused |= {family.name} if case.refuse else set()
                questions |= {family.name} if not writes and not case.refuse else set()
                asked |= {family.name} if any(reveal.cues != CONFIRM for reveal in case.reveals) else set()
                minds |= {family.name} if any("Yes" in reveal.again for reveal in case.reveals) else set()
                two |= {family.name} if len(set(writes)) > 1 else set()
                assert level > 1 or (len(case.steps) == 1 and not env._current().rules)
                assert not case.reveals or any(isinstance(step, Ask) for step in case.steps)
    assert refused == set(OBEYED)
    assert [len(each) >= 4 for each in (questions, asked, minds, two)] == [True] * 4
