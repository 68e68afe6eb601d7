"""Which metrics are drawn together: each once, whatever a run is called upon to log."""

from __future__ import annotations

import pytest

from agentrl.trainer.panels import SECTIONS, finite, lines_of, sections_of

NAMES = [
    "success",
    "eval/success",
    "reward",
    "rewards/f1/mean",
    "rewards/f1/std",
    "kl",
    "perf/step_s",
    "mine/x",
    "num_tokens",
]


def _titles(names: list[str], *, every: bool = False) -> list[str]:
    return [panel.title for _, panels in sections_of(names, every=every) for panel in panels]


def test_a_run_has_the_panels_of_its_metrics() -> None:
    found = sections_of(NAMES)
    assert [heading for heading, _ in found] == [
        "What it learned",
        "How the policy moved",
        "How fast",
        "Everything else",
    ]
    assert _titles(NAMES) == ["Success", "Reward", "Reward components", "KL to the reference", "Step", "Mine/x"]
    assert sections_of([]) == []


def test_noise_is_shown_where_it_is_asked_for() -> None:
    more = set(_titles(NAMES, every=True)) - set(_titles(NAMES))
    assert more == {"Num tokens", "Rewards/f1/std"}


def test_every_metric_is_drawn_once() -> None:
    shown = [
        name for _, panels in sections_of(NAMES, every=True) for panel in panels for name, _ in lines_of(panel, NAMES)
    ]
    assert sorted(shown) == sorted(NAMES)


def test_names_of_lines_are_as_many_as_metrics() -> None:
    for _, panels in SECTIONS:
        for panel in panels:
            assert not panel.names or len(panel.names) == len(panel.keys)


@pytest.mark.parametrize(
    ("value", "wanted"), [(1, 1.0), (0.5, 0.5), (True, None), ("1", None), (None, None), (float("nan"), None)]
)
def test_only_finite_numbers_are_drawn(value: object, wanted: float | None) -> None:
    assert finite({"a": value}, "a") == wanted
    assert finite({}, "a", absent=0.0) == 0.0
