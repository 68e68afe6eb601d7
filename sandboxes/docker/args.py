"""From a spec to what the engine is asked to create: one pure function, so that every flag can be read and tested here.

A box has no network, mounts, devices or log; a root file system that cannot be written; folders in memory with a size
and a number of files; one bound each on memory (swap included), processes and processor time; and no capability but
those that the worker needs to become another user and to end that user's processes. The job itself has none.

Left to the worker: `nofile`, which it lowers for each job (an engine may not raise its own). Left out: `nproc`, which
the kernel counts for a user id over all boxes of the host, so that one box would spend its neighbours' share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.sandboxes.spec import SandboxSpec

__all__ = ["PATH", "WORKER_CAPABILITIES", "create_arguments"]

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# SETUID, SETGID: become the job's user. KILL: end a lane. DAC_OVERRIDE, FOWNER: empty folders that a job left closed.
WORKER_CAPABILITIES = ("DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID")
# A period of the scheduler's quota, in microseconds; the engine's own default.
PERIOD_US = 100_000
# gVisor's kernel is a process in the same control group: its own threads, and one beside each process of the box. With
# the bare number it cannot even start (measured: 40).
GVISOR_THREADS = 128


def create_arguments(
    spec: SandboxSpec,
    *,
    image: str,
    command: Sequence[str],
    labels: Mapping[str, str],
    runtime: str | None = None,
    seccomp: Mapping[str, Any] | None = None,
    capabilities: Sequence[str] = WORKER_CAPABILITIES,
    user: str = "0:0",
) -> dict[str, Any]:
    """Return the body of the engine's request to create a container for `spec`, in the engine's own field names.

    Args:
        spec: Its shape is what counts; files, environment, output and times are the worker's business.
        image: Id of the image, so that a tag that moves meanwhile changes nothing.
        command: What runs first, in place of the image's entry point.
        labels: Who owns the box; a reaper finds it by them.
        runtime: Name under which the engine knows another runtime, such as "runsc"; None: its default.
        seccomp: Policy in Docker's JSON form; None: the engine's default policy.
        capabilities: What the first process keeps; all others are dropped, for good.
        user: Who the first process is.
    """
    security = ["no-new-privileges:true"]
    if seccomp is not None:
        security.append(f"seccomp={json.dumps(seccomp, separators=(',', ':'))}")
    folder = f"rw,nosuid,nodev,exec,size={spec.disk_mb}m,nr_inodes={spec.inodes},mode=0777"
    shared = f"rw,nosuid,nodev,noexec,size={spec.disk_mb}m,nr_inodes={spec.inodes},mode=1777"
    memory = spec.memory_mb * 2**20
    return {
        "Image": image,
        "Entrypoint": list(command),
        "Cmd": [],
        "User": user,
        "WorkingDir": "/work",
        "Env": [f"PATH={PATH}", "HOME=/work", "TMPDIR=/tmp", "LANG=C.UTF-8"],
        "Hostname": "sandbox",
        "Labels": dict(labels),
        "Tty": False,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "NetworkDisabled": True,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "AutoRemove": True,
            "Binds": [],
            "CapAdd": list(capabilities),
            "CapDrop": ["ALL"],
            "CpuPeriod": PERIOD_US,
            # Not NanoCpus, which the engine refuses where it exceeds the machine's cores: a spec is an upper bound.
            "CpuQuota": max(1000, round(spec.cpus * PERIOD_US)),
            "DeviceCgroupRules": [],
            "DeviceRequests": [],
            "Devices": [],
            "Init": True,
            "IpcMode": "private",
            "LogConfig": {"Type": "none", "Config": {}},
            "Memory": memory,
            "MemorySwap": memory,
            "Mounts": [],
            "NetworkMode": "none",
            "OomKillDisable": False,
            # Before the host's own processes when the whole host runs short; the jobs, at 1000, before the worker.
            "OomScoreAdj": 500,
            "PidsLimit": spec.pids if not (runtime or "").startswith("runsc") else 2 * spec.pids + GVISOR_THREADS,
            "Privileged": False,
            "PublishAllPorts": False,
            "ReadonlyRootfs": True,
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "SecurityOpt": security,
            "ShmSize": spec.disk_mb * 2**20,
            "Tmpfs": {"/work": folder, "/tmp": folder, "/dev/shm": shared},
            "Ulimits": [
                {"Name": name, "Soft": bound, "Hard": bound}
                for name, bound in (("core", 0), ("memlock", 65_536), ("msgqueue", 0))
            ],
            "VolumesFrom": [],
            **({} if runtime is None else {"Runtime": runtime}),
        },
    }
