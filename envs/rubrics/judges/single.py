"""Judges of one episode: on a scale, against a reference, by a checklist."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.judges.base import Judging, check_text, task_of
from agentrl.envs.rubrics.judges.client import Question, Verdict
from agentrl.envs.rubrics.judges.data import DATA_RULE, Shows, between_marks, seen
from agentrl.envs.rubrics.judges.settings import JudgeSettings
from agentrl.envs.rubrics.judges.shared import on_shared_loop
from agentrl.envs.rubrics.judges.verdicts import checklist_form, score_form
from agentrl.envs.rubrics.transcript import Transcript

__all__ = ["ChecklistJudge", "ScaleJudge", "SingleJudge", "judge", "judge_checklist", "judge_reference"]

_ROLE = "You grade the work of an AI agent. Be strict, and judge only what is there."
_LONGEST_SCALE = 1000


@dataclass(frozen=True, kw_only=True)
class SingleJudge(Judging, ABC):
    """A scorer that asks about one episode at a time; an episode in which the agent said nothing scores 0, unasked."""

    def __call__(self, episode: Transcript) -> Awaitable[float]:
        """Return the score in [0, 1], to be awaited on any loop.

        Raises:
            InfrastructureError: There is no verdict.
        """
        return on_shared_loop(lambda: self._score(episode))

    def explain(self, episode: Transcript) -> Awaitable[list[Verdict]]:
        """Return the verdicts with what the judge wrote, from the cache where they are there; on any loop."""
        return on_shared_loop(lambda: self._votes(episode))

    @abstractmethod
    def question(self, shown: Any, episode: Transcript) -> Question:
        """Return what is asked about an episode.

        Args:
            shown: The part of it that is judged.
            episode: The episode.
        """

    @abstractmethod
    def value(self, verdict: Any) -> float:
        """Return the score that a verdict stands for."""

    async def _votes(self, episode: Transcript) -> list[Verdict]:
        shown = seen(episode, self.shows, self.max_chars)
        if shown is None:
            return []
        return await self.client.votes(self.question(shown, episode), first_sample=self.first_sample)

    async def _score(self, episode: Transcript) -> float:
        votes = await self._votes(episode)
        return math.fsum(self.value(vote.value) for vote in votes) / len(votes) if votes else 0.0

    def _data(self, shown: Any, episode: Transcript, further: Mapping[str, Any]) -> str:
        if self.shows == "conversation":
            return between_marks({**further, "conversation": shown})
        return between_marks({**task_of(episode.question, self.max_chars), **further, "answer": shown})


@dataclass(frozen=True, kw_only=True)
class ScaleJudge(SingleJudge):
    """A judge that gives a whole number on a scale, mapped to [0, 1]."""

    low: int = 1
    high: int = 10
    anchors: Mapping[str, str]  # what some points of the scale mean
    by_reference: bool = False  # whether accepted answers are shown
    reference: str = ""  # the accepted answer; empty: those of the episode

    @property
    def needs_reference(self) -> bool:
        """Whether the episode must tell accepted answers."""
        return self.by_reference and not self.reference

    def question(self, shown: Any, episode: Transcript) -> Question:
        """Return what is asked about an episode."""
        form = score_form(self.low, self.high, reasons=self.reasons)
        scale = f"Give a whole number from {self.low} (worst) to {self.high} (best)."
        points = "".join(f"\n{point}: {meaning}" for point, meaning in self.anchors.items())
        against = ""
        further: dict[str, Any] = {}
        if self.by_reference:
            against = "\nCompare with the accepted answers, which are right; another wording of one is as good."
            further = {"accepted_answers": self._references(episode)}
        return Question(
            system=f"{_ROLE}\n\nWhat counts:\n{self.criteria.strip()}{against}\n\n{scale}{points}\n\n{DATA_RULE}",
            user=f"{self._data(shown, episode, further)}\n\nGrade the work above by what counts. {_ending(form.words)}",
            form=form,
        )

    def value(self, verdict: Any) -> float:
        """Return the score that a verdict stands for."""
        return float((verdict - self.low) / (self.high - self.low))

    def _references(self, episode: Transcript) -> list[str]:
        if self.reference:
            return [self.reference]
        if not episode.references:
            raise UsageError(
                "judge_reference: the episode tells no accepted answer; write reference = '…', or use judge, which "
                "needs none"
            )
        return list(episode.references)


@dataclass(frozen=True, kw_only=True)
class ChecklistJudge(SingleJudge):
    """A judge that says yes or no to each item of a list; the score is the weighted share of yes."""

    items: tuple[str, ...]
    weights: tuple[float, ...]

    def question(self, shown: Any, episode: Transcript) -> Question:
        """Return what is asked about an episode."""
        form = checklist_form(len(self.items), reasons=self.reasons)
        listed = "\n".join(f"item_{index + 1}: {item}" for index, item in enumerate(self.items))
        how = "Say of each item by itself whether the work meets it. What is met in part is not met."
        return Question(
            system=f"{_ROLE}\n\n{self.criteria.strip()}\n\n{listed}\n\n{how}\n\n{DATA_RULE}",
            user=f"{self._data(shown, episode, {})}\n\nCheck the work above item by item. {_ending(form.words)}",
            form=form,
        )

    def value(self, verdict: Any) -> float:
        """Return the score that a verdict stands for."""
        return math.fsum(weight for weight, met in zip(self.weights, verdict, strict=True) if met) / math.fsum(
            self.weights
        )


def judge(
    *,
    criteria: str,
    scale: Sequence[int] = (1, 10),
    anchors: Mapping[str, str] | None = None,
    shows: Shows = "answer",
    max_chars: int = 24_000,
    reasons: bool = True,
    judge: Mapping[str, object] | None = None,
) -> ScaleJudge:
    """Let a model grade an episode on a scale, mapped to [0, 1] (Zheng et al. 2023, "Judging LLM-as-a-judge").

    Args:
        criteria: What counts, in words.
        scale: The lowest and the highest whole number that the model may give.
        anchors: What points of the scale mean, such as {"1" = "wrong", "10" = "right and complete"}.
        shows: "answer", "last_turn" or "conversation"; nothing else of the episode is shown, but the task.
        max_chars: Characters of an episode that are shown; of longer ones the head and the tail.
        reasons: Whether the model says why before it gives the number.
        judge: Which model, as `JudgeSettings` has it.

    Raises:
        UsageError: A value that cannot work.

    >>> scorer = judge(criteria="The answer is kind.", judge={"model": "m", "base_url": "http://127.0.0.1:8000/v1"})
    >>> scorer.value(10), scorer.value(1)
    (1.0, 0.0)
    """
    return _scale_judge(criteria, scale, anchors, shows, max_chars, reasons, judge, by_reference=False)


def judge_reference(
    *,
    criteria: str = "The answer is right: it says the same as an accepted answer and nothing that contradicts it.",
    reference: str = "",
    scale: Sequence[int] = (1, 10),
    anchors: Mapping[str, str] | None = None,
    shows: Shows = "answer",
    max_chars: int = 24_000,
    reasons: bool = True,
    judge: Mapping[str, object] | None = None,
) -> ScaleJudge:
    """Let a model grade an episode on a scale against accepted answers, mapped to [0, 1].

    Args:
        criteria: What counts, in words.
        reference: The accepted answer; empty: those that the environment tells.
        scale: See `judge`, as for all that follow.
        anchors: What points of the scale mean.
        shows: The part of the episode that is judged.
        max_chars: Characters of an episode that are shown.
        reasons: Whether the model says why.
        judge: Which model.

    Raises:
        UsageError: A value that cannot work.

    >>> settings = {"model": "m", "base_url": "http://127.0.0.1:8000/v1"}
    >>> judge_reference(judge=settings).needs_reference, judge_reference(reference="4", judge=settings).needs_reference
    (True, False)
    """
    if not isinstance(reference, str):
        raise UsageError(f"reference = {reference!r:.80} must be a text, or left out")
    return _scale_judge(
        criteria, scale, anchors, shows, max_chars, reasons, judge, by_reference=True, reference=reference
    )


def judge_checklist(
    *,
    items: Sequence[str],
    weights: Sequence[float] | None = None,
    criteria: str = "Check the work against the items of this list:",
    shows: Shows = "answer",
    max_chars: int = 24_000,
    reasons: bool = True,
    judge: Mapping[str, object] | None = None,
) -> ChecklistJudge:
    """Let a model say yes or no to each item of a list; the score is the share of yes, by weight.

    Args:
        items: What each must hold, one statement an item.
        weights: Of each item, above 0; None: all alike.
        criteria: What is said before the list.
        shows: See `judge`, as for all that follow.
        max_chars: Characters of an episode that are shown.
        reasons: Whether the model says why, item by item.
        judge: Which model.

    Raises:
        UsageError: A value that cannot work.

    >>> scorer = judge_checklist(items=["It names a year.", "It is polite."], weights=[3, 1],
    ...                          judge={"model": "m", "base_url": "http://127.0.0.1:8000/v1"})
    >>> scorer.value((True, False))
    0.75
    """
    if isinstance(items, str) or not isinstance(items, Sequence) or not items:
        raise UsageError(f"items = {items!r:.80} must be a list of at least one statement")
    for item in items:
        check_text("an item", item)
    given: Any = [1.0] * len(items) if weights is None else weights
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != len(items):
        raise UsageError(f"weights = {weights!r:.80} must be a list of {len(items)} numbers, one for each item")
    for weight in given:
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
            raise UsageError(f"weights: {weight!r:.80} must be a number above 0")
    return ChecklistJudge(
        settings=JudgeSettings.from_table(judge),
        criteria=criteria,
        shows=shows,
        max_chars=max_chars,
        reasons=reasons,
        items=tuple(item.strip() for item in items),
        weights=tuple(map(float, given)),
    )


def _scale_judge(
    criteria: str,
    scale: Sequence[int],
    anchors: Mapping[str, str] | None,
    shows: Shows,
    max_chars: int,
    reasons: bool,
    judge: Mapping[str, object] | None,
    *,
    by_reference: bool,
    reference: str = "",
) -> ScaleJudge:
    whole = isinstance(scale, Sequence) and all(isinstance(each, int) and not isinstance(each, bool) for each in scale)
    if not whole or len(scale) != 2 or not 0 < scale[1] - scale[0] <= _LONGEST_SCALE:
        raise UsageError(f"scale = {scale!r:.80} must be two whole numbers, the lower first, such as [1, 10]")
    points = dict(anchors or {})
    for point, meaning in points.items():
        if not str(point).lstrip("-").isdigit() or not scale[0] <= int(point) <= scale[1]:
            raise UsageError(f"anchors: {point!r} is no whole number from {scale[0]} to {scale[1]}")
        check_text(f"anchors: {point}", meaning)
    return ScaleJudge(
        settings=JudgeSettings.from_table(judge),
        criteria=criteria,
        shows=shows,
        max_chars=max_chars,
        reasons=reasons,
        low=scale[0],
        high=scale[1],
        anchors=points,
        by_reference=by_reference,
        reference=reference,
    )


def _ending(words: str) -> str:
    return f"Answer with a JSON object and nothing else: {words}"
