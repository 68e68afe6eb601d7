"""The figures of a step, against numbers worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.trainer.types import Episode
from agentrl.trainer.watch.signals import Signals, signals_of
from agentrl.trainer.watch.texts import Phrasebook, Words, distinct, last_turn, overlap, shingles, words_of
from tests.trainer.episodes import blank_episode


def said(*turns: str, tool: str = "", **changes: Any) -> Episode:
    """Return an episode whose turns are these, each but the last answered by a tool where one is named."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Go."}]
    for place, turn in enumerate(turns):
        messages.append({"role": "assistant", "content": turn})
        if tool and place < len(turns) - 1:
            messages.append({"role": "tool", "name": tool, "content": "found"})
    return blank_episode(messages=messages, **changes)


def four() -> list[Episode]:
    """Two groups of two: one solved, one cheat that is paid, and two that earn little."""
    return [
        said("look", "a b c", tool="search", group=0, seed=5, reward=1.0, success=True, rewards={"f1": 1.0}),
        said("d e f", group=0, seed=5, member=1, reward=0.8, success=False, rewards={"f1": 0.2, "tamper": 1.0}),
        said("look", "d e f", tool="open", group=1, seed=6, reward=-0.5, success=False, rewards={"f1": -0.5}),
        said("D  e f", group=1, seed=6, member=1, reward=0.1, success=False, rewards={"f1": 0.1}),
    ]


def measured(episodes: list[Episode], **more: Any) -> Signals:
    found = signals_of(3, episodes, phrases=Phrasebook(), **more)
    assert found is not None
    return found


def test_the_figures_of_four_episodes() -> None:
    found = measured(four())
    assert (found.step, found.num_episodes, found.num_solved, found.success) == (3, 4, 1, 0.25)
    assert found.reward.mean == pytest.approx(0.35)
    assert found.paid.mean == pytest.approx(1.9 / 4)  # what is below 0 pays nothing
    assert found.reward_solved == 1.0
    assert found.reward_unsolved == pytest.approx(0.4 / 3)
    # Means of the groups: rewards 0.9 and -0.2, success 0.5 and 0; variance of a mean of two is (difference / 2)^2.
    assert found.reward.variance == pytest.approx(0.55**2)
    assert found.success_variance == pytest.approx(0.25**2)
    assert found.reward.covariance == pytest.approx(0.55 * 0.25)
    # Within groups: rewards +-0.1 and -+0.3, success +-0.5 and 0.
    assert found.association == pytest.approx(0.1 / math.sqrt(0.2 * 0.5))
    assert list(found.components) == ["f1"]
    assert found.components["f1"].mean == pytest.approx(1.3 / 4)
    assert found.tamper == 0.25
    assert found.common_turn == 0.75
    assert found.common_text == "d e f"
    assert (found.tool, found.tool_share) == ("open", 0.5)
    assert found.toolless == 0.5
    assert found.toolless_reward == pytest.approx(0.45)
    assert found.toolless_solved == 0.0


def test_failed_episodes_and_rewards_that_are_no_numbers_count_for_nothing() -> None:
    broken = [
        blank_episode(failure={"kind": "timeout"}, reward=9.0, success=True),
        blank_episode(reward=math.nan, success=True, group=7),
    ]
    assert measured([*four(), *broken]) == measured(four())
    assert signals_of(1, broken, phrases=Phrasebook()) is None


def test_without_success_nothing_is_said_of_it() -> None:
    found = measured([said("x", reward=1.0, group=group) for group in range(3)])
    assert found.success is None
    assert (found.reward_solved, found.reward_unsolved, found.association, found.toolless_solved) == (None,) * 4


def test_a_known_cheat_counts_where_it_is_paid_and_unsolved() -> None:
    found = measured(four(), match=lambda told: "listing" if ("d", "e", "f") in told else "")
    assert found.cheats == {"listing": 0.5}  # of three that match one earns nothing


@given(
    st.lists(
        st.tuples(st.floats(-2, 2), st.booleans(), st.integers(0, 3), st.text(max_size=20)), min_size=1, max_size=12
    )
)
def test_the_figures_survive_a_checkpoint(drawn: list[tuple[float, bool, int, str]]) -> None:
    episodes = [
        said(text, reward=reward, success=success, group=group, seed=group, rewards={"r": reward})
        for reward, success, group, text in drawn
    ]
    found = measured(episodes)
    assert Signals.restore(found.as_dict()) == found
    assert all(type(value) is not np.float64 for value in found.as_dict().values())


def test_phrases_know_the_ends_of_turns_and_no_numbers() -> None:
    assert words_of("Answer 1904!") == ["answer", "0", "!"]
    assert shingles(["Yes."]) == {("^", "yes", "."), ("yes", ".", "$")}
    assert shingles([""]) == set()
    assert len(shingles(["word " * 10_000])) == 3
    assert last_turn(said("First", "  Second\nTURN ")) == "second turn"


def test_likeness_by_hand() -> None:
    one: set[Words] = {("a", "b", "c"), ("b", "c", "d")}
    two: set[Words] = {("a", "b", "c")}
    assert distinct([one, two]) == pytest.approx(2 / 3)
    assert distinct([set()]) is None
    assert overlap([[one, two], [one]]) == 0.5
    assert overlap([[one]]) is None


def test_the_phrase_that_spread_is_named() -> None:
    book = Phrasebook()
    usual, hack = shingles(["call search now"]), shingles(["call search now", "good answer indeed"])
    for _ in range(5):
        assert book.note([usual] * 9 + [hack]) is None
    again = Phrasebook.restore(book.state())
    risen = book.note([usual, hack, hack, hack])
    assert risen is not None
    assert "answer" in risen.phrase
    assert risen.share == 0.75
    assert risen.before == pytest.approx(0.1)
    assert again.note([usual, hack, hack, hack]) == risen
