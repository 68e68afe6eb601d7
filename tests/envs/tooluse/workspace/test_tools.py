"""The tools of the workspace: what each does, what it refuses, and that a refusal changes nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from agentrl.envs.tools.sources import sources_of
from agentrl.envs.tools.tool import Tool
from agentrl.envs.tools.toolset import ToolError
from agentrl.envs.tooluse.env import ToolUseEnv
from agentrl.envs.tooluse.workspace.base import NOW
from agentrl.envs.tooluse.workspace.tools import WorkspaceTools
from tests.envs.tooluse.workspace.helpers import played

TODAY = "2026-03-09"
ROWS: dict[str, list[list[Any]]] = {
    "me": [["ada.park@firm.test"]],
    "people": [
        ["ada.park@firm.test", "Ada Park", "", "Sales", "ben.novak@firm.test", "1111", "12:00"],
        ["ben.novak@firm.test", "Ben Novak", "", "Sales", "", "2222", "12:30"],
        ["kira.lang@vega.test", "Kira Lang", "Vega", "", "", "3333", ""],
    ],
    "rooms": [["icy-owl", 1, 2], ["calm-bear", 2, 8]],
    "events": [
        ["tidy-otter", "budget review", "ada.park@firm.test", "2026-03-10", "10:00", "11:00", "icy-owl"],
        ["wild-crow", "tax demo", "ben.novak@firm.test", "2026-03-11", "14:00", "14:30", "icy-owl"],
    ],
    "guests": [
        ["g1", "tidy-otter", "ada.park@firm.test", "yes"],
        ["g2", "tidy-otter", "ben.novak@firm.test", "yes"],
        ["g3", "wild-crow", "ben.novak@firm.test", "yes"],
        ["g4", "wild-crow", "ada.park@firm.test", "none"],
    ],
    "mails": [
        ["warm-fern", "t1", "inbox", "", "ben.novak@firm.test", "2026-03-02", "09:30", "tax offer", "Hi.", "", ""],
        ["mild-reef", "t1", "sent", "", "ada.park@firm.test", "2026-03-03", "09:31", "Re: tax offer", "Yes.", "", ""],
        ["new-draft", "t2", "drafts", "", "ada.park@firm.test", "2026-03-03", "10:00", "plan", "So.", "", ""],
        ["bad-draft", "t3", "drafts", "", "ada.park@firm.test", "2026-03-03", "10:00", "empty", "So.", "", ""],
    ],
    "recipients": [
        ["r1", "warm-fern", "ada.park@firm.test"],
        ["r2", "warm-fern", "kira.lang@vega.test"],
        ["r3", "mild-reef", "ben.novak@firm.test"],
        ["r4", "new-draft", "ben.novak@firm.test"],
    ],
    "files": [
        ["amber-fox", "budget plan", "plans", "ada.park@firm.test", "2026-02-02", 30, 2, "", ""],
        ["jade-lynx", "tax notes", "data", "ben.novak@firm.test", "2026-01-05", 700, 1, "2026-01-06", "pale-elk"],
    ],
    "shares": [["s1", "amber-fox", "ben.novak@firm.test", "view"]],
    "versions": [
        ["v1", "amber-fox", 1, "2026-02-01", "ben.novak@firm.test", 25],
        ["v2", "amber-fox", 2, "2026-02-02", "ada.park@firm.test", 30],
        ["v3", "jade-lynx", 1, "2026-01-05", "ben.novak@firm.test", 700],
    ],
}
BEN, KIRA = "ben.novak@firm.test", "kira.lang@vega.test"


@pytest.fixture
def tools() -> Iterator[WorkspaceTools]:
    made = WorkspaceTools(ROWS, TODAY)
    yield made
    made.close()


def rows_of(tools: WorkspaceTools, table: str) -> list[list[Any]]:
    return tools.snapshot()["rows"][table]  # type: ignore[no-any-return]


def test_every_tool_has_a_short_schema() -> None:
    tools = [Tool.hosted(function, lambda name, arguments: "") for function in WorkspaceTools.functions().values()]
    assert len(tools) >= 12
    assert all(len(str(tool.schema)) < 1000 for tool in tools)


def test_searches_find_by_each_argument(tools: WorkspaceTools) -> None:
    assert [each["file"] for each in tools.search_files(text="BUDGET")] == ["amber-fox"]
    assert [each["file"] for each in tools.search_files(owner=BEN)] == ["jade-lynx"]
    assert [each["file"] for each in tools.search_files(before="2026-02-02")] == ["jade-lynx"]
    assert [each["file"] for each in tools.search_files(above_mb=30)] == ["jade-lynx"]
    assert [each["file"] for each in tools.search_files(shared=BEN, folder="plans")] == ["amber-fox"]
    assert [each["mail"] for each in tools.search_mails(text="tax")] == ["mild-reef", "warm-fern"]
    assert [each["mail"] for each in tools.search_mails(sender=BEN)] == ["warm-fern"]
    assert [each["mail"] for each in tools.search_mails(since="2026-03-03", folder="sent")] == ["mild-reef"]
    assert [each["address"] for each in tools.find_people(who="lang")] == [KIRA]
    assert len(tools.find_people(team="sales")) == 2
    assert [each["address"] for each in tools.find_people(company="vega")] == [KIRA]
    assert [each["event"] for each in tools.list_events()] == ["tidy-otter", "wild-crow"]
    assert [each["event"] for each in tools.list_events(day="2026-03-11", person=BEN)] == ["wild-crow"]
    assert [each["event"] for each in tools.list_events(day="2026-03-09", until="2026-03-10")] == ["tidy-otter"]
    assert [each["room"] for each in tools.find_rooms("2026-03-10", "10:30", "11:30")] == ["calm-bear"]
    assert [each["room"] for each in tools.find_rooms("2026-03-10", "11:00", "11:30", 2)] == ["icy-owl", "calm-bear"]


def test_reading_shows_what_belongs_to_it(tools: WorkspaceTools) -> None:
    assert tools.my_profile()["manager"] == BEN
    assert tools.read_event("wild-crow")["guests"] == {"ada.park@firm.test": "none", BEN: "yes"}
    assert tools.read_mail("warm-fern")["to"] == ["ada.park@firm.test", KIRA]
    assert [each["mail"] for each in tools.read_mail("warm-fern")["others in thread"]] == ["mild-reef"]
    file = tools.read_file("amber-fox")
    assert file["shared"] == {BEN: "view"}
    assert [each["mb"] for each in file["versions"]] == [25, 30]
    assert tools.read_file("jade-lynx")["hold"] == "pale-elk"


def test_a_long_list_says_what_it_leaves_out() -> None:
    files = [[f"f{number}", "x", "data", BEN, "2026-01-01", 1, 1, "", ""] for number in range(45)]
    tools = WorkspaceTools({**ROWS, "files": files}, TODAY)
    found = tools.search_files()
    assert len(found["first"]) == 30
    assert found["left out"] == 15
    tools.close()


def test_mail_is_sent_kept_replied_and_forwarded(tools: WorkspaceTools) -> None:
    new = tools.send_mail(f"{BEN}, {KIRA}", "s", "b", file="amber-fox").split()[1]
    assert tools.read_mail(new)["to"] == [BEN, KIRA]
    assert tools.read_mail(new)["file"] == "amber-fox"
    assert tools.read_mail(new)["day"] == TODAY
    assert tools.read_mail(new)["time"] == NOW
    assert tools.read_mail(tools.send_mail(BEN, "s", "b", draft=True).split()[1])["folder"] == "drafts"
    answer = tools.read_mail(tools.reply_mail("warm-fern", "b").split()[1])
    assert answer["to"] == [BEN]
    assert answer["thread"] == "t1"
    assert tools.read_mail(tools.reply_mail("warm-fern", "b", everyone=True).split()[1])["to"] == [BEN, KIRA]
    passed = tools.read_mail(tools.forward_mail("warm-fern", KIRA).split()[1])
    assert passed["forwards"] == "warm-fern"
    assert passed["to"] == [KIRA]
    tools.send_draft("new-draft")
    assert tools.read_mail("new-draft")["folder"] == "sent"
    assert tools.read_mail("new-draft")["day"] == TODAY
    tools.mark_mail("warm-fern", folder="archive", label="urgent")
    assert [tools.read_mail("warm-fern")[name] for name in ("folder", "label")] == ["archive", "urgent"]


def test_events_are_created_moved_answered_and_cancelled(tools: WorkspaceTools) -> None:
    new = tools.create_event("x", "2026-03-10", "11:00", "12:00", BEN, "icy-owl").split()[1]
    assert tools.read_event(new)["guests"] == {"ada.park@firm.test": "yes", BEN: "none"}
    tools.invite(new, KIRA)
    assert tools.read_event(new)["guests"][KIRA] == "none"
    tools.book_room(new, "calm-bear")
    assert tools.read_event(new)["room"] == "calm-bear"
    tools.move_event("tidy-otter", "2026-03-12", "09:30")
    moved = tools.read_event("tidy-otter")
    assert (moved["day"], moved["start"], moved["finish"]) == ("2026-03-12", "09:30", "10:30")
    assert moved["guests"] == {"ada.park@firm.test": "yes", BEN: "none"}
    tools.answer_event("wild-crow", "no")
    assert tools.read_event("wild-crow")["guests"]["ada.park@firm.test"] == "no"
    assert not tools.list_events(text="tax demo"), "what is declined is not listed"
    tools.cancel_event("wild-crow")
    assert "wild-crow" not in str(rows_of(tools, "events") + rows_of(tools, "guests"))


def test_files_are_shared_restored_and_deleted(tools: WorkspaceTools) -> None:
    tools.share_file("amber-fox", KIRA, "edit")
    tools.share_file("amber-fox", BEN, "edit")
    assert tools.read_file("amber-fox")["shared"] == {BEN: "edit", KIRA: "edit"}
    tools.unshare_file("amber-fox", BEN)
    assert tools.read_file("amber-fox")["shared"] == {KIRA: "edit"}
    tools.restore_version("amber-fox", 1)
    assert [tools.read_file("amber-fox")[name] for name in ("version", "mb", "day")] == [1, 25, TODAY]
    tools.delete_file("amber-fox")
    assert "amber-fox" not in str([rows_of(tools, table) for table in ("files", "shares", "versions")])


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("send_mail", {"to": "nobody@firm.test", "subject": "", "body": ""}, "no person"),
        ("send_mail", {"to": " , ", "subject": "", "body": ""}, "at least one"),
        ("send_mail", {"to": f"{BEN},{BEN}", "subject": "", "body": ""}, "twice"),
        ("send_mail", {"to": BEN, "subject": "", "body": "", "file": "no-file"}, "no file"),
        ("send_draft", {"mail": "warm-fern"}, "no draft"),
        ("send_draft", {"mail": "bad-draft"}, "no recipients"),
        ("reply_mail", {"mail": "new-draft", "body": ""}, "is a draft"),
        ("reply_mail", {"mail": "mild-reef", "body": ""}, "nobody but the user"),
        ("forward_mail", {"mail": "warm-fern", "to": "x"}, "no person"),
        ("forward_mail", {"mail": "nothing", "to": BEN}, "no mail"),
        ("mark_mail", {"mail": "warm-fern", "folder": "attic"}, "folders are"),
        ("mark_mail", {"mail": "warm-fern", "folder": "sent"}, "is moved to sent"),
        ("mark_mail", {"mail": "warm-fern", "folder": "inbox"}, "stay as it is"),
        ("create_event", {"day": "2026-03-10", "start": "10:30", "finish": "11:30", "room": "icy-owl"}, "tidy-otter"),
        ("create_event", {"day": "2026-03-10", "start": "11:30", "finish": "11:30"}, "before its start"),
        ("create_event", {"day": "2026-03-01", "start": "11:30", "finish": "12:30"}, "is over"),
        ("create_event", {"day": "2026-3-1", "start": "11:30", "finish": "12:30"}, "is no day"),
        ("create_event", {"day": "2026-03-10", "start": "noon", "finish": "12:30"}, "is no time"),
        ("create_event", {"day": "2026-03-10", "start": "12:00", "finish": "13:00", "people": "x"}, "no person"),
        ("move_event", {"event": "tidy-otter", "day": "2026-03-11", "start": "13:30"}, "wild-crow"),
        ("move_event", {"event": "tidy-otter", "day": "2026-03-10", "start": "10:00"}, "there already"),
        ("move_event", {"event": "tidy-otter", "day": "2026-03-11", "start": "23:30"}, "on which it begins"),
        ("move_event", {"event": "no-event", "day": "2026-03-11", "start": "13:30"}, "no event"),
        ("cancel_event", {"event": "no-event"}, "no event"),
        ("answer_event", {"event": "tidy-otter", "reply": "yes"}, "already"),
        ("answer_event", {"event": "tidy-otter", "reply": "perhaps"}, "yes or no"),
        ("invite", {"event": "tidy-otter", "person": BEN}, "already"),
        ("book_room", {"event": "tidy-otter", "room": "icy-owl"}, "already"),
        ("book_room", {"event": "tidy-otter", "room": "no-room"}, "no room"),
        ("share_file", {"file": "amber-fox", "person": BEN}, "already"),
        ("share_file", {"file": "amber-fox", "person": "ada.park@firm.test"}, "owns"),
        ("share_file", {"file": "amber-fox", "person": KIRA, "access": "own"}, "view or edit"),
        ("unshare_file", {"file": "amber-fox", "person": KIRA}, "no access"),
        ("delete_file", {"file": "no-file"}, "no file"),
        ("restore_version", {"file": "amber-fox", "version": 2}, "already"),
        ("restore_version", {"file": "amber-fox", "version": 9}, "no version"),
    ],
)
def test_a_refused_call_says_why_and_changes_nothing(
    tools: WorkspaceTools, tool: str, arguments: dict[str, Any], words: str
) -> None:
    before = tools.snapshot()
    if tool == "create_event":
        arguments = {"title": "x", "people": BEN, **arguments}
    with pytest.raises(ToolError, match=words):
        getattr(tools, tool)(**arguments)
    assert tools.snapshot() == before


def test_the_policy_is_not_kept_by_the_tools(tools: WorkspaceTools) -> None:
    tools.share_file("jade-lynx", KIRA)
    tools.delete_file("jade-lynx")
    tools.cancel_event("wild-crow")
    assert not any(row[0] == "jade-lynx" for row in rows_of(tools, "files"))


def test_the_tools_can_be_sent_into_a_box() -> None:
    sent = sources_of(WorkspaceTools)
    assert sum(name.startswith("agentrl/envs/tooluse/workspace/") and bool(text) for name, text in sent.items()) == 5


@pytest.mark.bwrap
@pytest.mark.parametrize("name", ["find-slot", "clean-up-but"])
def test_a_box_serves_a_task_as_this_process_does(name: str) -> None:
    env = ToolUseEnv(domain="workspace", family=name, level=4, backend="bwrap")
    last = played(env, env.oracle(), 1)
    env.close()
    here = ToolUseEnv(domain="workspace", family=name, level=4)
    assert last["reward"] == 1.0
    assert last["heard"] == played(here, here.oracle(), 1)["heard"]
    here.close()


def test_the_state_goes_away_and_comes_back(tools: WorkspaceTools) -> None:
    before = tools.snapshot()
    tools.delete_file("amber-fox")
    tools.send_mail(random.Random(1).choice([BEN, KIRA]), "s", "b")
    tools.restore(before)
    assert tools.snapshot() == before
