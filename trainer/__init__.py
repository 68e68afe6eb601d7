"""GRPO on any Gymnasium text environment; knows environments by the Gymnasium API alone.

Names are loaded when first used, so that importing this package does not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentrl.trainer.coldstart_config import ColdstartConfig
    from agentrl.trainer.config import TrainConfig, load_recipe
    from agentrl.trainer.errors import (
        ConfigError,
        EngineError,
        ParityError,
        RunFolderError,
        TemplateError,
        TrainerError,
        WorkersError,
    )
    from agentrl.trainer.loop import train
    from agentrl.trainer.rundir import RunDir
    from agentrl.trainer.store import RolloutStore
    from agentrl.trainer.types import Completion, Episode

_HOMES = {
    "ColdstartConfig": "coldstart_config",
    "Completion": "types",
    "ConfigError": "errors",
    "EngineError": "errors",
    "Episode": "types",
    "ParityError": "errors",
    "RolloutStore": "store",
    "RunDir": "rundir",
    "RunFolderError": "errors",
    "TemplateError": "errors",
    "TrainConfig": "config",
    "TrainerError": "errors",
    "WorkersError": "errors",
    "load_recipe": "config",
    "train": "loop",
}

__all__ = [
    "ColdstartConfig",
    "Completion",
    "ConfigError",
    "EngineError",
    "Episode",
    "ParityError",
    "RolloutStore",
    "RunDir",
    "RunFolderError",
    "TemplateError",
    "TrainConfig",
    "TrainerError",
    "WorkersError",
    "load_recipe",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
