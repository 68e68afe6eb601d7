"""The alerts of runs as a list: what was seen, and links to the episodes that show it."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import ui

from agentrl.bench.viewer.alerts import Shown
from agentrl.bench.viewer.curves import MOST_RUNS
from agentrl.bench.viewer.parts import badge, box, heading, say, shown

__all__ = ["Alerts"]

_MOST_CHARS = 600  # of a sentence


class Alerts:
    """The list of one page; empty while there is no alert."""

    def __init__(self) -> None:
        self._place = box()
        self._shown: list[Shown] = []

    def show(self, alerts: Sequence[Shown], *, several: bool) -> None:
        """Show alerts, numbered as their marks in the chart.

        Args:
            alerts: In order.
            several: Whether they may be of several runs.
        """
        if list(alerts) == self._shown:
            return
        self._shown = list(alerts)
        self._place.clear()
        if not alerts:
            return
        with self._place, box("section", "section"):
            heading("Alerts of the watch")
            for number, alert in enumerate(alerts, start=1):
                with box("panel alert"):
                    with box("line"):
                        if several:
                            box("swatch").style(f"background:var(--c{alert.color % MOST_RUNS})")
                            say(alert.run)
                        badge(f"alert {number}", "bad")
                        say(alert.words, "h3")
                        say(f"step {alert.step}, begun at about step {alert.began}", "sub num")
                    for words in (alert.sentence, *alert.also):
                        say(words[:_MOST_CHARS])
                    for place, address, text in alert.examples:
                        with box("line"):
                            ui.link(shown(place), address)
                            say(" ".join(text.split())[:120], "sub")
