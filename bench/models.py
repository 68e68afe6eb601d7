"""An agent that is a model in this process: the trainer's engine samples, for all episodes at once.

Tokens in, tokens out, as the trainer does it: what was sampled is never tokenized again, and what the environment says
is appended as the chat template renders it. Each request has a seed of its own, a function of the task, the sample and
the turn; the same bench then draws the same, bit for bit with one episode at once, and else but for the rounding of
sums, which depends on what is computed together. Nothing is loaded before the model is opened.
"""

from __future__ import annotations

import zlib
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agentrl.bench.errors import AgentError, OutOfRoom, UsageError
from agentrl.bench.plans import Plan
from agentrl.bench.types import Job
from agentrl.envs.eventloop import LoopThread

if TYPE_CHECKING:
    from agentrl.trainer.answers import Context
    from agentrl.trainer.engines.base import Engine, Session
    from agentrl.trainer.history import History
    from agentrl.trainer.talks import Talks

__all__ = ["Model", "ModelPlayer"]

_PATIENCE = 20  # episodes that could not begin, before a bench in which none could is stopped


class Model:
    """A loaded model with its engine, for many episodes at once; `close` gives everything back.

    Args:
        plan: What to load.
        turn_s: Seconds after which a turn is given up.
        num_at_once: Episodes at once that vLLM is started for; the torch engine grows.

    Raises:
        UsageError: torch is missing.
        TrainerError: The model cannot be loaded, or its engine does not start.
    """

    def __init__(self, plan: Plan, *, turn_s: float, num_at_once: int) -> None:
        self.plan = plan
        self.loop = LoopThread(turn_s)
        self.num_begun = 0
        self.num_unfit = 0  # episodes whose prompt was longer than the context
        with ExitStack() as opened:
            opened.callback(self.loop.close)
            try:
                self.chat, self.engine = _opened(plan, num_at_once, opened)
            except ImportError as error:
                raise UsageError(
                    f"a model in this process needs torch and transformers ({error}); type: pip install "
                    "'agentrl-gym[train]', or name a server with openai:MODEL"
                ) from error
            self._opened = opened.pop_all()

    def check_alive(self, error: Exception) -> None:
        """Return where the engine still works, though it refused something.

        Raises:
            AgentError: It does not.
        """
        try:
            self.engine.session().close()
        except Exception:
            raise AgentError(f"the model's engine is gone: {error}. Type the same command to go on") from error

    def close(self) -> None:
        """Stop the engine; calling it again does nothing."""
        self._opened.close()


class ModelPlayer:
    """Plays one episode: a policy, with the tokens that it read and wrote.

    Args:
        model: Samples the turns.
        job: Decides the draws.
    """

    def __init__(self, model: Model, job: Job) -> None:
        self._model = model
        self._job = job
        self._talks: Talks | None = None
        self._session: Session | None = None
        self._num_turns = 0
        self.prompt_tokens = 0  # summed over the turns, each of which reads the whole episode so far
        self.completion_tokens = 0

    def __call__(self, observation: str, info: dict[str, Any]) -> str:
        """Return the model's turn.

        Raises:
            OutOfRoom: The episode is as long as it may be.
            AgentError: The engine is gone.
            TimeoutError: The turn took too long.
        """
        from agentrl.trainer.errors import EngineError

        talks = self._heard(observation, info)
        plan = self._model.plan
        request = talks.request(temperature=plan.temperature, seed=_seed(self._job, self._num_turns))
        if self._session is None:
            self._session = _session(self._model)
        if talks.moved:
            self._session.forget()
        try:
            completion = self._model.loop.wait(self._session.generate(request))
        except EngineError as error:
            self._model.check_alive(error)
            raise
        self.prompt_tokens += len(request.prompt_ids)
        self.completion_tokens += len(completion.token_ids)
        self._num_turns += 1
        return talks.say(completion)

    def close(self) -> None:
        """End the episode: let the engine drop what it keeps of it."""
        session, self._session = self._session, None
        if session is not None:
            session.forget()
            session.close()

    def _heard(self, observation: str, info: dict[str, Any]) -> Talks:
        from agentrl.trainer.answers import Context, read_reset, read_step
        from agentrl.trainer.talks import Talks

        model = self._model
        if self._talks is None:
            opening = read_reset((observation, info))
            messages = [{"role": "system", "content": opening.system}] if opening.system else []
            messages.append({"role": "user", "content": opening.observation})
            context = opening.context or Context(messages=messages, tools=opening.tools)
            self._talks = Talks(self._begin)
            if not self._talks.hear(context):
                self._refuse(self._talks.num_tokens)
            model.num_begun += 1
            return self._talks
        outcome = read_step((observation, 0.0, False, False, info), self._num_turns)
        if not self._talks.hear(outcome.context or Context(messages=outcome.replies, after=self._num_turns - 1)):
            raise OutOfRoom
        return self._talks

    def _begin(self, context: Context) -> History:
        from agentrl.trainer.history import History

        plan = self._model.plan
        return History(
            self._model.chat,
            context.messages,
            context.tools,
            max_turn_tokens=plan.max_tokens,
            max_episode_tokens=plan.max_context,
        )

    def _refuse(self, num_tokens: int) -> None:
        """Leave an episode that cannot begin; where none could, that is no result of the model's.

        Raises:
            OutOfRoom: Some episodes could, or few were tried.
            AgentError: None of many could.
        """
        model = self._model
        model.num_unfit += 1
        if not model.num_begun and model.num_unfit >= _PATIENCE:
            raise AgentError(
                f"none of {model.num_unfit} episodes could begin: the prompt has {num_tokens} tokens, and max_context "
                f"is {model.plan.max_context}; bench again with a larger --max-context, in another folder"
            )
        raise OutOfRoom


def _session(model: Model) -> Session:
    from agentrl.trainer.errors import EngineError

    try:
        return model.engine.session()
    except EngineError as error:
        raise AgentError(f"the model's engine is gone: {error}. Type the same command to go on") from error


def _opened(plan: Plan, num_at_once: int, opened: ExitStack) -> tuple[Any, Engine]:
    """Load chat template and model, and start the engine; what must be undone goes onto the stack."""
    from agentrl.trainer.chat import Chat
    from agentrl.trainer.config import TrainConfig, load_recipe
    from agentrl.trainer.determinism import torch_settings
    from agentrl.trainer.engines.opening import open_engine
    from agentrl.trainer.engines.options import EngineConfig
    from agentrl.trainer.model import pick_device
    from agentrl.trainer.policy import load_policy

    config = TrainConfig() if plan.run is None else load_recipe(str(plan.run / "config.toml"))
    config = replace(
        config,
        model=config.model if plan.run is not None else str(plan.weights),
        device=plan.device,
        dtype=plan.dtype,
        head_dtype=None if plan.dtype == "float32" else config.head_dtype,
        overlong_buffer=None,
        rollout=replace(config.rollout, max_turn_tokens=plan.max_tokens, max_episode_tokens=plan.max_context),
    )
    opened.enter_context(torch_settings(plan.threads, pick_device(plan.device)))
    model, tokenizer = load_policy(config, plan.weights if plan.run is not None else None)
    chat = Chat(tokenizer)
    engine = open_engine(
        model.eval(),
        max_tokens=plan.max_context,
        max_sessions=num_at_once,
        schedule="eager",  # episodes come and go, and none may wait for another's environment
        options=EngineConfig(name=plan.engine),
    )
    opened.callback(engine.close)
    engine.update_weights(0)
    return chat, engine


def _seed(job: Job, turn: int) -> int:
    env = zlib.crc32(job.env_id.encode())
    return int(np.random.SeedSequence([job.seed, job.level, job.sample, env, turn]).generate_state(1, np.uint64)[0])
