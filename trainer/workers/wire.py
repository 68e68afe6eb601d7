"""What travels between the trainer and a worker, as bytes: jobs and makers there, results and failures back.

Both sides are ours: what comes back is unpickled. Functions of a script travel by value, all others by name, so that a
worker's host must have the modules that they are in.
"""

from __future__ import annotations

import contextlib
import importlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import cloudpickle  # type: ignore[import-untyped]
import gymnasium
from gymnasium.envs.registration import EnvSpec

from agentrl.trainer.desk import EnvFailure
from agentrl.trainer.errors import ConfigError

__all__ = ["Answer", "Recipe", "decode", "encode", "pack"]

_PROTOCOL: Final = 5
_SCRIPT: Final = b"__main__"  # the module of a script, which is another one in a worker

Answer = tuple[str, ...] | tuple[str, bytes]
"""("result", bytes), ("failure", kind, boundary, message) or ("config", message)."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How an environment is made in a process that may not know its id."""

    env_id: str
    spec: EnvSpec | None  # its registration; none: it is not registered here
    make: Callable[[str], Any]

    @classmethod
    def of(cls, env_id: str, make: Callable[[str], Any]) -> Recipe:
        """Return that of an id: what this process has registered, `module:` before it imported."""
        module, _, name = env_id.rpartition(":")
        if module:
            with contextlib.suppress(ImportError):  # told when it is made
                importlib.import_module(module)
        return cls(env_id=name, spec=gymnasium.registry.get(name), make=make)

    def made(self) -> Any:
        """Make one, registered here as it was there."""
        if self.spec is not None:
            entry = self.spec.entry_point
            if isinstance(entry, str):  # it may register others, and itself: before, or it would be told as a mistake
                with contextlib.suppress(ImportError):
                    importlib.import_module(entry.partition(":")[0])
            gymnasium.registry[self.env_id] = self.spec
        return self.make(self.env_id)


def pack(thing: object, what: str) -> bytes:
    """Return something of ours as bytes.

    Raises:
        ConfigError: It holds what cannot be sent.
    """
    try:
        packed = _dumped(thing)
    except Exception as error:  # whatever an object's own pickling raises
        raise ConfigError(
            f"{what} cannot be sent to a worker process: {type(error).__name__}: {error}; give plain data, or leave "
            "env_workers out"
        ) from error
    return packed


def encode(result: object, error: Exception | None, what: str) -> Answer:
    """Return the end of a job as plain data; a result that cannot be sent is a failure."""
    if isinstance(error, EnvFailure):
        return ("failure", error.kind, error.boundary, str(error))
    if error is not None:
        return ("config", str(error))
    try:
        return ("result", _dumped(result))
    except Exception as raised:
        message = f"{what} gave what cannot be sent from a worker process: {type(raised).__name__}: {raised}"
        return ("failure", "protocol", "environment", message)


def decode(answer: Answer, what: str) -> tuple[Any, Exception | None]:
    """Return the result, or the error to raise."""
    kind, *rest = answer
    if kind == "config":
        return None, ConfigError(str(rest[0]))
    if kind == "failure":
        return None, EnvFailure(*map(str, rest))
    assert isinstance(rest[0], bytes)
    try:
        return pickle.loads(rest[0]), None
    except Exception as raised:  # a class that only the worker's host knows
        message = f"{what} gave what cannot be read here: {type(raised).__name__}: {raised}"
        return None, EnvFailure("protocol", "environment", message)


def _dumped(thing: object) -> bytes:
    """Pickle: by name where all of it has one that a worker knows, which takes a quarter of the time, else by value."""
    with contextlib.suppress(Exception):  # a function without a name, say
        packed = pickle.dumps(thing, protocol=_PROTOCOL)
        if _SCRIPT not in packed and not cloudpickle.list_registry_pickle_by_value():
            return packed
    by_value: bytes = cloudpickle.dumps(thing, protocol=_PROTOCOL)
    return by_value
