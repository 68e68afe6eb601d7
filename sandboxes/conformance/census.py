"""What this process has on the host because of boxes: processes, containers, cgroups, mounts, files, descriptors.

Only what is this process's own is counted, so that other owners on the machine do not matter: its descendants, and
the containers and cgroup folders that carry its token. What a census holds more than an earlier one, `excess` says.
"""

from __future__ import annotations

import glob
import os
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agentrl.sandboxes.base import Backend

__all__ = ["HostCensus", "excess", "processes_that_say", "take_census"]

# What a box may cost its owner in descriptors and threads: a channel or two, and the threads that work on it.
DESCRIPTORS_A_BOX = 8
SLACK_DESCRIPTORS = 16
# First process, worker, spawner, and the process that the spawner has ready for the next job.
IDLE = 4
SLACK_THREADS = 16
SLACK_MEMORY_KB = 128 * 1024


@dataclass(frozen=True, kw_only=True)
class HostCensus:
    """What was there at one moment."""

    processes: Mapping[str, tuple[str, ...]]
    """Box -> names of its processes; "" stands for the helpers of this process that are in no box."""
    containers: frozenset[str]
    cgroups: frozenset[str]
    mounts: frozenset[str]
    """Lines of the mount table that name this owner or one of its boxes."""
    files: frozenset[str]
    """Names in the folder of temporary files that carry this owner's token."""
    descriptors: int
    threads: int
    memory_kb: int
    num_boxes: int
    """Boxes that the pool knows of."""
    busy: int
    """Boxes that are being made, reset or destroyed: wait till there is none before comparing."""
    quarantined: int


def take_census(backend: Backend, token: str) -> HostCensus:
    """Count what belongs to this process.

    Args:
        backend: Whose pool is asked how many boxes there are.
        token: The owner's token, as on labels and cgroup folders.
    """
    containers = _containers(token)
    stats = backend.stats() if hasattr(backend, "stats") else None
    mounts = [
        line for line in _text("/proc/self/mounts").splitlines() if token in line or any(map(line.count, containers))
    ]
    return HostCensus(
        processes=_processes(containers, token),
        containers=containers,
        cgroups=frozenset(glob.glob(f"/sys/fs/cgroup/**/*{token}*/**/", recursive=True)) if token else frozenset(),
        mounts=frozenset(mounts),
        files=frozenset(name for name in os.listdir(tempfile.gettempdir()) if token and token in name),
        descriptors=len(os.listdir("/proc/self/fd")),
        threads=threading.active_count(),
        memory_kb=int(_text("/proc/self/status").partition("VmRSS:")[2].split()[0]),
        num_boxes=stats.leased + stats.warm if stats else 0,
        busy=stats.making + stats.resetting + stats.destroying + stats.waiting if stats else 0,
        quarantined=stats.quarantined if stats else 0,
    )


def excess(before: HostCensus, after: HostCensus) -> str | None:
    """Say what there is after that was not before, with an allowance for warm boxes; None when there is nothing."""
    if after.busy:
        return f"{after.busy} boxes are still being made, reset or destroyed"
    more = max(0, after.num_boxes - before.num_boxes)
    # An idle box has up to as many as the fullest but one: the fullest is the neighbour's, where a job runs.
    sizes = sorted(len(names) for box, names in before.processes.items() if box)
    idle = max(sizes[-2] if len(sizes) > 1 else 0, IDLE)
    for box, names in after.processes.items():
        most = max(len(before.processes.get(box, ())), idle) if box else len(before.processes.get("", ())) + more * 4
        if len(names) > most:
            return f"processes left in {box[:12] or 'no box'}: {', '.join(names)}; {most} were expected"
    # Another backend of this process may have boxes too: those were there before.
    if _strangers(after) > _strangers(before):
        return f"{_strangers(after)} boxes have processes and are not in the pool, {_strangers(before)} before"
    if len(after.containers) > len(before.containers) + more:
        return f"{len(after.containers)} containers, {len(before.containers)} before, {more} boxes more"
    if len(after.mounts - before.mounts) > 4 * more:
        return f"mounts left: {sorted(after.mounts - before.mounts)[:5]}"
    if after.quarantined > before.quarantined:
        return f"{after.quarantined} boxes whose end was not confirmed"
    for what, found, had, slack in (
        ("cgroup folders", len(after.cgroups), len(before.cgroups), 16 * more),
        ("temporary files", len(after.files), len(before.files), more),
        ("descriptors", after.descriptors, before.descriptors, DESCRIPTORS_A_BOX * more + SLACK_DESCRIPTORS),
        ("threads", after.threads, before.threads, SLACK_THREADS),
        ("KB of memory", after.memory_kb, before.memory_kb, SLACK_MEMORY_KB),
    ):
        if found > had + slack:
            return f"{found} {what}, {had} before"
    return None


def processes_that_say(text: str) -> list[int]:
    """Return the processes of the host, but this one, whose command line holds a text."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and text in _text(f"/proc/{name}/cmdline"):
            found.append(int(name))
    return found


def _strangers(census: HostCensus) -> int:
    return max(0, len(census.processes) - ("" in census.processes) - census.num_boxes)


def _processes(containers: frozenset[str], token: str) -> dict[str, tuple[str, ...]]:
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for each in os.listdir("/proc"):
        if not each.isdigit():
            continue
        head, _, tail = _text(f"/proc/{each}/stat").rpartition(") ")
        if tail:
            state, parent = tail.split()[:2]
            names[int(each)] = head.partition(" (")[2] + (" (zombie)" if state == "Z" else "")
            parents[int(each)] = int(parent)
    own = _namespace(os.getpid())
    found: dict[str, list[str]] = {}
    for pid, name in names.items():
        box = None
        if _descends(pid, parents):
            space = _namespace(pid)
            box = "" if space in (own, "") else space
        elif containers or token:
            group = _text(f"/proc/{pid}/cgroup")
            box = next((each for each in containers if each in group), None)
            if box is None and token and token in group:
                box = _namespace(pid)
        if box is not None:
            found.setdefault(box, []).append(name)
    return {box: tuple(sorted(group)) for box, group in found.items()}


def _descends(pid: int, parents: Mapping[int, int]) -> bool:
    for _ in range(64):
        pid = parents.get(pid, 0)
        if pid == os.getpid():
            return True
        if pid <= 1:
            return False
    return False


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _containers(token: str) -> frozenset[str]:
    if not token:
        return frozenset()
    from agentrl.sandboxes.docker.engine import Engine
    from agentrl.sandboxes.errors import SandboxUnavailable

    engine = Engine(timeout_s=20)
    try:
        with engine.client() as client:
            found = client.containers(all=True, filters={"label": f"agentrl.owner={token}"})
            return frozenset(each["Id"] for each in found)
    except SandboxUnavailable:
        return frozenset()
    finally:
        engine.close()


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
