"""Charts: round ticks, a smoothed line that tells the truth, labels that do not touch."""

from __future__ import annotations

import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrl.trainer.curves import NUM_DOTS, Chart, Mark, Series, draw
from agentrl.trainer.scales import format_value, smooth, spread, ticks

SVG = "{http://www.w3.org/2000/svg}"
floats = st.floats(-1e9, 1e9, allow_nan=False)


def points(element: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = [point.split(",") for point in element.get("points", "").split()]
    return [(float(x), float(y)) for x, y in pairs]


@given(floats, floats, st.integers(1, 8))
def test_ticks_span_the_data_evenly(one: float, other: float, count: int) -> None:
    low, high = min(one, other), max(one, other)
    if high - low < 1e-6 * max(1.0, abs(high)):
        return
    found = ticks(low, high, count)
    step = found[1] - found[0]
    assert 2 <= len(found) <= 2 * count + 3
    assert found[0] <= low + 1e-6 * step
    assert found[-1] >= high - 1e-6 * step
    assert all(math.isclose(b - a, step, rel_tol=1e-6) for a, b in pairwise(found))
    lead = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert any(math.isclose(lead, round_one, rel_tol=1e-6) for round_one in (1, 2, 2.5, 5))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0, 10))
def test_smoothing_stays_inside_the_data(ys: list[float], width: float) -> None:
    fitted = smooth(range(len(ys)), ys, width)
    assert len(fitted) == len(ys)
    assert all(min(ys) <= y <= max(ys) for y in fitted)


def test_smoothing_does_not_lag() -> None:
    xs = [float(x) for x in range(50)]
    assert smooth(xs, [0.3 + 0.01 * x for x in xs], 3.0) == pytest.approx([0.3 + 0.01 * x for x in xs])
    step = smooth(xs, [0.0] * 25 + [1.0] * 25, 2.0)
    assert step[24] + step[25] == pytest.approx(1.0)  # the jump stays where it was


@given(st.lists(st.floats(0, 200), max_size=6))
def test_labels_keep_their_distance_and_order(places: list[float]) -> None:
    moved = spread(places, 20.0, 0.0, 200.0)
    order = sorted(range(len(places)), key=lambda index: places[index])
    for above, below in pairwise(order):
        assert moved[below] - moved[above] >= 20.0 - 1e-6
    assert all(-1e-6 <= place <= 200.0 + 1e-6 for place in moved)
    if all(abs(places[b] - places[a]) >= 20 for a, b in pairwise(order)):
        assert moved == places


@pytest.mark.parametrize(
    ("value", "unit", "step", "written"),
    [
        (0.9, "%", None, "90.0%"),
        (0.9, "%", 0.2, "90%"),
        (0.0125, "%", 0.0025, "1.25%"),
        (0, "", None, "0"),
        (12.345, "tokens", None, "12.3 tokens"),
        (123.4, "", None, "123"),
        (1_234_567, "", None, "1.23M"),
        (5000, "", 5000, "5k"),
        (0.0002, "", 0.0001, "2e-4"),
        (-0.05, "", 0.05, "-0.05"),
        (1.0, "", 0.25, "1.00"),
    ],
)
def test_figures_are_written_for_people(value: float, unit: str, step: float | None, written: str) -> None:
    top = 15_000 if step == 5000 else 0.0
    assert format_value(value, unit, step=step, top=top) == written


def test_points_lie_where_their_values_are() -> None:
    series = Series(name="x", xs=(0.0, 5.0, 10.0), ys=(0.0, 0.5, 1.0), exact=True)
    root = ElementTree.fromstring(draw(Chart(title="t", series=(series,), floor=0.0, ceiling=1.0)))
    line = root.find(f"{SVG}polyline")
    assert line is not None
    (x0, y0), (x1, y1), (x2, y2) = points(line)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    grid = {text.text: float(text.get("y", "nan")) for text in root.iter(f"{SVG}text")}
    assert y0 - y2 == pytest.approx(grid["0.0"] - grid["1.0"], abs=1.1)  # gridlines sit on whole pixels


def test_everything_stays_inside_the_picture() -> None:
    ys = tuple(math.sin(x / 3) * 1000 for x in range(100))
    names = ("a long name of a series", "b", "c")
    series = tuple(Series(name=n, xs=tuple(map(float, range(100))), ys=ys, color=i) for i, n in enumerate(names))
    marks = (Mark(label="sampled", value=-999.0, color=0), Mark(label="greedy", value=-998.0, color=2))
    chart = Chart(title="t", series=series, before=marks, after=marks, alone=True, subtitle="s", width=900, height=460)
    root = ElementTree.fromstring(draw(chart))
    for element in root.iter():
        for name, limit in (("x", 900), ("cx", 900), ("x1", 900), ("x2", 900), ("y", 460), ("cy", 460), ("y1", 460)):
            assert 0 <= float(element.get(name, 0)) <= limit
        for x, y in points(element):
            assert 0 <= x <= 900
            assert 0 <= y <= 460
    labels = [float(text.get("y", 0)) for text in root.iter(f"{SVG}text") if text.text in names]
    assert len(labels) == 3
    assert min(abs(a - b) for a in labels for b in labels if a != b) >= 15  # three lines end in one point


def test_constant_single_and_missing_values_have_a_chart() -> None:
    for ys in ((0.0, 0.0), (5.0,), (-3.0, -3.0, -3.0)):
        series = Series(name="x", xs=tuple(map(float, range(len(ys)))), ys=ys)
        for floor in (None, 0.0):
            ElementTree.fromstring(draw(Chart(title="t", series=(series,), floor=floor)))
    empty = draw(Chart(title="t", series=(Series(name="x", xs=(), ys=()),)))
    assert "no values yet" in empty


def test_a_long_series_is_averaged_into_few_dots() -> None:
    xs = tuple(float(x) for x in range(10_000))
    svg = draw(Chart(title="t", series=(Series(name="x", xs=xs, ys=tuple(x % 2 for x in xs)),)))
    dots = [circle for circle in ElementTree.fromstring(svg).iter(f"{SVG}circle") if "dot" in circle.get("class", "")]
    assert NUM_DOTS / 2 < len(dots) <= NUM_DOTS
    assert {title.text for title in dots[3].iter(f"{SVG}title")} == {"x: 0.5 at step 146"}
