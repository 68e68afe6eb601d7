"""One server process of the run, below a keeper that ends it with the run (`keeper.py`)."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from agentrl.trainer.engines.fleet import keeper

__all__ = ["FOLDER", "Launched"]

FOLDER = "{folder}"
"""In a command: the folder of the server."""

_TORCHRUN = re.compile(r"(RANK|(LOCAL|GROUP|ROLE)_\w+|WORLD_SIZE|MASTER_\w+|TORCHELASTIC_\w+)$")
"""Variables that place a rank among others; vLLM would take itself for one."""

_CLOSE_S = 10.0
_LONGEST = 45  # of 107 characters; vLLM's sockets take the others
_TAIL = 2000  # characters of a log


class Launched:
    """One server and its keeper.

    Args:
        command: Starts it, without host and port; `FOLDER` stands for its folder.
        settings: Of the environment, beside this process's.
        files: Written to its folder first, by name.
    """

    def __init__(
        self,
        command: Sequence[str],
        settings: Mapping[str, str] | None = None,
        *,
        files: Mapping[str, str] | None = None,
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        """Its address, the same after a restart."""
        self.num_starts = 0
        self._command = [*command, "--host", "127.0.0.1", "--port", str(port)]
        self._settings, self._files = dict(settings or {}), dict(files or {})
        self._lock = threading.Lock()
        self._closed = False
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, again where it has ended; what an earlier one left is removed. Nothing after `close`."""
        with self._lock:
            self._end()
            if self._closed:
                return
            self._folder = folder = Path(tempfile.mkdtemp(prefix="agentrl-server-", dir=_short()))
            for name, text in self._files.items():
                (folder / name).write_text(text, encoding="utf-8")
            self.num_starts += 1
            # Sockets and the like go to its folder too, so that nothing is left of them.
            kept = {name: value for name, value in os.environ.items() if not _TORCHRUN.match(name)}
            settings = {**kept, **self._settings, "TMPDIR": str(folder)}
            command = [str(folder) if part == FOLDER else part for part in self._command]
            words = [sys.executable, "-I", keeper.__file__, str(os.getpid()), str(folder), *command]
            self._process = subprocess.Popen(words, stdin=subprocess.PIPE, env=settings, start_new_session=True)

    @property
    def pid(self) -> int:
        """Of its keeper."""
        assert self._process is not None
        return self._process.pid

    def ended(self) -> int | None:
        """Return the exit code once it has ended."""
        return None if self._process is None else self._process.poll()

    def tail(self) -> str:
        """Return the end of its log."""
        try:
            text = (self._folder / "log").read_text(errors="replace") if self._folder else ""
        except OSError:
            text = ""
        return text[-_TAIL:] or "(its log is empty)"

    def close(self) -> None:
        """End it for good and remove its folder; may be called twice."""
        self._closed = True
        with self._lock:
            self._end()

    def ask_to_end(self) -> None:
        """Let it end for good, without waiting for it; `close` waits."""
        self._closed = True
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_CLOSE_S)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _short() -> str:
    """Return a folder for temporary files in which the path of a socket is short enough for the kernel."""
    usual = tempfile.gettempdir()
    return "/tmp" if len(usual) > _LONGEST and os.access("/tmp", os.W_OK) else usual
