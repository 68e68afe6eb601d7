"""A program as a command in a sandbox: it reaches the endpoint of its episode, and nothing else.

The box is leased for the episode. The endpoint stands at a port of the box's own loopback; every file of the user's
folder lies in /work, the task in /work/task.json.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from agentrl.envs.errors import UsageError
from agentrl.envs.program.launch.keeper import read_result
from agentrl.envs.program.launch.program import Ended, Order, Program, Run
from agentrl.envs.tools.host import infrastructure, shared_backend
from agentrl.sandboxes import Process, Sandbox, SandboxSpec
from agentrl.sandboxes.errors import SandboxError

__all__ = ["BoxedPrograms", "boxed", "read_folder"]

_WALL_S = 86_400.0  # the environment ends the program; what the policy takes is not its time
_PORT = 8000  # of the endpoint, as a box sees it
_TASK, _RESULT = "/work/task.json", "/work/result"
_MOST_RESULT = 8 << 20  # bytes
_MOST_FILES = 64 << 20  # bytes of a user's folder


@dataclass(frozen=True, kw_only=True)
class BoxedPrograms:
    """Starts a program in boxes.

    Args:
        program: A command.
        backend: Name of the sandbox backend.
        files: Path in /work -> content.
        image: Of Docker.
    """

    program: Program
    backend: str
    files: Mapping[str, bytes]
    image: str | None = None

    def start(self, order: Order, ended: Callable[[Ended], None]) -> Run:
        """Start the program for an episode.

        Args:
            order: What it is given.
            ended: Called once, from another thread, when it has ended.

        Raises:
            InfrastructureError: No box could be had.
        """
        parts = urlsplit(order.base_url)
        inside = Order(
            task=order.task,
            base_url=urlunsplit(parts._replace(netloc=f"127.0.0.1:{_PORT}")),
            api_key=order.api_key,
            seed=order.seed,
        )
        assert parts.port is not None
        variables = inside.variables() | {"AGENTRL_TASK": _TASK, "AGENTRL_RESULT": _RESULT}
        spec = SandboxSpec(
            image=self.image,
            services={_PORT: parts.port},
            environment=variables,
            files={**self.files, "task.json": json.dumps(order.task).encode()},
            wall_s=_WALL_S,
        )
        with infrastructure():
            box = shared_backend(self.backend).lease(spec)
            try:
                process = box.start(list(self.program.argv))
            except BaseException:
                box.close()
                raise
        return _Run(box, process, ended)


class _Run(Run):
    def __init__(self, box: Sandbox, process: Process, ended: Callable[[Ended], None]) -> None:
        self._box = box
        self._process = process
        self._ended = ended
        self._thread = threading.Thread(target=self._watch, name="agentrl-program", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with suppress(SandboxError):
            self._box.close()  # ends what runs in it
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=10.0)

    def _watch(self) -> None:
        try:
            end = self._read()
        except SandboxError as error:
            end = Ended(how="lost", output=str(error))
        with suppress(SandboxError):
            self._box.close()
        self._ended(end)

    def _read(self) -> Ended:
        done = self._process.wait()
        output = done.stdout_text + done.stderr_text
        if done.status == "nonzero":
            return Ended(how="exited", code=done.exit_code or 0, output=output)
        if done.status == "signal":  # nobody else kills in its own box; told as a shell does
            return Ended(how="exited", code=128 + (done.signal or 0), output=output)
        if done.status != "ok":
            return Ended(how="raised", output=f"{output}\nstopped: {done.status}")
        written = None
        with suppress(SandboxError):
            written = self._box.read(_RESULT, max_bytes=_MOST_RESULT).decode(errors="replace")
        text = done.stdout_text if written is None else written
        return Ended(how="returned", result=read_result(text), output=output)


def boxed(program: Program, backend: str, folder: str | Path | None, image: str | None) -> BoxedPrograms | None:
    """Return what starts a program in boxes; None where it runs on this machine.

    Args:
        program: Which.
        backend: Name of the sandbox backend; empty: this machine.
        folder: Whose files lie in the box's /work.
        image: Of Docker.

    Raises:
        UsageError: These do not go together, or the folder cannot be used.
    """
    if not backend:
        for what, value in (("folder", folder), ("image", image)):
            if value is not None:
                raise UsageError(f"{what}={str(value)!r} is for a box; give backend='auto' with it")
        return None
    if not program.argv:
        raise UsageError(
            f"program={program.name!r} is a function, which runs on this machine; in a box write a command, such as "
            "program='python3 agent.py' with folder='my_agent'"
        )
    files = {} if folder is None else read_folder(folder)
    return BoxedPrograms(program=program, backend=backend, files=files, image=image)


def read_folder(folder: str | Path) -> dict[str, bytes]:
    """Return the files of a folder for a box, by their paths in it.

    Raises:
        UsageError: It is no folder, or too large.
    """
    top = Path(folder)
    if not top.is_dir():
        raise UsageError(f"folder={str(folder)!r} is no folder; give the one that holds the program")
    found: dict[str, bytes] = {}
    size = 0
    for path in sorted(top.rglob("*")):
        if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts:
            size += path.stat().st_size
            if size > _MOST_FILES:
                raise UsageError(f"folder={str(folder)!r} holds more than {_MOST_FILES >> 20} MB; give a smaller one")
            found[path.relative_to(top).as_posix()] = path.read_bytes()
    return found
