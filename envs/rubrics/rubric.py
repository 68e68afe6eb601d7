"""A rubric: named, weighted components over an episode; their weighted sum is its reward.

A value passes in this order: normalised, clipped, weighted. What cannot be scored, since a judge or a box failed or a
component raised, is an InfrastructureError and never a number.

A gate is a component that must reach a bound before the others count. Where it does not, the others' gains are lost and
their losses stay: if losses went too, failing the gate would be a way out of them. A trap of the environment that was
touched (`Transcript.tamper`) leaves no gain either.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import statistics
from collections.abc import Awaitable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from agentrl.envs.errors import EnvError, InfrastructureError, UsageError
from agentrl.envs.rubrics.component import Component, Part, checked_range, is_number, within
from agentrl.envs.rubrics.transcript import Transcript
from agentrl.envs.rubrics.waiting import gathered, wait_for_all

__all__ = ["Component", "Rubric", "Score"]

T = TypeVar("T")
_Steps = Generator[list[Awaitable[Any]], list[Any], T]

_SAME = 1e-8  # a group whose values differ by less has no spread to be normalised by

Turns = Sequence[Mapping[str, float]]
"""Values of the components that are scored at every turn, by turns, as `score_turn` gave them."""
Known = Sequence[Mapping[str, float] | None]
"""Values of episodes by themselves; None where one was not scored."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a rubric says of an episode."""

    reward: float
    values: Mapping[str, float]  # by component: normalised and clipped, without the weight; of turns the sum
    closed: tuple[str, ...] = ()  # gates that did not open
    pending: tuple[str, ...] = ()  # components that wait for the group: not in the reward, and not normalised by it


@dataclass(frozen=True, kw_only=True)
class Rubric:
    """Named, weighted components.

    Args:
        components: At least one; each with a name of its own.
        name: Of the rubric.
        clip: Least and greatest reward of an episode.
        judge: Settings of the judges that the components ask, where they have none of their own.
        deadline_s: Seconds that judges may take for an episode, or for a group of them.

    Raises:
        UsageError: A value that cannot work, or a component that cannot be made.

    >>> rubric = Rubric(components=(
    ...     Component(name="turns", use=lambda episode: episode.num_turns, weight=-0.1),
    ...     Component(name="polite", use=lambda episode: "please" in episode.turns[-1], gate=1.0),
    ... ))
    >>> rubric.score(Transcript(messages=({"role": "assistant", "content": "Wait, please."},)))
    Score(reward=0.9, values={'turns': 1.0, 'polite': 1.0}, closed=(), pending=())
    >>> rubric.score(Transcript(messages=({"role": "assistant", "content": "Wait."},)))
    Score(reward=-0.1, values={'turns': 1.0, 'polite': 0.0}, closed=('polite',), pending=())
    """

    components: tuple[Component, ...]
    name: str = ""
    clip: tuple[float, float] | None = None
    judge: Mapping[str, Any] = field(default_factory=dict)
    deadline_s: float = 300.0
    _parts: tuple[Part, ...] = field(init=False, repr=False, compare=False)
    _ended: tuple[Part, ...] = field(init=False, repr=False, compare=False)  # scored at the end, one episode at a time
    _turned: tuple[Part, ...] = field(init=False, repr=False, compare=False)  # scored at every turn
    _late: tuple[Part, ...] = field(init=False, repr=False, compare=False)  # that see the group

    def __post_init__(self) -> None:
        if not self.components:
            raise UsageError("a rubric has at least one component; add Component(name=…, use=…)")
        names = [each.name for each in self.components]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"two components are called {name!r}; give each a name of its own")
        checked_range("clip", self.clip)
        if not is_number(self.deadline_s) or self.deadline_s <= 0:
            raise UsageError(f"deadline_s is {self.deadline_s!r:.80}, but must be a number of seconds above 0")
        parts = tuple(Part(each, self.judge) for each in self.components)
        object.__setattr__(self, "_parts", parts)
        object.__setattr__(self, "_turned", tuple(part for part in parts if part.told.at == "turn"))
        object.__setattr__(self, "_late", tuple(part for part in parts if part.sees_group))
        ended = tuple(part for part in parts if part.told.at == "end" and not part.sees_group)
        object.__setattr__(self, "_ended", ended)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each component."""
        return {part.name: part.weight for part in self._parts}

    @property
    def sees_group(self) -> bool:
        """Whether a component needs all episodes of a group."""
        return any(part.is_late for part in self._parts)

    @property
    def sees_turns(self) -> bool:
        """Whether a component is scored at every turn."""
        return bool(self._turned)

    @property
    def needs_times(self) -> bool:
        """Whether a component looks at how long turns took."""
        return any(getattr(part.scorer, "needs_times", False) for part in self._parts)

    @property
    def needs_tokens(self) -> bool:
        """Whether a component counts tokens, which whoever samples knows and an environment does not."""
        return any(getattr(part.scorer, "needs_tokens", False) for part in self._parts)

    @property
    def needs_reference(self) -> bool:
        """Whether a component compares with `Transcript.references`."""
        return any(part.needs_reference for part in self._parts)

    def score(self, episode: Transcript, *, turns: Turns | None = None) -> Score:
        """Score a finished episode, waiting for its judges; components that see the group stay out.

        Args:
            episode: Finished.
            turns: What `score_turn` gave at its turns; None: they are scored now.

        Raises:
            InfrastructureError: It could not be scored.
        """
        return self._waited(self._one(episode, turns))

    async def score_async(self, episode: Transcript, *, turns: Turns | None = None) -> Score:
        """Score as `score` does, and let others run while judges are waited for."""
        return await self._awaited(self._one(episode, turns))

    def score_turn(self, episode: Transcript) -> dict[str, float]:
        """Return the values of the components that are scored at every turn, for the turn that was taken last.

        Raises:
            InfrastructureError: They could not be scored.
        """
        return self._waited(self._at_turn(episode))

    def score_group(self, episodes: Sequence[Transcript], *, known: Known | None = None) -> list[Score]:
        """Score the finished episodes of one task together.

        Args:
            episodes: Finished.
            known: `Score.values` of each by itself, of which then only what sees the group is scored; None: all is.

        Raises:
            InfrastructureError: They could not be scored.
        """
        return self._waited(self._group(episodes, known))

    async def score_group_async(self, episodes: Sequence[Transcript], *, known: Known | None = None) -> list[Score]:
        """Score as `score_group` does, and let others run while judges are waited for."""
        return await self._awaited(self._group(episodes, known))

    # -- each of these yields what is to be waited for, and is sent what came of it --------------------------------

    def _one(self, episode: Transcript, turns: Turns | None) -> _Steps[Score]:
        values = yield from self._turn_sums(episode, turns)
        raws = yield from _settled((part, episode) for part in self._ended)
        for part, raw in zip(self._ended, raws, strict=True):
            values[part.name] = part.value(raw)
        return self._combined(episode, values, is_whole=False)

    def _group(self, episodes: Sequence[Transcript], known: Known | None) -> _Steps[list[Score]]:
        found: list[dict[str, float]] = []
        asked: list[tuple[Part, Any]] = []
        new: list[tuple[Part, dict[str, float]]] = []  # who is asked, and where the value goes
        for episode, values in zip(episodes, known or [None] * len(episodes), strict=True):
            found.append(dict(values) if values is not None else (yield from self._turn_sums(episode, None)))
            if values is None:
                asked += [(part, episode) for part in self._ended]
                new += [(part, found[-1]) for part in self._ended]
        asked += [(part, tuple(episodes)) for part in self._late] if episodes else []
        raws = iter((yield from _settled(asked)))  # judges of all episodes are waited for at once
        for part, values in new:
            values[part.name] = part.value(next(raws))
        for part, many in zip(self._late, raws, strict=False):
            for values, raw in zip(found, part.as_many(many, len(episodes)), strict=True):
                values[part.name] = part.value(raw)
        for part in self._parts:
            if part.by_group:
                _normalise(part.name, found)
        pairs = zip(episodes, found, strict=True)
        return [self._combined(episode, values, is_whole=True) for episode, values in pairs]

    def _at_turn(self, episode: Transcript) -> _Steps[dict[str, float]]:
        raws = yield from _settled((part, episode) for part in self._turned)
        parts = zip(self._turned, raws, strict=True)
        return {part.name: within(part.value(raw), part.told.clip) for part, raw in parts}

    def _turn_sums(self, episode: Transcript, turns: Turns | None) -> _Steps[dict[str, float]]:
        if not self._turned:
            return {}
        found = list(turns or ())
        if turns is None:
            for beginning in episode.beginnings():
                found.append((yield from self._at_turn(beginning)))
        return {part.name: sum(turn.get(part.name, 0.0) for turn in found) for part in self._turned}

    # -- the arithmetic ------------------------------------------------------------------------------------------

    def _combined(self, episode: Transcript, values: Mapping[str, float], *, is_whole: bool) -> Score:
        """Clip and weigh values; unless they are those of a whole group, what waits for it does not count."""
        ordered: dict[str, float] = {}
        closed: list[str] = []
        pending: list[str] = []
        for part in self._parts:
            waits = not is_whole and part.is_late
            if waits:
                pending.append(part.name)
            if waits and part.sees_group:
                continue
            value = ordered[part.name] = values[part.name] if waits else within(values[part.name], part.clip)
            if part.gate is not None and not waits and value < part.gate:
                closed.append(part.name)
        reward = 0.0
        for part in self._parts:
            if is_whole or not part.is_late:
                gain = part.weight * ordered[part.name]
                reward += gain if all(name == part.name for name in closed) else min(gain, 0.0)
        if not math.isfinite(reward):
            told = f"the weighted sum of {ordered!r:.200} is {reward}, but a reward must be finite"
            raise InfrastructureError(told, kind="error", boundary="rubric")
        reward = within(reward, self.clip)
        reward = min(reward, 0.0) if episode.tamper else reward
        return Score(reward=reward, values=ordered, closed=tuple(closed), pending=tuple(pending))

    def _waited(self, steps: _Steps[T]) -> T:
        """Run steps to their end, with judges on the loop that all share."""
        try:
            asked = next(steps)
            while True:
                try:
                    answers = wait_for_all(asked, self.deadline_s)
                except Exception as error:
                    raise self._failure(error) from error
                asked = steps.send(answers)
        except StopIteration as end:
            return cast(T, end.value)

    async def _awaited(self, steps: _Steps[T]) -> T:
        """Run steps to their end, with judges on the caller's loop."""
        try:
            asked = next(steps)
            while True:
                try:
                    async with asyncio.timeout(self.deadline_s):
                        answers = await gathered(asked)
                except Exception as error:
                    raise self._failure(error) from error
                asked = steps.send(answers)
        except StopIteration as end:
            return cast(T, end.value)

    def _failure(self, error: Exception) -> EnvError:
        """Return what an error of something that was waited for is to whoever asked."""
        if isinstance(error, EnvError):
            return error
        if isinstance(error, TimeoutError):
            told = f"the rubric's judges did not answer within deadline_s={self.deadline_s:g}"
            return InfrastructureError(told, kind="timeout", boundary="rubric")
        told = f"a component raised {type(error).__name__}: {error}"
        return InfrastructureError(told, kind="error", boundary="rubric")


def _settled(asked: Iterable[tuple[Part, Any]]) -> _Steps[list[Any]]:
    """Ask components for raw values; those that come later are waited for at once."""
    raws: list[Any] = []
    try:
        for part, seen in asked:
            raws.append(part.ask(seen))
        waiting = [at for at, raw in enumerate(raws) if type(raw) is not float and inspect.isawaitable(raw)]
    except BaseException:
        for raw in raws:
            if inspect.iscoroutine(raw):
                raw.close()  # nobody will wait for it
        raise
    if waiting:
        answers = yield [raws[at] for at in waiting]
        for at, answer in zip(waiting, answers, strict=True):
            raws[at] = answer
    return raws


def _normalise(name: str, found: Sequence[dict[str, float]]) -> None:
    """Replace a component's values by deviations from their mean, in standard deviations of the group."""
    if not found:
        return
    values = [each[name] for each in found]
    mean, spread = statistics.fmean(values), statistics.pstdev(values)
    for each in found:
        each[name] = (each[name] - mean) / spread if spread > _SAME else 0.0
