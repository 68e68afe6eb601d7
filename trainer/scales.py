"""Numbers for charts and reports: round axis ticks, a smoothed line, figures written for people. Pure functions.

The smoothed line is a local linear fit with Gaussian weights: unlike a running mean it does not lag behind the data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["format_duration", "format_value", "short_duration", "smooth", "spread", "ticks"]


def smooth(xs: Sequence[float], ys: Sequence[float], width: float) -> list[float]:
    """Fit a line around each point with Gaussian weights of standard deviation `width`; stay within the data.

    >>> [round(y, 6) for y in smooth([0, 1, 2, 3], [0.0, 1.0, 2.0, 3.0], 1.0)]
    [0.0, 1.0, 2.0, 3.0]
    """
    if len(ys) < 3 or width <= 0:
        return list(ys)
    least, most = min(ys), max(ys)
    fitted = []
    for x in xs:
        total = sum_x = sum_y = sum_xx = sum_xy = 0.0
        for other, y in zip(xs, ys, strict=True):
            away = (other - x) / width
            if abs(away) < 4:
                weight = math.exp(-0.5 * away * away)
                total += weight
                sum_x += weight * away
                sum_y += weight * y
                sum_xx += weight * away * away
                sum_xy += weight * away * y
        spread = total * sum_xx - sum_x * sum_x
        value = (sum_xx * sum_y - sum_x * sum_xy) / spread if spread > 1e-12 else sum_y / total
        fitted.append(min(most, max(least, value)))
    return fitted


def ticks(low: float, high: float, count: int) -> list[float]:
    """Return about `count` round values that span [low, high]; the first and last may lie outside.

    >>> ticks(0.0, 0.93, 5)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    raw = max(high - low, 1e-12) / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, max(last, first + 1) + 1)]


def format_value(value: float, unit: str = "", *, step: float | None = None, top: float = 0.0) -> str:
    """Write a figure for people: `0.934, "%"` is "93.4%", 12300 is "12.3k".

    On an axis, `step` is the distance between ticks and `top` the largest of them, so that all are written alike.

    >>> format_value(0.934, "%"), format_value(12300), format_value(0.00021), format_value(0.5, step=0.25)
    ('93.4%', '12.3k', '2.1e-4', '0.50')
    """
    if unit == "%":
        return f"{value * 100:.{1 if step is None else _places(step * 100)}f}%"
    behind = f" {unit}" if unit else ""
    size = max(abs(value), abs(step or 0.0), top)
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            factor = limit if letter != "k" else 1e3
            digits = f"{value / factor:.3g}" if step is None else f"{value / factor:.{_places(step / factor)}f}"
            if value == 0:
                return f"0{behind}"
            return f"{digits}{letter}{behind}"
    if step is not None:
        return (f"{value:.{_places(step)}f}" if step >= 1e-3 else _scientific(value)) + behind
    if value == 0 or size >= 100:
        return f"{value:.0f}{behind}"
    return (f"{value:.3g}" if size >= 1e-3 else _scientific(value)) + behind


def format_duration(seconds: float) -> str:
    """Write a time for people.

    >>> format_duration(3.21), format_duration(75), format_duration(7265)
    ('3.2 s', '1 min 15 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{seconds:.1f} s"


def short_duration(seconds: float) -> str:
    """Write a time in few characters, for a narrow place.

    >>> short_duration(42.4), short_duration(90), short_duration(7530)
    ('42s', '1m 30s', '2h 05m')
    """
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 60}m {whole % 60:02d}s" if whole >= 60 else f"{whole}s"


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move places apart, as little as possible, until `gap` lies between neighbours; keep their order and the bounds.

    >>> spread([10.0, 11.0, 50.0], 8.0, 0.0, 100.0)
    [6.5, 14.5, 50.0]
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    clusters: list[tuple[float, list[int]]] = []  # (its first place, its members): members stand `gap` apart
    for index in order:
        start, members = places[index], [index]
        while True:
            start = max(low, min(start, high - gap * (len(members) - 1)))
            if not clusters or clusters[-1][0] + gap * len(clusters[-1][1]) <= start:
                break
            members = clusters.pop()[1] + members
            start = sum(places[member] - gap * rank for rank, member in enumerate(members)) / len(members)
        clusters.append((start, members))
    moved = {index: start + gap * rank for start, members in clusters for rank, index in enumerate(members)}
    return [moved[index] for index in range(len(places))]


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}" if value else "0"


def _places(step: float) -> int:
    """Decimals that tell ticks apart which lie `step` apart."""
    for places in range(6):
        if abs(step * 10**places - round(step * 10**places)) < 1e-6 * max(1.0, step * 10**places):
            return places
    return 6
