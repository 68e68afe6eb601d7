"""The janitor with real processes: it outlives its owner, clears up, ends, and holds nothing of the owner's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentrl.sandboxes.reaper import judge

# What an owner does first, with a temporary folder that it leaves behind.
OWNER = """
import os, sys, tempfile, time
from agentrl.sandboxes.janitor import ensure_janitor
from agentrl.sandboxes.reaper import temporary_prefix
folder = tempfile.mkdtemp(prefix=temporary_prefix())
open(os.path.join(folder, "file"), "w").close()
print(os.getpid(), ensure_janitor(), folder, flush=True)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A temporary folder of its own, and an address where no engine is, so that a sweep costs little."""
    return {**os.environ, "TMPDIR": str(tmp_path), "DOCKER_HOST": "unix:///nowhere/docker.sock"}


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start an owner; it is gone at the end."""
    started: list[subprocess.Popen[str]] = []

    def begin(rest: str = "time.sleep(600)", **options: object) -> subprocess.Popen[str]:
        process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", OWNER + rest],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            **options,  # type: ignore[call-overload]
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def first_line(process: subprocess.Popen[str]) -> tuple[int, int, Path]:
    assert process.stdout is not None
    line = process.stdout.readline()
    pid, janitor, folder = line.split()
    return int(pid), int(janitor), Path(folder)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    ends = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True


def test_it_clears_up_after_a_killed_owner(start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start()
    _, janitor, folder = first_line(process)
    assert lives(janitor)
    assert folder.exists()
    process.kill()
    process.wait()
    assert within(10, lambda: not folder.exists())
    os.kill(janitor, signal.SIGKILL)  # the rest of its passes is tested below


@pytest.mark.slow
def test_it_ends_by_itself(start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start(rest="")
    _, janitor, folder = first_line(process)
    assert process.wait(30) == 0
    assert within(10, lambda: not folder.exists())
    assert within(90, lambda: not lives(janitor))


def test_it_does_not_hold_the_owners_output(environment: dict[str, str]) -> None:
    # As in `owner | cat`: cat ends when the last writer does. Descriptor 9 stands for one that a shell hands on.
    began = time.monotonic()
    script = f'"{sys.executable}" -W error -c "$1" 9>&1 2>&1 | cat'
    done = subprocess.run(
        ["sh", "-c", script, "sh", OWNER], env=environment, capture_output=True, text=True, timeout=60
    )
    pid, janitor, folder = done.stdout.split()
    assert lives(int(janitor))
    assert time.monotonic() - began < 20
    assert within(10, lambda: not Path(folder).exists())
    assert not lives(int(pid))
    os.kill(int(janitor), signal.SIGKILL)


def test_it_holds_no_descriptor_and_little_environment(start: Callable[..., subprocess.Popen[str]]) -> None:
    process = start()
    pid, janitor, _ = first_line(process)
    # It opens the watch on its owner when it is ready.
    assert within(20, lambda: any("pidfd" in target for target in targets(janitor)))
    # Beside these it has a file of /proc open for a moment whenever it looks at its owner.
    assert within(20, lambda: sorted(one for one in targets(janitor) if "pidfd" not in one) == ["/dev/null"] * 3)
    names = {line.partition(b"=")[0] for line in Path(f"/proc/{janitor}/environ").read_bytes().split(b"\0") if line}
    assert names <= {b"DOCKER_HOST", b"HOME", b"LANG", b"LD_LIBRARY_PATH", b"LC_CTYPE", b"PATH", b"TMPDIR"}
    assert os.getsid(janitor) == janitor != os.getsid(pid)
    assert os.readlink(f"/proc/{janitor}/cwd") == "/"
    process.kill()
    os.kill(janitor, signal.SIGKILL)


def targets(pid: int) -> list[str]:
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            found.append(os.readlink(entry))
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ignores_what_a_terminal_sends(start: Callable[..., subprocess.Popen[str]], number: signal.Signals) -> None:
    process = start(start_new_session=True)
    pid, janitor, folder = first_line(process)
    assert within(20, lambda: any("pidfd" in target for target in targets(janitor)))
    os.killpg(pid, signal.SIGINT)
    os.kill(janitor, number)
    process.wait()
    assert within(10, lambda: not folder.exists())
    os.kill(janitor, signal.SIGKILL)


def test_it_starts_once_and_again_when_it_was_killed(start: Callable[..., subprocess.Popen[str]]) -> None:
    rest = """
first = ensure_janitor()
assert first == ensure_janitor()
os.kill(first, 9)
while ensure_janitor() == first:
    time.sleep(0.01)
second = ensure_janitor()
other = ensure_janitor("unix:///elsewhere/docker.sock")
assert len({first, second, other}) == 3
print(second, other, flush=True)
for pid in (second, other):
    os.kill(pid, 9)
"""
    process = start(rest)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "Warning" not in output


def test_a_forked_child_has_its_own(start: Callable[..., subprocess.Popen[str]]) -> None:
    rest = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
if os.fork() == 0:
    mine = tempfile.mkdtemp(prefix=temporary_prefix())
    print(os.getpid(), ensure_janitor(), mine, flush=True)
    time.sleep(600)
time.sleep(600)
"""
    process = start(rest)
    pid, janitor, folder = first_line(process)
    child, child_janitor, child_folder = first_line(process)
    assert len({pid, janitor, child, child_janitor}) == 4
    os.kill(child, signal.SIGKILL)
    assert within(10, lambda: not child_folder.exists())
    assert folder.exists()
    assert lives(janitor)
    process.kill()
    process.wait()
    assert within(10, lambda: not folder.exists())
    for each in (janitor, child_janitor):
        os.kill(each, signal.SIGKILL)


def test_an_owner_that_died_first_is_noticed(tmp_path: Path, environment: dict[str, str]) -> None:
    # Killed in the moment between the start of its janitor and the janitor's first look.
    script = "from agentrl.sandboxes.reaper import owner_token; print(owner_token())"
    token = subprocess.check_output([sys.executable, "-c", script], text=True).strip()
    assert judge(token) == "dead"
    folder = Path(tempfile.mkdtemp(prefix=f"agentrl-{token}-", dir=tmp_path))
    import agentrl.sandboxes.janitor as module

    process = subprocess.Popen([sys.executable, "-I", "-B", str(module.__file__), token, "-"], env=environment)
    assert within(10, lambda: not folder.exists())
    process.kill()
    process.wait()


def test_it_works_where_the_package_is_not_installed(tmp_path: Path, environment: dict[str, str]) -> None:
    # The owner found the package by PYTHONPATH, which `-I` ignores.
    import agentrl.sandboxes.janitor as module

    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "agentrl").mkdir()
    (tmp_path / "source" / "agentrl" / "sandboxes").symlink_to(Path(module.__file__).resolve().parent)
    bare = Path(getattr(sys, "_base_executable", sys.executable))
    environment["PYTHONPATH"] = str(tmp_path / "source")
    done = subprocess.run([bare, "-c", OWNER], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    _, janitor, folder = done.stdout.split()
    assert within(10, lambda: not Path(folder).exists())
    os.kill(int(janitor), signal.SIGKILL)
