"""What all judges are: a scorer with settings, the part of an episode that it shows, and the client that it shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from agentrl.envs.errors import UsageError
from agentrl.envs.rubrics.judges.client import JudgeClient, Totals
from agentrl.envs.rubrics.judges.data import Shows, check_shows
from agentrl.envs.rubrics.judges.settings import JudgeSettings
from agentrl.envs.rubrics.judges.shared import client_for
from agentrl.envs.turns import capped

__all__ = ["Judging", "check_flag", "check_text", "task_of"]

J = TypeVar("J", bound="Judging")


@dataclass(frozen=True, kw_only=True)
class Judging:
    """A judge as a scorer.

    Raises:
        UsageError: A value that cannot work.
    """

    settings: JudgeSettings
    criteria: str  # what counts
    shows: Shows = "answer"  # the part of an episode that is judged
    max_chars: int = 24_000  # of an episode; more is cut in the middle
    reasons: bool = True  # whether the model says why before it says what
    first_sample: int = 0  # number of the first verdict; others than 0 ask past what is cached

    def __post_init__(self) -> None:
        check_text("criteria", self.criteria)
        check_shows(self.shows, self.max_chars)
        check_flag("reasons", self.reasons)

    @property
    def client(self) -> JudgeClient:
        """The client that all judges with these settings share."""
        return client_for(self.settings)

    def totals(self) -> Totals:
        """Return what judges with these settings were asked so far, and what it took."""
        return self.client.totals()

    def again(self: J, index: int) -> J:
        """Return the same judge for a repetition: its verdicts are asked for anew. 0 is this one.

        Args:
            index: Of the repetition.
        """
        return replace(self, first_sample=index * self.settings.num_votes)


def check_text(name: str, value: Any) -> None:
    """Refuse what is no text, or an empty one.

    Raises:
        UsageError: It is none.
    """
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{name} = {value!r:.80} must be a text; write what counts, as you would tell a colleague")


def check_flag(name: str, value: Any) -> None:
    """Refuse what is not true or false.

    Raises:
        UsageError: It is neither.
    """
    if not isinstance(value, bool):
        raise UsageError(f"{name} = {value!r:.80} must be true or false")


def task_of(question: str, max_chars: int) -> Mapping[str, str]:
    """Return the task as a judge is shown it; nothing where there is none."""
    return {"task": capped(question, max_chars)} if question else {}
