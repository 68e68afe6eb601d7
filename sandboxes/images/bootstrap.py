"""A root file system from Debian's packages alone, as a tar: debootstrap, then finish.sh inside it.

All of it happens in a mount and process namespace of its own: what debootstrap mounts nobody else sees, and what it
starts ends with it. The mirror's address is passed in and appears nowhere in the result.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agentrl.sandboxes.errors import SandboxUnavailable
from agentrl.sandboxes.images.recipe import SUITE, finish, packages
from agentrl.sandboxes.reaper import temporary_prefix

__all__ = ["DEBIAN", "machine_mirror", "root_tar"]

DEBIAN = "http://deb.debian.org/debian"
"""The mirror where this machine's apt has none of Debian."""

_NAMESPACES = (
    *("setpriv", "--pdeathsig", "KILL"),  # where this process is killed, the step ends too
    *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"),
)
# What debootstrap says of each of some hundred packages.
_CHATTER = ("I: Retrieving ", "I: Validating ", "I: Extracting ", "I: Unpacking ", "I: Configuring ")
# One sorted tar without the tar program's own time stamps; device nodes and mounts stay out.
_PACK = (
    *("tar", "--create", "--one-file-system", "--sort=name", "--numeric-owner", "--format=gnu"),
    *("--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./sys/*"),
)


def machine_mirror() -> str:
    """Return the first URI of Debian's main archive among this machine's apt sources, else `DEBIAN`."""
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):  # no apt here
        return DEBIAN
    for line in done.stdout.splitlines():
        origin, label, uri = (*line.split("|"), "", "")[:3]
        # Before the first `apt-get update` nothing is known of a source but its address.
        if (origin, label) == ("Debian", "Debian") or (not origin and uri.rstrip("/").endswith("/debian")):
            return uri.rstrip("/")
    return DEBIAN


@contextmanager
def root_tar(mirror: str, time: int, tell: Callable[[str], None]) -> Iterator[Path]:
    """Yield the path of a tar of the finished root file system; it is removed at the end.

    Args:
        mirror: URI of Debian's archive.
        time: Unix time in seconds that every file gets.
        tell: Called with a line for each step.

    Raises:
        SandboxUnavailable: Not root, a program is missing, or a step failed.
    """
    _check()
    folder = Path(tempfile.mkdtemp(prefix=temporary_prefix()))  # a sweep removes what a kill leaves
    try:
        root, tar = folder / "root", folder / "root.tar"
        tell(f"debootstrap {SUITE}, {len(packages())} packages and what they need; this takes a minute or two")
        wanted = f"--include={','.join(packages())}"
        _step(["debootstrap", "--variant=minbase", "--merged-usr", wanted, SUITE, str(root), mirror], tell=tell)
        tell("finishing")
        _step(["chroot", str(root), "/bin/sh", "-s"], feed=finish(), environment={"SOURCE_DATE_EPOCH": str(time)})
        _step([*_PACK, "--file", str(tar), "--directory", str(root), "."])
        shutil.rmtree(root)
        yield tar
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check() -> None:
    if os.geteuid() != 0:
        raise SandboxUnavailable(
            "building without a container registry needs root; type: sudo agentrl sandbox build --method debootstrap"
        )
    for program, package in (("debootstrap", "debootstrap"), ("unshare", "util-linux"), ("chroot", "coreutils")):
        if shutil.which(program, path=_PATH) is None:
            raise SandboxUnavailable(f"{program} is missing; type: apt-get install {package}")


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _step(
    command: list[str],
    *,
    feed: str = "",
    environment: dict[str, str] | None = None,
    tell: Callable[[str], None] | None = None,
) -> None:
    proxies = {name: value for name, value in os.environ.items() if name.lower() in ("http_proxy", "https_proxy")}
    process = subprocess.Popen(
        [*_NAMESPACES, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={"PATH": _PATH, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", **proxies, **(environment or {})},
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(feed)
            process.stdin.close()
            last: list[str] = []
            for line in process.stdout:
                last = [*last[-9:], line.rstrip()]
                if tell is not None and not line.startswith(_CHATTER):
                    tell(line.rstrip())
        except BaseException:
            process.kill()  # --kill-child ends the namespace with it
            raise
    if process.returncode != 0:
        raise SandboxUnavailable(
            f"{command[0]} ended with {process.returncode}:\n  " + "\n  ".join(last) + "\n"
            "Check the mirror and the free space (800 MB below $TMPDIR, not mounted nodev), then type: "
            "agentrl sandbox build --method debootstrap"
        )
