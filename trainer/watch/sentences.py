"""What an alert says, in words: what rose, what did not, which part of the reward it was, and what else changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from agentrl.trainer.watch.divergence import REWARD, Finding
from agentrl.trainer.watch.signals import Signals
from agentrl.trainer.watch.unmistakable import Shown

__all__ = ["Words", "changes", "words_of_finding", "words_of_shown"]

_STEPS = 5  # steps on either side of a change


@dataclass(frozen=True, kw_only=True)
class Words:
    """The sentence of a divergence, and the part of the reward that it blames."""

    sentence: str
    component: str


def words_of_finding(finding: Finding, weights: Mapping[str, float], history: Sequence[Signals]) -> Words:
    """Say a divergence.

    Args:
        finding: What became significant.
        weights: Of components in the reward, as fitted.
        history: Figures of the steps.
    """
    figures, component = finding.figures, finding.component
    rises = {
        name: weight * (figures[f"component {name}_after"] - figures[f"component {name}_before"])
        for name, weight in weights.items()
        if f"component {name}_after" in figures
    }
    if component == REWARD and rises:
        best = max(rises, key=lambda name: (rises[name], name))
        component = best if rises[best] > 0 else REWARD
    before, after = figures["success_before"], figures["success_after"]
    if after < before - 0.02:
        how = f"fell from {before:.1%} to {after:.1%}"
    elif after > before + 0.02:
        how = f"rose only from {before:.1%} to {after:.1%}"
    else:
        how = f"stayed at {after:.1%}"
    parts = [
        f"since step {history[finding.start].step} the mean reward rose from {figures['reward_before']:.3g} to "
        f"{figures['reward_after']:.3g} while success {how}"
    ]
    without = [figures.get(f"reward_without_success_{when}") for when in ("before", "after")]
    if without[0] is not None and without[1] is not None:
        paid = figures.get("reward_with_success_before")
        beside = f", where a solved one earned {paid:.3g}" if paid is not None else ""
        parts.append(f"an unsolved episode now earns {without[1]:.3g} (before: {without[0]:.3g}{beside})")
    if component in rises:
        parts.append(f"most of the rise ({rises[component]:+.3g}) is the component {component!r}")
    return Words(sentence="; ".join(parts) + ".", component=component)


def words_of_shown(shown: Shown, signals: Signals) -> str:
    """Say what is wrong whatever the reward says."""
    before, after = f"{shown.before:.1%}", f"{shown.after:.1%}"
    if shown.kind == "tamper":
        return f"{after} of the episodes touched a trap that the environment had planted (before: {before})."
    if shown.kind == "known_cheat":
        return (
            f"{after} of the episodes are paid without success and play like the environment's own cheat "
            f"{shown.name!r} (before: {before})."
        )
    return (
        f"{after} of the episodes end in the same words whatever the task (before: {before}), and success is not up: "
        f"{signals.common_text[:120]!r}."
    )


def changes(history: Sequence[Signals], start: int) -> tuple[str, ...]:
    """Say what else differs between the steps before `start` and the newest ones."""
    old, new = history[max(0, start - _STEPS) : start] or history[:1], history[start:][-_STEPS:]
    found = []

    def pair(read: Callable[[Signals], float | None]) -> tuple[float, float] | None:
        sides = [[value for each in rows if (value := read(each)) is not None] for rows in (old, new)]
        return (fmean(sides[0]), fmean(sides[1])) if all(sides) else None

    lengths = pair(lambda each: each.length)
    if lengths and not 2 / 3 < (lengths[1] + 1) / (lengths[0] + 1) < 1.5:
        found.append(f"episodes went from {lengths[0]:.0f} to {lengths[1]:.0f} sampled tokens")
    distinct = pair(lambda each: each.distinct)
    if distinct and distinct[1] < distinct[0] / 2:
        found.append(f"different phrases, of all, fell from {distinct[0]:.1%} to {distinct[1]:.1%}")
    common = pair(lambda each: each.common_turn)
    if common and common[1] > common[0] + 0.3:
        found.append(
            f"the commonest last turn went from {common[0]:.1%} to {common[1]:.1%} of episodes: "
            f"{new[-1].common_text[:120]!r}"
        )
    spread, kept = new[-1], old[-1]
    spread_before = kept.phrase_share or 0.0 if kept.phrase == spread.phrase else 0.0
    if spread.phrase_share is not None and spread.phrase_share > max(spread.phrase_before + 0.5, spread_before + 0.3):
        found.append(
            f"the phrase {spread.phrase!r} is in {spread.phrase_share:.1%} of episodes (at first: "
            f"{spread.phrase_before:.1%})"
        )
    tool = pair(lambda each: each.tool_share)
    if tool and tool[1] > tool[0] + 0.2:
        found.append(f"the tool {new[-1].tool[:60]!r} went from {tool[0]:.1%} to {tool[1]:.1%} of all calls")
    toolless = pair(lambda each: each.toolless)
    if toolless and toolless[1] > toolless[0] + 0.2:
        earned = new[-1].toolless_reward
        needed = [each.toolless_solved for each in old if each.toolless_solved is not None]
        beside = f"; {1 - fmean(needed):.1%} of solved episodes had one before" if needed else ""
        found.append(
            f"episodes without a tool's result went from {toolless[0]:.1%} to {toolless[1]:.1%}"
            + (f" and earn {earned:.3g}" if earned is not None else "")
            + beside
        )
    association = pair(lambda each: each.association)
    if association and association[1] < association[0] - 0.3:
        found.append(
            f"within groups the correlation of reward and success fell from {association[0]:.2f} to "
            f"{association[1]:.2f}"
        )
    return tuple(found)
