"""What the box's cgroup has counted: kills for want of memory, and forks refused for want of process ids.

The same paths on every backend: Docker mounts the container's cgroup there, bubblewrap binds it read-only. A counter
that is not there never rises.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentrl.sandboxes.worker.runs import Run

__all__ = ["Counter", "Counters"]

OOM = ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events")
PIDS = ("/sys/fs/cgroup/pids/pids.events", "/sys/fs/cgroup/pids.events")


class Counter:
    """One number in one file of the cgroup, and how much of it has been blamed on somebody already."""

    def __init__(self, paths: tuple[str, ...], name: bytes) -> None:
        self._fd = -1
        self._name = name
        self._seen = 0
        for path in paths:
            try:
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                continue
            seen = self._now()
            if seen is not None:
                self._seen = seen
                return
            os.close(self._fd)
            self._fd = -1

    @property
    def there(self) -> bool:
        """Whether this box has the counter."""
        return self._fd >= 0

    def rise(self) -> int:
        """Return by how much it has risen since this was last asked."""
        now = self._now() if self.there else None
        if now is None or now <= self._seen:
            return 0
        rise, self._seen = now - self._seen, now
        return rise

    def _now(self) -> int | None:
        try:
            lines = os.pread(self._fd, 4096, 0).split(b"\n")
        except OSError:
            return None
        for line in lines:
            words = line.split()
            if len(words) == 2 and words[0] == self._name and words[1].isdigit():
                return int(words[1])
        return None


class Kills:
    """Kills for want of memory that were noticed at one time, and the jobs that were alive then."""

    def __init__(self, count: int, jobs: set[bytes]) -> None:
        self.count = count
        self.jobs = jobs
        self.told = False


class Counters:
    """The two counters that a status can come from.

    Whose process the kernel killed is not told. To blame are only jobs that were alive when the rise was noticed: of
    those, each that ends of a SIGKILL which this worker did not send, or with 137, a shell's word for such a child;
    where none does, the last of them to end. A job that was alone then is therefore always the one; a run that began
    later, or that only moves a file, never is. The one doubt: a child was killed, and its parent hides that from us
    while a neighbour outlives it.
    """

    def __init__(self) -> None:
        self.oom = Counter(OOM, b"oom_kill")
        self.pids = Counter(PIDS, b"max")
        self._kills: list[Kills] = []

    def notice(self, runs: Iterable[Run]) -> None:
        """Look for kills now; without jobs to blame, what has risen so far is forgotten, refused forks as well."""
        alive = {run.id for run in runs if not run.is_file}
        count = self.oom.rise()
        if not alive:
            self.pids.rise()
        elif count:
            self._kills.append(Kills(count, alive))

    def causes(self, run: Run) -> list[str]:
        """Return the statuses that a run that has ended is to blame for: "oom", "pids"."""
        found = ["oom"] if self.blames(run) else []
        return found if run.is_file or not self.pids.rise() else [*found, "pids"]

    def blames(self, run: Run) -> bool:
        """Return whether a run that has ended is to blame for a kill, and forget it."""
        blamed = False
        for each in [each for each in self._kills if run.id in each.jobs]:
            each.jobs.discard(run.id)
            if run.was_killed or not (each.jobs or each.told):
                blamed = each.told = True
                each.count -= 1
            if not each.jobs or not each.count:
                self._kills.remove(each)
        return blamed
