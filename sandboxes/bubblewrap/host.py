"""What this host offers to bubblewrap boxes: tools, ids, system folders, and the folder of this process for them.

Looks, and makes one temporary folder; whether boxes start at all is shown by a real run, in `backend.py`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agentrl.sandboxes.bubblewrap.args import ETC, IDS, MASKED, Findings, etc_files
from agentrl.sandboxes.errors import SandboxUnavailable
from agentrl.sandboxes.reaper import temporary_prefix
from agentrl.sandboxes.syscalls import seccomp_bpf

__all__ = ["IdRange", "find_ids", "find_out", "parse_ranges", "write_etc"]

TOOLS = {
    "bwrap": "bubblewrap",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "setpriv": "util-linux",
    "sh": "dash",
    "cat": "coreutils",
}
SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# Neither systemd nor any distribution gives out ids from here to 2**31 (systemd.io/UIDS-GIDS).
FIRST_HIGH, PAST_HIGH = 0x7000_0000, 0x7FFF_0000


@dataclass(frozen=True, kw_only=True)
class IdRange:
    """Host user ids that boxes may be given, `IDS` each."""

    first: int
    count: int

    def slot(self, number: int) -> int:
        """Return the first id of a box's share; shares come again after as many boxes as there are."""
        return self.first + number % (self.count // IDS) * IDS


def find_out() -> tuple[Findings, IdRange | None]:
    """Look at this host, and make the folder of this process: the caller removes `findings.folder`.

    Raises:
        SandboxUnavailable: A tool or libseccomp is missing, or this is not Linux; names the command that mends it.
    """
    if sys.platform != "linux":
        raise SandboxUnavailable(f"bubblewrap needs Linux, and this is {sys.platform}; use Docker there")
    tools = {name: shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin") for name in TOOLS}
    packages = sorted({TOOLS[name] for name, path in tools.items() if path is None})
    if packages:
        missing = ", ".join(name for name, path in tools.items() if path is None)
        raise SandboxUnavailable(f"missing here: {missing}; run: apt-get install {' '.join(packages)}")
    program = seccomp_bpf()
    mode, ids = find_ids()
    folder = _make_folder(program)
    python = _python()
    return Findings(
        mode=mode,
        folder=folder,
        system=_system(),
        masked=tuple(name for name in MASKED if os.path.exists(f"/proc/{name}")),
        python=python,
        packages=_packages(python),
        python_hidden=mode == "root" and python is not None and not _open_to_others(Path(python)),
        tools={name: path for name, path in tools.items() if path},
    ), ids


def find_ids() -> tuple[Literal["root", "mapped", "single"], IdRange | None]:
    """Return how ids can be had here, and which."""
    mapped = parse_ranges(Path("/proc/self/uid_map").read_text())
    if os.geteuid() == 0:
        inside = [(first, first + count) for first, _, count in mapped]
        for first, past in sorted(inside, reverse=True):
            low, high = max(first, FIRST_HIGH), min(past, PAST_HIGH)
            if high - low >= 1024 * IDS:
                return "root", IdRange(first=low, count=high - low)
        # A container with few ids: the highest of them, clear of those that its own users have.
        first, past = max(inside, key=lambda each: each[1])
        if past - first >= 16 * IDS and past - 16 * IDS > 30_000:
            return "root", IdRange(first=past - 16 * IDS, count=16 * IDS)
        return "single", None
    if shutil.which("newuidmap") and shutil.which("newgidmap"):
        shares = [_delegated_ids(Path(f"/etc/sub{kind}")) for kind in ("uid", "gid")]
        if shares[0] is not None and shares[0] == shares[1]:
            return "mapped", shares[0]
    return "single", None


def parse_ranges(text: str) -> list[tuple[int, int, int]]:
    """Return (first inside, first outside, count) of each line of a uid_map."""
    return [(int(a), int(b), int(c)) for a, b, c in (line.split() for line in text.splitlines() if line.strip())]


def write_etc(folder: Path, user: int) -> None:
    """Make the /etc that boxes of one user id see: copies, so that it is one mount; does nothing where it is there."""
    target = folder / f"etc-{user}"
    if target.exists():
        return
    # Under another name first: two threads may come here at once, and a box may look already.
    made = Path(tempfile.mkdtemp(dir=folder))
    for name in ETC:
        source = Path("/etc", name)
        (made / name).parent.mkdir(exist_ok=True)
        with contextlib.suppress(shutil.Error, OSError):  # what is not there, or not for everybody, is left out
            if source.is_dir():
                shutil.copytree(source, made / name, symlinks=True)
            else:
                shutil.copyfile(source, made / name)
    for name, text in etc_files(user).items():
        (made / name).write_text(text)
    for each in (made, *made.rglob("*")):
        if not each.is_symlink():
            each.chmod(0o755 if each.is_dir() else 0o644)
    try:
        made.rename(target)
    except OSError:
        shutil.rmtree(made)
        if not target.exists():
            raise


def _delegated_ids(file: Path) -> IdRange | None:
    import pwd

    user = os.getuid()
    try:
        names = {str(user), pwd.getpwuid(user).pw_name}
        lines = [line.split(":") for line in file.read_text().splitlines()]
    except (OSError, KeyError):
        return None
    for line in lines:
        if len(line) == 3 and line[0] in names and line[1].isdigit() and line[2].isdigit() and int(line[2]) >= IDS:
            return IdRange(first=int(line[1]), count=int(line[2]))
    return None


def _make_folder(program: bytes) -> Path:
    base = Path(tempfile.gettempdir())
    if not _open_to_others(base):
        base = Path("/tmp")
    folder = Path(tempfile.mkdtemp(prefix=temporary_prefix(), dir=base))
    # The box's root is another user, who comes through here on the way to what it mounts and reads.
    folder.chmod(0o711)
    for name in ("work", "tmp", "shm", "python", "nothing"):
        (folder / name).mkdir(mode=0o755)
    for name, content in (("seccomp.bpf", program), ("empty", b"")):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o644)
    return folder


def _system() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in SYSTEM:
        path = Path("/", name)
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_dir():
            found[name] = None
    return found


def _python() -> str | None:
    prefix = Path(sys.base_prefix)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    # Nothing broader than an installation is ever shown: a prefix without its library is no installation.
    is_one = (prefix / "lib" / version).is_dir() and (prefix / "bin" / "python3").exists()
    if prefix == Path("/usr") or prefix.is_relative_to("/usr") or not is_one or len(prefix.parts) < 3:
        return None
    return str(prefix)


def _packages(python: str | None) -> tuple[str, ...]:
    """Return the folders of installed packages: what is in them differs by host, and may hold a task's answers."""
    libraries = [Path("/usr/lib"), Path("/usr/local/lib"), *([Path(python, "lib")] if python else [])]
    found = [
        path
        for library in libraries
        for pattern in ("python3*/site-packages", "python3*/dist-packages")
        for path in sorted(library.glob(pattern))
        if path.is_dir() and not path.is_symlink()
    ]
    return tuple(map(str, found))


def _open_to_others(path: Path) -> bool:
    return all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))
