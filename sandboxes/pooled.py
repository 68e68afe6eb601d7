"""What Docker and bubblewrap have in common: a pool of started boxes, and a lease that is one of them for one episode.

A backend of this kind writes three things: how to make a vessel of one shape, what it refuses, and what it holds. The
pool, the janitor and the way back of a box are here.
"""

from __future__ import annotations

import math
import os
import threading
import time
from abc import abstractmethod
from functools import partial

from agentrl.sandboxes.base import Backend, Sandbox
from agentrl.sandboxes.errors import SandboxDied, SandboxUnavailable, SpecError
from agentrl.sandboxes.host.box import Box
from agentrl.sandboxes.host.lease import LeasedSandbox
from agentrl.sandboxes.janitor import ensure_janitor
from agentrl.sandboxes.pool.pool import HalfMade, Pool, PoolStats
from agentrl.sandboxes.reaper import sweep
from agentrl.sandboxes.spec import SandboxSpec
from agentrl.sandboxes.vessel import Vessel

__all__ = ["PooledBackend", "checked"]

ATTEMPTS = 2


class PooledBackend(Backend):
    """A backend whose boxes are kept in a pool. Safe from several threads; after `os.fork` the child has none."""

    def __init__(
        self, *, max_boxes: int = 64, warm: int = 2, idle_s: float = 120.0, engine_url: str | None = None
    ) -> None:
        """Make nothing yet: no box, no thread, no process.

        Args:
            max_boxes: Boxes at one moment, over all shapes; a lease beyond them waits.
            warm: Boxes kept ready for each shape that was asked for within `idle_s`.
            idle_s: Seconds after which a box that nobody took is destroyed.
            engine_url: The Docker engine where the janitor is to look too; None: DOCKER_HOST, else the usual socket.

        Raises:
            SpecError: A number that cannot work.
        """
        self._engine_url = engine_url
        self._pool: Pool[Box] = Pool(self._make_box, max_boxes=max_boxes, warm=warm, idle_s=idle_s)

    @abstractmethod
    def _make(self, shape: SandboxSpec) -> Vessel:
        """Start a worker in a new box; called from background threads, several at once. Owner and labels come first.

        Args:
            shape: A `SandboxSpec.shape()`: nothing else of the spec may show in the box.

        Raises:
            SpecError, LimitNotHeld: It can never be made; whoever waits for it is told at once.
            SandboxUnavailable: The engine or the image is not there. Tried again later; nothing half-made is left.
        """

    @abstractmethod
    def _check(self, spec: SandboxSpec) -> None:
        """Refuse what this backend does not have; called at each lease, so what costs time is remembered.

        Raises:
            SpecError: It asks for what this backend does not have.
            LimitNotHeld: It is strict, and a limit cannot be held here.
            SandboxUnavailable: The engine or the image is not there.
        """

    def lease(self, spec: SandboxSpec | None = None, *, wait_s: float = 60.0) -> Sandbox:
        """Hand over a box for one episode; see `Backend.lease`.

        Raises:
            SpecError: As from `_check`; or `spec` is no spec, or `wait_s` no number.
            SandboxFileError: A file of the spec cannot be written: a path that is not allowed, or more than fits.
        """
        spec = checked(spec, wait_s)
        self._check(spec)
        shape = spec.shape()
        ends = time.monotonic() + wait_s
        for attempt in range(ATTEMPTS):
            box = self._pool.take(shape, wait_s=ends - time.monotonic() if attempt else wait_s)
            leased = self._leased(box, spec)
            try:
                leased.open_services()
                for path, content in spec.files.items():
                    leased.write(path, content)
            except SandboxDied as error:
                # It may have died on the shelf a moment ago. If it died of this spec, the second one does too.
                leased.close()
                if attempt == ATTEMPTS - 1:
                    died = f"{ATTEMPTS} boxes died while the spec's files and services were set up"
                    raise SandboxUnavailable(f"{died}: {error}") from error
            except BaseException:
                leased.close()
                raise
            else:
                return leased
        raise AssertionError("unreachable")

    def prewarm(self, spec: SandboxSpec | None = None, num_boxes: int = 1) -> None:
        """Have boxes made in the background, so that the next leases of this spec need not wait; returns at once.

        Args:
            spec: What they must be; None: `SandboxSpec()`.
            num_boxes: How many there are to be, those included that are ready or leased now; at most `max_boxes`.

        Raises:
            SpecError, LimitNotHeld, SandboxUnavailable: As for `lease`.
        """
        spec = spec or SandboxSpec()
        self._check(spec)
        self._pool.prewarm(spec.shape(), num_boxes)

    def stats(self) -> PoolStats:
        """Return how many boxes there are now, and in which state."""
        return self._pool.stats()

    def close(self) -> None:
        """Destroy every box, leased ones too, and stop every thread; idempotent. Takes at most about 30 seconds."""
        self._pool.close()

    def _leased(self, box: Box, spec: SandboxSpec) -> LeasedSandbox:
        try:
            return LeasedSandbox(box, spec, release=self._pool.give_back)
        except BaseException:
            self._pool.give_back(box)
            raise

    def _make_box(self, shape: SandboxSpec) -> Box:
        ensure_janitor(self._engine_url)
        _sweep_once(self._engine_url)
        vessel = self._make(shape)
        try:
            return Box(vessel, shape)
        except BaseException as error:
            if not vessel.destroy():
                raise HalfMade(
                    f"box {vessel.id} did not start, and its end was not confirmed: {error}", vessel
                ) from error
            raise


def checked(spec: SandboxSpec | None, wait_s: float) -> SandboxSpec:
    """Return the spec of a lease, the default for None.

    Raises:
        SpecError: It is no spec, or the time to wait no number.
    """
    if spec is not None and not isinstance(spec, SandboxSpec):
        raise SpecError(f"spec={spec!r:.100} is {type(spec).__name__}; write SandboxSpec(...), or None for the default")
    if not isinstance(wait_s, int | float) or isinstance(wait_s, bool) or math.isnan(wait_s):
        raise SpecError(f"wait_s={wait_s!r:.100} must be a number of seconds, such as 60.0")
    return SandboxSpec() if spec is None else spec


_SWEPT: set[tuple[int, str | None]] = set()


def _sweep_once(engine_url: str | None) -> None:
    """Remove what earlier processes left, once in the life of this one, without holding up its first box."""
    key = os.getpid(), engine_url
    if key not in _SWEPT:
        _SWEPT.add(key)
        sweeper = partial(sweep, engine_url=engine_url)
        threading.Thread(target=sweeper, name="sandbox-sweep-all", daemon=True).start()
