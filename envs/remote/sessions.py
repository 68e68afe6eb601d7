"""The sessions of a server: an environment each, in a thread of its own, for one client and as long as that is there.

A session whose client is gone, or silent for too long, is closed: its environment gives back what it holds. One whose
environment hangs answers with a failure and is left to its daemon thread; past a bound no more sessions are opened.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium

from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.remote.wire import WireError, plain
from agentrl.envs.runner.seat import Command, Reply, Seat, failed

__all__ = ["Limits", "Session", "Sessions"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server allows.

    Raises:
        UsageError: A limit that cannot work.
    """

    max_sessions: int = 256
    idle_s: float = 600.0  # a session that is asked nothing for so long is closed
    deadline_s: float = 120.0  # of one reset or step

    def __post_init__(self) -> None:
        if self.max_sessions < 1 or not self.idle_s > 0 or not self.deadline_s > 0:
            raise UsageError(
                f"max_sessions={self.max_sessions}, idle_s={self.idle_s}, deadline_s={self.deadline_s} must be above 0"
            )


class Session:
    """One environment for one client; used on one event loop.

    Args:
        name: Of the session, which nobody can guess.
        env_id: Of the environment.
        kwargs: For `gymnasium.make`.
        limits: Of the server.
    """

    def __init__(self, name: str, env_id: str, kwargs: Mapping[str, Any], limits: Limits) -> None:
        self.name = name
        self.env_id = env_id
        self.last_used = time.monotonic()
        self.is_hanging = False
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._ticket = 0
        self._waiting: tuple[int, asyncio.Future[Reply]] | None = None
        make = partial(gymnasium.make, env_id, disable_env_checker=True, **kwargs)
        self._seat = Seat(make, self._heard, f"serve-{env_id}")
        self._closed = False

    async def reset(self, *, seed: int | None, options: dict[str, Any] | None) -> dict[str, Any]:
        """Start an episode; return `observation` and `info`, or a `failure` in it.

        Raises:
            WireError: Something is under way, or the session is closed.
        """
        reply = await self._done(partial(Command, 0, is_reset=True, seed=seed, options=options))
        return {"observation": reply.observation, "info": reply.info}

    async def step(self, action: str) -> dict[str, Any]:
        """Take a step; return Gymnasium's five values by name.

        Raises:
            WireError: Something is under way, or the session is closed.
        """
        reply = await self._done(partial(Command, 0, is_reset=False, action=action))
        return {
            "observation": reply.observation,
            "reward": reply.reward,
            "terminated": reply.terminated,
            "truncated": reply.truncated,
            "info": reply.info,
        }

    def close(self) -> None:
        """Close the environment, once it is done with what it does; calling it again does nothing."""
        if not self._closed:
            self._closed = True
            self._seat.leave()
            if self._waiting is not None:
                self._waiting[1].cancel()

    async def joined(self, timeout_s: float) -> bool:
        """Wait until the environment is closed; return whether it is."""
        stop = time.monotonic() + timeout_s
        while not (ended := self._seat.join(0.0)) and time.monotonic() < stop:
            await asyncio.sleep(0.02)
        return ended

    @property
    def is_busy(self) -> bool:
        """Whether a reset or step is under way."""
        return self._waiting is not None

    async def _done(self, make: Any) -> Reply:
        if self._closed or self.is_hanging:
            raise WireError(f"session {self.name!r} is closed; open another", kind="no_session")
        if self._waiting is not None:
            raise WireError(f"session {self.name!r} is at work; one call at a time", kind="busy")
        self._ticket += 1
        command: Command = make(ticket=self._ticket)
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._waiting = self._ticket, future
        self.last_used = time.monotonic()
        self._seat.send(command)
        try:
            return _sendable(await asyncio.wait_for(future, self._limits.deadline_s), command)
        except TimeoutError:
            self.is_hanging = True
            what = "reset" if command.is_reset else "step"
            told = f"a {what} did not end within {self._limits.deadline_s:g} s"
            return failed(command, {"kind": "timeout", "boundary": "environment", "message": told})
        except asyncio.CancelledError:
            if self._closed:
                raise WireError(f"session {self.name!r} was closed", kind="no_session") from None
            raise
        finally:
            self._waiting = None
            self.last_used = time.monotonic()

    def _heard(self, reply: Reply) -> None:
        """Take a reply; called in the environment's thread."""
        try:
            self._loop.call_soon_threadsafe(self._settle, reply)
        except RuntimeError:  # the loop has ended: nobody waits
            return

    def _settle(self, reply: Reply) -> None:
        if self._waiting is not None and self._waiting[0] == reply.ticket and not self._waiting[1].done():
            self._waiting[1].set_result(reply)


def _sendable(reply: Reply, command: Command) -> Reply:
    """Return a reply that JSON can hold; one that it cannot is the environment's failure."""
    try:
        if reply.observation is not None and not isinstance(reply.observation, str):
            raise WireError(f"the observation is {type(reply.observation).__name__}, but must be text")
        return reply._replace(reward=plain(reply.reward), info=plain(reply.info))
    except WireError as error:
        return failed(command, {"kind": "answer", "boundary": "environment", "message": str(error)})


@dataclass(kw_only=True)
class Sessions:
    """All sessions of a server.

    Args:
        envs: Ids that may be opened, each with its arguments for `gymnasium.make`.
        limits: What is allowed.
    """

    envs: Mapping[str, Mapping[str, Any]]
    limits: Limits = field(default_factory=Limits)
    counts: Counter[str] = field(default_factory=Counter)  # of what has happened, for metrics
    _open: dict[str, Session] = field(default_factory=dict)
    _hanging: list[Session] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._open)

    def open(self, env_id: str | None) -> Session:
        """Open a session.

        Args:
            env_id: Of the environment; None: the only one that is served.

        Raises:
            WireError: It is not served, or there are too many sessions.
        """
        if env_id is None and len(self.envs) == 1:
            env_id = next(iter(self.envs))
        if env_id is None or env_id not in self.envs:
            near = nearest(str(env_id), self.envs)
            raise WireError(f"{env_id!r} is not served{near}; there are {', '.join(self.envs)}", kind="unknown_env")
        if len(self._open) + len(self._hanging) >= self.limits.max_sessions:
            self.counts["refused"] += 1
            raise WireError(f"there are {self.limits.max_sessions} sessions, as many as may be; try later", kind="full")
        session = Session(secrets.token_urlsafe(16), env_id, self.envs[env_id], self.limits)
        self._open[session.name] = session
        self.counts["opened"] += 1
        return session

    def find(self, name: str) -> Session:
        """Return an open session.

        Raises:
            WireError: There is none of this name, or no more.
        """
        session = self._open.get(name)
        if session is None:
            raise WireError(
                f"there is no session {name[:40]!r}: it expired, or was closed; open another", kind="no_session"
            )
        return session

    def has(self, session: Session) -> bool:
        """Return whether a session is open still."""
        return session.name in self._open

    def end(self, session: Session, why: str) -> None:
        """Close a session, if it is open still.

        Args:
            session: Which.
            why: As it is counted: "closed", "lost", "expired".
        """
        if self._open.pop(session.name, None) is not None:
            self.counts[why] += 1
            session.close()
            if session.is_hanging:
                self._hanging.append(session)

    async def sweep(self) -> None:
        """Close sessions that were asked nothing for too long, and forget hanging ones that have ended."""
        stale = time.monotonic() - self.limits.idle_s
        for session in [each for each in self._open.values() if each.last_used < stale and not each.is_busy]:
            self.end(session, "expired")
        self._hanging = [each for each in self._hanging if not await each.joined(0.0)]

    async def close(self, timeout_s: float) -> None:
        """Close all sessions and wait for their environments, so long at most."""
        sessions = list(self._open.values())
        for session in sessions:
            self.end(session, "closed")
        await asyncio.gather(*(each.joined(timeout_s) for each in sessions if not each.is_hanging))
