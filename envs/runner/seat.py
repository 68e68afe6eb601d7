"""One environment and its thread: commands in, replies out, one after another.

The environment is made at the first reset, and made anew after it raised or reported a failure. Whatever it raises
becomes a reply. A seat that hangs cannot be stopped from outside: it is left to its daemon thread.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple

import gymnasium

from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.protocol import Failure, Policy

__all__ = ["Command", "Make", "Reply", "Seat", "failed"]

Make = Callable[[], gymnasium.Env[Any, Any]]


class Command(NamedTuple):
    """A reset or a step for the environment of a slot."""

    slot: int
    ticket: int  # the reply has it too, so that one which comes too late is known
    is_reset: bool
    action: Any = None
    seed: int | None = None
    options: dict[str, Any] | None = None
    policy: str = ""  # reset: the environment's own player that chooses the actions
    is_scripted: bool = False  # step: it chooses this one


class Reply(NamedTuple):
    """What came of a command."""

    slot: int
    ticket: int
    observation: Any
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]
    action: Any
    finished_at: float  # time.monotonic(), which all processes of a machine share


class Seat:
    """A thread that serves one environment.

    Args:
        make: Makes the environment; called in the thread.
        reply: Takes a reply; called in the thread.
        name: Of the thread.
    """

    def __init__(self, make: Make, reply: Callable[[Reply], None], name: str) -> None:
        self._make = make
        self._reply = reply
        self._inbox: SimpleQueue[Command | None] = SimpleQueue()
        self._env: gymnasium.Env[Any, Any] | None = None
        self._policy: Policy | None = None
        self._seen: tuple[Any, dict[str, Any]] = (None, {})
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def send(self, command: Command) -> None:
        """Let the environment do this after what it was told before."""
        self._inbox.put(command)

    def leave(self) -> None:
        """Close the environment when it is done with what it was told, and end the thread."""
        self._inbox.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the thread; return whether it has ended."""
        self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    def _serve(self) -> None:
        while (command := self._inbox.get()) is not None:
            try:
                reply = self._reset(command) if command.is_reset else self._step(command)
                if reply.info.get("failure") is not None:
                    self._close()
            except BaseException as error:  # SystemExit too: it is somebody else's code
                self._close()
                reply = failed(command, _failure(error))
            self._reply(reply)
        self._close()

    def _reset(self, command: Command) -> Reply:
        if self._env is None:
            self._env = self._make()
        observation, info = self._env.reset(seed=command.seed, options=command.options)
        self._policy = _player(self._env, command.policy) if command.policy else None
        self._seen = observation, info
        return Reply(command.slot, command.ticket, observation, 0.0, False, False, info, None, time.monotonic())

    def _step(self, command: Command) -> Reply:
        if self._env is None:
            raise RuntimeError("the environment is gone; reset the slot")
        action = command.action
        if command.is_scripted:
            assert self._policy is not None
            action = self._policy(*self._seen)
        observation, reward, terminated, truncated, info = self._env.step(action)
        self._seen = observation, info
        return Reply(
            command.slot,
            command.ticket,
            observation,
            float(reward),
            bool(terminated),
            bool(truncated),
            info,
            action,
            time.monotonic(),
        )

    def _close(self) -> None:
        env, self._env = self._env, None
        if env is not None:
            with contextlib.suppress(BaseException):  # it failed already, or nobody waits for it any more
                env.close()


def failed(command: Command, failure: Failure) -> Reply:
    """Return the reply to a command that infrastructure kept from being done."""
    info = {"failure": failure}
    return Reply(command.slot, command.ticket, None, 0.0, False, True, info, command.action, time.monotonic())


def _failure(error: BaseException) -> Failure:
    kind, boundary = getattr(error, "kind", None), getattr(error, "boundary", None)
    if not isinstance(kind, str) or not isinstance(boundary, str):  # as InfrastructureError has them
        kind, boundary = "error", "environment"
    return {"kind": kind, "boundary": boundary, "message": f"{type(error).__name__}: {error}"}


def _player(env: gymnasium.Env[Any, Any], name: str) -> Policy:
    """Return a player that an environment ships: its oracle, its floor, or a cheat."""
    inner: Any = env.unwrapped
    known: dict[str, Policy] = dict(inner.cheats()) if hasattr(inner, "cheats") else {}
    if name in known:
        return known[name]
    if name in ("oracle", "noop") and hasattr(inner, name):
        policy: Policy = getattr(inner, name)()
        return policy
    there = [each for each in ("oracle", "noop") if hasattr(inner, each)] + list(known)
    raise UsageError(
        f"policy={name!r} does not exist{nearest(name, there)}; there are {', '.join(map(repr, there)) or 'none'}"
    )
