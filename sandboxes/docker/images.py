"""Images by id: a name or tag is resolved once, pulled at most once a host, and never while a box is being waited for.

An image id is a digest of all that is in it, so what was found out about one, such as whether it has Python, stays
true.
"""

from __future__ import annotations

import os
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentrl.sandboxes.docker.engine import Engine, Refused
from agentrl.sandboxes.errors import SandboxUnavailable, SpecError
from agentrl.sandboxes.images import BASE_IMAGE

__all__ = ["BASE_IMAGE", "Images"]

# Seconds without a byte of progress after which a pull is given up.
PULL_S = 120.0


class Images:
    """What is known of the images of one engine. Safe from several threads."""

    def __init__(self, engine: Engine, has_python: Callable[[str], bool]) -> None:
        """Remember how to find out.

        Args:
            engine: Where the images are.
            has_python: Runs the image with this id, once, to see whether it has a Python that the worker runs on.
        """
        self._engine = engine
        self._probe = has_python
        self._lock = threading.Lock()
        self._ids: dict[str, str] = {}
        self._python: dict[str, bool] = {}
        self._probing: dict[str, threading.Lock] = {}

    def resolve(self, name: str | None) -> str:
        """Return the id of an image, pulled if the engine does not have it.

        Raises:
            SandboxUnavailable: It is not there and cannot be pulled; names the command that mends it.
            SpecError: It is not the name of an image, or would bring writable space without a bound.
        """
        name = name or BASE_IMAGE
        with self._lock:
            if name in self._ids:
                return self._ids[name]
        found = self._inspect(name)
        if found is None:
            if name.startswith("agentrl/"):
                raise SandboxUnavailable(f"the image {name} is not there; run `agentrl sandbox build`")
            found = self._pull(name)
        volumes = (found.get("Config") or {}).get("Volumes") or {}
        if volumes:
            raise SpecError(
                f"image={name!r} declares the volumes {', '.join(sorted(volumes))}: writable space on the host's disk "
                "without a bound; build it without VOLUME"
            )
        with self._lock:
            return self._ids.setdefault(name, found["Id"])

    def forget(self, image: str) -> None:
        """Forget names that stood for this id: the engine has it no more."""
        with self._lock:
            self._ids = {name: known for name, known in self._ids.items() if known != image}

    def has_python(self, image: str) -> bool:
        """Return whether the image with this id has a Python for the worker; looked up by a real run, once.

        Raises:
            SandboxUnavailable: The engine could not run it.
        """
        with self._lock:
            probing = self._probing.setdefault(image, threading.Lock())
        # Held over the probe, so that a second lease of the same image waits for the first one's.
        with probing:
            if image not in self._python:
                self._python[image] = self._probe(image)
            return self._python[image]

    def _inspect(self, name: str) -> dict[str, Any] | None:
        try:
            with self._engine.client() as client:
                found: dict[str, Any] = client.inspect_image(name)
                return found
        except Refused as error:
            if error.status == 400:
                raise SpecError(f"image={name!r} is not the name of an image: {error}") from None
            if error.status != 404:
                raise
            return None

    def _pull(self, name: str) -> dict[str, Any]:
        from filelock import FileLock

        digest = name.partition("@")[2] or None
        last = name.rpartition("/")[2]
        tag = None if digest or ":" in last else "latest"
        with FileLock(_locks() / "pull.lock", timeout=PULL_S * 5):
            found = self._inspect(name)
            if found is not None:
                return found
            try:
                with self._engine.client(PULL_S) as client:
                    for line in client.pull(name, tag=tag, stream=True, decode=True):
                        if "error" in line:
                            raise SandboxUnavailable(f"the image {name} could not be pulled: {line['error']}")
            except Refused as error:
                raise SandboxUnavailable(
                    f"the image {name} is not there and could not be pulled ({error}); run `docker pull {name}`, or "
                    "leave `image` out to use the base image of `agentrl sandbox build`"
                ) from error
        found = self._inspect(name)
        if found is None:
            raise SandboxUnavailable(f"the image {name} was pulled, but is not there; run `docker pull {name}`")
        return found


def _locks() -> Path:
    """Return a folder for lock files that this user alone may write to; several processes of this host share it."""
    folder = Path(tempfile.gettempdir()) / f"agentrl-locks-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise SandboxUnavailable(f"{folder} is not a folder of this user; remove it")
    return folder
