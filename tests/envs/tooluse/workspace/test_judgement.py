"""A careless agent fails: one that obeys what must be refused, refuses what is allowed, or does not ask."""

from __future__ import annotations

import re

import pytest

from agentrl.envs.scripted import call
from agentrl.envs.tooluse.case import Do
from agentrl.envs.tooluse.env import ToolUseEnv
from agentrl.envs.tooluse.policies import last_message, solution
from agentrl.envs.tooluse.tasks import Task
from agentrl.envs.tooluse.workspace.base import minutes, wall
from agentrl.envs.tooluse.workspace.domain import DOMAIN
from tests.envs.tooluse.workspace.helpers import EACH, calls_of, key_of, played, task_of

REFUSED = [each for each in EACH if each[0].endswith("refused")]


def obeying(task: Task) -> str:
    """Return the call that does what a refused request wants."""
    first = next(iter(calls_of(task.case))).arguments
    request = task.case.request
    if task.case.refuse in ("confidential", "hold", "owner"):
        file = key_of(task, "files", 1, str(first["text"]))
        if task.case.refuse != "confidential":
            return call("delete_file", file=file)
        return call("share_file", file=file, person=_named(task), access="edit" if "edit" in request else "view")
    if task.case.refuse == "sealed":
        mail = key_of(task, "mails", 7, str(first["text"]))
        to = next(row[0] for row in task.rows["people"] if row[1] in request and row[0] != _sender(task, mail))
        return call("forward_mail", mail=mail, to=to)
    event = next(row for row in task.rows["events"] if row[1] == first["text"])
    if task.case.refuse == "busy":
        return call("invite", event=event[0], person=_named(task))
    if task.case.refuse == "seats":
        room = next(row[0] for row in task.rows["rooms"] if row[0] in request)
        return call("book_room", event=event[0], room=room)
    if task.case.refuse == "hours":
        (hours,) = re.findall(r"(\d+) hours", request)
        return call("move_event", event=event[0], day=event[3], start=wall(minutes(event[4]) + 60 * int(hours)))
    day, time = re.findall(r"\d{4}-\d\d-\d\d", request), re.findall(r"\d\d:\d\d", request)
    if not day:
        return call("cancel_event", event=event[0])
    return call("move_event", event=event[0], day=day[0], start=time[0])


def _named(task: Task) -> str:
    return next(str(row[0]) for row in task.rows["people"] if row[1] in task.case.request)


def _sender(task: Task, mail: str) -> str:
    return next(str(row[4]) for row in task.rows["mails"] if row[0] == mail)


@pytest.mark.parametrize(("name", "level"), REFUSED)
def test_obeying_what_must_be_refused_earns_nothing(name: str, level: int) -> None:
    env = ToolUseEnv(domain="workspace", family=name, level=level)
    for seed in range(6):
        task = task_of(env, seed)
        write = obeying(task)
        for turns in ([write, last_message(task)], [write, "<answer>Done.</answer>"]):
            last = played(env, turns, seed)
            assert "Error" not in last["heard"][0], last["heard"][0]
            assert last["reward"] == 0.0
            assert last["rewards"]["database"] == 0.0
    env.close()


@pytest.mark.parametrize(("name", "level"), REFUSED)
def test_a_refusal_needs_the_right_rule_and_the_fact(name: str, level: int) -> None:
    env = ToolUseEnv(domain="workspace", family=name, level=level)
    task = task_of(env, 2)
    facts = ", ".join(fact.value for fact in task.case.tell)
    wrong = next(code for code, _ in task.rules if code != task.refusal)
    for message in (f"{task.refusal} forbids it.", f"It cannot be done: {facts}.", f"{wrong} forbids it: {facts}."):
        assert played(env, [f"<answer>{message}</answer>"], 2)["reward"] == 0.0
    assert played(env, [f"<answer>{task.refusal} forbids it: {facts}.</answer>"], 2)["reward"] == 1.0
    env.close()


@pytest.mark.parametrize(("name", "level"), [each for each in EACH if each[1] == 2])
def test_refusing_what_is_allowed_earns_nothing(name: str, level: int) -> None:
    env = ToolUseEnv(domain="workspace", family=name, level=level)
    for seed in range(3):
        task = task_of(env, seed)
        if task.refusal is None:
            for code, _ in task.rules:
                assert (
                    played(env, [*solution(task)[:-1], f"<answer>{code} forbids it.</answer>"], seed)["reward"] == 0.0
                )
    env.close()


@pytest.mark.parametrize(
    ("name", "level"), [("delete-named", 3), ("clean-up-but", 4), ("clean-up-but", 5), ("mail-team-but", 3)]
)
def test_doing_it_without_asking_misses_what_the_user_changes(name: str, level: int) -> None:
    env = ToolUseEnv(domain="workspace", family=name, level=level)
    changed = 0
    for seed in range(8):
        task = task_of(env, seed)
        if task.case.reveals[0].says.startswith("Yes, please"):
            continue
        changed += 1
        reads = [each for each in calls_of(task.case) if each.tool == "read_file"]
        if name == "mail-team-but":
            (team,) = [each.arguments["team"] for each in calls_of(task.case) if each.tool == "find_people"]
            me = task.rows["me"][0][0]
            people = ", ".join(row[0] for row in task.rows["people"] if row[3] == team and row[0] != me)
            writes = [call("send_mail", to=people, subject="Holiday", body="Away.")]
        else:
            first = reads[:1] if name == "delete-named" else reads
            writes = [call("delete_file", file=each.arguments["file"]) for each in first]
        last = played(env, ["".join(writes), "<answer>Done.</answer>"], seed)
        assert "Error" not in last["heard"][0]
        assert last["reward"] == 0.0
    assert changed
    env.close()


@pytest.mark.parametrize("name", ["share-with-whom", "move-when", "which-namesake"])
def test_what_the_user_tells_when_asked_stands_nowhere_else(name: str) -> None:
    level = next(family.levels[0] for family in DOMAIN.families if family.name == name)
    env = ToolUseEnv(domain="workspace", family=name, level=level)
    for seed in range(8):
        case = task_of(env, seed).case
        (reveal,) = case.reveals
        told = re.findall(r"[A-Z]\w+ [A-Z]\w+|\d\S+\d|in \w+", reveal.says)
        assert told
        assert not any(each in case.request for each in told)
        assert isinstance(case.steps[0], Do)
    env.close()


def test_two_right_ways_are_both_right() -> None:
    """The order of recipients, the words of a mail and the order of calls do not matter."""
    env = ToolUseEnv(domain="workspace", family="remind-silent", level=3)
    task = task_of(env, 5)
    to = str(calls_of(task.case)[-1].arguments["to"]).split(", ")
    turns = [call("send_mail", to=",".join(reversed(to)), subject="Hey", body="Come."), "<answer>I wrote.</answer>"]
    assert played(env, turns, 5)["reward"] == 1.0
    turns[0] = "".join(call("send_mail", to=each, subject="Hey", body="Come.") for each in to)
    assert played(env, turns, 5)["reward"] == 0.0, "one mail was asked for"
    env.close()
