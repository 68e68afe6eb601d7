"""The memory of the process, watched between steps: an environment that leaks must not take the run with it.

Past the limit the environments are closed and made anew, which frees what an instance holds. Where that does not help,
as when a module of theirs holds it, the run stops with a checkpoint instead of being killed by the kernel without one.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agentrl.trainer.errors import TrainerError

__all__ = ["MemoryWatch", "available_mb", "resident_mb"]

_MB: Final = 2**20
_SHARE: Final = 0.9  # of what there is, where no limit is given
_STATM: Final = Path("/proc/self/statm")
_CGROUP_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class MemoryWatch:
    """Compares the process with its limit.

    Args:
        limit_mb: In MiB; None: nine tenths of what the machine, or the control group of this process, has.
        renew: Closes the environments, to be made anew when they are needed.
    """

    def __init__(self, limit_mb: float | None, renew: Callable[[], None]) -> None:
        self._limit_mb = _SHARE * available_mb() if limit_mb is None else limit_mb
        self._renew = renew
        self._given = limit_mb is not None
        self._late = False  # past the limit at the last check, too, though all was made anew

    def check(self, envs: str) -> dict[str, float]:
        """Return `perf/memory_mb`, and `environments_renewed` where that was needed; nothing without /proc.

        Args:
            envs: Who is to be named.

        Raises:
            TrainerError: The process is past the limit twice in a row, with fresh environments too.
        """
        used = resident_mb()
        if used is None:
            return {}
        if used <= self._limit_mb:
            self._late = False
            return {"perf/memory_mb": used}
        self._renew()
        _give_back()
        after = resident_mb() or used
        # Environments that were at work are made anew when they come back: that is seen at the next check.
        late, self._late = self._late, after > self._limit_mb
        if late and self._late:
            limit = "max_memory_mb" if self._given else "nine tenths of what there is; max_memory_mb sets another limit"
            raise TrainerError(
                f"the process holds {used:,.0f} MiB, and {after:,.0f} once environments are made anew: more than "
                f"{self._limit_mb:,.0f} ({limit}). Look for what {envs} keeps outside its instances, or lower "
                "micro_batch_tokens and rollout.concurrency"
            )
        return {"perf/memory_mb": after, "environments_renewed": 1.0}


def resident_mb() -> float | None:
    """Return what the process holds in memory, in MiB; None where the system does not say (no /proc)."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MB
    except OSError:
        return None


def available_mb() -> float:
    """Return the memory that this process can have, in MiB: of the machine, or of its control group if that is less."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _MB]
    for path in _CGROUP_LIMITS:
        try:
            found.append(int(path.read_text()) / _MB)
        except (OSError, ValueError):  # not of this version, or "max"
            continue
    return min(found)


def _give_back() -> None:
    """Collect garbage, and have the C library return what it keeps for later."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)
