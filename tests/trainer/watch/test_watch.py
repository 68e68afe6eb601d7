"""The watch as a whole: whatever episodes hold, it goes on; put down and taken up, it says the same."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrl.trainer.types import Episode
from agentrl.trainer.watch import Watch, WatchConfig
from agentrl.trainer.watch.alerts import Alert
from tests.trainer.episodes import blank_episode

CONFIG = WatchConfig()


def a_step(step: int, *, paid: float, share: float = 0.3, level: int = 0, **changes: Any) -> list[Episode]:
    """Return 8 groups of 8: `share` of them solved for 1, the others paid `paid`."""
    rng = np.random.default_rng([step, 5])
    episodes = []
    for place in range(64):
        solved = bool(rng.random() < share)
        extra = paid * rng.uniform(0.8, 1.2)
        told: dict[str, Any] = {
            "step": step,
            "group": place // 8,
            "member": place % 8,
            "seed": 100 * step + place // 8,
            "level": level,
            "success": solved,
            "reward": float(solved) + 2 * extra,
            "rewards": {"right": float(solved), "style": extra},
            "messages": [{"role": "assistant", "content": f"turn {place % 5} of many"}],
        }
        episodes.append(blank_episode(**(told | changes)))
    return episodes


def hacked(step: int) -> list[Episode]:
    return a_step(step, paid=0.05 if step < 15 else 0.5)


def alerts_of(play: Callable[[int], list[Episode]], num_steps: int = 30) -> list[Alert]:
    watch = Watch(CONFIG)
    for step in range(1, num_steps + 1):
        watch.note(step, play(step))
    return watch.alerts


def test_a_hack_is_found_named_and_said_once() -> None:
    (alert,) = alerts_of(hacked)
    assert (alert.kind, alert.component) == ("divergence", "style")
    assert 15 <= alert.step <= 18
    assert alert.began in (13, 14, 15)
    assert "while success" in alert.sentence
    assert "the component 'style'" in alert.sentence


def test_a_reward_that_is_no_sum_is_watched_as_a_whole() -> None:
    def play(step: int) -> list[Episode]:
        return [
            blank_episode(**{**vars(each), "rewards": {"style": (each.member * 7 + each.group) % 5 / 5}})
            for each in hacked(step)
        ]

    (alert,) = alerts_of(play)
    assert (alert.kind, alert.component) == ("divergence", "reward")


def test_another_level_is_another_reference() -> None:
    def play(step: int) -> list[Episode]:
        return a_step(step, paid=0.05 if step < 15 else 0.5, level=1 + (step >= 15))

    assert alerts_of(play) == []

    def mixed(step: int) -> list[Episode]:  # an environment that draws a level for each task
        return [blank_episode(**{**vars(each), "level": (each.group + step) % 3}) for each in hacked(step)]

    assert len(alerts_of(mixed)) == 1


def test_environments_are_watched_apart() -> None:
    def play(step: int) -> list[Episode]:
        other = a_step(step, paid=0.05, env_id="Other", group=20)
        return [*hacked(step), *other]

    (alert,) = alerts_of(play)
    assert alert.env_id == "Toy"


@pytest.mark.parametrize("stop", [3, 14, 16, 17, 25])
def test_it_goes_on_where_it_was_put_down(stop: int) -> None:
    whole, first = Watch(CONFIG), Watch(CONFIG)
    for step in range(1, 31):
        whole.note(step, hacked(step))
        if step <= stop:
            first.note(step, hacked(step))
    second = Watch(CONFIG)
    second.restore(json.loads(json.dumps(first.state())))
    assert second.state() == first.state()
    for step in range(stop + 1, 31):
        second.note(step, hacked(step))
    assert second.alerts == whole.alerts
    assert second.metrics() == whole.metrics()


_NUMBERS = st.floats() | st.sampled_from([1e308, -1e308, math.inf, math.nan, 0.0, 1.0])


@settings(max_examples=40)
@given(
    st.lists(
        st.lists(st.tuples(_NUMBERS, _NUMBERS, st.booleans() | st.none(), st.text(max_size=9)), max_size=6),
        min_size=4,
        max_size=8,
    )
)
def test_nothing_that_an_episode_holds_stops_it(run: list[list[tuple[float, float, bool | None, str]]]) -> None:
    watch = Watch(CONFIG)
    for step, drawn in enumerate(run, start=1):
        episodes = [
            blank_episode(
                step=step,
                group=place // 2,
                member=place % 2,
                reward=reward,
                rewards={text: value, "a": value, "b": reward},
                success=success,
                messages=[{"role": "assistant", "content": text}, {"role": "tool", "name": text, "content": None}],
            )
            for place, (reward, value, success, text) in enumerate(drawn)
        ]
        watch.note(step, episodes)
    assert all(math.isfinite(value) for value in watch.metrics().values())
    json.dumps(watch.state(), allow_nan=False)
