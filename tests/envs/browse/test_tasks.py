"""Tasks without a browser: how many kinds there are, what a seed decides, how the splits are kept apart."""

from __future__ import annotations

import time
from typing import Any

import pytest

from agentrl.envs.browse.case import Case, right_state, same_text
from agentrl.envs.browse.site import Request, Site, page_of, same_rows
from agentrl.envs.browse.sites.forum import Forum
from agentrl.envs.browse.tasks import KINDS, generate, kinds_of
from agentrl.envs.browse.words import POOLS, Draw
from agentrl.envs.errors import UsageError
from agentrl.envs.math.words import half


def told(case: Case) -> tuple[Any, ...]:
    """Return all of a case but its script."""
    rows = {name: (site.title, site.rows, vars(site).get("values")) for name, site in case.sites.items()}
    return case.ask, case.answer, dict(case.wanted), rows


def test_there_are_many_kinds_at_every_level() -> None:
    assert len(KINDS) >= 50
    for level, least in zip(range(1, 6), (12, 20, 10, 12, 7), strict=True):
        assert len(kinds_of(level)) >= least


@pytest.mark.parametrize("level", range(1, 6))
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_number_decides_everything(split: str, level: int) -> None:
    for number in range(30):
        one, other = (generate(number, split, level) for _ in range(2))
        assert (one.id, one.kind) == (other.id, other.kind)
        assert told(one.case) == told(other.case)


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_is_not_done_before_it_begins(kind: str) -> None:
    for level in KINDS[kind].levels:
        for number in range(8):
            case = generate(number, "train", level, kind).case
            begun = {name: site.copy().rows for name, site in case.sites.items()}
            assert bool(case.answer) or not right_state(case, begun, case.sites)
            assert case.ask
            assert not case.answer or case.answer not in case.ask


def test_the_splits_share_no_word() -> None:
    for kind, words in POOLS.items():
        train, test = half(words, "train"), half(words, "test")
        assert min(len(train), len(test)) >= 14, kind
        drawn = {split: {Draw(seed, split, 1).one(kind) for seed in range(200)} for split in ("train", "test")}
        assert drawn["train"] <= set(train)
        assert drawn["test"] <= set(test)


@pytest.mark.parametrize("kind", KINDS)
def test_the_splits_word_a_request_differently(kind: str) -> None:
    level = KINDS[kind].levels[-1]
    asked = {split: {generate(seed, split, level, kind).case.ask for seed in range(25)} for split in ("train", "test")}
    assert asked["train"].isdisjoint(asked["test"])


def test_a_task_is_drawn_in_milliseconds() -> None:
    for level in range(1, 6):
        began = time.process_time()
        for number in range(20):
            generate(number, "train", level)
        assert (time.process_time() - began) / 20 < 0.05


def test_arguments_that_cannot_work_say_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"kind='press-buton' does not exist; did you mean 'press-button'\?"):
        kinds_of(1, "press-buton")
    with pytest.raises(UsageError, match=r"has no tasks at level=1; type level=5"):
        kinds_of(1, "two-shops")


def test_states_are_compared_as_wholes() -> None:
    rows: Any = {"a": {"1": {"x": 1}}, "b": {}}
    assert same_rows(rows, {"a": {"1": {"x": 1}}, "b": {}})
    others: list[Any] = [
        {"a": {"1": {"x": 2}}, "b": {}},
        {"a": {}, "b": {}},
        {"a": {"1": {"x": 1}}},
        {"a": {"1": {"x": 1}}, "b": {"+1": {}}},
        {"a": {"1": {"x": True}}, "b": {"+1": {"x": 1}}},
    ]
    for other in others:
        assert not same_rows(rows, other)
    assert not same_rows({"b": {"+1": {"x": 1}}}, {"b": {"+1": {"x": 1}, "+2": {"x": 1}}})


def test_one_wrong_field_or_one_thing_too_many_is_not_success() -> None:
    case = generate(5, "train", 3, "reply-to-thread").case
    forum = case.sites["forum"]
    assert isinstance(forum, Forum)
    begun = {"forum": forum.copy().rows}
    row = case.wanted["forum"]["posts"]["+1"]
    ask = Request(method="POST", path=f"/t/{row['thread']}/reply", form=(("text", row["text"]), ("_key", forum._key)))
    assert forum.respond(ask).status == 303
    assert right_state(case, begun, case.sites)
    assert forum.respond(ask).status == 303  # said twice
    assert not right_state(case, begun, case.sites)
    del forum.rows["posts"]["+2"]
    assert right_state(case, begun, case.sites)
    forum.rows["posts"]["+1"]["text"] += "."
    assert not right_state(case, begun, case.sites)


@pytest.mark.parametrize("said", ["Mira Falk", " mira  falk.", "'Mira Falk'", "MIRA FALK"])
def test_an_answer_may_differ_in_case_and_blanks(said: str) -> None:
    assert same_text(said, "Mira Falk")
    assert not same_text(f"{said} or Otto Berg", "Mira Falk")


def test_pages_of_a_list_are_within_it() -> None:
    def asked(page: str) -> tuple[list[int], int, int]:
        shown, number, num = page_of(range(20), Request(method="GET", path="/", query=(("page", page),)), 8)
        return list(shown), number, num

    assert asked("3") == (list(range(16, 20)), 3, 3)
    for wrong in ("", "0", "-1", "x", "1e9", "²"):
        assert asked(wrong) == (list(range(8)), 1, 3)
    assert asked("99999")[1:] == (3, 3)


def test_a_row_that_is_added_takes_the_place_of_no_other() -> None:
    site = Site("page", "Page", {"notes": {"1": {"text": "old"}}})
    first, second = site.add("notes", text="a"), site.add("notes", text="b")
    del site.rows["notes"][first]
    third = site.add("notes", text="c")
    assert site.rows["notes"] == {"1": {"text": "old"}, second: {"text": "b"}, third: {"text": "c"}}
