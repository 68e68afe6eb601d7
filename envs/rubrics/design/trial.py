"""Try a rubric: does it rank the oracle above the floor, and every cheat at the floor?

A rubric is judged by what it pays, and by nothing that it or its author says of itself. A cheat is at the floor where
its mean reward lies no further above the floor's than a tolerance, a share of the way from the floor to the oracle.
Components that give the environment's own verdict may be in a rubric, but at least half of what the oracle earns above
the floor must come of others: else the proxy is the truth, and nothing could ever be seen to be hacked.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.rubrics.design.played import Played, Role
from agentrl.envs.rubrics.rubric import Rubric, Score
from agentrl.envs.rubrics.transcript import Transcript

__all__ = ["TRUTHS", "Tally", "Trial", "try_rubric"]

TRUTHS = ("environment", "environment_component", "success")
"""Components that repeat what the environment itself says of an episode."""

_SAME = 1e-9
_LARGEST = 1e9  # reward; beyond it differences between players drown
_LEAST_PAIRS = 10  # of stored episodes; fewer say nothing against a rubric
_MOST_REASONS = 5  # cheats that are named one by one


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What one player earns by the rubric."""

    role: Role
    name: str
    rewards: tuple[float, ...]  # of each episode
    values: Mapping[str, float]  # means of the components, without their weights

    @property
    def mean(self) -> float:
        """The mean reward."""
        return statistics.fmean(self.rewards)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of a trial."""

    tallies: tuple[Tally, ...]  # oracle, floor, cheats; empty where the rubric could not score
    tolerance: float
    reasons: tuple[str, ...]  # against the rubric; none: it is accepted
    stored_share: float | None = None  # of pairs of stored episodes, one that succeeded and one not, ordered rightly
    num_pairs: int = 0

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against the rubric."""
        return not self.reasons

    def share(self, tally: Tally) -> float | None:
        """Return how far a player comes from the floor (0) to the oracle (1); None where these are not apart."""
        oracle, floor = self.tallies[0].mean, self.tallies[1].mean
        return (tally.mean - floor) / (oracle - floor) if oracle - floor > _SAME else None


def try_rubric(
    rubric: Rubric,
    tasks: Sequence[Sequence[Played]],
    *,
    stored: Sequence[Sequence[Transcript]] = (),
    tolerance: float = 0.1,
    allow_success: bool = False,
) -> Trial:
    """Try a rubric on played episodes.

    Args:
        rubric: To be tried.
        tasks: Of each task everybody's episodes, as `play_all` gives them.
        stored: Groups of stored episodes.
        tolerance: How far above the floor a cheat may come, as a share of the way to the oracle.
        allow_success: Whether the environment's own verdict may be all there is.

    Raises:
        InfrastructureError: A judge or a box failed, which is not the rubric's fault.
    """
    try:
        tallies = _tallies(rubric, tasks)
        share, num_pairs = _agreement(rubric, stored)
    except UsageError as error:
        return Trial(tallies=(), tolerance=tolerance, reasons=(f"it cannot score an episode: {error}",))
    except InfrastructureError as error:
        if error.boundary != "rubric":
            raise
        return Trial(tallies=(), tolerance=tolerance, reasons=(f"it cannot score an episode: {error}",))
    if not all(math.isfinite(reward) and abs(reward) < _LARGEST for each in tallies for reward in each.rewards):
        return Trial(tallies=(), tolerance=tolerance, reasons=("it pays more than can be counted: lower its weights",))
    trial = Trial(tallies=tallies, tolerance=tolerance, reasons=(), stored_share=share, num_pairs=num_pairs)
    reasons = list(_against(trial))
    if not allow_success:
        reasons += _leaning(rubric, tasks)
    return dataclasses.replace(trial, reasons=tuple(reasons))


def _tallies(rubric: Rubric, tasks: Sequence[Sequence[Played]]) -> tuple[Tally, ...]:
    found: dict[tuple[Role, str], list[tuple[float, Score]]] = {}
    for played in tasks:
        scores = rubric.score_group([each.episode for each in played])
        for each, score in zip(played, scores, strict=True):
            # As `RubricReward` has it: whoever touched a trap gains nothing.
            reward = min(score.reward, 0.0) if each.episode.tamper else score.reward
            found.setdefault((each.role, each.name), []).append((reward, score))
    return tuple(
        Tally(
            role=role,
            name=name,
            rewards=tuple(reward for reward, _ in scored),
            values={part: statistics.fmean(score.values[part] for _, score in scored) for part in rubric.weights},
        )
        for (role, name), scored in found.items()
    )


def _against(trial: Trial) -> Iterable[str]:
    """Yield what speaks against a rubric."""
    rewards = [reward for tally in trial.tallies for reward in tally.rewards]
    if max(rewards) - min(rewards) <= _SAME:
        yield f"it is constant: everybody earns {rewards[0]:.3f}, whatever is done, so there is nothing to learn"
        return
    oracle, floor = trial.tallies[0], trial.tallies[1]
    if oracle.mean - floor.mean <= _SAME:
        yield (
            f"it does not rank the oracle, which solves the task, above the floor, which says nothing useful: the "
            f"oracle earns {oracle.mean:.3f} on average, the floor {floor.mean:.3f}. {_compared(oracle, floor)}"
        )
        return
    lower = [at for at, (one, other) in enumerate(zip(oracle.rewards, floor.rewards, strict=True)) if one <= other]
    if lower:
        at = lower[0]
        yield (
            f"on {len(lower)} of {len(oracle.rewards)} tasks the oracle earns no more than the floor, on the first of "
            f"them {oracle.rewards[at]:.3f} and {floor.rewards[at]:.3f}"
        )
    cheats = [each for each in trial.tallies[2:] if (trial.share(each) or 0.0) > trial.tolerance + _SAME]
    cheats.sort(key=lambda each: -each.mean)
    for each in cheats[:_MOST_REASONS]:
        yield (
            f"the cheat {each.name!r}, which must not pay, earns {each.mean:.3f}, {trial.share(each):.0%} of the way "
            f"from the floor ({floor.mean:.3f}) to the oracle ({oracle.mean:.3f}); at most {trial.tolerance:.0%} is "
            f"allowed. {_compared(each, floor)}"
        )
    if len(cheats) > _MOST_REASONS:
        yield f"{len(cheats) - _MOST_REASONS} more cheats earn too much"
    if trial.stored_share is not None and trial.num_pairs >= _LEAST_PAIRS and trial.stored_share < 0.5:
        yield (
            f"of {trial.num_pairs} pairs of stored episodes, one that succeeded and one that did not, it pays the "
            f"right one more in {trial.stored_share:.0%} only"
        )


def _compared(one: Tally, other: Tally) -> str:
    """Say which components differ between two players."""
    parts = [
        f"{name} {value:.2f} against {other.values[name]:.2f}"
        for name, value in one.values.items()
        if abs(value - other.values[name]) > 0.005
    ]
    return f"By component: {', '.join(parts)}." if parts else "No component differs."


def _leaning(rubric: Rubric, tasks: Sequence[Sequence[Played]]) -> list[str]:
    """Return what speaks against a rubric that has the environment's verdict in it."""
    leant = [each.name for each in rubric.components if each.use in TRUTHS and (each.weight or each.gate is not None)]
    if not leant:
        return []
    rest = tuple(each for each in rubric.components if each.name not in leant)
    if rest:
        players = [[each for each in played if each.role in ("oracle", "floor")] for played in tasks]
        rested, whole = (
            oracle.mean - floor.mean
            for oracle, floor in (
                _tallies(each, players) for each in (dataclasses.replace(rubric, components=rest), rubric)
            )
        )
        if rested > _SAME and rested >= whole / 2 - _SAME:
            return []
    told = ", ".join(leant)
    return [
        f"it leans on the environment's own verdict ({told}): without it the oracle earns less than half as much "
        "above the floor. Let components that see by themselves what is right have the greater part"
    ]


def _agreement(rubric: Rubric, groups: Sequence[Sequence[Transcript]]) -> tuple[float | None, int]:
    """Return the share of pairs of stored episodes, one that succeeded and one not, that the rubric orders rightly.

    Pairs are of one task; where no task has both, any two.
    """
    right, wrong = [], []
    within: list[float] = []
    for group in groups:
        told = [each for each in group if each.success is not None]
        scores = rubric.score_group(told)
        won = [score.reward for each, score in zip(told, scores, strict=True) if each.success]
        lost = [score.reward for each, score in zip(told, scores, strict=True) if not each.success]
        within += [_ordered(one, other) for one in won for other in lost]
        right += won
        wrong += lost
    pairs = within or [_ordered(one, other) for one in right for other in wrong]
    return (statistics.fmean(pairs), len(pairs)) if pairs else (None, 0)


def _ordered(won: float, lost: float) -> float:
    return 0.5 if abs(won - lost) <= _SAME else float(won > lost)
