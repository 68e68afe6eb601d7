"""Control groups for boxes that no engine makes them for: find where they can be had, make one, read it, remove it.

Version 1 has a folder for each controller, version 2 one for all. Groups are named agentrl/<owner>/<box> below the
topmost place that this process may use: the root of the mounted hierarchy for root, else a subtree that was delegated.
A process joins by writing 0, itself, so whoever starts a box lets its first stage do that and then replaces itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agentrl.sandboxes.errors import SandboxUnavailable

__all__ = ["Cgroup", "Counters", "Hierarchy", "Limits", "make_cgroup", "parse_hierarchy", "usable_hierarchy"]

FOLDER = "agentrl"
CONTROLLERS = ("memory", "pids", "cpu", "cpuacct")
PERIOD_US = 100_000
LEAST_QUOTA_US = 1_000


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a group may use; None: no limit."""

    memory_mb: int | None = None
    pids: int | None = None
    cpus: float | None = None


@dataclass(frozen=True, kw_only=True)
class Counters:
    """What a group has met so far; None where this kernel does not count it."""

    oom_kills: int | None
    """Processes that the kernel killed because the group's memory was used up."""
    pids_refused: int | None
    """Forks and threads that were refused because of the limit."""
    cpu_s: float | None
    """Seconds of processor time of all that ever ran in it."""


@dataclass(frozen=True, kw_only=True)
class Hierarchy:
    """Where groups may be made."""

    version: int
    """1 or 2."""
    folders: Mapping[str, Path] = field(default_factory=dict)
    """Controller -> the folder below which `agentrl` goes. Version 2 has the same for all."""

    def roots(self) -> tuple[Path, ...]:
        """Return each folder `…/agentrl` once, for whoever sweeps them; they need not exist."""
        return tuple(dict.fromkeys(folder / FOLDER for folder in self.folders.values()))


class Cgroup:
    """A group of one box, made already. Only `remove` undoes it."""

    def __init__(self, hierarchy: Hierarchy, folders: Mapping[str, Path]) -> None:
        self.version = hierarchy.version
        self.folders = dict(folders)

    def join_files(self) -> tuple[Path, ...]:
        """Return the files into each of which a process that has one thread writes 0 to join.

        In version 1 that is `tasks`: for a process that moves itself there, the kernel takes no lock over all forks of
        the machine (since Linux 5.5), for which the first to join after a quiet moment waits 9 ms here.
        """
        name = "tasks" if self.version == 1 else "cgroup.procs"
        return tuple(folder / name for folder in dict.fromkeys(self.folders.values()))

    def binds(self) -> dict[str, Path]:
        """Return path in the box -> folder here, so that the worker finds its counters where it looks for them."""
        if self.version == 2:
            return {"/sys/fs/cgroup": next(iter(self.folders.values()))}
        return {f"/sys/fs/cgroup/{name}": self.folders[name] for name in ("memory", "pids") if name in self.folders}

    def counters(self) -> Counters:
        """Read the counters; a group that is gone has none."""
        memory, pids, usage = self.folders.get("memory"), self.folders.get("pids"), self.folders.get("cpuacct")
        if self.version == 2:
            folder = next(iter(self.folders.values()))
            spent = _keyed(folder / "cpu.stat").get("usage_usec")
            return Counters(
                oom_kills=_keyed(folder / "memory.events").get("oom_kill"),
                pids_refused=_keyed(folder / "pids.events").get("max"),
                cpu_s=None if spent is None else spent / 1e6,
            )
        nanoseconds = _text(usage / "cpuacct.usage").strip() if usage else ""
        return Counters(
            oom_kills=_keyed(memory / "memory.oom_control").get("oom_kill") if memory else None,
            pids_refused=_keyed(pids / "pids.events").get("max") if pids else None,
            cpu_s=int(nanoseconds) / 1e9 if nanoseconds.isdigit() else None,
        )

    def processes(self) -> list[int]:
        """Return the ids of what runs in it, as this process sees them; 0 is one that it cannot see."""
        found: dict[int, None] = {}
        for folder in dict.fromkeys(self.folders.values()):
            found.update(dict.fromkeys(int(line) for line in _text(folder / "cgroup.procs").split()))
        return list(found)

    def kill(self) -> None:
        """Send SIGKILL to all that runs in it now."""
        for folder in dict.fromkeys(self.folders.values()):
            with contextlib.suppress(OSError):
                (folder / "cgroup.kill").write_text("1")  # version 2, since Linux 5.14
        for pid in self.processes():
            if pid > 1 and pid != os.getpid():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    def remove(self, deadline_s: float = 5.0) -> bool:
        """Remove it; False when something is left in it, or the kernel still holds it, at the deadline. Idempotent."""
        end = time.monotonic() + deadline_s
        pause = 0.0005
        left = list(dict.fromkeys(self.folders.values()))
        while left := [folder for folder in left if not _removed(folder)]:
            if time.monotonic() > end:
                return False
            time.sleep(pause)
            pause = min(0.05, pause * 2)
        # The owner's folder goes with its last box; while others are in it, rmdir refuses.
        for folder in dict.fromkeys(self.folders.values()):
            with contextlib.suppress(OSError):
                folder.parent.rmdir()
        return True


def usable_hierarchy() -> Hierarchy:
    """Return where this process may make groups; without folders where it may nowhere."""
    return parse_hierarchy(_text(Path("/proc/self/mountinfo")), _text(Path("/proc/self/cgroup")))


def parse_hierarchy(mountinfo: str, membership: str) -> Hierarchy:
    """Return where groups may be made; asks the file system whether the places named here can be written to.

    Args:
        mountinfo: Text of /proc/self/mountinfo.
        membership: Text of /proc/self/cgroup.
    """
    first: dict[str, Path] = {}
    second: Path | None = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4]))
        if kind[0] == "cgroup":
            for name in CONTROLLERS:
                if name in kind[2].split(","):
                    first.setdefault(name, point)
        elif kind[0] == "cgroup2" and second is None:
            second = point
    if second is not None and "memory" in _text(second / "cgroup.controllers").split():
        base = _delegated(second, membership)
        offered = _text(base / "cgroup.controllers").split() if base else []
        # cpu.stat counts processor time in every group, whether or not the controller is on.
        return Hierarchy(version=2, folders={name: base for name in CONTROLLERS[:3] if name in offered} if base else {})
    return Hierarchy(version=1, folders={name: point for name, point in first.items() if os.access(point, os.W_OK)})


def make_cgroup(hierarchy: Hierarchy, owner: str, box: str, limits: Limits) -> Cgroup:
    """Make a group with limits; one that cannot be set is removed again.

    Args:
        hierarchy: Where.
        owner: The owner's token.
        box: The box's id.
        limits: What it may use; a limit whose controller is not there is passed over.

    Raises:
        SandboxUnavailable: The kernel refused.
    """
    folders = {name: base / FOLDER / owner / box for name, base in hierarchy.folders.items()}
    made = Cgroup(hierarchy, folders)
    try:
        for name, base in hierarchy.folders.items():
            _make_folder(hierarchy.version, base, folders[name], hierarchy.folders)
        for file, text, needed in _settings(hierarchy.version, folders, limits):
            if needed or file.exists():
                file.write_text(text)
    except OSError as error:
        made.remove(0.0)
        raise SandboxUnavailable(
            f"no control group could be made: {error}; run as root, or give this user a subtree: "
            "systemd-run --user --scope -p Delegate=yes COMMAND"
        ) from error
    return made


def _settings(version: int, folders: Mapping[str, Path], limits: Limits) -> Iterable[tuple[Path, str, bool]]:
    """Yield file, text, and whether the file must be there; swap may not be accounted for."""
    if limits.memory_mb is not None and (folder := folders.get("memory")):
        size = str(limits.memory_mb << 20)
        if version == 2:
            yield folder / "memory.max", size, True
            yield folder / "memory.swap.max", "0", False
        else:
            yield folder / "memory.limit_in_bytes", size, True
            yield folder / "memory.memsw.limit_in_bytes", size, False
    if limits.pids is not None and (folder := folders.get("pids")):
        yield folder / "pids.max", str(limits.pids), True
    if limits.cpus is not None and (folder := folders.get("cpu")):
        quota = max(LEAST_QUOTA_US, round(limits.cpus * PERIOD_US))
        if version == 2:
            yield folder / "cpu.max", f"{quota} {PERIOD_US}", True
        else:
            yield folder / "cpu.cfs_period_us", str(PERIOD_US), True
            yield folder / "cpu.cfs_quota_us", str(quota), True


def _make_folder(version: int, base: Path, folder: Path, controllers: Iterable[str]) -> None:
    # Another owner may remove its empty folders meanwhile, so a missing parent is tried again; one that goes between
    # two looks of mkdir is said to exist and to be no folder.
    for attempt in range(20):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if version == 2:
                for parent in (base, *reversed(folder.relative_to(base).parents[:-1])):
                    _turn_on(base / parent, controllers)
            return
        except (FileNotFoundError, FileExistsError):
            if attempt == 19:
                raise
            time.sleep(0.001)


def _turn_on(folder: Path, controllers: Iterable[str]) -> None:
    file = folder / "cgroup.subtree_control"
    missing = [name for name in controllers if name not in file.read_text().split()]
    if missing:
        file.write_text(" ".join(f"+{name}" for name in missing))


def _delegated(mount: Path, membership: str) -> Path | None:
    """Return the topmost folder on the way from the mount to this process's own group that can be written to."""
    own = next((line[3:] for line in membership.splitlines() if line.startswith("0::")), "/")
    way = [mount]
    for part in Path(own.lstrip("/")).parts:
        if part == "..":  # the group lies outside of what is mounted here
            break
        way.append(way[-1] / part)
    files = ("", "cgroup.procs", "cgroup.subtree_control")
    return next((each for each in way if all(os.access(each / file, os.W_OK) for file in files)), None)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _keyed(file: Path) -> dict[str, int]:
    pairs = (line.split() for line in _text(file).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
