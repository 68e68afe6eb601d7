"""Build the base image: from a Dockerfile where a container registry can be reached, else by debootstrap.

Built once a host, under a lock, and not again while the image carries the digest of the present recipe. debootstrap
needs root and a mirror of Debian; it works in a mount and process namespace of its own, so that an interrupted build
leaves no mount and no process. What comes out is one layer, whose digest is that of its tar.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agentrl.sandboxes.docker.engine import Engine, Refused
from agentrl.sandboxes.errors import SandboxUnavailable, SpecError
from agentrl.sandboxes.images.bootstrap import machine_mirror, root_tar
from agentrl.sandboxes.images.recipe import BASE_IMAGE, LABEL, STAGE, changes, context, epoch, recipe_digest

__all__ = ["BuiltImage", "Method", "build_image"]

Method = Literal["auto", "dockerfile", "debootstrap"]

# Seconds that the engine may take over one step: the last one of an import is silent for a minute on a slow disk.
_STEP_S = 900.0


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """An image that is there."""

    tag: str
    id: str
    layers: tuple[str, ...]
    """Digest of each layer's tar; two builds from the same packages have the same one."""
    size: int
    """Bytes on disk, as the engine counts them."""
    built: bool
    """Whether this call built it; False where it was up to date."""


def build_image(
    method: Method = "auto",
    tag: str = BASE_IMAGE,
    *,
    force: bool = False,
    mirror: str | None = None,
    base_url: str | None = None,
    on_progress: Callable[[str], None] | None = None,
    lock_s: float = 1800.0,
) -> BuiltImage:
    """Build the base image, unless one from the present recipe is there.

    Args:
        method: "dockerfile" asks a container registry for Debian and adds to it; "debootstrap" needs root and a mirror
            of Debian only; "auto" tries them in this order.
        tag: Name of the image.
        force: Build even where the image is up to date.
        mirror: URI of Debian's archive for debootstrap; None: the first one of this machine's apt sources.
        base_url: Address of the engine; None: DOCKER_HOST, else the usual socket.
        on_progress: Called with a line of text for each step.
        lock_s: Seconds to wait for another build on this host.

    Raises:
        SandboxUnavailable: No engine, no registry, no debootstrap, or a build that failed; ends with what mends it.
        SpecError: There is no such method.
    """
    if method not in ("auto", "dockerfile", "debootstrap"):
        raise SpecError(f"method={method!r} is unknown; choose auto, dockerfile or debootstrap")
    tell = on_progress or (lambda line: None)
    engine = Engine(base_url)
    try:
        found = _find(engine, tag)  # an engine that does not answer is told before a lock is waited for
        if found is not None and not force and _is_current(found):
            return _record(found, tag, built=False)
        with _lock(lock_s, tell):
            return _built(engine, method, tag, force, mirror, tell)
    finally:
        engine.close()


def _built(
    engine: Engine, method: Method, tag: str, force: bool, mirror: str | None, tell: Callable[[str], None]
) -> BuiltImage:
    found = _find(engine, tag)
    if found is not None and not force and _is_current(found):
        return _record(found, tag, built=False)
    if method == "auto":
        try:
            _by_dockerfile(engine, tag, tell)
        except SandboxUnavailable as refusal:
            tell(str(refusal))
            tell("going on without a container registry, by debootstrap")
            _by_debootstrap(engine, tag, mirror, tell)
    elif method == "dockerfile":
        _by_dockerfile(engine, tag, tell)
    else:
        _by_debootstrap(engine, tag, mirror, tell)
    made = _find(engine, tag)
    if made is None:
        raise SandboxUnavailable(f"{tag} was built and is gone again; type: agentrl sandbox build")
    if found is not None and found["Id"] != made["Id"]:
        _drop(engine, found["Id"], tell)
    return _record(made, tag, built=True)


def _by_dockerfile(engine: Engine, tag: str, tell: Callable[[str], None]) -> None:
    tell("building from the Dockerfile")
    error = ""
    with engine.client(_STEP_S) as client:
        steps = client.build(
            fileobj=context(),
            custom_context=True,
            tag=tag,
            labels={LABEL: recipe_digest()},
            rm=True,
            forcerm=True,
            decode=True,
        )
        for step in steps:
            error = str(step.get("error", "")).strip() or error
            for line in str(step.get("stream", "")).splitlines():
                if line.strip():
                    tell(line.rstrip())
        # The first stage would stay as an image without a name, twice the size of the result.
        client.prune_images(filters={"dangling": True, "label": [STAGE]})
    if error:
        raise SandboxUnavailable(
            f"the Dockerfile could not be built: {error}. Without a container registry, type: "
            "agentrl sandbox build --method debootstrap"
        )


def _by_debootstrap(engine: Engine, tag: str, mirror: str | None, tell: Callable[[str], None]) -> None:
    name, _, version = tag.rpartition(":")
    said = [*changes(), f"LABEL {LABEL}={recipe_digest()}"]
    with root_tar(mirror or machine_mirror(), epoch(), tell) as tar:
        tell("handing it to the engine")
        with engine.client(_STEP_S) as client:
            client.import_image(src=str(tar), repository=name or tag, tag=version if name else None, changes=said)


@contextmanager
def _lock(wait_s: float, tell: Callable[[str], None]) -> Iterator[None]:
    import filelock

    lock = filelock.FileLock(_lock_folder() / "image.lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        tell("another build is under way on this machine; waiting for it")
        try:
            lock.acquire(timeout=wait_s)
        except filelock.Timeout:
            raise SandboxUnavailable(
                f"another build has held {lock.lock_file} for {wait_s:g} s; when it has ended, type: "
                "agentrl sandbox build"
            ) from None
    try:
        yield
    finally:
        lock.release()


def _drop(engine: Engine, image_id: str, tell: Callable[[str], None]) -> None:
    """Remove the image that a new one has replaced, unless it has another name or a container is made from it."""
    try:
        with engine.client() as client:
            client.remove_image(image_id)
    except Refused as refusal:
        tell(f"the image before, {image_id[7:19]}, stays: {refusal}")


def _find(engine: Engine, tag: str) -> dict[str, Any] | None:
    try:
        with engine.client() as client:
            found: dict[str, Any] = client.inspect_image(tag)
            return found
    except Refused as refusal:
        if refusal.status == 404:
            return None
        raise


def _is_current(image: dict[str, Any]) -> bool:
    labels = image.get("Config", {}).get("Labels") or {}
    return bool(labels.get(LABEL) == recipe_digest())


def _record(image: dict[str, Any], tag: str, *, built: bool) -> BuiltImage:
    return BuiltImage(
        tag=tag,
        id=image["Id"],
        layers=tuple(image["RootFS"].get("Layers") or ()),
        size=int(image["Size"]),
        built=built,
    )


def _lock_folder() -> Path:
    # Below /tmp, where every user of the engine may write; a folder for each, since nobody else's is to be trusted.
    folder = Path(tempfile.gettempdir()) / f"agentrl-locks-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise SandboxUnavailable(f"{folder} is not a folder of this user; remove it")
    return folder
