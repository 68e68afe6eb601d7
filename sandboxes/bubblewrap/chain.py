"""Start the launch chain of `args.py`, and end what it started for certain.

A *holder* keeps a fresh user namespace, with its ids mapped, till bwrap is inside. What was started is known by two
things that cannot be mistaken for another's: a pidfd of the first process of the box's process namespace, whose death
takes all others along before it can be seen, and the control group that the chain joined before anything else.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import select
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import IO, Any

from agentrl.sandboxes.bubblewrap.args import (
    IDS,
    Findings,
    Launch,
    bwrap_arguments,
    id_map,
    last_arguments,
    launch_command,
    mount_table,
)
from agentrl.sandboxes.bubblewrap.cgroups import Cgroup
from agentrl.sandboxes.errors import SandboxUnavailable

__all__ = ["Holder", "Started", "end_cgroup", "start"]

START_S = 20.0
LAST_WORDS = 4096
PIPE_BYTES = 65_536  # what a pipe holds unless told otherwise


class Holder:
    """A process that does nothing but keep a user namespace; ends with this process, or at `close`."""

    def __init__(self, findings: Findings, user: int, first_id: int) -> None:
        """Make the namespace and map its ids.

        Args:
            findings: Tools and mode.
            user: The job's user id in the box.
            first_id: First of the host's ids for it; without meaning in mode "single".

        Raises:
            SandboxUnavailable: The kernel or newuidmap refused.
        """
        self._process = subprocess.Popen(
            [findings.tools["unshare"], "--user", "--", findings.tools["cat"]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
            start_new_session=True,
        )
        self.pid = self._process.pid
        try:
            self._wait_till_inside()
            self._map(findings.mode, user, first_id)
        except BaseException:
            self.close()
            raise

    def alive(self) -> bool:
        """Say whether the namespace can still be entered."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it; a namespace that a box is in lives on. Idempotent."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _wait_till_inside(self) -> None:
        # What `cat` sends back shows that unshare has become it.
        stdin, stdout, stderr = _pipes(self._process)
        with contextlib.suppress(BrokenPipeError):
            os.write(stdin.fileno(), b"?")
        ready, _, _ = select.select([stdout], [], [], START_S)
        if not ready or os.read(stdout.fileno(), 1) != b"?":
            said = _ended_words(self._process, stderr)
            raise SandboxUnavailable(f"no user namespace can be made: {said}; {_namespace_fix(said)}")

    def _map(self, mode: str, user: int, first_id: int) -> None:
        try:
            if mode == "mapped":
                for tool in ("newuidmap", "newgidmap"):
                    numbers = [self.pid, 0, first_id, 1, user, first_id + 1, IDS - 1]
                    done = subprocess.run([tool, *map(str, numbers)], capture_output=True, text=True, timeout=START_S)
                    if done.returncode:
                        raise SandboxUnavailable(
                            f"{tool} refused: {done.stderr.strip()}; run: "
                            "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER"
                        )
                return
            if mode == "single":
                _write(f"/proc/{self.pid}/setgroups", "deny")
                _write(f"/proc/{self.pid}/uid_map", f"0 {os.geteuid()} 1\n")
                _write(f"/proc/{self.pid}/gid_map", f"0 {os.getegid()} 1\n")
                return
            for name in ("uid_map", "gid_map"):
                _write(f"/proc/{self.pid}/{name}", id_map(user, first_id))
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SandboxUnavailable(f"the user ids of a box could not be mapped: {error}") from error


class Started:
    """A box that runs. Safe from several threads."""

    def __init__(self, process: subprocess.Popen[bytes], init: int, cgroup: Cgroup | None) -> None:
        self.process = process
        """bwrap, in the host's namespaces; it ends after the box."""
        self.init_pid = init
        self.cgroup = cgroup
        self._lock = threading.Lock()
        self._words = b""
        self._gone = False
        self._init_fd = -1
        with contextlib.suppress(ProcessLookupError):  # a job may have ended already; then bwrap's end says so
            self._init_fd = os.pidfd_open(init)

    def last_words(self) -> str:
        """Return the end of what bwrap, or the box's first program, wrote on standard error so far."""
        if (pipe := self.process.stderr) is not None:
            with contextlib.suppress(OSError, ValueError):
                os.set_blocking(pipe.fileno(), False)
                while piece := os.read(pipe.fileno(), 65536):
                    self._words = (self._words + piece)[-LAST_WORDS:]
        return self._words.decode("utf-8", "backslashreplace").strip()

    def end(self, deadline_s: float = 10.0) -> bool:
        """Kill all of it and remove its control group; False when that was not confirmed in time. Idempotent."""
        until = time.monotonic() + deadline_s
        with self._lock:
            if self._gone:
                return True
            if self._init_fd >= 0:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._init_fd, signal.SIGKILL)
                # Readable once the first process is dead, which the kernel makes it only after all others of its
                # namespace are. Its parent, bwrap, is still there, so that the number is not another's meanwhile.
                if not _readable(self._init_fd, until):
                    return False
            if not _reap(self.process, until) or not end_cgroup(self.cgroup, until):
                return False
            self._gone = True
            if self._init_fd >= 0:
                os.close(self._init_fd)
            self.last_words()
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            return True


def start(
    findings: Findings,
    launch: Launch,
    cgroup: Cgroup | None,
    *,
    stdin: int | IO[Any] = subprocess.PIPE,
    stdout: int | IO[Any] = subprocess.PIPE,
    stderr: int | IO[Any] = subprocess.PIPE,
) -> Started:
    """Run the chain up to where the box exists; the group is removed again where that fails.

    Raises:
        SandboxUnavailable: A part of the chain refused; says what it wrote.
    """
    info_read, info_write = os.pipe()
    info_write, args_fd = _high(info_write), -1
    mounts = findings.folder / f"mounts-{secrets.token_hex(6)}"
    process: subprocess.Popen[bytes] | None = None
    try:
        launch = replace(launch, info_fd=info_write, mounts=mounts)
        told = bwrap_arguments(findings, launch)
        args_fd = _pipe_of(told if findings.mode == "root" else [*told, *last_arguments(findings, launch)])
        launch = replace(launch, args_fd=args_fd)
        mounts.write_text(mount_table(findings, launch))
        mounts.chmod(0o644)
        process = subprocess.Popen(
            launch_command(findings, launch),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=(info_write, args_fd),
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C"},
            cwd="/",
            start_new_session=True,
        )
        os.close(info_write)
        info_write = -1
        init = _read_info(info_read)
        if init is None:
            said = _ended_words(process, process.stderr)
            raise SandboxUnavailable(f"bubblewrap could not make a box: {said}; {_namespace_fix(said)}")
        return Started(process, init, cgroup)
    except BaseException:
        until = time.monotonic() + 5.0
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            _reap(process, until)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        end_cgroup(cgroup, until)
        raise
    finally:
        mounts.unlink(missing_ok=True)
        for fd in (info_read, info_write, args_fd):
            if fd >= 0:
                os.close(fd)


def end_cgroup(cgroup: Cgroup | None, until: float) -> bool:
    """Kill what is in a group, till nothing is, and remove it; False when that was not done in time."""
    while cgroup is not None and not cgroup.remove(0.0):
        if time.monotonic() > until:
            return False
        cgroup.kill()
        time.sleep(0.001)
    return True


def _high(fd: int) -> int:
    # The chain's shells open descriptors of one digit, and would close one of these unseen.
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    finally:
        os.close(fd)


def _pipe_of(arguments: Sequence[str]) -> int:
    """Return the end to read of a pipe that holds all of the arguments, with room for the last ones."""
    data = b"".join(os.fsencode(each) + b"\0" for each in arguments)
    read, write = os.pipe()
    try:
        if len(data) > PIPE_BYTES // 2:
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 2 * len(data))
        os.set_blocking(write, False)
        if os.write(write, data) != len(data):
            raise SandboxUnavailable("a pipe took only a part of a box's arguments; give a smaller environment")
        return fcntl.fcntl(read, fcntl.F_DUPFD_CLOEXEC, 10)
    finally:
        os.close(read)
        os.close(write)


def _read_info(fd: int) -> int | None:
    text = b""
    until = time.monotonic() + START_S
    while _readable(fd, until):
        piece = os.read(fd, 4096)
        text += piece
        if not piece or b"}" in text:
            break
    try:
        return int(json.loads(text)["child-pid"])
    except (ValueError, KeyError):
        return None


def _readable(fd: int, until: float) -> bool:
    poller = select.poll()  # unlike select, it takes descriptors above 1024
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(max(0.0, until - time.monotonic()) * 1000))


def _reap(process: subprocess.Popen[bytes], until: float) -> bool:
    # bwrap ends by itself after its box; where it was stuck before, it is killed.
    for patience in (min(1.0, until - time.monotonic()), until - time.monotonic()):
        try:
            process.wait(max(0.0, patience))
            return True
        except subprocess.TimeoutExpired:
            process.kill()
    return False


def _ended_words(process: subprocess.Popen[bytes], stderr: IO[bytes] | None) -> str:
    try:
        code = process.wait(1.0)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    if stderr is None:
        return f"exit status {code}"
    os.set_blocking(stderr.fileno(), False)
    return (stderr.read(LAST_WORDS) or b"").decode("utf-8", "backslashreplace").strip() or f"exit status {code}"


def _namespace_fix(said: str) -> str:
    try:
        allowed = int(_read("/proc/sys/user/max_user_namespaces") or 1)
        if allowed == 0 or "No space left" in said:
            return "run: sysctl -w user.max_user_namespaces=10000"
        if _read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
            return "run: sysctl -w kernel.unprivileged_userns_clone=1"
        if _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" and os.geteuid():
            return "run: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    except ValueError:
        pass
    return (
        "in a container, start that with: docker run --security-opt seccomp=unconfined "
        "--security-opt apparmor=unconfined --security-opt systempaths=unconfined --cap-add SYS_ADMIN IMAGE"
    )


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    assert process.stdin
    assert process.stdout
    assert process.stderr
    return process.stdin, process.stdout, process.stderr
