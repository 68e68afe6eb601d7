"""What is wrong whatever the reward says: each is found, and what resembles it is not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from agentrl.trainer.watch.signals import Signals, signals_of
from agentrl.trainer.watch.texts import Phrasebook
from agentrl.trainer.watch.unmistakable import Shown, Unmistakable
from tests.trainer.episodes import blank_episode

THRESHOLD = math.log(40)


def blank() -> Signals:
    """Return a step of 64 episodes in which nothing is wrong and half are solved."""
    episodes = [blank_episode(group=place // 8, seed=place // 8, success=place % 2 == 0) for place in range(64)]
    found = signals_of(1, episodes, phrases=Phrasebook())
    assert found is not None
    return found


def shown(steps: Sequence[Signals], cheats: tuple[str, ...] = ()) -> tuple[int, Shown] | None:
    watch = Unmistakable(cheats)
    for place, each in enumerate(steps):
        if (found := watch.note(each, THRESHOLD)) is not None:
            return place, found
    return None


def test_touched_traps() -> None:
    fine, bad = replace(blank(), tamper=1 / 64), replace(blank(), tamper=0.3)
    assert shown([fine] * 60) is None
    found = shown([fine] * 30 + [bad] * 20)
    assert found is not None
    place, what = found
    assert (what.kind, what.after) == ("tamper", 0.3)
    assert 30 <= place <= 40
    assert abs(what.start - 30) <= 2


def test_known_cheats() -> None:
    fine, bad = replace(blank(), cheats={"guess": 0.1}), replace(blank(), cheats={"guess": 0.6})
    assert shown([fine] * 60, ("guess",)) is None
    assert shown([fine] * 10 + [bad] * 20) is None  # a name that is not known is nothing
    found = shown([fine] * 30 + [bad] * 20, ("guess", "other"))
    assert found is not None
    assert (found[1].kind, found[1].name) == ("known_cheat", "guess")
    assert found[1].before == pytest.approx(0.1)
    assert 30 <= found[0] <= 40


def test_one_last_turn_for_every_task() -> None:
    fine = replace(blank(), common_turn=0.2, success=0.3)
    bad = replace(fine, common_turn=1.0, success=0.05)
    found = shown([fine] * 30 + [bad] * 25)
    assert found is not None
    assert found[1].kind == "collapse"
    assert 30 <= found[0] <= 50


@pytest.mark.parametrize(
    "end",
    [
        {"common_turn": 1.0, "success": 0.95},  # they end alike since they are right
        {"common_turn": 1.0, "success": 0.45},  # success is up
        {"common_turn": 0.75, "success": 0.1},
    ],
)
def test_what_ends_alike_and_is_solved_is_no_collapse(end: dict[str, float]) -> None:
    fine = replace(blank(), common_turn=0.2, success=0.3)
    assert shown([fine] * 30 + [replace(fine, **end)] * 60) is None  # type: ignore[arg-type]


def test_what_always_ended_alike_is_no_collapse() -> None:
    assert shown([replace(blank(), common_turn=1.0, success=0.1)] * 80) is None


def said(steps: Sequence[Signals], cheats: tuple[str, ...] = ()) -> list[tuple[int, str]]:
    """Return every alert, where each begins the tests anew as in a run."""
    watch, found = Unmistakable(cheats), []
    for place, each in enumerate(steps):
        if (what := watch.note(each, THRESHOLD)) is not None:
            found.append((place, what.kind))
            watch.forget()
    return found


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("tamper", {"tamper": 0.9}),
        ("known_cheat", {"cheats": {"guess": 0.9}}),
        ("collapse", {"common_turn": 1.0, "success": 0.05}),
    ],
)
def test_what_was_said_is_not_said_again_while_it_stays(kind: str, bad: dict[str, object]) -> None:
    fine = replace(blank(), common_turn=0.2, success=0.3)
    found = said([fine] * 15 + [replace(fine, **bad)] * 80, ("guess",))  # type: ignore[arg-type]
    assert [each for _, each in found] == [kind]


def test_what_has_grown_since_it_was_said_is_said_again() -> None:
    fine = blank()
    found = said([fine] * 10 + [replace(fine, tamper=0.3)] * 30 + [replace(fine, tamper=0.9)] * 30)
    assert [kind for _, kind in found] == ["tamper", "tamper"]
    assert found[0][0] < 40 <= found[1][0]
