"""What the base image is made from: three files beside this one, and their digest, which a built image carries.

`packages.txt` names the packages, `finish.sh` makes the result small and repeatable, `Dockerfile` ends with how the
image is to be run. Both ways of building use all three.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from importlib.resources import files

__all__ = [
    "BASE_IMAGE",
    "LABEL",
    "STAGE",
    "SUITE",
    "changes",
    "context",
    "epoch",
    "finish",
    "packages",
    "recipe_digest",
]

BASE_IMAGE = "agentrl/base:1"
"""The image of a box whose spec names none."""
LABEL = "agentrl.recipe"
"""Label of an image: the digest of the recipe that it was built from."""
STAGE = "agentrl.stage=build"
"""Label of what the Dockerfile's first stage leaves behind."""
SUITE = "bookworm"
"""Debian's release; its Python is 3.11."""

_FILES = ("Dockerfile", "finish.sh", "packages.txt")


def packages() -> list[str]:
    """Return the names of the packages.

    >>> "git" in packages()
    True
    """
    lines = [line.partition("#")[0].strip() for line in _text("packages.txt").splitlines()]
    return [line for line in lines if line]


def finish() -> str:
    """Return the script that runs last, inside the image."""
    return _text("finish.sh")


def changes() -> list[str]:
    """Return the Dockerfile's lines that say how the image is run, for `docker import --change`."""
    last = _text("Dockerfile").rpartition("\nFROM scratch\n")[2]
    return [line for line in last.splitlines() if line.startswith(("ENV ", "WORKDIR ", "CMD "))]


def epoch() -> int:
    """Return the time in seconds that every file of the image gets."""
    found = re.search(r"^ARG SOURCE_DATE_EPOCH=(\d+)$", _text("Dockerfile"), re.MULTILINE)
    assert found
    return int(found[1])


def recipe_digest() -> str:
    """Return a digest of all that an image is built from, apart from the versions of packages."""
    whole = hashlib.sha256()
    for name in _FILES:
        content = _text(name).encode()
        whole.update(f"{name} {len(content)}\n".encode() + content)
    return whole.hexdigest()[:16]


def context() -> io.BytesIO:
    """Return the three files as a tar, the context of a build by an engine."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in _FILES:
            content = _text(name).encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755 if name.endswith(".sh") else 0o644
            tar.addfile(member, io.BytesIO(content))
    out.seek(0)
    return out


def _text(name: str) -> str:
    return (files("agentrl.sandboxes.images") / name).read_text()
