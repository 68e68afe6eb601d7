"""Programs as processes of this machine: one process imports the program once, and forks for each episode.

An import takes seconds with most agent frameworks, a fork milliseconds. The forked keeper of an episode adopts whatever
the program starts, and ends all of it with the program, when it is told to, or when this process is gone. This holds
programs that are sloppy; those that are hostile belong in a sandbox.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

import cloudpickle  # type: ignore[import-untyped]

from agentrl.envs.errors import InfrastructureError
from agentrl.envs.program.launch.keeper import sweep
from agentrl.envs.program.launch.program import IMPORT_KEY, Ended, Order, Program, Run

__all__ = ["Nursery", "lend"]

_MOST_BYTES = 64 << 20  # of a report
_START_S = 60.0


class Nursery:
    """Starts one program again and again.

    Args:
        program: Which.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.num_users = 0
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None

    def start(self, order: Order, ended: Callable[[Ended], None]) -> Run:
        """Start the program for an episode.

        Args:
            order: What it is given.
            ended: Called once, from another thread, when it has ended.

        Raises:
            InfrastructureError: No process could be made.
        """
        told = {
            "task": order.task,
            "base_url": order.base_url,
            "api_key": order.api_key,
            "seed": order.seed,
            "variables": order.variables() | _unproxied(),
            "argv": list(self.program.command),
        }
        ours: list[int] = []
        try:
            order_file = os.memfd_create("order") if hasattr(os, "memfd_create") else _unnamed()
            ours.append(order_file)
            with os.fdopen(os.dup(order_file), "wb") as file:
                file.write(json.dumps(told, default=str).encode())
            report, theirs = os.pipe()
            ours.append(theirs)
            leash_end, leash = os.pipe()
            ours.append(leash_end)
            self._send(ours, order.base_url)
        except OSError as error:
            raise InfrastructureError(
                f"{self.program.name}: no process could be started: {error}", kind="start", boundary="program"
            ) from error
        finally:
            for fd in ours:
                os.close(fd)
        return _Run(os.fdopen(report, "rb"), leash, ended)

    def close(self) -> None:
        """End the process that forks, and with it every program that still runs; may be called twice."""
        with self._lock:
            line, self._line = self._line, None
            process, self._process = self._process, None
        if line is not None:
            with suppress(OSError):
                line.send(b"e")  # closing is not enough where a forked process holds this end too
            line.close()
        if process is not None:
            try:
                process.wait(timeout=2.0)
            except subprocess.TimeoutExpired:  # it imports still
                process.kill()
                process.wait()

    def _send(self, fds: list[int], base_url: str) -> None:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._raise_up(base_url)
            assert self._line is not None
            try:
                socket.send_fds(self._line, [b"o"], fds)
            except OSError:  # it has died since
                self._raise_up(base_url)
                socket.send_fds(self._line, [b"o"], fds)

    def _raise_up(self, base_url: str) -> None:
        sweep()
        if self._line is not None:
            self._line.close()
        self._line, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.settimeout(_START_S)  # of a full buffer: it imports, and orders wait
        with other:
            command = [sys.executable, "-P", "-m", "agentrl.envs.program.launch.forking", str(other.fileno())]
            first = cloudpickle.dumps({"path": sys.path, "program": self.program})
            # A client that is made at import must not ask the real endpoint, with the user's key and at their cost.
            unread = Order(task={}, base_url=base_url, api_key=IMPORT_KEY, seed=0).variables()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=os.environ | unread | _unproxied(),
                pass_fds=[other.fileno()],
            )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as stdin:  # its end is seen when it is sent an order
            stdin.write(first)


class _Run(Run):
    def __init__(self, report: IO[bytes], leash: int, ended: Callable[[Ended], None]) -> None:
        self._leash: int | None = leash
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, args=(report, ended), name="agentrl-program", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._lock:
            leash, self._leash = self._leash, None
            if leash is not None:
                with suppress(OSError):  # it has ended
                    os.write(leash, b"e")  # closing is not enough where a forked process holds this end too
                os.close(leash)
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=10.0)

    def _watch(self, report: IO[bytes], ended: Callable[[Ended], None]) -> None:
        with report:
            told = report.read(_MOST_BYTES)
        try:
            found: dict[str, Any] = json.loads(told)
            end = Ended(**found)
        except (ValueError, TypeError):
            end = Ended(how="lost")
        ended(end)


_nurseries: dict[tuple[int, Program], Nursery] = {}  # by process: after a fork the child has its own
_lock = threading.Lock()


class lend:  # no generator: what a forked process drops must not close what is its parent's
    """Lend the nursery of a program, one for all environments of this process; a context manager.

    Args:
        program: Which.
    """

    def __init__(self, program: Program) -> None:
        with _lock:
            self._key = os.getpid(), program
            self.nursery = _nurseries.setdefault(self._key, Nursery(program))
            self.nursery.num_users += 1
        self._is_back = False

    def __enter__(self) -> Nursery:
        return self.nursery

    def __exit__(self, *error: object) -> None:
        with _lock:
            if self._is_back:
                return
            self._is_back = True
            self.nursery.num_users -= 1
            if self.nursery.num_users == 0:
                _nurseries.pop(self._key, None)
                self.nursery.close()


def _unproxied() -> dict[str, str]:
    """Return variables by which a client asks this machine itself, where proxies lead to others."""
    here = "127.0.0.1,localhost"
    return {name: f"{others},{here}" if (others := os.environ.get(name)) else here for name in ("NO_PROXY", "no_proxy")}


def _unnamed() -> int:
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
