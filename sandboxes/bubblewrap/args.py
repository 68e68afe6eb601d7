"""From a spec and what was found on this host to the command line of a bubblewrap box: pure functions, nothing is run.

The chain as root: `unshare --mount` gives mounts of its own; a shell lets `mount` make the sized folders (bwrap cannot
bound their inodes), joins the control groups meanwhile and becomes `nsenter`, which enters the box's user namespace;
bwrap waits for the mounts, after which its last arguments come, and does the rest. So nothing in the box has an id of
the host, and its first process is root there without being anybody here. Without root the user namespace comes first.

A job sees: /usr and the links to it, a few files of /etc, the Python installation where it lies elsewhere, and /proc,
/dev, /work, /tmp, /dev/shm of its own. All else does not exist.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agentrl.sandboxes.host.requests import PATH
from agentrl.sandboxes.spec import SandboxSpec

__all__ = [
    "ETC",
    "IDS",
    "MASKED",
    "SWITCH_CAPABILITIES",
    "WORKER_CAPABILITIES",
    "Findings",
    "Launch",
    "bwrap_arguments",
    "etc_files",
    "id_map",
    "last_arguments",
    "launch_command",
    "mount_table",
    "path_variable",
]

IDS = 64
"""Host user ids that a box takes where it may have several: one for its root, the others for the job's lanes."""
WORKER_CAPABILITIES = ("CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID")
"""Become the job's user; end a lane; empty folders that a job left closed."""
SWITCH_CAPABILITIES = ("CAP_SETGID", "CAP_SETUID")
"""Become the job's user, and nothing else."""

ETC = (
    "alternatives",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
)
"""What of the host's /etc a box has a copy of, where it is there; passwd, group, hosts and nsswitch.conf are made."""
MASKED = ("kallsyms", "kcore", "keys", "key-users", "kmsg", "latency_stats", "sched_debug", "slabinfo", "timer_list")
"""Files of /proc that say something of the whole machine; bwrap makes sys, sysrq-trigger, irq and bus read-only."""

SECCOMP_FD = 9  # one digit, since a shell opens it
MOUNTED_FD = 6


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What is there on this host; the same for all boxes of a process."""

    mode: Literal["root", "mapped", "single"]
    """root: may map any ids; mapped: some, through newuidmap; single: only its own, so worker and job share one."""
    folder: Path
    """Made by the backend: work, tmp, shm and python to mount on, an empty folder `nothing`; seccomp.bpf, empty, and an
    etc-<user> for each id."""
    system: Mapping[str, str | None] = field(default_factory=dict)
    """Each of bin, lib, lib64, … in the root folder -> where the link points, or None for a real folder."""
    masked: tuple[str, ...] = ()
    """Those of `MASKED` that are there."""
    python: str | None = None
    """The Python installation, where it lies outside /usr."""
    python_hidden: bool = False
    """Whether a folder above it is closed to other users, so that root must mount it before it becomes another."""
    packages: tuple[str, ...] = ()
    """Folders of packages installed for the host's interpreters; a box sees them empty, as Docker's base image is."""
    tools: Mapping[str, str] = field(default_factory=dict)
    """Name -> path of unshare, nsenter, mount, bwrap, sh."""


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One box to be started."""

    shape: SandboxSpec
    holder: int
    """Process that keeps the user namespace till bwrap is in it."""
    first_id: int
    """Host id of the box's root; 0 where it is this user's own."""
    command: Sequence[str]
    """What runs in the box as its first process, as root in it unless the mode is single; it reaps orphans."""
    environment: Mapping[str, str]
    join: Sequence[Path] = ()
    """Files that a process joins a control group with, by writing 0 to each."""
    counters: Mapping[str, Path] = field(default_factory=dict)
    """Path in the box -> folder of the host, shown read-only."""
    capabilities: Sequence[str] = WORKER_CAPABILITIES
    mounts: Path = Path("/nonexistent")
    """Holds `mount_table`."""
    args_fd: int = -1
    """A pipe where bwrap reads `bwrap_arguments`; on its command line the box could see them, and the host's paths."""
    info_fd: int = -1
    """Where bwrap says the process id of the box's first process."""
    redirects: Mapping[int, str] = field(default_factory=dict)
    """Descriptor of one digit -> path that is opened for writing on it; the box inherits it."""
    die_with_parent: bool = False
    """Whether the box ends with the thread that started it."""
    ulimits: str = "ulimit -c 0\nulimit -l 64"
    """Shell commands that set limits on all of it."""


def id_map(user: int, first_id: int) -> str:
    """Return the text of uid_map, and of gid_map: the box's root and the lanes' users, and nobody else."""
    return f"0 {first_id} 1\n{user} {first_id + 1} {IDS - 1}\n"


def path_variable(findings: Findings) -> str:
    """Return PATH in a box: the Python that runs this package comes first, as it does here."""
    return f"{findings.python}/bin:{PATH}" if findings.python else PATH


def etc_files(user: int) -> dict[str, str]:
    """Return the files of /etc that are made for boxes with one user id, by name."""
    last = user + IDS - 2
    return {
        "passwd": "root:x:0:0:root:/work:/bin/sh\n"
        f"sandbox:x:{user}:{user}:sandbox:/work:/bin/sh\n"
        + "".join(f"sandbox{each - user}:x:{each}:{user}:sandbox:/work:/bin/sh\n" for each in range(user + 1, last + 1))
        + "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
        "group": f"root:x:0:\nsandbox:x:{user}:\nnogroup:x:65534:\n",
        "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n",
    }


def launch_command(findings: Findings, launch: Launch) -> list[str]:
    """Return the command that becomes the box; run it with `findings.folder / "seccomp.bpf"` written."""
    tool = findings.tools
    box = [tool["bwrap"], "--args", str(launch.args_fd), "--", *launch.command]
    enter = [tool["nsenter"], f"--user=/proc/{launch.holder}/ns/user"]
    enter += ["--preserve-credentials"] if findings.mode == "single" else ["-S", "0", "-G", "0"]
    own_mounts = [tool["unshare"], "--mount", "--propagation", "private", "--"]
    join = [f"echo 0 > {shlex.quote(str(file))}" for file in launch.join]
    limits = [launch.ulimits] if launch.ulimits else []
    opened = [f"exec {SECCOMP_FD}< {shlex.quote(str(findings.folder / 'seccomp.bpf'))}"]
    opened += [f"exec {number}> {shlex.quote(path)}" for number, path in launch.redirects.items()]
    # One `mount` for all of them: each program that is started costs a millisecond.
    mount = shlex.join([tool["mount"], "-a", "-T", str(launch.mounts)])
    if findings.mode == "root":
        # While it mounts, the next programs load, which saves 1 ms.
        told = shlex.join(["printf", r"%s\0", *last_arguments(findings, launch)])
        mounts = [f"exec {MOUNTED_FD}>/proc/self/fd/{launch.args_fd}", f"{{ {mount} && {told} >&{MOUNTED_FD}; }} &"]
        mounts.append(f"exec {MOUNTED_FD}>&-")
        script = "\n".join(["set -e", *mounts, *join, *limits, *opened, 'exec "$@"'])
        return [*own_mounts, tool["sh"], "-c", script, "sandbox", *enter, "--", *box]
    outer = "\n".join(["set -e", *join, *opened, 'exec "$@"'])
    inner = "\n".join(["set -e", mount, *limits, 'exec "$@"'])
    return [
        *(tool["sh"], "-c", outer, "sandbox", *enter, "--"),
        *(*own_mounts, tool["sh"], "-c", inner, "sandbox", *box),
    ]


def mount_table(findings: Findings, launch: Launch) -> str:
    """Return, in the form of /etc/fstab, what is mounted for one box; it lives in memory and counts towards its own."""
    shape = launch.shape
    # Mounted before the user namespace is entered, the folders are to belong to the box's root all the same.
    owner = launch.first_id if findings.mode == "root" else 0
    size = f"size={shape.disk_mb}m,nr_inodes={shape.inodes},uid={owner},gid={owner},nosuid,nodev"
    lines = [
        ("sandbox", str(findings.folder / name), "tmpfs", f"{size},{more}")
        for name, more in (("work", "mode=0777"), ("tmp", "mode=0777"), ("shm", "mode=1777,noexec"))
    ]
    if findings.python and findings.python_hidden:
        lines.append((findings.python, str(findings.folder / "python"), "none", "bind"))
    return "".join(" ".join(_escaped(each) for each in line) + " 0 0\n" for line in lines)


def bwrap_arguments(findings: Findings, launch: Launch) -> list[str]:
    """Return what bwrap is told, up to the command and before `last_arguments`."""
    user = str(launch.shape.user)
    made = ["--unshare-pid", "--unshare-ipc", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    # With a first process of its own, bwrap ends before that has been reaped, and leaves a zombie to the host's init.
    made += ["--hostname", "sandbox", "--new-session", "--as-pid-1"]
    if launch.die_with_parent:
        made.append("--die-with-parent")
    if findings.mode == "single":
        made += ["--unshare-user", "--uid", user, "--gid", user]
    made += ["--info-fd", str(launch.info_fd), "--seccomp", str(SECCOMP_FD), "--clearenv"]
    for name, text in launch.environment.items():
        made += ["--setenv", name, text]
    # bwrap itself makes what is missing on the way to a mount so that only the box's root can pass.
    for path in _parents(findings, launch):
        made += ["--perms", "0755", "--dir", path]
    made += [*_system(findings), "--ro-bind", str(findings.folder / f"etc-{user}"), "/etc", *_python(findings)]
    for path in findings.packages:
        made += ["--ro-bind", str(findings.folder / "nothing"), path]
    made += ["--proc", "/proc"]
    for name in findings.masked:
        made += ["--ro-bind", str(findings.folder / "empty"), f"/proc/{name}"]
    made += ["--dev", "/dev", "--cap-drop", "ALL"]
    if findings.mode != "single":
        for name in launch.capabilities:
            made += ["--cap-add", name]
    return [*made, "--chdir"]


def last_arguments(findings: Findings, launch: Launch) -> list[str]:
    """Return what bwrap is told once `mount_table` is mounted: that completes its arguments, without which it refuses.

    They stand on a command line of the host, so nothing secret may be in them.
    """
    made = ["/work", "--bind", str(findings.folder / "shm"), "/dev/shm"]
    made += ["--bind", str(findings.folder / "work"), "/work", "--bind", str(findings.folder / "tmp"), "/tmp"]
    for path, folder in launch.counters.items():
        made += ["--ro-bind", str(folder), path]
    # Both are memory file systems without a size, so nobody in the box may write there.
    return [*made, "--remount-ro", "/dev", "--remount-ro", "/"]


def _parents(findings: Findings, launch: Launch) -> list[str]:
    mounted = [*launch.counters, findings.python] if findings.python else [*launch.counters]
    found = {str(each) for path in mounted for each in Path(path).parents if each != Path("/")}
    return sorted(found)  # a folder sorts before what is in it


def _system(findings: Findings) -> list[str]:
    made = ["--ro-bind", "/usr", "/usr"]
    for name, target in findings.system.items():
        made += ["--ro-bind", f"/{name}", f"/{name}"] if target is None else ["--symlink", target, f"/{name}"]
    return made


def _python(findings: Findings) -> list[str]:
    if not findings.python:
        return []
    source = str(findings.folder / "python") if findings.python_hidden else findings.python
    return ["--ro-bind", source, findings.python]


def _escaped(text: str) -> str:
    return "".join(f"\\{ord(each):03o}" if each in " \t\n\\" else each for each in text)
