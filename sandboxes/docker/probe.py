"""Look from inside a box at what really holds: one run of an image answers what a backend wants to know of it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from agentrl.sandboxes.docker.engine import Engine
from agentrl.sandboxes.docker.vessel import start_vessel
from agentrl.sandboxes.errors import SandboxUnavailable
from agentrl.sandboxes.spec import SandboxSpec
from agentrl.sandboxes.worker.frames import FrameError

__all__ = ["PROBE", "held_and_missing", "look"]

# On the box's Python, 3.8 or later; says nothing where there is an older one.
PROBE = r"""
import json, os, sys, time
assert sys.version_info >= (3, 8)
def text(*paths):
    for path in paths:
        try:
            with open(path) as file:
                return file.read()
        except OSError:
            pass
    return ""
found = {"python": list(sys.version_info[:3])}
base = "/sys/fs/cgroup/"
found["memory"] = text(base + "memory/memory.limit_in_bytes", base + "memory.max").strip()
found["swap"] = text(base + "memory/memory.memsw.limit_in_bytes").strip()
found["swap_max"] = text(base + "memory.swap.max").strip()
found["swap_total"] = [line.split()[1] for line in text("/proc/meminfo").splitlines() if line.startswith("SwapTotal")]
found["pids"] = text(base + "pids/pids.max", base + "pids.max").strip()
found["quota"] = text(base + "cpu/cpu.cfs_quota_us", base + "cpu.max").split()[:1]
found["oom_counter"] = "oom_kill " in text(base + "memory/memory.oom_control", base + "memory.events")
found["pids_counter"] = "max " in text(base + "pids/pids.events", base + "pids.events")
status = dict(line.split(":", 1) for line in text("/proc/self/status").splitlines() if ":" in line)
found["seccomp"] = status.get("Seccomp", "").strip()
found["devices"] = [line.split(":")[0].strip() for line in text("/proc/net/dev").splitlines() if ":" in line]
for folder in ("/work", "/tmp"):
    stats = os.statvfs(folder)
    found[folder] = [stats.f_blocks * stats.f_frsize, stats.f_files]
def reach(pid):
    # What another user may do to a process of root.
    yield "signal", lambda: os.kill(pid, 0)
    yield "fd", lambda: os.listdir(f"/proc/{pid}/fd")
    for name in ("cwd", "root", "exe"):
        yield name, lambda name=name: os.readlink(f"/proc/{pid}/{name}")
    for name in ("environ", "auxv", "maps", "mem"):
        yield name, lambda name=name: open(f"/proc/{pid}/{name}", "rb").read(1)
reader, writer = os.pipe()
child = os.fork()
if not child:
    reached = []
    try:
        os.setgroups([])
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
        for name, work in reach(os.getppid()):
            try:
                work()
                reached.append(name)
            except PermissionError:
                pass
        os.write(writer, json.dumps(reached).encode())
    finally:
        os._exit(0)
os.close(writer)
# Whoever could not even try has shown nothing.
found["reached"] = json.loads(os.read(reader, 4096) or '["a process that was to try it"]')
os.waitpid(child, 0)
if not found["memory"]:
    # Four at once want more than the quota, so what is counted beyond it was not used.
    began, before = time.monotonic(), os.times()
    for _ in range(4):
        if not os.fork():
            while time.monotonic() < began + 0.6:
                pass
            os._exit(0)
    for _ in range(4):
        os.wait()
    spent = os.times()
    spent = spent.children_user + spent.children_system - before.children_user - before.children_system
    found["counted_cpus"] = spent / (time.monotonic() - began)
print("found " + json.dumps(found), flush=True)
"""
LARGEST = 65_536
MOST_COUNTED = 1.25  # times the quota; a burst at the edge of a period is no reason for alarm


def look(engine: Engine, arguments: Mapping[str, Any], name: str, *, timeout_s: float = 30.0) -> dict[str, Any] | None:
    """Run the probe in a box of its own; None where the image has no Python that can run it.

    Args:
        engine: Where.
        arguments: Of `create_arguments`, with the command that runs `PROBE`.
        name: The container's.
        timeout_s: Seconds that the box may take.

    Raises:
        SandboxUnavailable: The box could not be made, or hung.
    """
    vessel = start_vessel(engine, arguments, name)
    said, end = b"", time.monotonic() + timeout_s
    try:
        while len(said) < LARGEST:
            left = end - time.monotonic()
            if left <= 0 or not vessel.pipe.wait(left):
                raise SandboxUnavailable(f"a trial of the image did not end within {timeout_s:g} s")
            data = vessel.pipe.receive()
            if data == b"":
                break
            said += data or b""
    except FrameError as error:
        raise SandboxUnavailable(f"a trial of the image failed: {error}") from error
    finally:
        vessel.destroy()
    line = said.partition(b"found ")[2].partition(b"\n")[0]
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def held_and_missing(found: Mapping[str, Any], info: Mapping[str, Any], spec: SandboxSpec) -> dict[str, str]:
    """Return what of `spec` does not hold, with the reason, from what a look inside and the engine's `info` say.

    Where the inside shows no control groups (gVisor), the engine's word that it sets a limit is taken. Its quota of
    processor time does hold gVisor as a whole: four busy processes got 2.06 s in 2.06 s, by the host's count.
    """
    memory, inside = str(spec.memory_mb * 2**20), bool(found["memory"])
    missing = {}
    if found["memory"] != memory if inside else not info.get("MemoryLimit"):
        missing["memory_mb"] = "the kernel has no control group for memory; boot it with cgroup_enable=memory"
    elif found["swap"] != memory and found["swap_max"] != "0" and found["swap_total"] != ["0"] and inside:
        missing["memory_mb"] = "swap is not counted; boot with swapaccount=1, or run `swapoff -a`"
    if not inside:
        missing["pids"] = "the runtime shows no count of processes inside; past it the whole box fails"
    elif found["pids"] != str(spec.pids):
        missing["pids"] = "the kernel has no control group for processes"
    quota = [str(round(spec.cpus * 100_000))]
    if found["quota"] != quota if inside else not info.get("CpuCfsQuota"):
        missing["cpus"] = "the kernel has no quota of processor time (CONFIG_CFS_BANDWIDTH)"
    for at, (field, wanted) in enumerate((("disk_mb", spec.disk_mb * 2**20), ("inodes", spec.inodes))):
        if any(not 0 < found[folder][at] <= wanted for folder in ("/work", "/tmp")):
            missing[field] = "the runtime's file systems in memory take no such bound"
    if found["devices"] not in ([], ["lo"]):
        missing["network"] = f"the box has the network devices {', '.join(found['devices'])}"
    if (counted := found.get("counted_cpus", 0.0)) > MOST_COUNTED * spec.cpus:
        missing["cpu_s"] = (
            f"the runtime counts {counted:.1f} s of processor time in a second that had {spec.cpus:g}: waiting for a "
            "core is counted too, so a job may be stopped long before its limit"
        )
    if reached := found["reached"]:
        can = [name if name == "signal" else f"/proc/WORKER/{name}" for name in reached]
        missing["split"] = f"a job reaches the worker: {', '.join(can)}; nothing secret may be given to that"
    if found["seccomp"] != "2":
        missing["seccomp"] = "the runtime applies no policy of ours; it filters system calls in its own kernel"
    if not found["oom_counter"] and inside:
        missing["oom"] = "the kernel counts no kills for memory (Linux 4.13 or later does)"
    if not found["pids_counter"]:
        missing["pids status"] = "no count of refused forks can be read inside"
    return missing
