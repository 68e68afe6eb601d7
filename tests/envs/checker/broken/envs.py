"""Registers the sound environment and all broken ones; `tests.envs.checker.broken.envs:Broken/NAME-v0` makes them."""

from __future__ import annotations

import operator

from gymnasium.envs.registration import register

from tests.envs.checker.broken import boxed, contract, foreign, scoring, sound, state, telling

__all__ = ["NAMES", "env_id"]

NAMES = [
    name
    for module in (sound, contract, state, scoring, telling, boxed, foreign)
    for name, member in vars(module).items()
    if isinstance(member, type) and member.__module__ == module.__name__
]
_FUNCTIONS = {"Unpicklable": {"same": lambda one, other: operator.eq(one, other)}}

for _module in (sound, contract, state, scoring, telling, boxed, foreign):
    for _name, _member in vars(_module).items():
        if isinstance(_member, type) and _member.__module__ == _module.__name__:
            register(
                id=f"Broken/{_name}-v0",
                entry_point=f"{_module.__name__}:{_name}",
                kwargs=_FUNCTIONS.get(_name, {}),
            )


def env_id(name: str) -> str:
    """Return the id by which a fresh process can make an environment of this folder."""
    return f"{__name__}:Broken/{name}-v0"
