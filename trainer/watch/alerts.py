"""An alert: what was seen, since when, in numbers and in one plain sentence, with episodes to look at.

Texts of episodes come from a model and may be hostile: they are cut to size here and escaped wherever they are shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from agentrl.trainer.errors import RunFolderError
from agentrl.trainer.types import Episode
from agentrl.trainer.watch.texts import turns_of

__all__ = ["ALERTS", "Alert", "Example", "examples_of", "lines_of_alerts", "parse_alerts", "read_alerts"]

ALERTS = "alerts.jsonl"
"""The file in a run's folder."""

NUM_EXAMPLES = 3
MAX_CHARS = 400  # of an example's text


@dataclass(frozen=True, kw_only=True)
class Example:
    """An episode that shows what an alert is about; (step, group, member) finds it in `rollouts.sqlite`."""

    step: int
    group: int
    member: int
    reward: float
    success: bool | None
    text: str  # the model's turns, cut in the middle


@dataclass(frozen=True, kw_only=True)
class Alert:
    """What the watch has seen."""

    step: int  # after which it was raised
    began: int  # step at which it most probably began
    env_id: str
    kind: str  # divergence, tamper, known_cheat, collapse
    component: str  # the part of the reward, "reward" for the whole; the cheat's name; else ""
    sentence: str  # what happened
    log_e: float  # evidence: natural logarithm of the e-value, less that of the number of tests
    figures: dict[str, float]  # the numbers behind the sentence
    also: tuple[str, ...] = ()  # what else has changed since it began
    examples: tuple[Example, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        told = asdict(self)
        return {**told, "also": list(told["also"]), "examples": list(told["examples"])}

    @classmethod
    def restore(cls, values: Mapping[str, Any]) -> Self:
        """Make one from plain data.

        Raises:
            TypeError: It is none.
        """
        told = dict(values)
        told["also"] = tuple(told.get("also", ()))
        told["examples"] = tuple(Example(**each) for each in told.get("examples", ()))
        made = cls(**told)
        _check(made, int, "step", "began")
        _check(made, str, "env_id", "kind", "component", "sentence")
        for each in made.examples:
            _check(each, int, "step", "group", "member")
            _check(each, str, "text")
        numbers = [made.log_e, *dict(made.figures).values(), *(each.reward for each in made.examples)]
        if not all(isinstance(number, float | int) for number in numbers):
            raise TypeError("a figure is no number")
        if not all(isinstance(each, str) for each in made.also):
            raise TypeError("also is no list of texts")
        return made


def examples_of(
    episodes: Iterable[Episode], *, first: Callable[[Episode], float] = lambda episode: 0.0
) -> tuple[Example, ...]:
    """Return the unsolved episodes with the highest rewards.

    Args:
        episodes: To choose from.
        first: Those with a higher value come first, whatever they earned.
    """
    unsolved = [episode for episode in episodes if episode.failure is None and episode.success is not True]
    unsolved.sort(key=lambda each: (-first(each), -each.reward, each.group, each.member))
    return tuple(
        Example(
            step=each.step,
            group=each.group,
            member=each.member,
            reward=each.reward,
            success=each.success,
            text=_cut("\n".join(turns_of(each))),
        )
        for each in unsolved[:NUM_EXAMPLES]
    )


def lines_of_alerts(alerts: Sequence[Alert]) -> str:
    """Return alerts as the text of `alerts.jsonl`."""
    return "".join(json.dumps(alert.as_dict()) + "\n" for alert in alerts)


def read_alerts(run: Path) -> list[Alert]:
    """Read the alerts of a run; none where it has no such file.

    Raises:
        RunFolderError: The file cannot be read, or a line is no alert.
    """
    path = Path(run) / ALERTS
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFolderError(f"{path} cannot be read: {error}; delete it, then agentrl rubric watch {run}") from error
    return list(parse_alerts(lines, path))


def parse_alerts(lines: Iterable[bytes], path: Path) -> Iterator[Alert]:
    """Yield the alerts of lines of `alerts.jsonl`.

    Args:
        lines: Without their ends.
        path: Of the file, for the message.

    Raises:
        RunFolderError: A line is no alert.
    """
    for number, line in enumerate(lines, start=1):
        try:
            yield Alert.restore(json.loads(line))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise RunFolderError(
                f"{path}, line {number}: no alert: {line[:80]!r}; delete the file, then agentrl rubric watch "
                f"{path.parent}"
            ) from error


def _check(record: object, kind: type, *names: str) -> None:
    for name in names:
        if type(getattr(record, name)) is not kind:
            raise TypeError(f"{name} is no {kind.__name__}")


def _cut(text: str) -> str:
    half = (MAX_CHARS - 5) // 2
    return text if len(text) <= MAX_CHARS else f"{text[:half]} […] {text[-half:]}"
