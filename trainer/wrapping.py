"""The environment as a run trains on it: in text, inside the wrapper that the run names, such as a rubric's.

The wrapper is any Gymnasium wrapper, found by its name, so that the trainer knows none. One that has a method
`score_group` scores the finished episodes of a group together; see `agentrl.trainer.groupscores`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium

from agentrl.trainer.errors import ConfigError
from agentrl.trainer.textualize import make_text_env

__all__ = ["WrapperConfig", "make_env"]


@dataclass(frozen=True, kw_only=True)
class WrapperConfig:
    """What every environment of a run is wrapped in, after it speaks text."""

    use: str | None = None  # module:callable, which takes the environment; none: nothing
    kwargs: dict[str, bool | int | float | str] = field(default_factory=dict)  # passed to it

    def __post_init__(self) -> None:
        if self.kwargs and self.use is None:
            raise ConfigError(
                f"wrapper.kwargs is {self.kwargs!r:.80}, which changes nothing without wrapper.use; write "
                "use = 'module:Wrapper', or leave it out"
            )
        if self.use is not None and not all(self.use.partition(":")):
            raise ConfigError(f"wrapper.use is {self.use!r}, but must be module:callable")

    def load(self) -> Callable[..., gymnasium.Env[Any, Any]]:
        """Import the wrapper.

        Raises:
            ConfigError: There is none.
        """
        module, _, name = str(self.use).partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"wrapper.use is {self.use!r}, which cannot be imported: {error}") from error
        made: Callable[..., gymnasium.Env[Any, Any]] = found
        return made


def make_env(env_id: str, kwargs: Mapping[str, Any], wrapper: WrapperConfig) -> gymnasium.Env[Any, Any]:
    """Make an environment that speaks text, and wrap it.

    Args:
        env_id: A registered id.
        kwargs: For `gymnasium.make`.
        wrapper: What to wrap it in.

    Raises:
        ConfigError: It cannot be made, or not be wrapped.
    """
    env = make_text_env(env_id, kwargs)
    if wrapper.use is None:
        return env
    try:
        return wrapper.load()(env, **wrapper.kwargs)
    except ConfigError:
        env.close()
        raise
    except Exception as error:  # somebody else's code: what it raises is no bug of ours
        env.close()
        raise ConfigError(f"env={env_id!r} cannot be wrapped in {wrapper.use}: {error}") from error
