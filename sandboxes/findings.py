"""What this machine has for sandboxes or lacks, each with the command that mends it. Only looks; runs no job."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentrl.sandboxes.bubblewrap.cgroups import usable_hierarchy
from agentrl.sandboxes.docker.engine import Engine
from agentrl.sandboxes.errors import SandboxUnavailable
from agentrl.sandboxes.images import BASE_IMAGE

__all__ = ["Finding", "diagnose"]

LANDLOCK_CREATE_RULESET, LANDLOCK_VERSION = 444, 1
# 5.3 has pidfds, with which the janitor watches its owner.
LEAST_KERNEL = (5, 3)
LEAST_BWRAP = (0, 5)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    """"host", "docker" or "bubblewrap"."""
    name: str
    ok: bool
    needed: bool = True
    """Whether the subject does not work without it."""
    detail: str
    """What was found."""
    mend: str = ""
    """The command, or the change, that mends it; "" where nothing is wrong."""


def diagnose(backends: Sequence[str] = ("docker", "bubblewrap")) -> list[Finding]:
    """Look at the host and at what some backends need.

    Raises:
        ValueError: A backend that is neither "docker" nor "bubblewrap".
    """
    looks = {"docker": _docker, "bubblewrap": _bubblewrap}
    for name in backends:
        if name not in looks:
            raise ValueError(f"backends: {name!r} is not one of {', '.join(looks)}")
    found = list(_host())
    for name in backends:
        found += looks[name]()
    return found


def _host() -> Iterator[Finding]:
    release = platform.release()
    numbers = tuple(int(each) for each in re.findall(r"\d+", release)[:2])
    linux = platform.system() == "Linux"
    yield Finding(
        subject="host",
        name="kernel",
        ok=linux and numbers >= LEAST_KERNEL,
        detail=f"{platform.system()} {release}",
        mend="" if linux and numbers >= LEAST_KERNEL else "sandboxes need Linux 5.3 or later",
    )
    hierarchy = usable_hierarchy()
    names = sorted(hierarchy.folders)
    yield Finding(
        subject="host",
        name="cgroups",
        ok={"memory", "pids", "cpu"} <= set(names),
        needed=False,
        detail=f"version {hierarchy.version}; may be used from here: {', '.join(names) or 'none'}",
        mend=""
        if {"memory", "pids", "cpu"} <= set(names)
        else "run as root, or in a delegated group: `systemd-run --user --scope -p Delegate=yes COMMAND`",
    )
    yield _seccomp()
    abi = _landlock()
    yield Finding(
        subject="host",
        name="landlock",
        ok=abi >= 6,
        needed=False,
        detail=f"ABI {abi}" if abi > 0 else "not there",
        mend="" if abi >= 6 else "Linux 6.12 or later can bound signals; boot with lsm=landlock,… where it is off",
    )


def _seccomp() -> Finding:
    library = ctypes.util.find_library("seccomp")
    try:
        import pyseccomp  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        mend = "pip install pyseccomp" if library else "apt-get install libseccomp2"
        return Finding(
            subject="host", name="libseccomp", ok=False, detail=f"{type(error).__name__}: {error}", mend=mend
        )
    return Finding(subject="host", name="libseccomp", ok=True, detail=str(library or "loaded"))


def _landlock() -> int:
    try:
        return int(ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_VERSION))
    except (OSError, AttributeError):
        return -1


def _docker() -> Iterator[Finding]:
    try:
        with Engine(timeout_s=10).client() as client:
            version: dict[str, Any] = client.version()
            info: dict[str, Any] = client.info()
            images = client.images(name=BASE_IMAGE)
    except SandboxUnavailable as error:
        text, _, mend = str(error).partition("; ")
        yield Finding(subject="docker", name="engine", ok=False, detail=text, mend=mend)
        return
    detail = f"{version.get('Version')}, API {version.get('ApiVersion')}, {info.get('OperatingSystem', '')}"
    yield Finding(subject="docker", name="engine", ok=True, detail=detail)
    driver = str(info.get("Driver"))
    yield Finding(
        subject="docker",
        name="storage driver",
        ok=driver in ("overlay2", "overlayfs", "btrfs", "zfs"),
        needed=False,
        detail=driver,
        mend=""
        if driver != "vfs"
        else "vfs copies an image for each box: set storage-driver to overlay2 in daemon.json",
    )
    lacking = [name for name in ("MemoryLimit", "PidsLimit", "CpuCfsQuota") if not info.get(name)]
    yield Finding(
        subject="docker",
        name="limits",
        ok=not lacking,
        detail=f"cgroup version {info.get('CgroupVersion', '1')}, driver {info.get('CgroupDriver')}"
        + (f"; lacking {', '.join(lacking)}" if lacking else ""),
        mend="boot with cgroup_enable=memory swapaccount=1" if lacking else "",
    )
    options = [str(each) for each in info.get("SecurityOptions") or ()]
    filtered = any("seccomp" in each for each in options)
    yield Finding(
        subject="docker",
        name="seccomp",
        ok=filtered,
        detail=", ".join(options) or "no security options",
        mend="" if filtered else "install an engine that is built with seccomp: `apt-get install docker.io`",
    )
    size = sum(int(each["Size"]) for each in images)
    yield Finding(
        subject="docker",
        name="base image",
        ok=bool(images),
        detail=f"{BASE_IMAGE}, {size / 1e6:.0f} MB" if images else f"{BASE_IMAGE} is not there",
        mend="" if images else "agentrl sandbox build",
    )
    runtimes = sorted(info.get("Runtimes") or ())
    yield Finding(
        subject="docker",
        name="gVisor",
        ok="runsc" in runtimes,
        needed=False,
        detail=f"runtimes: {', '.join(runtimes)}",
        mend=""
        if "runsc" in runtimes
        else "for runtime='runsc': `apt-get install runsc && runsc install`, restart the engine",
    )


def _bubblewrap() -> Iterator[Finding]:
    found = _version(["bwrap", "--version"])
    numbers = tuple(int(each) for each in re.findall(r"\d+", found or "")[:2])
    yield Finding(
        subject="bubblewrap",
        name="bwrap",
        ok=found is not None and numbers >= LEAST_BWRAP,
        detail=found or "not there",
        mend="" if found and numbers >= LEAST_BWRAP else "apt-get install bubblewrap",
    )
    found = _version(["unshare", "--version"])
    tools = [name for name in ("unshare", "nsenter", "mount") if shutil.which(name) is None]
    yield Finding(
        subject="bubblewrap",
        name="util-linux",
        ok=not tools,
        detail=found or f"{', '.join(tools)} are not there",
        mend="apt-get install util-linux mount" if tools else "",
    )
    yield _user_namespaces()
    if os.geteuid() != 0:
        yield _many_ids()


def _user_namespaces() -> Finding:
    result = _run(["unshare", "--user", "--map-root-user", "--mount", "true"])
    detail = "allowed" if result is not None and result.returncode == 0 else "refused"
    mend = ""
    if detail == "refused":
        said = "" if result is None else result.stderr.decode(errors="replace").strip()
        detail += f": {said[:200]}"
        mend = "sysctl -w kernel.unprivileged_userns_clone=1"
        if _read("/proc/sys/user/max_user_namespaces").strip() == "0":
            mend = "sysctl -w user.max_user_namespaces=10000"
        elif _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").strip() == "1":
            mend = "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    return Finding(subject="bubblewrap", name="user namespaces", ok=not mend, detail=detail, mend=mend)


def _many_ids() -> Finding:
    tools = [name for name in ("newuidmap", "newgidmap") if shutil.which(name) is None]
    user = os.environ.get("USER") or str(os.geteuid())
    listed = all(
        re.search(rf"^({re.escape(user)}|{os.geteuid()}):", _read(path), re.MULTILINE)
        for path in ("/etc/subuid", "/etc/subgid")
    )
    mend = "apt-get install uidmap" if tools else ""
    if not listed:
        mend = mend or f"usermod --add-subuids 200000-265535 --add-subgids 200000-265535 {user}"
    return Finding(
        subject="bubblewrap",
        name="several user ids",
        ok=not mend,
        needed=False,
        detail="newuidmap and a range of ids" if not mend else "a job and the worker share one user id",
        mend=mend,
    )


def _version(argv: Sequence[str]) -> str | None:
    result = _run(argv)
    return None if result is None or result.returncode else result.stdout.decode(errors="replace").strip()


def _run(argv: Sequence[str]) -> subprocess.CompletedProcess[bytes] | None:
    try:
        return subprocess.run(argv, capture_output=True, timeout=10, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
