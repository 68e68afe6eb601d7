"""What bubblewrap holds on this host, found by runs that meet each limit on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agentrl.sandboxes.base import Capabilities
from agentrl.sandboxes.bubblewrap.args import Findings
from agentrl.sandboxes.bubblewrap.cgroups import Hierarchy
from agentrl.sandboxes.errors import SandboxUnavailable
from agentrl.sandboxes.results import ExecResult
from agentrl.sandboxes.spec import SandboxSpec

__all__ = ["LIMITS", "held_and_missing"]

LIMITS = ("cpus", "memory_mb", "pids", "disk_mb", "inodes", "output_bytes", "wall_s", "cpu_s", "open_files")

FILES = """\
import errno, os
def refused(work):
    try:
        work()
    except OSError as error:
        return error.errno == errno.ENOSPC
def fill():
    with open("/work/big", "wb", 0) as file:
        for _ in range(40):
            file.write(bytes(1 << 16))
def many():
    for number in range(100):
        open(f"/tmp/{number}", "w").close()
print("disk_mb" * bool(refused(fill)), "inodes" * bool(refused(many)))
"""
MEMORY = "x = bytearray(200 << 20); x[::4096] = b'x' * len(x[::4096]); print('not held')"
FORKS = """\
import os, time
try:
    for _ in range(40):
        if not os.fork():
            time.sleep(5)
            os._exit(0)
except OSError:
    time.sleep(1)
else:
    print("not held")
"""
FIX = (
    "run as root, or give this user a subtree: systemd-run --user --scope -p Delegate=yes COMMAND; in a container, "
    "start that with --cgroupns=private and a writable /sys/fs/cgroup"
)


def held_and_missing(
    findings: Findings,
    hierarchy: Hierarchy,
    refusal: str | None,
    run: Callable[[Sequence[str] | str, SandboxSpec], ExecResult],
) -> Capabilities:
    """Return what is held here.

    Args:
        findings: What is there on this host.
        hierarchy: Where control groups are made.
        refusal: Why none can be made, or None.
        run: Runs a program in a box of its own.

    Raises:
        SandboxUnavailable: Not even a trivial program runs.
    """
    python = "python3"
    small = SandboxSpec(disk_mb=1, inodes=16, memory_mb=64, pids=16, wall_s=20.0)
    found = run([python, "-I", "-S", "-c", FILES], small)
    if not found.ok:
        raise SandboxUnavailable(
            f"a Python program in a bubblewrap box ended with {found.status} {found.exit_code}: "
            f"{found.stderr_text.strip()[-300:]!r}; install Python below /usr: apt-get install python3"
        )
    # These three are the host's own doing, whatever the kernel offers; the files were just tried.
    held = {"output_bytes", "wall_s", "open_files", "cpu_s", "network", "seccomp"} | set(found.stdout_text.split())
    reported: set[str] = {"ok", "nonzero", "signal", "timeout", "cpu_timeout", "output_limit"}
    missing: dict[str, str] = {"images": "bubblewrap boxes see this host's /usr; use the docker backend for images"}
    for name in ("disk_mb", "inodes"):
        if name not in held:
            missing[name] = "a memory file system took more than its size; use a kernel of 4.18 or later"
    why = refusal or f"version {hierarchy.version} of control groups has no such controller here"
    if "memory" in hierarchy.folders and run([python, "-I", "-S", "-c", MEMORY], small).status == "oom":
        held.add("memory_mb")
        reported.add("oom")
    else:
        missing["memory_mb"] = missing["oom"] = f"{why}; {FIX}"
    forks = run([python, "-I", "-S", "-c", FORKS], small)
    if "pids" in hierarchy.folders and forks.status == "pids":
        held.add("pids")
        reported.add("pids")
    else:
        missing["pids"] = f"{why}; {FIX}"
    if "cpu" in hierarchy.folders:
        held.add("cpus")
    else:
        missing["cpus"] = f"{why}; {FIX}"
    if findings.mode == "single":
        missing["split"] = (
            "this user has one user id, so worker and job share it; run: apt-get install uidmap && "
            "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER"
        )
    else:
        held.add("split")
    return Capabilities(backend="bubblewrap", held=frozenset(held), reported=frozenset(reported), missing=missing)
