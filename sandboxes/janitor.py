"""A small process beside each owner of boxes, which outlives it and removes what it left.

An owner that is killed with SIGKILL cannot clean up. Its janitor waits for its end with next to no memory (standard
library only, this file alone), then sweeps for the owner's token until nothing is left, and ends. It has a session of
its own, ignores what a terminal sends, and holds none of the owner's files. Where it is killed together with the owner,
the next `sweep` of this host does its work.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

# Only names: what the annotations need is not worth a janitor's memory.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    import threading
    from types import ModuleType

__all__ = ["ensure_janitor"]

# A container may be in creation while its owner dies: look again for 5 s, so that after 10 s nothing is left, this
# process included. What an engine makes later still, the next sweep of this host finds.
PASSES_S = (0.0, 0.3, 0.7, 1.0, 1.5, 1.5)
# While something is left that could not be removed, or the engine does not answer, it goes on for so long.
PATIENCE_S = 120.0
# What the engine's address, its certificates and the temporary folder are found by; nothing else is handed on.
VARIABLES = (
    "DOCKER_CERT_PATH",
    "DOCKER_HOST",
    "DOCKER_TLS_VERIFY",
    "HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "PATH",
    "TMPDIR",
)
NO_ENGINE = "-"

_RUNNING: dict[tuple[int, str], subprocess.Popen[bytes]] = {}
_LOCKS: dict[int, threading.Lock] = {}


def ensure_janitor(engine_url: str | None = None) -> int:
    """Start this process's janitor unless it runs already; return its process id. Cheap when it does.

    Args:
        engine_url: The Docker engine that it must ask, and wait for if it is away; there is one janitor for each. None:
            any that runs will do; a new one asks at DOCKER_HOST, else at the usual socket, if something is there.

    Raises:
        SandboxUnavailable: No process could be started.
    """
    import threading

    # One for each process: in a forked child the parent's may be held by a thread that is not there.
    with _LOCKS.setdefault(os.getpid(), threading.Lock()):
        return _ensure(engine_url or NO_ENGINE)


def _ensure(engine: str) -> int:
    import atexit
    import subprocess

    from agentrl.sandboxes.errors import SandboxUnavailable
    from agentrl.sandboxes.reaper import owner_token

    for key in [each for each in _RUNNING if each[0] != os.getpid()]:
        _disown(_RUNNING.pop(key))  # the parent's, from before a fork
    key = os.getpid(), engine
    for known, running in _RUNNING.items():
        if (known == key or engine == NO_ENGINE) and running.poll() is None:
            return running.pid
    if not _RUNNING:
        atexit.register(_disown_all)
    here = os.path.abspath(__file__)
    try:
        running = subprocess.Popen(
            [sys.executable, "-I", "-B", here, owner_token(), engine, *map(os.path.abspath, filter(None, sys.path))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=True,
            start_new_session=True,
            cwd="/",
            env={name: os.environ[name] for name in VARIABLES if name in os.environ},
        )
    except OSError as error:
        raise SandboxUnavailable(
            f"no janitor could be started with {sys.executable!r} ({error}), and without one a killed process would "
            "leave its boxes behind; look at `ulimit -u` and at free memory"
        ) from error
    _RUNNING[key] = running
    return running.pid


def _disown(process: subprocess.Popen[bytes]) -> None:
    """Tell `Popen` not to complain, when it is collected, of a process that is meant to go on."""
    if process.poll() is None:
        process.returncode = 0


def _disown_all() -> None:
    for process in _RUNNING.values():
        _disown(process)


def _main(token: str, engine: str, paths: list[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _wait_for_end(*token.split("-")[3:])
    # As the owner found its packages, so does the sweep: an editable install, a PYTHONPATH, a virtual environment.
    sys.path.extend(path for path in paths if path not in sys.path)
    _load("docker/client.py")
    reaper = _load("reaper.py")
    url = None if engine == NO_ENGINE else engine
    ends = time.monotonic() + PATIENCE_S
    for pause in PASSES_S:
        time.sleep(pause)
        swept = reaper.sweep(owner=token, engine_url=url)
    while (swept.left or (swept.engine and url)) and time.monotonic() < ends:
        time.sleep(5.0)
        swept = reaper.sweep(owner=token, engine_url=url)


def _wait_for_end(pid: str, started: str) -> None:
    """Return when the owner is dead; at once where it was so before this process came up."""
    try:
        watch = os.pidfd_open(int(pid))
    except ProcessLookupError:
        return
    except (AttributeError, OSError):
        watch = -1  # before Linux 5.3, and in some emulations of it
    # Asked after the descriptor is open: the number may be another process's by now.
    while _start_time(pid) == started:
        if watch >= 0:
            select.select([watch], [], [])
            return
        time.sleep(0.5)


def _start_time(pid: str) -> str | None:
    """As in reaper.py, which is not loaded yet."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            values = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if values[0] in "ZXx" else values[19]


def _load(path: str) -> ModuleType:
    """Load a module from beside this file under its real name, so that nothing need be importable."""
    from importlib.util import module_from_spec, spec_from_file_location

    name = "agentrl.sandboxes." + path.removesuffix(".py").replace("/", ".")
    found = spec_from_file_location(name, os.path.join(os.path.dirname(os.path.abspath(__file__)), path))
    assert found is not None
    assert found.loader is not None
    module = sys.modules[name] = module_from_spec(found)
    found.loader.exec_module(module)
    return module


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], sys.argv[3:])
