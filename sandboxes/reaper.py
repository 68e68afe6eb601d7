"""Remove what dead owners left on this host: containers, networks, volumes, cgroup folders, temporary folders.

Everything that a process makes carries its owner token before it exists. A token is judged dead only where that is
certain: the process is gone, or the machine was started anew since. What is alive, and what belongs to another machine
or to a process namespace that cannot be seen from here, is left alone. Standard library only, and of this package only
`docker/client.py`, for the janitor loads both by their paths; the `docker` SDK is imported when an engine is asked.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from agentrl.sandboxes.docker.client import agree, open_client

__all__ = ["OWNER_LABEL", "SANDBOX_LABEL", "Swept", "judge", "labels", "owner_token", "sweep", "temporary_prefix"]

OWNER_LABEL = "agentrl.owner"
SANDBOX_LABEL = "agentrl.sandbox"
DEFAULT_URL = "unix:///var/run/docker.sock"
ENGINE_S = 10.0  # for one call to the engine
SWEEP_S = 60.0  # for all of them
KILL_S = 5.0
# The initial process namespace has this inode on every Linux (PROC_PID_INIT_INO).
FIRST_NAMESPACE = "4026531836"
TOKEN = re.compile(r"([0-9a-f]{8})-([0-9a-f]{8})-(\d{1,20})-(\d{1,9})-(\d{1,20})")
UNKNOWN = "00000000"

T = TypeVar("T")
_TOKENS: dict[int, str] = {}


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What a sweep removed, by name, and what it could not remove."""

    containers: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    """What belongs to a dead owner and is still there -> why."""
    engine: str | None = None
    """Why the Docker engine could not be asked; None when it was."""

    def __iter__(self) -> Iterator[str]:
        """Yield what was removed, one line each: "container 1234", "folder /tmp/…"."""
        for kind in ("containers", "networks", "volumes", "cgroups", "folders"):
            for name in getattr(self, kind):
                yield f"{kind[:-1]} {name}"


def owner_token() -> str:
    """Return the token of this process: machine, boot, process namespace, process id and its start time."""
    pid = os.getpid()
    token = _TOKENS.get(pid)
    if token is None:
        _TOKENS.clear()  # a parent's, from before a fork
        machine = re.sub("[^0-9a-f]", "", _read("/etc/machine-id"))[:8].ljust(8, "0")
        boot = _read("/proc/sys/kernel/random/boot_id").replace("-", "")[:8] or UNKNOWN
        token = _TOKENS[pid] = f"{machine}-{boot}-{_namespace('self')}-{pid}-{_started(str(pid)) or 0}"
    return token


def labels(box: str) -> dict[str, str]:
    """Return the labels of a container, network or volume, to be set in the call that makes it."""
    return {OWNER_LABEL: owner_token(), SANDBOX_LABEL: box}


def temporary_prefix() -> str:
    """Return how the name of a temporary folder must begin: `tempfile.mkdtemp(prefix=temporary_prefix())`."""
    return f"agentrl-{owner_token()}-"


def judge(token: str) -> Literal["alive", "dead", "foreign"]:
    """Say whether the owner of a token lives; "foreign" where that cannot be known from here."""
    match = TOKEN.fullmatch(token)
    mine = TOKEN.fullmatch(owner_token())
    if match is None or mine is None:
        return "foreign"
    machine, boot, namespace, pid, started = match.groups()
    if UNKNOWN in (boot, mine[2]):  # no /proc, as on other systems than Linux: nothing can be known
        return "foreign"
    if boot != mine[2]:
        return "dead" if machine == mine[1] != UNKNOWN else "foreign"
    if namespace == mine[3]:
        return "alive" if _started(pid) == started or _is_hidden(pid) else "dead"
    if mine[3] != FIRST_NAMESPACE or os.geteuid() != 0:
        return "foreign"
    return "alive" if _lives_inside(namespace, pid, started) else "dead"


def sweep(
    client: Any = None,
    cgroup_roots: Iterable[str | Path] | None = None,
    tmp: str | Path | None = None,
    *,
    owner: str | None = None,
    engine_url: str | None = None,
    dry_run: bool = False,
) -> Swept:
    """Remove what dead owners left. Idempotent; two at once do no harm; an engine that is absent or hangs is reported.

    Args:
        client: A `docker.DockerClient` or `APIClient`; None: one for `engine_url`.
        cgroup_roots: Folders that may hold `agentrl/<token>`; None: those of this machine.
        tmp: Folder that may hold `agentrl-<token>-*`; None: the system's.
        owner: Look at this token only, and only if its owner is dead; None: at all.
        engine_url: Address of the engine; None: DOCKER_HOST, else the usual socket.
        dry_run: Remove nothing; return what would be.
    """
    verdicts: dict[str, bool] = {}

    def dead(token: str) -> bool:
        if owner is not None and token != owner:
            return False
        if token not in verdicts:
            verdicts[token] = judge(token) == "dead"
        return verdicts[token]

    removed: dict[str, list[str]] = {"containers": [], "networks": [], "volumes": []}
    left: dict[str, str] = {}
    # Processes first: a box that is killed lets go of its folders.
    engine = _sweep_engine(client, engine_url, dead, removed, left, dry_run)
    cgroups = _sweep_cgroups(_cgroup_roots() if cgroup_roots is None else cgroup_roots, dead, left, dry_run)
    folders = _sweep_folders(Path(tmp or tempfile.gettempdir()), dead, left, dry_run)
    return Swept(
        containers=tuple(removed["containers"]),
        networks=tuple(removed["networks"]),
        volumes=tuple(removed["volumes"]),
        cgroups=tuple(cgroups),
        folders=tuple(folders),
        left=left,
        engine=engine,
    )


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _namespace(pid: str) -> str:
    try:
        return re.sub(r"\D", "", os.readlink(f"/proc/{pid}/ns/pid")) or "0"
    except OSError:
        return "0"


def _started(pid: str) -> str | None:
    """Return the start time of a process in clock ticks since boot; None when it is gone, or a zombie."""
    # The name in brackets may itself hold spaces and brackets.
    values = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(values) < 20:
        return None
    if values[0] in "ZXx" and len(_names(Path(f"/proc/{pid}/task"))) < 2:
        return None
    return values[19]


def _is_hidden(pid: str) -> bool:
    """Say whether there is such a process, and /proc does not show it because it is another user's (hidepid)."""
    if os.path.exists(f"/proc/{pid}"):
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _lives_inside(namespace: str, pid: str, started: str) -> bool:
    """Look from the first namespace for a process of another; every process can be seen from there."""
    for outer in _names(Path("/proc")):
        if not outer.isdigit() or _namespace(outer) not in (namespace, "0"):
            continue
        inner = re.search(r"^NSpid:.*\s(\d+)$", _read(f"/proc/{outer}/status"), re.MULTILINE)
        if inner is not None and inner[1] == pid and _started(outer) == started:
            return True
    return False


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Call in a thread that is left behind when it takes longer: the SDK's own timeout bounds one read, not the call.

    Raises:
        TimeoutError: It did.
    """
    outcome: list[tuple[T | None, BaseException | None]] = []

    def run() -> None:
        try:
            outcome.append((call(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=run, name="sandbox-sweep", daemon=True)
    thread.start()
    thread.join(max(0.0, seconds))
    if not outcome:
        raise TimeoutError(f"the Docker engine did not answer within {seconds:.0f} s")
    value, error = outcome[0]
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def _sweep_engine(
    client: Any,
    url: str | None,
    dead: Callable[[str], bool],
    removed: dict[str, list[str]],
    left: dict[str, str],
    dry_run: bool,
) -> str | None:
    try:
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException
    except ImportError as error:
        return f"the docker SDK cannot be imported: {error}"
    ends = time.monotonic() + SWEEP_S

    def ask(call: Callable[[], T]) -> T:
        return _within(min(ENGINE_S, ends - time.monotonic()), call)

    own: Any = None
    base = url or os.environ.get("DOCKER_HOST") or DEFAULT_URL
    try:
        if client is None:
            client = own = open_client(base, ENGINE_S)
            ask(lambda: agree(own))
        api = getattr(client, "api", client)
        # Clones of one machine may share both its id and a remote engine: there, another boot proves nothing.
        is_local = api.base_url.startswith("http+docker://")
        only = {"label": [OWNER_LABEL]}
        listings: tuple[tuple[str, str, Callable[[], Any], Callable[[str], Any]], ...] = (
            (
                "containers",
                "Id",
                lambda: api.containers(all=True, filters=only),
                lambda name: api.remove_container(name, force=True, v=True),
            ),
            ("networks", "Id", lambda: api.networks(filters=only), api.remove_network),
            ("volumes", "Name", lambda: api.volumes(filters=only)["Volumes"] or [], api.remove_volume),
        )
        for kind, key, listing, remove in listings:
            for each in ask(listing):
                token = (each.get("Labels") or {}).get(OWNER_LABEL, "")
                if not dead(token) or not (is_local or token.split("-")[1] == owner_token().split("-")[1]):
                    continue
                name = each[key]
                try:
                    if not dry_run:
                        ask(partial(remove, name))
                except APIError as error:
                    if error.status_code == 404 or "already in progress" in str(error.explanation):
                        continue  # another sweep is at it
                    left[f"{kind}: {name}"] = str(error.explanation or error)
                else:
                    removed[kind].append(name)
    except (DockerException, RequestException, OSError) as error:
        return f"no Docker engine answers at {base}: {_innermost(error)}"
    finally:
        if own is not None:
            own.close()
    return None


def _innermost(error: BaseException) -> BaseException:
    """Return what requests and urllib3 have wrapped."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    return error


def _cgroup_roots() -> list[Path]:
    """Return where sandboxes' folders may be: in each hierarchy, at its top and where this process is."""
    top = Path("/sys/fs/cgroup")
    tops = [top, *(top / name for name in _names(top) if (top / name / "cgroup.procs").exists())]
    own = {line.split(":", 2)[2].strip("/") for line in _read("/proc/self/cgroup").splitlines() if line.count(":") > 1}
    places = {"", *own, *(str(Path(each).parent) for each in own)}
    return [root for root in dict.fromkeys(top / place for top in tops for place in sorted(places)) if root.is_dir()]


def _sweep_cgroups(
    roots: Iterable[str | Path], dead: Callable[[str], bool], left: dict[str, str], dry_run: bool
) -> list[str]:
    removed = []
    found = [Path(root) / "agentrl" / name for root in roots for name in _names(Path(root) / "agentrl") if dead(name)]
    # In version 1 the same processes are in several hierarchies; the one that can stop forks comes first.
    for folder in sorted(found, key=lambda each: "pids" not in each.parts):
        why = None if dry_run else _remove_cgroup(folder)
        if why is None:
            removed.append(str(folder))
        elif folder.exists():
            left[f"cgroup: {folder}"] = why
    return removed


def _remove_cgroup(folder: Path) -> str | None:
    ends = time.monotonic() + KILL_S
    folders = [Path(inner) for inner, _, _ in os.walk(folder, topdown=False)]
    for each in reversed(folders):
        for name, text in (("pids.max", "0"), ("cgroup.kill", "1")):
            if (each / name).exists():
                _write(each / name, text)
    while True:
        why = None
        for each in folders:
            # 0 stands for a process of a namespace that is not ours; kill(0) would be our own group.
            for pid in [int(line) for line in _read(each / "cgroup.procs").split() if int(line) > 1]:
                if pid == os.getpid():
                    continue
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                except OSError as error:
                    why = str(error)
            try:
                os.rmdir(each)
            except FileNotFoundError:
                continue
            except OSError as error:
                why = why or str(error)
        if why is None or time.monotonic() > ends:
            return why
        time.sleep(0.05)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="ascii")
    except OSError:
        return  # not ours, or gone: removing the folder will say so


def _sweep_folders(tmp: Path, dead: Callable[[str], bool], left: dict[str, str], dry_run: bool) -> list[str]:
    removed = []
    for name in _names(tmp):
        match = re.match(rf"agentrl-({TOKEN.pattern})-", name)
        if match is None or not dead(match[1]):
            continue
        folder = tmp / name
        try:
            # Anybody may make such a name in a shared folder.
            if folder.is_symlink() or not folder.is_dir() or os.geteuid() not in (0, folder.lstat().st_uid):
                continue
            if any(_is_below(mount, folder) for mount in _mounts()):
                left[f"folder: {folder}"] = "something is mounted there; umount it"
                continue
            if not dry_run:
                shutil.rmtree(folder)
            removed.append(str(folder))
        except FileNotFoundError:
            continue
        except OSError as error:
            left[f"folder: {folder}"] = str(error)
    return removed


def _mounts() -> list[str]:
    mounts = [line.split()[4] for line in _read("/proc/self/mountinfo").splitlines()]
    return [re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), each) for each in mounts]


def _is_below(path: str, folder: Path) -> bool:
    return Path(path).is_relative_to(folder.resolve())
