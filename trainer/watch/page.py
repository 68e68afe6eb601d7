"""Alerts as HTML, for `report.html`. All of an alert's text is escaped: it may quote what a model wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentrl.trainer.scales import format_value
from agentrl.trainer.transcripts import escape, visible
from agentrl.trainer.watch.alerts import Alert

__all__ = ["draw_alerts", "flag_of"]


def flag_of(alert: Alert) -> str:
    """Return the few words that mark an alert in a chart."""
    return visible(f"{alert.kind.replace('_', ' ')}: {alert.component}" if alert.component else alert.kind)[:40]


def draw_alerts(alerts: Sequence[Alert]) -> Iterator[str]:
    """Yield a heading, and an element for each alert; nothing where there is none."""
    if alerts:
        yield "<h2>Alerts of the watch</h2>"
    for alert in alerts:
        begun = f'<span class="muted">begun at about step {alert.began}, in {escape(alert.env_id)}</span>'
        head = f'<span class="badge bad">step {alert.step}: {escape(flag_of(alert))}</span>{begun}'
        also = "".join(f"<li>{escape(each)}</li>" for each in alert.also)
        examples = "".join(
            f'<div class="turn assistant"><b>step {each.step}, group {each.group}, member {each.member}: reward '
            f"{format_value(each.reward)}</b><pre>{escape(each.text)}</pre></div>"
            for each in alert.examples
        )
        yield (
            f'<details class="task" open><summary>{head}</summary><div><p>{escape(alert.sentence)}</p>'
            f"{f'<ul>{also}</ul>' if also else ''}{examples}</div></details>"
        )
