"""Which environments there are, and what a wrong id was meant to be."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import gymnasium

from agentrl.envs.errors import UsageError

__all__ = ["find_env", "our_envs"]


def our_envs() -> list[str]:
    """Return the ids of the suite: those that AgentRL registers, without what only connects to environments."""
    from agentrl.envs import CONNECTORS

    return sorted(name for name in gymnasium.registry if name.startswith("AgentRL/") and name not in CONNECTORS)


def find_env(env_id: str) -> str:
    """Return a registered id for what was typed: `module:id` imports the module first, and `Search-v0` means ours.

    Raises:
        UsageError: There is none; names the nearest.
    """
    ours = our_envs()
    if f"AgentRL/{env_id}" in gymnasium.registry:
        return f"AgentRL/{env_id}"
    module, _, name = env_id.rpartition(":")
    if module:
        _find_here(module)
        try:
            import_module(module)
        except ImportError as error:
            hint = ""
            if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
                hint = f"; go to the folder that holds {error.name}/, or install it there: pip install --editable ."
            raise UsageError(f"env {env_id!r}: the module {module!r} cannot be imported: {error}{hint}") from error
    if name in gymnasium.registry:
        return env_id
    from agentrl.envs.checker.ids import nearest_id

    hint = nearest_id(name, ours) or nearest_id(name, gymnasium.registry) or "."
    raise UsageError(f"env {env_id!r} is not registered{hint} Type: agentrl envs")


def _find_here(module: str) -> None:
    """Let a module of the current folder be imported, as `python -m` would; what is installed comes first."""
    here, top = Path.cwd(), module.partition(".")[0]
    if str(here) not in sys.path and ((here / top / "__init__.py").is_file() or (here / f"{top}.py").is_file()):
        sys.path.append(str(here))
