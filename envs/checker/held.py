"""What this process holds that an environment may have left: counted before and after."""

from __future__ import annotations

import gc
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentrl.envs.tools.host import open_backends

__all__ = ["Held", "boxes_of", "held", "settled"]

Held = dict[str, int]


def held() -> Held:
    """Count what is held now."""
    return {
        "threads": threading.active_count(),
        "processes": len(_children()),
        "descriptors": len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0,
        "temporary files": sum(len(folders) + len(files) for _, folders, files in os.walk(tempfile.gettempdir())),
        "boxes": _leased(),
    }


def settled(before: Held, allowed: Callable[[str], float], wait_s: float = 3.0) -> Held:
    """Count again, and wait a little while there is more than is allowed: what ends in the background takes time."""
    until = time.monotonic() + wait_s
    while True:
        gc.collect()
        now = held()
        more = {name: now[name] - before[name] for name in now if now[name] - before[name] > allowed(name)}
        if not more or time.monotonic() > until:
            return more
        time.sleep(0.05)


def boxes_of(inner: Any) -> list[Any]:
    """Return the sandboxes that the episode of an environment holds: that of its code, that of its tools."""
    return list(getattr(inner, "sandboxes", ()))


def _leased() -> int:
    # Of every backend that the environments of this process share; only a pool knows how many are out.
    stats = [backend.stats() for backend in open_backends() if hasattr(backend, "stats")]
    return sum(each.leased for each in stats)


def _children() -> list[str]:
    found: list[str] = []
    for path in Path("/proc/self/task").glob("*/children") if Path("/proc/self/task").exists() else ():
        try:
            found += path.read_text().split()
        except OSError:
            continue
    return found
