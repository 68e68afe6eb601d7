"""Judges of a group: every two episodes against each other, or the whole group ranked at once.

Equal works are asked about once and have equal scores: a group is reduced to its different works, and a copy counts as
an opponent with whom one is level. Works are put in the order of their digests first, so that a score depends neither
on the order in which episodes come nor on chance. Both kinds end in a table of wins, and a score is the mean of what
one won against every other episode of the group: 1 against all that are worse, 1/2 against all that are level.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np

from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.rubrics.judges.base import Judging, check_flag, task_of
from agentrl.envs.rubrics.judges.client import Question
from agentrl.envs.rubrics.judges.data import DATA_RULE, Shows, between_marks, digest, seen
from agentrl.envs.rubrics.judges.settings import JudgeSettings
from agentrl.envs.rubrics.judges.shared import on_shared_loop
from agentrl.envs.rubrics.judges.verdicts import choice_form, places_form
from agentrl.envs.rubrics.judges.wins import bradley_terry, orders_of, pairs_of, win_rates
from agentrl.envs.rubrics.transcript import Transcript
from agentrl.envs.rubrics.waiting import gathered

__all__ = ["GroupJudge", "ListJudge", "PairJudge", "judge_listwise", "judge_pairwise"]

_ROLE = "You compare what AI agents did with the same task. Be strict, and judge only what is there."
_LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_WINS = {"first": 1.0, "tie": 0.5, "second": 0.0}


@dataclass(frozen=True, kw_only=True)
class GroupJudge(Judging, ABC):
    """A scorer that compares the episodes of a group."""

    sees_group = True

    def __call__(self, episodes: Sequence[Transcript]) -> Awaitable[list[float]]:
        """Return a score in [0, 1] for each episode, to be awaited on any loop; 0.5, unasked, where there is one work.

        Raises:
            InfrastructureError: There is no verdict.
            UsageError: The episodes are of different tasks.
        """
        return on_shared_loop(lambda: self._scores(episodes))

    @abstractmethod
    async def compare(self, works: Sequence[Any], task: str) -> np.ndarray:
        """Return what each of some different works won against each other, in [0, 1]; NaN where they never met.

        Args:
            works: As they are shown, in an order that depends on them alone.
            task: What was to be done.
        """

    def duel(self, first: Transcript, second: Transcript) -> Awaitable[tuple[float, float]]:
        """Return what the first won standing in front, and what it won standing behind; on any loop.

        Raises:
            InfrastructureError: There is no verdict.
        """
        works = [seen(each, self.shows, self.max_chars) for each in (first, second)]
        return on_shared_loop(lambda: self.meet(works[0], works[1], first.question))

    @abstractmethod
    async def meet(self, first: Any, second: Any, task: str) -> tuple[float, float]:
        """Return what the first of two works won in either position; on the shared loop."""

    def rates(self, wins: np.ndarray, copies: np.ndarray) -> np.ndarray:
        """Return the score of each work.

        Args:
            wins: What each won against each other.
            copies: How many episodes did each work.
        """
        return win_rates(wins, copies)

    async def _scores(self, episodes: Sequence[Transcript]) -> list[float]:
        task = episodes[0].question if episodes else ""
        if any(each.question != task for each in episodes):
            raise UsageError("a group has episodes of different tasks; a judge compares episodes of one task")
        shown = [seen(each, self.shows, self.max_chars) for each in episodes]
        keys = ["" if each is None else digest(each) for each in shown]  # "": the agent said nothing
        works = {key: work for key, work in sorted(zip(keys, shown, strict=True), key=lambda each: each[0]) if key}
        copies = np.array([keys.count(key) for key in works], dtype=float)
        others, silent = len(episodes) - 1, keys.count("")
        if others <= 0:
            return [0.5] * len(episodes)
        rates = np.full(len(works), 0.5)
        if len(works) > 1:
            rates = self.rates(await self.compare(list(works.values()), task), copies)
        scores = {"": (silent - 1) / 2 / others}  # level with each other, and worse than all who said something
        for key, rate in zip(works, map(float, rates), strict=True):
            scores[key] = (rate * (others - silent) + silent) / others
        return [scores[key] for key in keys]

    def _meets(self, won: float, won_back: float) -> float:
        """Return what one work won against another, by what it won in either position; a contradiction is a tie."""
        self.client.count(num_pairs=1, num_contradictions=int((won - 0.5) * (won_back - 0.5) < 0))
        return (won + won_back) / 2


@dataclass(frozen=True, kw_only=True)
class PairJudge(GroupJudge):
    """A judge that compares two works at a time, each pair in both positions."""

    num_opponents: int = 0  # of each work; 0: all others
    score: Literal["win_rate", "bradley_terry"] = "win_rate"
    ties: bool = True  # whether the model may call a pair level

    async def compare(self, works: Sequence[Any], task: str) -> np.ndarray:
        """Return what each work won against those that it met."""
        pairs = pairs_of(len(works), self.num_opponents)
        found = await gathered([self._pair(works[first], works[second], task) for first, second in pairs])
        wins = np.full((len(works), len(works)), math.nan)
        for (first, second), won in zip(pairs, found, strict=True):
            wins[first, second], wins[second, first] = won, 1 - won
        return wins

    def rates(self, wins: np.ndarray, copies: np.ndarray) -> np.ndarray:
        """Return the score of each work: what it won, or what its strength says that it would win."""
        return win_rates(wins if self.score == "win_rate" else bradley_terry(wins), copies)

    async def meet(self, first: Any, second: Any, task: str) -> tuple[float, float]:
        """Return what the first of two works won in either position."""
        ahead, back = await gathered([self._won(first, second, task), self._won(second, first, task)])
        return ahead, 1 - back

    async def _pair(self, first: Any, second: Any, task: str) -> float:
        return self._meets(*await self.meet(first, second, task))

    async def _won(self, first: Any, second: Any, task: str) -> float:
        """Return what the first won, as the judge sees it in these positions."""
        votes = await self.client.votes(self.question(first, second, task), first_sample=self.first_sample)
        return math.fsum(_WINS[vote.value] for vote in votes) / len(votes)

    def question(self, first: Any, second: Any, task: str) -> Question:
        """Return what is asked about two works in these positions."""
        form = choice_form(["first", "second", *(["tie"] if self.ties else [])], reasons=self.reasons)
        level = " Say tie where neither is better." if self.ties else ""
        data = between_marks({**task_of(task, self.max_chars), "first": first, "second": second})
        return Question(
            system=f"{_ROLE}\n\nWhat counts:\n{self.criteria.strip()}\n\nSay which of two works is better; their order "
            f"means nothing.{level}\n\n{DATA_RULE}",
            user=f"{data}\n\nWhich of the two works above is better by what counts? Answer with a JSON object and "
            f"nothing else: {form.words}",
            form=form,
        )


@dataclass(frozen=True, kw_only=True)
class ListJudge(GroupJudge):
    """A judge that ranks all works of a group at once, in several orders, each followed by its reverse."""

    num_orders: int = 2

    async def compare(self, works: Sequence[Any], task: str) -> np.ndarray:
        """Return what each work won against each other, over all orders."""
        if len(works) > len(_LABELS):
            raise UsageError(
                f"judge_listwise: a group has {len(works)} different works, and ranks at most {len(_LABELS)}; use "
                "judge_pairwise with num_opponents = 4"
            )
        orders = orders_of(len(works), self.num_orders, digest(works))
        tables = await gathered([self._ranked(works, order, task) for order in orders])
        wins = np.full((len(works), len(works)), math.nan)
        for first, second in combinations(range(len(works)), 2):
            met = [
                self._meets(table[first, second], back[first, second])
                for table, back in zip(tables[::2], tables[1::2], strict=True)
            ]
            wins[first, second] = math.fsum(met) / len(met)
            wins[second, first] = 1 - wins[first, second]
        return wins

    async def meet(self, first: Any, second: Any, task: str) -> tuple[float, float]:
        """Return what the first of two works won in either position."""
        works = [first, second]
        ahead, behind = await gathered([self._ranked(works, order, task) for order in ([0, 1], [1, 0])])
        return float(ahead[0, 1]), float(behind[0, 1])

    async def _ranked(self, works: Sequence[Any], order: Sequence[int], task: str) -> np.ndarray:
        """Return what each work won against each other by the places that one order of them was given."""
        question = self.question([works[index] for index in order], task)
        votes = await self.client.votes(question, first_sample=self.first_sample)
        wins = np.zeros((len(works), len(works)))
        for vote in votes:
            places = np.empty(len(works))
            places[list(order)] = [vote.value[label] for label in _LABELS[: len(works)]]
            wins += (places[:, None] < places[None, :]) + 0.5 * (places[:, None] == places[None, :])
        table: np.ndarray = wins / len(votes)
        return table

    def question(self, works: Sequence[Any], task: str) -> Question:
        """Return what is asked about works in this order."""
        labels = _LABELS[: len(works)]
        form = places_form(labels, reasons=self.reasons)
        data = between_marks({**task_of(task, self.max_chars), "works": dict(zip(labels, works, strict=True))})
        return Question(
            system=f"{_ROLE}\n\nWhat counts:\n{self.criteria.strip()}\n\nGive each work its place: 1 is the best, and "
            f"works that are equally good share a place. Their order and their letters mean nothing.\n\n{DATA_RULE}",
            user=f"{data}\n\nRank the {len(works)} works above by what counts. Answer with a JSON object and nothing "
            f"else: {form.words}",
            form=form,
        )


def judge_pairwise(
    *,
    criteria: str,
    num_opponents: int = 0,
    score: Literal["win_rate", "bradley_terry"] = "win_rate",
    ties: bool = True,
    shows: Shows = "answer",
    max_chars: int = 24_000,
    reasons: bool = True,
    judge: Mapping[str, object] | None = None,
) -> PairJudge:
    """Let a model compare the episodes of a group two by two, each pair in both positions; the score is the win rate.

    A pair that is judged the other way round when swapped counts as a tie, and is counted (`Totals`).

    Args:
        criteria: What counts, in words.
        num_opponents: An even number of opponents of each episode; 0: all others.
        score: "win_rate", or "bradley_terry": the win rate that strengths of that model would bring against all.
        ties: Whether the model may call a pair level.
        shows: The part of the episodes that is compared: "answer", "last_turn" or "conversation".
        max_chars: Characters of an episode that are shown.
        reasons: Whether the model says why before it says which.
        judge: Which model, as `JudgeSettings` has it.

    Raises:
        UsageError: A value that cannot work.

    >>> scorer = judge_pairwise(criteria="Kindness.", judge={"model": "m", "base_url": "http://127.0.0.1:8000/v1"})
    >>> "Say tie where neither is better" in scorer.question("Hi.", "Go away.", "Greet.").system
    True
    """
    if isinstance(num_opponents, bool) or not isinstance(num_opponents, int) or num_opponents < 0 or num_opponents % 2:
        raise UsageError(f"num_opponents = {num_opponents!r} must be an even number, or 0 for all others")
    if score not in ("win_rate", "bradley_terry"):
        near = nearest(str(score), ("win_rate", "bradley_terry"))
        raise UsageError(f"score = {score!r} does not exist{near}; there are 'win_rate' and 'bradley_terry'")
    check_flag("ties", ties)
    return PairJudge(
        settings=JudgeSettings.from_table(judge),
        criteria=criteria,
        num_opponents=num_opponents,
        score=score,
        ties=ties,
        shows=shows,
        max_chars=max_chars,
        reasons=reasons,
    )


def judge_listwise(
    *,
    criteria: str,
    num_orders: int = 2,
    shows: Shows = "answer",
    max_chars: int = 24_000,
    reasons: bool = True,
    judge: Mapping[str, object] | None = None,
) -> ListJudge:
    """Let a model rank a group at once, in several orders and their reverses; the score is the mean normalised place.

    Args:
        criteria: What counts, in words.
        num_orders: An even number of orders in which the group is shown.
        shows: The part of the episodes that is ranked: "answer", "last_turn" or "conversation".
        max_chars: Characters of an episode that are shown.
        reasons: Whether the model says why before it says which.
        judge: Which model, as `JudgeSettings` has it.

    Raises:
        UsageError: A value that cannot work.

    >>> scorer = judge_listwise(criteria="Kindness.", judge={"model": "m", "base_url": "http://127.0.0.1:8000/v1"})
    >>> scorer.question(["Hi.", "Go away."], "Greet.").form.words
    '{"reason": "why, in at most three sentences", "places": {"A": its place, "B": its place}}'
    """
    if isinstance(num_orders, bool) or not isinstance(num_orders, int) or num_orders < 2 or num_orders % 2:
        raise UsageError(
            f"num_orders = {num_orders!r} must be an even number of 2 or more: every order is also reversed"
        )
    return ListJudge(
        settings=JudgeSettings.from_table(judge),
        criteria=criteria,
        num_orders=num_orders,
        shows=shows,
        max_chars=max_chars,
        reasons=reasons,
    )


# The catalogue says of a component whether it compares, without making one.
for _factory in (judge_pairwise, judge_listwise):
    vars(_factory)["sees_group"] = True
