"""Open the engine that a run's configuration names."""

from __future__ import annotations

import math
from importlib import import_module
from typing import TYPE_CHECKING

from agentrl.trainer.engines import ENGINES, SERVERS
from agentrl.trainer.engines.base import TIMEOUT_S, Engine, Schedule
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.spread import compute_dtype

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["open_engine", "open_torch"]


def open_engine(
    model: PreTrainedModel,
    *,
    max_tokens: int,
    max_sessions: int,
    schedule: Schedule,
    options: EngineConfig,
    beside: bool = False,
    own: PreTrainedModel | None = None,
) -> Engine:
    """Open an engine that samples from the trainer's model.

    Args:
        model: The model that is trained.
        max_tokens: Of a whole episode.
        max_sessions: Episodes at once.
        schedule: When waiting turns join the batch.
        options: Which engine, and its options.
        beside: Whether it samples while the model is trained, so that it needs weights of its own; vLLM always has.
        own: Whole weights for the torch engine, where the model is spread over ranks; None: it shares or copies them.

    Raises:
        ConfigError: The engine is not installed, or does not take the model or the options.
        EngineError: It does not start.
    """
    if options.name == "torch" and (beside or own is not None):
        return open_torch(
            model,
            max_tokens=max_tokens,
            max_sessions=max_sessions,
            schedule=schedule,
            options=options,
            beside=beside,
            own=own,
        )
    module, _, opener = (SERVERS if options.remote else ENGINES[options.name]).partition(":")
    engine: Engine = getattr(import_module(module), opener)(
        model, max_tokens=max_tokens, max_sessions=max_sessions, schedule=schedule, options=options
    )
    return engine


def open_torch(
    model: PreTrainedModel,
    *,
    max_tokens: int,
    max_sessions: int,
    schedule: Schedule,
    options: EngineConfig,
    beside: bool = False,
    own: PreTrainedModel | None = None,
) -> Engine:
    """Open the torch engine, which grows with what is asked of it, up to `engine.kv_cache_mb`.

    Raises:
        ConfigError: That is too small for one episode, or the model is not taken.
    """
    from agentrl.trainer.engines.copied import CopiedEngine
    from agentrl.trainer.engines.kvcache import token_bytes
    from agentrl.trainer.engines.torch import TorchEngine

    bound = options.kv_cache_mb
    needed_mb = math.ceil(max_tokens * token_bytes(model.config.get_text_config(), compute_dtype(model)) / 2**20)
    if bound is not None and bound < needed_mb:
        raise ConfigError(
            f"engine.kv_cache_mb is {bound}, but one episode of rollout.max_episode_tokens={max_tokens} takes "
            f"{needed_mb} MiB of keys and values: write --engine.kv_cache_mb {needed_mb} or more"
        )
    timeout_s = options.timeout_s or TIMEOUT_S
    if beside or own is not None:
        return CopiedEngine(model, own=own, schedule=schedule, kv_cache_mb=bound, timeout_s=timeout_s)
    return TorchEngine(model, schedule=schedule, kv_cache_mb=bound, timeout_s=timeout_s)
