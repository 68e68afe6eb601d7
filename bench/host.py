"""What the host has left, and what this process, all that it started and its boxes in Docker take. Linux only.

Taken is memory that nobody else could use: anonymous and shared pages of each process, and what a container's cgroup
holds without the cache of files. Left is the least of what the kernel calls available and of what every cgroup around
this process still allows, for version 1 and 2. Where a file is missing its figure is left out; elsewhere than on Linux
nothing is known, and memory bounds nothing.
"""

from __future__ import annotations

import json
import math
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Host"]

_MB = 2**20
_UNLIMITED = 2**60  # cgroups of version 1 say "no limit" with a number of about this size
_OWNER = "agentrl.owner"  # label of a box: machine-boot-namespace-pid-started
_ENGINE_S = 2.0


class _Names(NamedTuple):
    """Files of a memory cgroup."""

    limit: str
    usage: str
    cache: str  # line of memory.stat: what files left there and can be dropped

    def used_mb(self, folder: Path) -> float | None:
        """Return what a cgroup holds without that; None where there is no such cgroup."""
        used = _read(folder / self.usage).strip()
        return max(0, int(used) - _field(_read(folder / "memory.stat"), self.cache)) / _MB if used.isdigit() else None


_V1 = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")
_V2 = _Names("memory.max", "memory.current", "inactive_file ")


class Host:
    """The machine, as its files tell.

    Args:
        root: Where `proc` and `sys` are; another folder for tests.
        engine: Socket of the Docker engine; asked only if it is there.
    """

    def __init__(self, root: Path = Path("/"), engine: Path = Path("/var/run/docker.sock")) -> None:
        self._proc = root / "proc"
        self._sys = root / "sys/fs/cgroup"
        self._engine = engine
        self._boxes: dict[str, int] = {}  # container -> its first process

    def total_mb(self) -> float:
        """Return how much memory there is at most for this process: the machine's, or a cgroup's limit."""
        limits = [limit for limit, _ in self._limits()]
        return min([self._meminfo("MemTotal"), *limits])

    def available_mb(self) -> float:
        """Return how much memory could be taken now without swapping, or without reaching a cgroup's limit."""
        return min([self._meminfo("MemAvailable"), *(limit - used for limit, used in self._limits())])

    def taken_mb(self) -> float:
        """Return what this process, all below it and their boxes take."""
        pids = self._tree(os.getpid())
        return sum(map(self._process_mb, pids)) + sum(self._boxes_mb(pids))

    def pressure(self) -> float:
        """Return the share of the last ten seconds in which something waited for memory, 0 to 1; 0 where unknown."""
        text = _read(self._proc / "pressure/memory")
        for word in text.partition("\n")[0].split():
            if word.startswith("avg10="):
                return float(word[6:]) / 100
        return 0.0

    def _meminfo(self, name: str) -> float:
        for line in _read(self._proc / "meminfo").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        return math.inf

    def _limits(self) -> Iterator[tuple[float, float]]:
        """Yield limit and use, in MiB, of each cgroup around this process that has a limit."""
        for base, folder, names in self._cgroups("self"):
            for each in (folder, *folder.parents):
                allowed = _read(each / names.limit).strip()
                used = names.used_mb(each)
                if allowed.isdigit() and int(allowed) < _UNLIMITED and used is not None:
                    yield int(allowed) / _MB, used
                if each == base:
                    break

    def _cgroups(self, pid: str) -> Iterator[tuple[Path, Path, _Names]]:
        """Yield root, folder and names of files of each memory cgroup that a process is in."""
        for line in _read(self._proc / pid / "cgroup").splitlines():
            number, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if number == "0":
                yield self._sys, self._sys / path.lstrip("/"), _V2
            elif "memory" in controllers.split(","):
                yield self._sys / "memory", self._sys / "memory" / path.lstrip("/"), _V1

    def _tree(self, top: int) -> set[int]:
        """Return the ids of a process and all below it."""
        below: dict[int, list[int]] = {}
        with suppress(OSError):
            for name in os.listdir(self._proc):
                if name.isdigit():
                    # The name of a program stands in brackets and may hold anything.
                    parent = _read(self._proc / name / "stat").rpartition(")")[2].split()[1:2]
                    below.setdefault(int(parent[0]) if parent else -1, []).append(int(name))
        found, new = {top}, [top]
        while new:
            new = [child for pid in new for child in below.get(pid, ()) if child not in found]
            found.update(new)
        return found

    def _process_mb(self, pid: int) -> float:
        status = _read(self._proc / str(pid) / "status")
        return (_field(status, "RssAnon:") + _field(status, "RssShmem:")) / 1024

    def _boxes_mb(self, owners: set[int]) -> Iterator[float]:
        """Yield what each container takes that one of these processes owns."""
        if not self._engine.exists():
            return
        try:
            asked = json.dumps({"label": [_OWNER]}).replace(" ", "").replace('"', "%22")
            for box in self._ask(f"/containers/json?filters={asked}"):
                owner = str(box["Labels"].get(_OWNER, "")).split("-")
                if len(owner) == 5 and owner[3].isdigit() and int(owner[3]) in owners:
                    if box["Id"] not in self._boxes:
                        self._boxes[box["Id"]] = int(self._ask(f"/containers/{box['Id']}/json")["State"]["Pid"])
                    used = [names.used_mb(folder) for _, folder, names in self._cgroups(str(self._boxes[box["Id"]]))]
                    yield max((each for each in used if each is not None), default=0.0)
        except (OSError, HTTPException, ValueError, KeyError, TypeError):
            return  # an engine that does not answer, or a box that has just gone

    def _ask(self, path: str) -> Any:
        connection = HTTPConnection("localhost", timeout=_ENGINE_S)
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(_ENGINE_S)
            connection.sock.connect(str(self._engine))
            connection.request("GET", path)
            response = connection.getresponse()
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            return json.loads(response.read())
        finally:
            connection.close()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not there, not ours to read, or a process that has just ended
        return ""


def _field(text: str, name: str) -> int:
    """Return the number behind a name at the begin of a line; 0 where there is none."""
    for line in text.splitlines():
        if line.startswith(name):
            return int(line[len(name) :].split()[0])
    return 0
