"""The box in which the code of one episode runs: what a model wrote, never in this process.

It is a lease with two things more. A box that met its memory limit is replaced by a clean one, since the kernel may
have taken its worker along: what a policy's program does must not look like a failure of the infrastructure. And its
state can be taken and given back: the files below /work, and the interpreter session by running its cells again.
"""

from __future__ import annotations

import base64
import contextlib
import errno
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

from agentrl.envs.errors import InfrastructureError
from agentrl.envs.tools.host import infrastructure
from agentrl.sandboxes import Backend, CallResult, CellResult, Entry, ExecResult, Interpreter, Sandbox, SandboxSpec
from agentrl.sandboxes.errors import SandboxFileError

__all__ = ["CodeBox"]

_HOME = "/work"
_NOTHING: Mapping[str, str] = MappingProxyType({})
R = TypeVar("R", ExecResult, CellResult, CallResult)
T = TypeVar("T")
Entries = list[list[Any]]


class CodeBox:
    """One lease for one episode, with an interpreter session that begins at the first cell.

    Args:
        spec: Limits and first files.
        backend: Where the box is leased, now and when it has to be replaced.

    Raises:
        UsageError: The spec asks for what the backend does not have.
        InfrastructureError: No box could be had. Every method raises it too, when the box fails.
    """

    def __init__(self, spec: SandboxSpec, backend: Backend) -> None:
        self.spec = spec
        self.backend = backend
        self.num_replaced = 0  # boxes that met the memory limit, in this episode
        self._session: Interpreter | None = None
        self._cells: list[tuple[str, float | None]] = []  # what the living session has run
        self._spent = False
        self._box: Sandbox = self._lease()

    @property
    def sandbox(self) -> Sandbox:
        """The lease that is used now; another one when the box has been replaced."""
        return self._box

    def run(
        self,
        source: str,
        *,
        stdin: bytes = b"",
        timeout_s: float | None = None,
        environment: Mapping[str, str] = _NOTHING,
    ) -> ExecResult:
        """Run a Python program in a fresh process; see `Sandbox.run_python`."""
        return self._job(lambda box: box.run_python(source, stdin=stdin, timeout_s=timeout_s, environment=environment))

    def exec(self, command: Sequence[str] | str, *, stdin: bytes = b"", timeout_s: float | None = None) -> ExecResult:
        """Run a program, or a line of the shell; see `Sandbox.exec`."""
        return self._job(lambda box: box.exec(command, stdin=stdin, timeout_s=timeout_s))

    def call(
        self, function: str, args: Sequence[Any] = (), *, source: str, timeout_s: float | None = None
    ) -> CallResult:
        """Call a function of a module in a fresh process; see `Sandbox.call`."""
        return self._job(lambda box: box.call(function, args, source=source, timeout_s=timeout_s))

    def cell(self, source: str, *, timeout_s: float | None = None) -> CellResult:
        """Run a cell in the session of the episode. One that is stopped takes the session's state with it."""

        def run(box: Sandbox) -> CellResult:
            if self._session is None:
                self._session = box.python()
            return self._session.run(source, timeout_s=timeout_s)

        result = self._job(run)
        if result.status in ("ok", "nonzero"):
            self._cells.append((source, timeout_s))
        else:
            self._cells.clear()
        return result

    def write(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Write a file; see `Sandbox.write`.

        Raises:
            SandboxFileError: The path, or what is there, does not allow it: the program's own doing.
        """
        self._file(lambda box: box.write(path, content, mode=mode))

    def read(self, path: str, *, max_bytes: int = 16_777_216) -> bytes:
        """Return a file; see `Sandbox.read`.

        Raises:
            SandboxFileError: Missing, no regular file, not permitted, too large.
        """
        return self._file(lambda box: box.read(path, max_bytes=max_bytes))

    def list(self, path: str = _HOME) -> list[Entry]:
        """Return what is in a folder; see `Sandbox.list`.

        Raises:
            SandboxFileError: Missing, no folder, not permitted, too many names.
        """
        return self._file(lambda box: box.list(path))

    def renew(self) -> None:
        """Give the box back and lease a clean one, with the first files and no session."""
        self.close()
        self._cells.clear()
        self._box = self._lease()

    def snapshot(self) -> dict[str, Any]:
        """Return files, links, folders and the session's cells as plain data.

        What the session keeps to itself, its user being another one, is known by name only; its cells make it again.

        Raises:
            InfrastructureError: The box failed, or holds more than can be copied, such as a file of over 16 MiB.
        """
        cells = [list(each) for each in self._cells]
        return {"entries": self._entries(), "cells": cells, "replaced": self.num_replaced}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state that `snapshot` gave, in a clean box: cells are run again, then files laid over it."""
        self.renew()
        for source, timeout_s in state["cells"]:
            self.cell(source, timeout_s=timeout_s)
        wanted = {path: (kind, mode, content) for path, kind, mode, content in state["entries"]}
        there = {path: (kind, mode, content) for path, kind, mode, content in self._entries()}
        gone = [path for path, (kind, _, _) in there.items() if kind != wanted.get(path, ("",))[0]]
        if gone:
            self.exec(["rm", "-rf", "--", *gone])
        changed = {path: entry for path, entry in wanted.items() if path in gone or there.get(path) != entry}
        for path, (kind, mode, content) in changed.items():
            if kind == "folder":
                self.exec(["mkdir", "-p", "--", path])
            elif kind == "file" and content is not None:
                self.write(path, base64.b64decode(content), mode=mode)
            elif kind == "link":
                self.exec(["ln", "-sfn", "--", content or "", path])
        for path, (kind, mode, _) in reversed(changed.items()):  # last, since a folder may forbid writing
            if kind == "folder":
                self.exec(["chmod", f"{mode:o}", path])
        self.num_replaced = state["replaced"]

    def close(self) -> None:
        """Give the box back; may be called twice."""
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(Exception):  # the box goes anyway
                session.close()
        self._box.close()

    def _entries(self) -> Entries:
        """Return what is below /work: path, kind, permissions, and what is in it where that may be read."""
        entries: Entries = []
        waiting = [_HOME]
        while waiting:
            folder = waiting.pop()
            for entry in self._copied(lambda: self.list(folder)) or ():  # noqa: B023  # called at once
                path, content = f"{folder}/{entry.name}", None
                if entry.kind == "folder":
                    waiting.append(path)
                elif entry.kind == "file":
                    read = self._copied(lambda: self.read(path))  # noqa: B023
                    content = None if read is None else base64.b64encode(read).decode("ascii")
                elif entry.kind == "link":
                    content = self.exec(["readlink", "-n", path]).stdout_text
                entries.append([path, entry.kind, entry.mode, content])
        return sorted(entries, key=lambda entry: str(entry[0]))

    def _copied(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except SandboxFileError as error:
            if error.errno == errno.EACCES:
                return None
            raise InfrastructureError(
                f"a box could not be copied: {error}", kind="files", boundary="sandbox"
            ) from error

    def _lease(self) -> Sandbox:
        with infrastructure():
            return self.backend.lease(self.spec)

    def _ready(self) -> Sandbox:
        if self._spent:
            self.num_replaced += 1
            self._spent = False
            self.renew()
        return self._box

    def _job(self, job: Callable[[Sandbox], R]) -> R:
        with infrastructure():
            result = job(self._ready())
        self._spent = result.status == "oom"
        return result

    def _file(self, job: Callable[[Sandbox], T]) -> T:
        with infrastructure():
            try:
                return job(self._ready())
            except SandboxFileError as error:
                refused = error
        raise refused
