"""Engines for tests of chaos: a private dockerd that may be stopped, starved of disk and started again; slow stubs.

Nothing here touches the machine's own engine, but to read the base image from it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from agentrl.sandboxes.docker.images import BASE_IMAGE

__all__ = ["PrivateEngine", "SlowSocket", "slow_socket"]


class PrivateEngine:
    """A `dockerd` of the test's own, with its data in memory; use it as a context manager."""

    def __init__(self, size_mb: int) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="private-engine-"))
        self.url = f"unix://{self.root}/docker.sock"
        self._size_mb = size_mb
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self._size_mb}m", "tmpfs", self.root], check=True)
            self.start()
            with subprocess.Popen(["docker", "save", BASE_IMAGE], stdout=subprocess.PIPE) as image:
                subprocess.run(
                    ["docker", "--host", self.url, "load"], stdin=image.stdout, stdout=subprocess.DEVNULL, check=True
                )
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        # Layers stay mounted for a moment after their engine ended.
        for _ in range(50):
            if subprocess.run(["umount", "--recursive", self.root], stderr=subprocess.DEVNULL).returncode == 0:
                break
            if not os.path.ismount(self.root):
                break
            time.sleep(0.1)
        shutil.rmtree(self.root, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        root = self.root
        with (root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                # With networks of its own: without a bridge, a second engine would remove the first one's.
                ["unshare", "--net", "dockerd", "--data-root", root / "data", "--exec-root", root / "exec",
                 "--pidfile", root / "pid", "--host", self.url, "--bridge", "none", "--iptables=false",
                 "--ip-masq=false"],
                stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise AssertionError((root / "log").read_text()[-3000:])
            time.sleep(0.05)

    def _answers(self) -> bool:
        # Not by the SDK, which leaves a socket open where nobody listens yet.
        with socket.socket(socket.AF_UNIX) as asking, suppress(OSError):
            asking.settimeout(5)
            asking.connect(str(self.root / "docker.sock"))
            asking.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in asking.recv(100)
        return False

    def stop(self) -> None:
        """Stop it, and with it all its containers; idempotent."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None


@dataclass
class SlowSocket:
    """A stub's address, and whether it stalls what it was told to."""

    url: str
    stalls: bool = True


@contextmanager
def slow_socket(forward: str | None = None, stall: tuple[bytes, ...] = ()) -> Generator[SlowSocket]:
    """Open a stub: it accepts and never answers; or passes all on to `forward` but the requests in `stall`.

    Args:
        forward: Path of the real engine's socket.
        stall: Beginnings of requests, such as b"DELETE ", that get no answer.
    """
    folder = Path(tempfile.mkdtemp(prefix="slow-socket-"))
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "s"))
    server.listen(64)
    held: list[socket.socket] = [server]
    stub = SlowSocket(f"unix://{folder}/s")

    def pump(source: socket.socket, sink: socket.socket, watch: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if watch and stub.stalls and data.startswith(stall):
                    return  # held open, never answered
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                held.append(client)
                if forward is None:
                    continue
                real = socket.socket(socket.AF_UNIX)
                held.append(real)
                real.connect(forward)
                threading.Thread(target=pump, args=(client, real, True), daemon=True).start()
                threading.Thread(target=pump, args=(real, client, False), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        for each in held:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        thread.join(5)
        shutil.rmtree(folder)
