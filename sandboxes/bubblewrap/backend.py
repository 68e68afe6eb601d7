"""The bubblewrap backend: boxes without an engine, on any Linux where namespaces may be made.

What holds the limits: control groups for memory, processes and processor time, where they can be had; sized memory
file systems; a system call filter; and the worker, or the host for a single program. Boxes have no image: they see
/usr of the host and nothing else of it. As root, or with newuidmap, each box has user ids of its own; else its worker
and its jobs share one.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from agentrl.sandboxes.base import Capabilities
from agentrl.sandboxes.bubblewrap.args import Findings, Launch, path_variable
from agentrl.sandboxes.bubblewrap.cgroups import Cgroup, Hierarchy, Limits, make_cgroup, usable_hierarchy
from agentrl.sandboxes.bubblewrap.chain import Holder, end_cgroup, start
from agentrl.sandboxes.bubblewrap.host import IdRange, find_out, write_etc
from agentrl.sandboxes.bubblewrap.oneshot import run_once
from agentrl.sandboxes.bubblewrap.probe import LIMITS, held_and_missing
from agentrl.sandboxes.bubblewrap.vessel import BwrapVessel
from agentrl.sandboxes.errors import LimitNotHeld, SandboxUnavailable, SpecError
from agentrl.sandboxes.host.requests import environment_of
from agentrl.sandboxes.janitor import ensure_janitor
from agentrl.sandboxes.pooled import PooledBackend
from agentrl.sandboxes.reaper import owner_token
from agentrl.sandboxes.results import ExecResult
from agentrl.sandboxes.spec import PROXY_PORT, SandboxSpec
from agentrl.sandboxes.vessel import Vessel

__all__ = ["BubblewrapBackend"]

LANES = 8
SILENCE_S = 8.0
# The box's first process: it reaps orphans while it waits for the worker, and ends with it.
FIRST = '"$@"; exit $?'
# bwrap and the box's first process are in the box's group too; an engine's `init` is one.
OWN_PIDS = 1


class BubblewrapBackend(PooledBackend):
    """Boxes made by bubblewrap. Safe from several threads."""

    name = "bubblewrap"

    def __init__(self, *, max_boxes: int = 64, warm: int = 2, idle_s: float = 120.0) -> None:
        """Make nothing yet; the host is looked at with the first box.

        Args:
            max_boxes: Boxes at one moment, over all shapes; a lease beyond them waits. Single runs come on top.
            warm: Boxes kept ready for each shape that was asked for within `idle_s`.
            idle_s: Seconds after which a box that nobody took is destroyed.

        Raises:
            SpecError: A number that cannot work.
        """
        super().__init__(max_boxes=max_boxes, warm=warm, idle_s=idle_s)
        self._lock = threading.Lock()
        self._host: _Host | None = None
        self._capabilities: Capabilities | None = None
        self._closed = False

    def run(
        self,
        command: Sequence[str] | str,
        *,
        spec: SandboxSpec | None = None,
        stdin: bytes = b"",
        timeout_s: float | None = None,
    ) -> ExecResult:
        """Run one program in a box of its own, without a worker where the spec needs none; see `Sandbox.exec`.

        Without a worker, an end by SIGINT or SIGPIPE shows as exit code 130 or 141, as to a shell: nothing tells them
        apart from a program that exits with these.
        """
        spec = spec or SandboxSpec()
        if spec.files or spec.network or spec.services:
            return super().run(command, spec=spec, stdin=stdin, timeout_s=timeout_s)
        self._check(spec)
        ensure_janitor()
        return self._found().run(command, spec, stdin, timeout_s)

    def capabilities(self) -> Capabilities:
        """Return what is held on this machine; probed with real runs once, then remembered."""
        host = self._found()
        with host.probing:
            if self._capabilities is None:
                self._capabilities = held_and_missing(host.findings, host.hierarchy, host.refusal(), host.run)
            return self._capabilities

    def close(self) -> None:
        """Destroy every box and stop every thread; idempotent."""
        super().close()
        with self._lock:
            self._closed = True
            host, self._host = self._host, None
        if host is not None:
            host.close()

    def _check(self, spec: SandboxSpec) -> None:
        if spec.image is not None:
            raise SpecError(f"image={spec.image!r}: bubblewrap has no images; leave it out, or use the docker backend")
        self._found()
        if not spec.strict:
            return
        missing = self.capabilities().missing
        if failed := [name for name in (*LIMITS, "network") if name in missing]:
            raise LimitNotHeld("; ".join(f"{name}: {missing[name]}" for name in failed) + "; or leave strict=True out")

    def _make(self, shape: SandboxSpec) -> Vessel:
        return self._found().make(shape)

    def _found(self) -> _Host:
        with self._lock:
            if self._closed:
                raise SandboxUnavailable("this backend was closed; open another one")
            if self._host is not None and self._host.pid != os.getpid():
                self._host = None  # after a fork: the folder and the holders are the parent's
            if self._host is None:
                self._host = _Host()
            return self._host


class _Host:
    """This host as one backend uses it: what was found, the temporary folder, and the ids that were given out."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.probing = threading.Lock()
        self.hierarchy = usable_hierarchy()
        self.findings: Findings
        self._ids: IdRange | None
        self.findings, self._ids = find_out()
        self._lock = threading.Lock()
        self._slots = itertools.count(secrets.randbelow(1 << 22))
        self._holders: dict[int, tuple[Holder, int]] = {}
        self._refusal: str | None = None
        self._anchor: Cgroup | None = None
        try:
            self._try_cgroup()
        except BaseException:
            self.close()
            raise

    def refusal(self) -> str | None:
        """Return why control groups cannot be used, or None."""
        return self._refusal

    def run(
        self, command: Sequence[str] | str, spec: SandboxSpec, stdin: bytes = b"", timeout_s: float | None = None
    ) -> ExecResult:
        """Run one program in a box of its own; see `run_once`."""
        holder, first_id = self._shared_holder(spec.user)
        cgroup = self._cgroup(f"run-{secrets.token_hex(6)}", spec)
        try:
            return run_once(self.findings, holder, first_id, cgroup, spec, command, stdin=stdin, timeout_s=timeout_s)
        except BaseException:
            end_cgroup(cgroup, time.monotonic() + 5.0)  # still there where the command was refused
            raise

    def make(self, shape: SandboxSpec) -> BwrapVessel:
        """Start a worker in a new box, with user ids that no other box of this process has."""
        from agentrl.sandboxes.worker.source import BOOTSTRAP, bundle

        box = f"agentrl-{secrets.token_hex(6)}"
        write_etc(self.findings.folder, shape.user)
        environment = environment_of(SandboxSpec(), None, path_variable(self.findings))
        split = self.findings.mode != "single"
        first_id = self._next_id()
        with _closing(Holder(self.findings, shape.user, first_id)) as holder:
            cgroup = self._cgroup(box, shape)
            launch = Launch(
                shape=shape,
                holder=holder.pid,
                first_id=first_id,
                command=[self.findings.tools["sh"], "-c", FIRST, "sh", "python3", "-I", "-B", "-u", "-c", BOOTSTRAP],
                environment=environment,
                join=cgroup.join_files() if cgroup else (),
                counters=cgroup.binds() if cgroup else {},
            )
            started = start(self.findings, launch, cgroup)
        config: dict[str, Any] = {
            "user": shape.user,
            "lanes": LANES,
            "silence_s": SILENCE_S,
            "memory_mb": shape.memory_mb,
            "pids": shape.pids,
            "disk_mb": shape.disk_mb,
            "open_files": shape.open_files,
            "environment": environment,
            "split": split,
            "nproc": None if cgroup and "pids" in cgroup.folders else shape.pids,
            "tunnel_port": PROXY_PORT if shape.network else 0,
            "folders": ["/work", "/tmp", "/dev/shm"],
        }
        return BwrapVessel(box, started, bundle(config), environment["PATH"])

    def close(self) -> None:
        """End the holders and remove the folder; idempotent. The boxes are gone already."""
        if os.getpid() != self.pid:
            return
        with self._lock:
            holders, self._holders = self._holders, {}
        for holder, _ in holders.values():
            holder.close()
        if self._anchor is not None:
            self._anchor.remove()
        shutil.rmtree(self.findings.folder, ignore_errors=True)

    def _shared_holder(self, user: int) -> tuple[Holder, int]:
        # Single runs of one process share a user namespace: they have nothing else in common, and it saves 2 ms each.
        with self._lock:
            found = self._holders.get(user)
            if found is None or not found[0].alive():
                write_etc(self.findings.folder, user)
                first_id = self._next_id()
                found = self._holders[user] = (Holder(self.findings, user, first_id), first_id)
            return found

    def _next_id(self) -> int:
        return self._ids.slot(next(self._slots)) if self._ids else 0

    def _cgroup(self, box: str, shape: SandboxSpec) -> Cgroup | None:
        if not self.hierarchy.folders:
            return None
        limits = Limits(memory_mb=shape.memory_mb, pids=shape.pids + OWN_PIDS, cpus=shape.cpus)
        return make_cgroup(self.hierarchy, owner_token(), box, limits)

    def _try_cgroup(self) -> None:
        """Make a group and have a process join it; where that is refused, go without."""
        if not self.hierarchy.folders:
            self._refusal = "no control group here can be written to"
            return
        try:
            group = make_cgroup(self.hierarchy, owner_token(), f"try-{secrets.token_hex(6)}", Limits(pids=16))
        except SandboxUnavailable as error:
            self._refusal = str(error)
        else:
            script = "\n".join(["set -e", *(f'echo 0 > "{file}"' for file in group.join_files())])
            done = subprocess.run([self.findings.tools["sh"], "-c", script], capture_output=True, text=True)
            if done.returncode:
                self._refusal = f"a process may not join its control group: {done.stderr.strip()}"
                group.remove()
            else:
                self._anchor = group  # empty, it keeps the owner's folders there, which else go and come with each run
        if self._refusal is not None:
            self.hierarchy = Hierarchy(version=self.hierarchy.version)


@contextlib.contextmanager
def _closing(holder: Holder) -> Iterator[Holder]:
    try:
        yield holder
    finally:
        holder.close()
