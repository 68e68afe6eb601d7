"""Which metrics of a run are drawn together, and with which words: for `report.html` and for the viewer.

What no panel names has one of its own, so that any metric can be seen. Pure data and functions.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["LEARNED", "SECTIONS", "WATCHED", "Panel", "finite", "is_watched", "lines_of", "sections_of"]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One chart: which metrics, and how they are told."""

    title: str
    keys: tuple[str, ...]  # metrics; `*` stands for any text, which then names the line
    names: tuple[str, ...] = ()  # names of the lines, when `keys` has no star
    about: str = ""  # one line below the title
    unit: str = ""
    floor: float | None = 0.0
    ceiling: float | None = None
    edges: tuple[str, str] = ("", "")  # metrics of the lower and upper edge of a band around the first line
    absent: float | None = None  # the value of a step that lacks the metric
    exact: bool = False  # joined as it is, not smoothed


LEARNED = (
    Panel(
        title="Success",
        keys=("success", "eval/success", "eval/greedy"),
        names=("training", "held out", "held out, greedy"),
        about="Share of episodes that solved their task.",
        unit="%",
        ceiling=1.0,
    ),
    Panel(
        title="Reward",
        keys=("reward", "reward_std"),
        names=("mean", "deviation"),
        about="Mean and standard deviation over the episodes of a step.",
    ),
    Panel(title="Reward components", keys=("rewards/*/mean",), about="Mean of each, before weighting."),
)
WATCHED = Panel(
    title="Reward and success",
    keys=("reward", "success", "watch/reward_without_success"),
    names=("reward", "success", "reward of unsolved episodes"),
    about="Where reward rises and success does not, the reward is being hacked; a mark is an alert of the watch.",
)
"""The chart of a run that is watched; its metrics have charts of their own too."""

_MOVED = (
    Panel(
        title="Entropy",
        keys=("entropy",),
        about="Mean over the sampled tokens; near 0 the policy has stopped exploring.",
        unit="nats",
    ),
    Panel(title="KL to the reference", keys=("kl",), about="k3 estimate, mean over tokens.", unit="nats"),
    Panel(
        title="Clipped tokens",
        keys=("clip_ratio/region_mean", "clip_ratio/low_mean", "clip_ratio/high_mean"),
        names=("all", "low", "high"),
        about="Share of tokens whose ratio left the trust region.",
        unit="%",
    ),
    Panel(
        title="Groups without spread",
        keys=("frac_reward_zero_std",),
        about="All members earned the same, so the group taught nothing.",
        unit="%",
        ceiling=1.0,
    ),
    Panel(title="Loss", keys=("loss", "policy_loss"), names=("loss", "policy"), floor=None),
    Panel(title="Gradient norm", keys=("grad_norm",)),
    Panel(title="Learning rate", keys=("learning_rate",), exact=True),
    Panel(
        title="Engine against trainer",
        keys=("sampling/sampling_logp_difference/mean", "sampling/sampling_logp_difference/max"),
        names=("mean", "max"),
        about="Difference of their log-probabilities for the same tokens; a large one means wrong weights.",
    ),
    Panel(
        title="Staleness",
        keys=("staleness/mean", "staleness/max"),
        names=("mean", "max"),
        about="Weight updates between sampling and training.",
    ),
)
_PLAYS = (
    Panel(
        title="Length of an episode",
        keys=("completions/mean_length",),
        about="Sampled tokens; the band runs from the shortest to the longest.",
        unit="tokens",
        edges=("completions/min_length", "completions/max_length"),
    ),
    Panel(
        title="Cut off",
        keys=("completions/clipped_ratio",),
        about="Share of episodes that hit a token limit.",
        unit="%",
    ),
    Panel(title="Turns an episode", keys=("episodes/turns_mean",)),
    Panel(title="Tool calls an episode", keys=("tools/call_frequency",)),
    Panel(
        title="Failed tool calls",
        keys=("tools/failure_frequency",),
        about="Malformed, or refused by the tool.",
        unit="%",
    ),
    Panel(
        title="Infrastructure failures",
        keys=("failures/*",),
        about="Episodes a step, by kind; they count as no reward at all.",
        absent=0.0,
        exact=True,
    ),
    Panel(
        title="Left out of training",
        keys=("dropped/*/episodes",),
        about="Episodes a step, by reason.",
        absent=0.0,
        exact=True,
    ),
)
_SEEN = (
    Panel(
        title="Reward by outcome",
        keys=("watch/reward_with_success", "watch/reward_without_success"),
        names=("solved", "unsolved"),
        about="Mean over the episodes that solved their task, and over the others.",
        floor=None,
    ),
    Panel(
        title="Reward against success",
        keys=("watch/association",),
        about="Correlation within groups; near 0 the reward no longer tells a solved episode from another.",
        floor=None,
    ),
    Panel(
        title="Evidence of hacking",
        keys=("watch/evidence",),
        about="Logarithm of the e-value of the strongest test; an alert begins it anew.",
        exact=True,
    ),
    Panel(
        title="How alike episodes are",
        keys=("watch/distinct", "watch/overlap", "watch/common_turn", "watch/phrase_share"),
        names=("different phrases", "shared in a group", "commonest last turn", "phrase that spread"),
        unit="%",
        ceiling=1.0,
    ),
    Panel(
        title="Tools",
        keys=("watch/toolless", "watch/tool_share"),
        names=("episodes without a result", "share of the most used tool"),
        unit="%",
        ceiling=1.0,
    ),
    Panel(title="Touched traps", keys=("watch/tamper",), about="Share of episodes.", unit="%", ceiling=1.0),
)
SECTIONS = (
    ("What it learned", LEARNED),
    ("How the policy moved", _MOVED),
    ("How it plays", _PLAYS),
    ("What the watch sees", _SEEN),
)
_SILENT = (
    "num_tokens",
    "completions/",
    "dropped/",
    "rewards/",
    "clip_ratio/",
    "watch/",
)  # what is left of these is noise
_UNITS = (("_per_s", "/s", " per second"), ("_s", "s", ""), ("_mb", "MB", ""), ("_ratio", "%", ""), ("_frac", "%", ""))


def sections_of(names: Iterable[str], *, every: bool = False) -> list[tuple[str, list[Panel]]]:
    """Return the panels that have something to show for a run with metrics of these names, under their headings.

    Args:
        names: Of the metrics.
        every: Also those that are noise to most readers.
    """
    known = sorted(set(names))
    listed = {name for _, panels in SECTIONS for panel in panels for name, _ in lines_of(panel, known)}
    hidden = ("perf/",) if every else ("perf/", *_SILENT)
    perf = tuple(_plain(name) for name in known if name.startswith("perf/"))
    rest = tuple(_plain(name) for name in known if name not in {*listed, "step"} and not name.startswith(hidden))
    found = (*SECTIONS, ("How fast", perf), ("Everything else", rest))
    kept = [(heading, [panel for panel in panels if lines_of(panel, known)]) for heading, panels in found]
    return [(heading, panels) for heading, panels in kept if panels]


def is_watched(names: Collection[str]) -> bool:
    """Whether a run with metrics of these names has the chart `WATCHED`."""
    return "watch/num_alerts" in names and "success" in names


def lines_of(panel: Panel, names: Collection[str]) -> list[tuple[str, str]]:
    """Return the metrics of a panel that a run has, each with the name of its line.

    >>> lines_of(SECTIONS[0][1][2], ["rewards/f1/mean", "reward"])
    [('rewards/f1/mean', 'f1')]
    """
    found = []
    for place, key in enumerate(panel.keys):
        head, star, tail = key.partition("*")
        if star and key not in names:
            fits = [name for name in names if name.startswith(head) and name.endswith(tail)]
            found += [(name, name[len(head) : len(name) - len(tail)]) for name in fits]
        else:
            found += [(key, panel.names[place] if panel.names else panel.title.lower())] if key in names else []
    return found


def finite(row: Mapping[str, Any], key: str, absent: float | None = None) -> float | None:
    """Return a metric of a row, `absent` where it has none, None where that is no finite number."""
    value = row.get(key, absent)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _plain(name: str) -> Panel:
    title, unit = name.removeprefix("perf/"), ""
    for ending, found, words in _UNITS:
        if title.endswith(ending):
            title, unit = title.removesuffix(ending) + words, found
            break
    title = title.replace("_", " ")
    floor = 0.0 if name.startswith("perf/") else None
    return Panel(title=title[:1].upper() + title[1:], keys=(name,), names=(title,), unit=unit, floor=floor)
