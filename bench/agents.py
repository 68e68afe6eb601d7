"""Who plays: what an environment ships, the random floor, a model, or a function of the user.

An agent's name says all: `oracle`, `noop`, `cheat:NAME`, `random`, `python:MODULE:CALLABLE`, `openai:MODEL` behind any
OpenAI-compatible endpoint, or a model in this process: `hf:PATH_OR_ID`, `vllm:PATH_OR_ID`, or `run:DIR`, a checkpoint
of a training run. A function is called once a turn with the messages so far, each `{"role", "content"}`
with a "name" beside the role "tool", and returns the assistant's whole text. It may be async. Of `tools` (schemas in
the OpenAI function format), `seed` and `sample` (which episode of the task it is) it is given those that it names as
parameters.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from agentrl.bench.conversation import Conversation
from agentrl.bench.errors import AgentError, UsageError
from agentrl.bench.plans import KINDS
from agentrl.bench.types import Job
from agentrl.envs.checker.cheats import Scene, standard_cheats
from agentrl.envs.checker.players import random_player
from agentrl.envs.errors import nearest
from agentrl.envs.eventloop import LoopThread
from agentrl.envs.functions import load_function, source_digest
from agentrl.envs.protocol import Policy

if TYPE_CHECKING:
    from agentrl.bench.endpoint import EndpointSettings
    from agentrl.bench.plans import ModelSettings

__all__ = ["AGENTS", "Agent", "open_agent", "source_of"]

AGENTS = (
    "oracle",
    "noop",
    "random",
    "cheat:NAME",
    "openai:MODEL",
    "hf:PATH_OR_ID",
    "run:DIR",
    "vllm:PATH_OR_ID",
    "python:MODULE:CALLABLE",
)

_PREFIXES = ("cheat:", "openai:", "hf:", "run:", "vllm:", "python:")
_GIVEN = ("tools", "seed", "sample")


class Agent(ABC):
    """Makes a player for each episode; a context manager, closed when the bench has ended."""

    @abstractmethod
    def player(self, job: Job) -> str | Policy:
        """Return who plays an episode: a policy, or the name of a player that the environment ships."""

    def check(self, env_id: str, env: Any) -> None:  # noqa: B027  # most refuse none
        """Refuse an environment that the agent cannot play; `env` is one that was made and not reset.

        Raises:
            UsageError: It cannot; says what could.
        """

    @property
    def num_refused(self) -> int:
        """How many requests a server refused because they were too many (429)."""
        return 0

    def close(self) -> None:  # noqa: B027  # most hold nothing
        """Let go of what the agent holds; calling it again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_agent(
    name: str,
    *,
    turn_s: float = 300.0,
    endpoint: EndpointSettings | None = None,
    key: str = "",
    model: ModelSettings | None = None,
    num_at_once: int = 4,
) -> Agent:
    """Return the agent of a name.

    Args:
        name: One of `AGENTS`, with its words in capitals filled in.
        turn_s: Seconds after which a turn of an endpoint, a model or an async function is cancelled.
        endpoint: Where and how a model is asked; of `openai:MODEL` alone.
        key: Of the endpoint.
        model: How a model in this process is loaded and sampled; of `hf:`, `run:` and `vllm:` alone.
        num_at_once: Episodes at once that `vllm:` is started for.

    Raises:
        UsageError: There is no such agent, module, function or model; names the nearest.
        TrainerError: A model that cannot be loaded, or an engine that does not start.
    """
    kind, colon, rest = name.partition(":")
    if kind in KINDS and rest and endpoint is None and not key:
        return _Model(kind, rest, turn_s, model, num_at_once)
    if model is not None and kind not in KINDS:
        raise UsageError(f"agent {name!r} is no model in this process; leave its settings out, or name hf:PATH_OR_ID")
    if kind == "openai" and rest:
        return _OpenAI(rest, turn_s, endpoint, key)
    if endpoint is not None or key:
        raise UsageError(f"agent {name!r} asks no endpoint; leave its settings out, or name openai:MODEL")
    if name in ("oracle", "noop"):
        return _Shipped(name)
    if name == "random":
        return _Random()
    if kind == "cheat" and rest:
        return _Cheat(rest)
    if kind == "python" and rest:
        return _Function(
            load_function(f"agent {name!r}", rest, example="python:MODULE:CALLABLE, such as python:mine:answer"), turn_s
        )
    if kind == "person":
        raise UsageError(f"agent {name!r} plays by hand; type: agentrl play ENV --out DIR")
    hint = nearest(name, ("oracle", "noop", "random")) or nearest(kind + colon, _PREFIXES)
    raise UsageError(f"agent {name!r} does not exist{hint}; there are {', '.join(AGENTS)}")


def source_of(name: str) -> str:
    """Return a digest of the file that holds a `python:` agent, empty for others: an edited agent is another one.

    What its module imports is not looked at.
    """
    kind, _, place = name.partition(":")
    module = place.partition(":")[0]
    return source_digest(module) if kind == "python" and module else ""


class _Shipped(Agent):
    """The environment's own oracle or floor."""

    def __init__(self, name: str) -> None:
        self.name = name

    def player(self, job: Job) -> str | Policy:
        return self.name

    def check(self, env_id: str, env: Any) -> None:
        if not hasattr(env.unwrapped, self.name):
            raise UsageError(f"{env_id} ships no {self.name}; there are the agents random and python:MODULE:CALLABLE")


class _Random(Agent):
    """Prose, well-formed calls with arbitrary arguments, and guesses."""

    def player(self, job: Job) -> str | Policy:
        return random_player(np.random.default_rng([job.seed, job.sample, job.level]))


class _Cheat(Agent):
    """A cheat of the environment, or of those that `agentrl check` tries on any."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._own: set[str] = set()  # environments that ship it

    def player(self, job: Job) -> str | Policy:
        if job.env_id in self._own:
            return self.name
        return self._say

    def check(self, env_id: str, env: Any) -> None:
        own: list[str] = []
        if hasattr(env.unwrapped, "cheats"):
            env.reset(seed=0)  # some are written for the task
            own = list(env.unwrapped.cheats())
        if self.name in own:
            self._own.add(env_id)
            return
        known = [name for name, _ in standard_cheats(_scene("", {}))]
        if self.name not in known:
            raise UsageError(
                f"{env_id} has no cheat {self.name!r}{nearest(self.name, [*own, *known])}; its own are "
                f"{', '.join(map(repr, own)) or 'none'}, those for any are {', '.join(map(repr, known))}"
            )

    def _say(self, observation: str, info: dict[str, Any]) -> str:
        turns = dict(standard_cheats(_scene(observation, info)))
        return turns[self.name]


class _Function(Agent):
    """A function of the user, sync or async; async ones share one event loop in a thread."""

    def __init__(self, function: Callable[..., Any], turn_s: float) -> None:
        self._function = function
        self._wanted = _wanted(function)
        self._loop = LoopThread(turn_s)

    def player(self, job: Job) -> str | Policy:
        talk: Conversation | None = None

        def policy(observation: str, info: dict[str, Any]) -> str:
            nonlocal talk
            if talk is None:
                talk = Conversation(observation, info)
            else:
                talk.hear(observation, info)
            given = {"tools": talk.tools, "seed": job.seed, "sample": job.sample}
            messages = [dict(message) for message in talk.messages]
            said = self._function(messages, **{name: given[name] for name in self._wanted})
            if inspect.iscoroutine(said):
                said = self._loop.wait(said)
            if not isinstance(said, str):
                raise AgentError(
                    f"the agent's function returned {said!r:.80}, a {type(said).__name__}; return the assistant's text"
                )
            talk.say(said)
            return said

        return policy

    def close(self) -> None:
        self._loop.close()


class _OpenAI(Agent):
    """A model behind an endpoint."""

    def __init__(self, model: str, turn_s: float, settings: EndpointSettings | None, key: str) -> None:
        from agentrl.bench.endpoint import Endpoint, EndpointSettings  # httpx is loaded where a model is asked for

        self._loop = LoopThread(turn_s)
        self._endpoint = Endpoint(model, settings or EndpointSettings(), key, self._loop)

    def player(self, job: Job) -> str | Policy:
        from agentrl.bench.endpoint import EndpointPlayer

        return EndpointPlayer(self._endpoint)

    @property
    def num_refused(self) -> int:
        return self._endpoint.num_refused

    def close(self) -> None:
        self._endpoint.close()
        self._loop.close()


class _Model(Agent):
    """A model in this process, sampled by the trainer's engine."""

    def __init__(self, kind: str, place: str, turn_s: float, settings: ModelSettings | None, num_at_once: int) -> None:
        from agentrl.bench.models import Model
        from agentrl.bench.plans import ModelSettings, plan_of

        plan = plan_of(kind, place, settings or ModelSettings())
        self._model = Model(plan, turn_s=turn_s, num_at_once=num_at_once)

    def player(self, job: Job) -> str | Policy:
        from agentrl.bench.models import ModelPlayer

        return ModelPlayer(self._model, job)

    def close(self) -> None:
        self._model.close()


def _scene(observation: str, info: dict[str, Any]) -> Scene:
    return Scene(
        question=observation,
        system=str(info.get("system", "")),
        tools=tuple(info.get("tools") or ()),
        right=None,
        runs_code=True,
    )


def _wanted(function: Callable[..., Any]) -> Sequence[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return ()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return _GIVEN
    return [each.name for each in parameters if each.name in _GIVEN and each.kind is not each.POSITIONAL_ONLY]
