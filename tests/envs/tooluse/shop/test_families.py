"""The families of the shop: each can be done by reading, none by a cheat, by obeying or by not asking."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agentrl.envs.scripted import call
from agentrl.envs.tooluse.case import Ask, Call, Do, Family
from agentrl.envs.tooluse.env import ToolUseEnv
from agentrl.envs.tooluse.policies import last_message, solution
from agentrl.envs.tooluse.scoring import RULE
from agentrl.envs.tooluse.shop.domain import DOMAIN
from agentrl.envs.tooluse.tasks import Task
from tests.envs.tooluse.playing import played

NUM_SEEDS = 4  # for each split, level and family
PLACES = [(family.name, level) for family in DOMAIN.families for level in family.levels]
NAMES = [family.name for family in DOMAIN.families]


def made(name: str, level: int, split: str = "train") -> ToolUseEnv:
    return ToolUseEnv(domain="shop", family=name, level=level, split=split, backend="local")


def task_of(env: ToolUseEnv, seed: int) -> Task:
    env.reset(seed=seed)
    assert env._task is not None
    return env._task


def said(env: ToolUseEnv, turns: list[str]) -> float:
    for turn in turns:
        _, reward, terminated, _, info = env.step(turn)
        refused = [reply["content"] for reply in info["replies"] if reply["content"].startswith("Error")]
        assert not refused, (turn, refused)
    assert terminated
    return reward


@pytest.mark.parametrize(("name", "level"), PLACES)
def test_the_oracle_does_it(name: str, level: int) -> None:
    for split in ("train", "test"):
        env = made(name, level, split)
        for seed in range(NUM_SEEDS):
            reward, info = played(env, env.oracle(), seed)
            assert (reward, info["success"], info["rewards"]["format"]) == (1.0, True, 1.0), (split, seed)


@pytest.mark.parametrize("family", DOMAIN.families, ids=lambda family: family.name)
def test_nothing_that_does_no_work_earns_anything(family: Family) -> None:
    for level in {family.levels[0], family.levels[-1]}:
        env = made(family.name, level, "train" if level % 2 else "test")
        for title, policy in {"noop": env.noop(), **env.cheats()}.items():
            assert played(env, policy, 3)[0] == 0.0, (level, title)


@pytest.mark.parametrize(("name", "level"), PLACES)
def test_all_that_is_needed_can_be_read_and_nothing_is_given_away(name: str, level: int) -> None:
    env = made(name, level)
    for seed in range(3):
        task = task_of(env, seed)
        heard = task.case.request
        for fact in task.case.tell:
            known = RULE.sub(" ", " ".join((heard, env.instructions())))  # the digits of a code tell no number
            assert fact.value.casefold() not in known.casefold(), fact
        asked = False
        unread: list[object] = []
        without = heard  # what is read when nothing is asked
        for step, turn in zip(task.case.steps, solution(task), strict=False):
            if isinstance(step, Do):
                arguments = [value for each in step.calls for value in each.arguments.values()]
                texts = [value for value in arguments if isinstance(value, str) and not value.startswith("ADDRESS-")]
                assert all(value.casefold() in heard.casefold() for value in texts), (step, heard)
                unread += [value for value in texts if value.casefold() not in without.casefold()]
            observation = env.step(turn)[0]
            heard += "\n" + observation
            if isinstance(step, Ask):
                asked = True
                assert "go on, or ask" not in observation, (turn, observation)
            elif not unread:
                without += "\n" + observation
        for fact in task.case.tell:
            if fact.kind in ("code", "date", "number"):
                assert fact.value in heard
        if asked and name not in ("buy", "buy-changed", "buy-cheapest", "exchange-size", "exchange-changed"):
            assert unread, "what was asked for could be known without asking"


# -- rules ---------------------------------------------------------------------------------------------------------


def argument(task: Task, tool: str, name: str, place: int = -1) -> Any:
    calls = [each for step in task.case.steps if isinstance(step, Do) for each in step.calls if each.tool == tool]
    return calls[place].arguments[name]


def rows(task: Task, table: str, **wanted: object) -> list[dict[str, Any]]:
    columns = DOMAIN.toolset.columns(table)
    found = [dict(zip(columns, row, strict=True)) for row in task.rows[table]]
    return [row for row in found if all(row[name] == value for name, value in wanted.items())]


def order_of(task: Task) -> str:
    return str(argument(task, "get_order", "order"))


def return_it(task: Task, **refund: str) -> Call:
    """Return the item that the request names, of the order that was read last."""
    order = rows(task, "orders", id=order_of(task))[0]
    for item in rows(task, "items", order_id=order["id"]):
        product = rows(task, "variants", id=item["variant"])[0]["product"]
        if rows(task, "products", id=product)[0]["name"] in task.case.request:
            return Call(
                "return_item",
                {"order": order["id"], "variant": item["variant"], "refund_to": order["payment"], **refund},
            )
    raise AssertionError("the request names no item of the order")


def other_refund(task: Task) -> Call:
    kind = re.search(r"my (gift card|card|balance)", task.case.request)
    assert kind is not None
    customer = rows(task, "orders", id=order_of(task))[0]["customer"]
    return return_it(task, refund_to=rows(task, "payments", customer=customer, kind=kind[1])[0]["id"])


def exchange_it(task: Task) -> Call:
    order = order_of(task)
    color, size = _look(task.case.request)
    product = argument(task, "get_product", "product")
    new = rows(task, "variants", product=product, color=color, size=size)[0]["id"]
    return Call(
        "exchange_item",
        {"order": order, "variant": rows(task, "items", order_id=order)[0]["variant"], "new_variant": new},
    )


def coupon_it(task: Task) -> Call:
    coupons = [row["id"] for row in rows(task, "coupons") if row["id"] in task.case.request]
    return Call("apply_coupon", {"order": order_of(task), "coupon": coupons[0]})


def move_it(task: Task) -> Call:
    customer = rows(task, "orders", id=order_of(task))[0]["customer"]
    homes = [each["id"] for each in rows(task, "addresses", customer=customer) if each["city"] in task.case.request]
    return Call("change_address", {"order": order_of(task), "address": homes[0]})


def cancel_it(task: Task) -> Call:
    return Call("cancel_order", {"order": order_of(task)})


def credit_it(task: Task) -> Call:
    return Call("give_credit", {"order": argument(task, "track_order", "order"), "amount": 3.0})


def _look(text: str) -> tuple[str, str]:
    found = re.search(r"(red|blue|green|black|white|grey)\b.*?, (small|medium|large)", text)
    assert found is not None
    return found[1], found[2]


OBEYING: dict[str, Callable[[Task], Call]] = {
    "cancel-shipped": cancel_it,
    "not-their-order": cancel_it,
    "address-shipped": move_it,
    "coupon-second": coupon_it,
    "coupon-late": coupon_it,
    "coupon-small": coupon_it,
    "return-late": return_it,
    "return-final": return_it,
    "refund-other": other_refund,
    "exchange-other": exchange_it,
    "credit-none": credit_it,
    "cancel-both": cancel_it,
    "return-both": return_it,
}


def refusals() -> Iterator[tuple[str, int]]:
    for name, level in PLACES:
        if task_of(made(name, level), 0).refusal is not None:
            yield name, level


def test_each_refusal_has_its_test_and_a_twin_that_is_allowed() -> None:
    refused = {name for name, _ in refusals()}
    # One that is sold out cannot be had through the tools either.
    assert refused == {*OBEYING, "exchange-sold-out"}
    assert len(refused) >= 4
    twins = "cancel-pending address-pending coupon-first return-allowed refund-same exchange-size credit-due".split()
    assert set(twins) <= set(NAMES) - refused


@pytest.mark.parametrize(
    ("refused", "allowed"),
    [
        ("cancel-shipped", "cancel-pending"),
        ("address-shipped", "address-pending"),
        ("coupon-second", "coupon-first"),
        ("return-late", "return-allowed"),
        ("return-final", "return-allowed"),
    ],
)
def test_the_tools_on_offer_do_not_tell_what_to_refuse(refused: str, allowed: str) -> None:
    """At level 2 only some are offered: those that a case needs, and the same for its twin."""

    def always(name: str) -> set[str]:
        return set.intersection(*(set(task_of(made(name, 2), seed).tools) for seed in range(12)))

    assert always(refused) == always(allowed)


@pytest.mark.parametrize("name", OBEYING)
def test_obeying_what_must_be_refused_earns_nothing(name: str) -> None:
    """The tools do it; the message may even name the rule and the fact."""
    for level in next(each.levels for each in DOMAIN.families if each.name == name):
        env = made(name, level)
        for seed in range(3):
            task = task_of(env, seed)
            obeyed = OBEYING[name](task)
            if name in ("cancel-both", "return-both"):  # the allowed part is the last step already
                which = argument(task, "track_order", "order")
                obeyed = Call(obeyed.tool, {**obeyed.arguments, "order": which})
            *turns, _ = solution(task)
            if obeyed.arguments.get("order") in [each.get("order") for each in _done(task)]:
                raise AssertionError("the way does what must be refused")
            assert said(env, [*turns, call(obeyed.tool, **obeyed.arguments), last_message(task)]) == 0.0


def _done(task: Task) -> list[dict[str, Any]]:
    reads = ("find_", "get_", "list_", "track_", "search_")
    calls = [each for step in task.case.steps if isinstance(step, Do) for each in step.calls]
    return [dict(each.arguments) for each in calls if not each.tool.startswith(reads)]


@pytest.mark.parametrize(("name", "level"), PLACES)
def test_refusing_what_is_allowed_earns_nothing(name: str, level: int) -> None:
    env = made(name, level)
    task = task_of(env, 1)
    if task.refusal is None:
        for code, _ in task.rules:
            task_of(env, 1)
            facts = ", ".join(fact.value for fact in task.case.tell)
            assert said(env, [f"<answer>{code} forbids it: {facts}</answer>"]) == 0.0


# -- minds that change ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "level"), [place for place in PLACES if place[0] in ("buy-changed", "exchange-changed", "address-told")]
)
def test_doing_what_was_wanted_at_first_earns_nothing(name: str, level: int) -> None:
    env = made(name, level)
    for seed in range(5):
        task = task_of(env, seed)
        *turns, write, message = solution(task)
        color, size = _look(task.case.request) if name != "address-told" else ("", "")
        last = task.case.steps[-1]
        assert isinstance(last, Do)
        arguments = dict(last.calls[0].arguments)
        if name == "address-told":
            customer = argument(task, "list_orders", "customer")
            turns.pop()
            homes = {each["id"] for each in rows(task, "addresses", customer=customer)}
            arguments["address"] = (homes - {rows(task, "orders", id=arguments["order"])[0]["address"]}).pop()
        else:
            product = argument(task, "get_product", "product")
            first = rows(task, "variants", product=product, color=color, size=size)[0]["id"]
            arguments["variant" if name == "buy-changed" else "new_variant"] = first
            number = re.search(r"(\d+) x ", task.case.request)
            if number is not None:
                arguments["quantity"] = int(number[1])
        assert said(env, [*turns, call(last.calls[0].tool, **arguments), message]) == 0.0
        task_of(env, seed)
        assert said(env, [*turns, write, message] if name != "address-told" else solution(task)) == 1.0


# -- the catalogue -------------------------------------------------------------------------------------------------


def test_there_are_enough_of_all_kinds() -> None:
    assert len(NAMES) == len(set(NAMES)) >= 25
    assert len(DOMAIN.toolset.functions()) >= 12
    for level in range(1, 6):
        assert sum(level in family.levels for family in DOMAIN.families) >= 6
    changing = [
        family for family in DOMAIN.families if family.name in ("buy-changed", "exchange-changed", "address-told")
    ]
    assert len(changing) == 3
    questions, asked = 0, 0
    for family in DOMAIN.families:
        case = task_of(made(family.name, family.levels[-1]), 0).case
        questions += (
            bool(case.tell) and case.refuse is None and not _done(task_of(made(family.name, family.levels[-1]), 0))
        )
        asked += any(isinstance(step, Ask) for step in case.steps)
    assert questions >= 4
    assert asked >= 4


def test_the_rules_that_families_name_are_in_the_policy() -> None:
    keys = [rule.key for rule in DOMAIN.rules]
    assert len(keys) == len(set(keys))
    named = {task_of(made(name, level), 0).case.refuse for name, level in refusals()}
    assert named <= set(keys)


def test_level_1_is_short_and_both_splits_use_the_same_words() -> None:
    """A tiny model must be able to hold the prompt, and knows no word that it was not trained on."""
    words: dict[str, set[str]] = {"train": set(), "test": set()}
    longest = 0
    for split, seen in words.items():
        env = ToolUseEnv(domain="shop", level=1, split=split, backend="local")
        for seed in range(150):
            observation, info = env.reset(seed=seed)
            longest = max(longest, len(observation + info["system"] + str(info["tools"])))
            seen.update(word.lower() for word in re.findall(r"[A-Za-z]+(?![\w-])", observation) if len(word) > 1)
    codes = {part for code in _codes() for part in code}
    assert words["test"] - codes <= words["train"]
    assert longest < 1500, f"system, tools and request of level 1 have up to {longest} characters"


def _codes() -> set[tuple[str, ...]]:
    from agentrl.envs.tooluse import words as pools

    return {tuple(pools._FIRST), tuple(pools._SECOND)}


def test_no_two_products_and_no_two_codes_are_alike_and_customers_are_told_apart_by_email() -> None:
    for name, level in PLACES:
        task = task_of(made(name, level), 2)
        keys = [row[0] for table, lines in task.rows.items() for row in lines]
        assert len(keys) == len(set(keys))
        products = [row["name"] for row in rows(task, "products")]
        emails = [row["email"] for row in rows(task, "customers")]
        assert len(products) == len(set(products))
        assert len(emails) == len(set(emails))
