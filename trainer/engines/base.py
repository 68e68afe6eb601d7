"""What the trainer asks of an engine: token ids in, token ids out, with the log-probability of each.

A session is one stream of episodes, one after another. Within an episode every prompt begins with all tokens so far, so
that an engine may keep its cache between turns; `forget` ends the episode.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Literal, Self

from agentrl.trainer.types import Completion

__all__ = ["TIMEOUT_S", "Engine", "Probe", "Proof", "Request", "Schedule", "Session"]

TIMEOUT_S: Final = 600.0
"""Of what an engine is asked for, unless `engine.timeout_s` says otherwise."""

Schedule = Literal["exact", "eager"]
"""When waiting turns join the batch: where tokens alone decide it (reproducible), or as soon as they are ready."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One turn to sample."""

    prompt_ids: Sequence[int]  # the whole episode so far
    max_new_tokens: int  # at least 1; the stop token counts
    temperature: float  # 0: the most likely token
    seed: int  # decides the draw together with the weights and the prompt
    stop_ids: frozenset[int]  # tokens that end the turn; the one met is part of the completion
    order: tuple[int, ...] = ()  # place in a batch, so that the same requests give the same batch whatever the timing


class Session(ABC):
    """One stream of episodes."""

    @abstractmethod
    async def generate(self, request: Request) -> Completion:
        """Sample one turn.

        Raises:
            EngineError: The engine failed or is closed; an infrastructure failure.
        """

    @abstractmethod
    def forget(self) -> None:
        """End the episode: drop its cache."""

    @abstractmethod
    def close(self) -> None:
        """End the stream; may be called twice."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A part of an engine that may hold weights of its own, such as one server of several."""

    name: str  # "": the engine is one part
    session: Callable[[], Session]  # opens a stream that stays on this part; PartLost where it is lost


Proof = Callable[[Probe], None]
"""Asks a part once more what the others were asked; raises ParityError where it answers otherwise."""


class Engine(ABC):
    """Something that samples from the current weights."""

    version: int = 0
    """Counts weight updates; every completion carries the version that made it."""

    @abstractmethod
    def session(self) -> Session:
        """Open a stream of episodes."""

    @abstractmethod
    def update_weights(self, version: int) -> None:
        """Take over the trainer's weights and drop every cache that was made with older ones.

        Raises:
            EngineError: When a turn is being sampled.
        """

    def probes(self) -> Sequence[Probe]:
        """Return the parts that each have to be proved after an update; at least one.

        Raises:
            EngineError: None is left.
        """
        return [Probe(name="", session=self.session)]

    def keep_proof(self, proof: Proof) -> None:  # noqa: B027, most engines have no part that comes back
        """Be given what a part has to pass that comes back before the next update."""

    def metrics(self) -> dict[str, float]:
        """Return figures of the time since the last call, `engine/…`; none unless an engine has some to tell."""
        return {}

    @abstractmethod
    def close(self) -> None:
        """Stop; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
