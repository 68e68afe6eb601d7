"""Ask a model for a rubric until one passes its trial, and write down all that was said and found.

Each event is a line of the record, written before the next begins, so that a server that fails loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.rubrics.design.prompt import rejected_message
from agentrl.envs.rubrics.design.proposal import rubric_of, toml_of
from agentrl.envs.rubrics.design.trial import Trial
from agentrl.envs.rubrics.rubric import Rubric
from agentrl.envs.rubrics.toml import to_toml

__all__ = ["Ask", "Designed", "Record", "Round", "design"]


class Ask(Protocol):
    """Says what a model answers to messages."""

    def __call__(self, messages: Sequence[Mapping[str, str]], /) -> str:
        """Return its answer; raise InfrastructureError where there is none."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One proposal and what came of it."""

    number: int  # from 1
    answer: str  # all that the model said
    toml: str  # what was read as the rubric; empty: there was none
    reasons: tuple[str, ...]  # against it; none: it was accepted
    trial: Trial | None  # None: it was no rubric


@dataclass(frozen=True, kw_only=True)
class Designed:
    """What came of a design."""

    rubric: Rubric | None  # None: every proposal was rejected
    rounds: tuple[Round, ...]


class Record:
    """A file of JSON lines to which events are added.

    Args:
        path: Made where it is missing; what it holds stays.

    Raises:
        UsageError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error}; choose another place with --out") from error

    def add(self, event: str, **told: Any) -> None:
        """Write an event down."""
        self._file.write(json.dumps({"event": event, **told}) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def design(
    messages: Sequence[Mapping[str, str]],
    ask: Ask,
    try_it: Callable[[Rubric], Trial],
    record: Record,
    *,
    num_rounds: int = 4,
    judge: Mapping[str, Any] | None = None,
    on_round: Callable[[Round], None] = lambda found: None,
) -> Designed:
    """Ask for rubrics until one is accepted.

    Args:
        messages: That ask for the first.
        ask: The model.
        try_it: Tries a rubric.
        record: Told of everything.
        num_rounds: Most proposals.
        judge: The user's settings of judges; None: a rubric may ask none.
        on_round: Told of each proposal and what came of it.

    Raises:
        InfrastructureError: The model, or a judge, did not answer; what was said until then is in the record.
    """
    talk = [dict(message) for message in messages]
    record.add("prompt", messages=talk)
    rounds: list[Round] = []
    for number in range(1, num_rounds + 1):
        try:
            answer = ask(talk)
            record.add("proposal", round=number, answer=answer)
            rubric, found = _judged(number, answer, try_it, judge)
        except InfrastructureError as error:
            record.add("failure", round=number, kind=error.kind, boundary=error.boundary, message=str(error))
            raise
        rounds.append(found)
        verdict = {"accepted": not found.reasons, "reasons": found.reasons, "toml": found.toml}
        record.add("verdict", round=number, **verdict, trial=asdict(found.trial) if found.trial is not None else None)
        on_round(found)
        if rubric is not None and not found.reasons:
            record.add("accepted", round=number, rubric=to_toml(rubric))
            return Designed(rubric=rubric, rounds=tuple(rounds))
        again = rejected_message(found.reasons)
        talk += [{"role": "assistant", "content": answer}, again]
        if number < num_rounds:
            record.add("prompt", messages=[again])
    record.add("rejected", num_rounds=num_rounds)
    return Designed(rubric=None, rounds=tuple(rounds))


def _judged(
    number: int, answer: str, try_it: Callable[[Rubric], Trial], judge: Mapping[str, Any] | None
) -> tuple[Rubric | None, Round]:
    toml = ""
    try:
        toml = toml_of(answer)
        rubric = rubric_of(toml, judge)
    except UsageError as error:
        return None, Round(number=number, answer=answer, toml=toml, reasons=(str(error),), trial=None)
    trial = try_it(rubric)
    return rubric, Round(number=number, answer=answer, toml=toml, reasons=trial.reasons, trial=trial)
