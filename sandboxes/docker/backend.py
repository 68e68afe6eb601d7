"""The Docker backend: boxes are containers, the worker speaks on their attached standard input and output.

A box has no network, no mounts and no capability that a job could use; see `args.py` for every flag. An image
with Python 3.8 or later gets the worker; any other gets the slower path of `plain.py`, with the same limits.
"""

from __future__ import annotations

import secrets
import threading
from typing import Any

from agentrl.sandboxes.base import Capabilities, Sandbox
from agentrl.sandboxes.docker.args import PATH, create_arguments
from agentrl.sandboxes.docker.engine import Engine, Refused
from agentrl.sandboxes.docker.images import Images
from agentrl.sandboxes.docker.plain import PlainSandbox, check_plain
from agentrl.sandboxes.docker.probe import PROBE, held_and_missing, look
from agentrl.sandboxes.docker.vessel import DockerVessel, remove_late, start_vessel
from agentrl.sandboxes.errors import LimitNotHeld, SandboxBusy, SandboxUnavailable, SpecError
from agentrl.sandboxes.janitor import ensure_janitor
from agentrl.sandboxes.pool.records import HalfMade
from agentrl.sandboxes.pooled import PooledBackend, checked
from agentrl.sandboxes.reaper import labels
from agentrl.sandboxes.spec import PROXY_PORT, SandboxSpec
from agentrl.sandboxes.vessel import Vessel

__all__ = ["DockerBackend"]

LIMITS = ("cpus", "memory_mb", "pids", "disk_mb", "inodes", "output_bytes", "wall_s", "cpu_s", "open_files")
LANES = 8
SILENCE_S = 8.0
FOLDERS = ("/work", "/tmp", "/dev/shm")
# runc (1.1.5) gives a folder in memory the mode of the folder that it covers, whatever `mode=` says: 0755 where it had
# to make that folder. The worker, which owns them, opens them first.
OPEN_FOLDERS = f"import os\nfor folder in {FOLDERS!r}:\n    os.chmod(folder, 0o777)\n"


class DockerBackend(PooledBackend):
    """Boxes in containers of a Docker engine. Safe from several threads."""

    def __init__(
        self,
        *,
        image: str | None = None,
        runtime: str | None = None,
        max_boxes: int = 64,
        warm: int = 2,
        idle_s: float = 120.0,
        base_url: str | None = None,
        timeout_s: float = 20.0,
    ) -> None:
        """Make nothing yet: the engine is asked at the first lease.

        Args:
            image: For specs that name none; None: the base image of `agentrl sandbox build`.
            runtime: "runsc" for gVisor, registered with the engine under that name; None: the engine's default.
            max_boxes: Boxes at one moment, over all shapes; a lease beyond them waits.
            warm: Boxes kept ready for each shape that was asked for within `idle_s`.
            idle_s: Seconds after which a box that nobody took is destroyed.
            base_url: "unix:///path" or "tcp://host:port"; None: DOCKER_HOST, else the usual socket.
            timeout_s: Seconds that the engine may take over one answer.

        Raises:
            SpecError: A value that cannot work.
        """
        self._engine = Engine(base_url, timeout_s=timeout_s)
        super().__init__(max_boxes=max_boxes, warm=warm, idle_s=idle_s, engine_url=self._engine.url)
        self.name = "docker" if runtime is None else f"docker+{runtime}"
        self._image, self._runtime = image, runtime
        self._images = Images(self._engine, self._has_python)
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._capabilities: Capabilities | None = None
        self._plain: set[PlainSandbox] = set()
        self._plain_slots = threading.BoundedSemaphore(max_boxes)

    def lease(self, spec: SandboxSpec | None = None, *, wait_s: float = 60.0) -> Sandbox:
        """Hand over a box for one episode; see `Backend.lease`. An image without Python is made new for each lease."""
        spec = checked(spec, wait_s)
        image = self._images.resolve(spec.image or self._image)
        if self._images.has_python(image):
            return super().lease(spec, wait_s=wait_s)
        check_plain(spec)
        self._check_strict(spec)
        if not self._plain_slots.acquire(timeout=wait_s):
            raise SandboxBusy(f"none of the boxes became free within {wait_s:g} s; wait longer, or raise max_boxes")
        try:
            box_id = _new_id()
            box = PlainSandbox(
                self._engine,
                spec,
                image,
                box_id,
                labels=self._labels(box_id),
                runtime=self._runtime,
                seccomp=_seccomp(),
                release=self._release,
            )
        except BaseException as error:
            if isinstance(error, HalfMade):
                self._pool.quarantine(error.left)
            self._plain_slots.release()
            raise
        with self._lock:
            self._plain.add(box)
        try:
            for path, content in spec.files.items():
                box.write(path, content)
        except BaseException:
            box.close()
            raise
        return box

    def capabilities(self) -> Capabilities:
        """Return what is held on this machine; probed with a real run once, then remembered."""
        with self._looking:
            if self._capabilities is None:
                self._capabilities = self._find_out()
            return self._capabilities

    def close(self) -> None:
        """Destroy every box and stop every thread; idempotent."""
        with self._lock:
            plain = list(self._plain)
        for box in plain:
            box.close()
        super().close()
        remove_late(self._engine, closing=True)
        self._engine.close()

    def _check(self, spec: SandboxSpec) -> None:
        image = self._images.resolve(spec.image or self._image)
        if not self._images.has_python(image):
            check_plain(spec)
            raise SpecError(f"image={spec.image!r} has no Python 3.8 or later: its boxes cannot be made ahead")
        self._check_strict(spec)

    def _check_strict(self, spec: SandboxSpec) -> None:
        if not spec.strict:
            return
        missing = self.capabilities().missing
        failed = [name for name in (*LIMITS, "network") if name in missing]
        if failed:
            raise LimitNotHeld("; ".join(f"{name}: {missing[name]}" for name in failed) + "; or leave strict=True out")

    def _make(self, shape: SandboxSpec) -> Vessel:
        from agentrl.sandboxes.worker.source import BOOTSTRAP, bundle

        command = ["python3", "-I", "-B", "-u", "-c", OPEN_FOLDERS + BOOTSTRAP]
        config = {
            "user": shape.user,
            "lanes": LANES,
            "silence_s": SILENCE_S,
            "memory_mb": shape.memory_mb,
            "pids": shape.pids,
            "disk_mb": shape.disk_mb,
            "open_files": shape.open_files,
            "environment": {"PATH": PATH, "HOME": "/work", "TMPDIR": "/tmp", "LANG": "C.UTF-8"},
            "split": True,
            "nproc": None,
            "tunnel_port": PROXY_PORT if shape.network else 0,
            "folders": list(FOLDERS),
        }
        vessel = self._start(shape, command)
        vessel.first = bundle(config)
        return vessel

    def _start(self, shape: SandboxSpec, command: list[str]) -> DockerVessel:
        image = self._images.resolve(shape.image or self._image)
        name = _new_id()
        try:
            return start_vessel(self._engine, self._arguments(shape, image, command, name), name)
        except Refused as error:
            if error.status == 404 and "image" in str(error).lower():
                self._images.forget(image)
            raise self._explained(error) from error

    def _arguments(self, shape: SandboxSpec, image: str, command: list[str], name: str) -> dict[str, Any]:
        return create_arguments(
            shape, image=image, command=command, labels=self._labels(name), runtime=self._runtime, seccomp=_seccomp()
        )

    def _explained(self, error: Refused) -> SandboxUnavailable:
        text = str(error)
        if self._runtime is not None and "runtime" in text and ("nknown" in text or "not found" in text):
            return SandboxUnavailable(
                f"the engine has no runtime {self._runtime!r}; put "
                '{"runtimes": {"runsc": {"path": "/usr/bin/runsc"}}} into /etc/docker/daemon.json and run '
                "`systemctl reload docker` (without systemd: `kill -HUP $(pidof dockerd)`)"
            )
        return error

    def _labels(self, box_id: str) -> dict[str, str]:
        # Before any container is made, the one that looks at an image included.
        ensure_janitor(self._engine.url)
        return labels(box_id)

    def _has_python(self, image: str) -> bool:
        return self._look(image, SandboxSpec()) is not None

    def _look(self, image: str, spec: SandboxSpec) -> dict[str, Any] | None:
        name = _new_id()
        command = ["python3", "-I", "-S", "-B", "-c", PROBE]
        try:
            return look(self._engine, self._arguments(spec, image, command, name), name)
        except HalfMade as error:
            self._pool.quarantine(error.left)
            raise
        except Refused as error:
            # Without `init` the engine itself says that there is no such program.
            if error.status == 400 and "executable file not found" in str(error):
                return None
            raise self._explained(error) from error

    def _find_out(self) -> Capabilities:
        image = self._images.resolve(self._image)
        spec = SandboxSpec()
        found = self._look(image, spec)
        if found is None:
            raise SandboxUnavailable(
                f"image={self._image!r} has no Python 3.8 or later to look with; leave it out, "
                "and name it in the spec instead"
            )
        with self._engine.client() as client:
            info = client.info()
        missing = held_and_missing(found, info, spec)
        held = (*LIMITS, "network", "split", "seccomp", "images")
        reported = ("ok", "nonzero", "signal", "timeout", "cpu_timeout", "output_limit", "oom", "pids")
        return Capabilities(
            backend=self.name,
            held=frozenset(name for name in held if name not in missing),
            reported=frozenset(name for name in reported if name not in missing and f"{name} status" not in missing),
            missing=missing,
        )

    def _release(self, box: PlainSandbox, gone: bool) -> None:
        with self._lock:
            if box not in self._plain:
                return
            if gone:
                self._plain.discard(box)
        if gone:
            self._plain_slots.release()
        else:
            self._pool.quarantine(box)


def _new_id() -> str:
    return f"agentrl-{secrets.token_hex(6)}"


def _seccomp() -> dict[str, Any] | None:
    from agentrl.sandboxes.syscalls import docker_profile

    return docker_profile()
