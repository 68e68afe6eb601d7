"""Where a toolset lives for one episode: in this process, or inside a leased sandbox. Same calls, same answers.

Into a box go the sources of the toolset's module and of what it imports from its own package, never a pickle; each call
is a cell of an interpreter session, arguments and values are JSON. Backends are shared by all environments of a process
and closed at its end. A box that fails raises InfrastructureError, which ends the episode and is never a reward.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import threading
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from agentrl.envs.errors import InfrastructureError, UsageError, nearest
from agentrl.envs.tools.sources import sources_of
from agentrl.envs.tools.toolset import ToolError, Toolset, ToolsetSpec
from agentrl.sandboxes import Backend, Sandbox, SandboxSpec, open_backend
from agentrl.sandboxes.errors import SandboxBusy, SandboxDied, SandboxError, SandboxUnavailable, SpecError

__all__ = [
    "BACKENDS",
    "BoxedToolset",
    "LocalToolset",
    "close_backends",
    "infrastructure",
    "open_backends",
    "shared_backend",
    "start",
]

BACKENDS: Mapping[str, str] = MappingProxyType({"auto": "auto", "local": "", "docker": "docker", "bwrap": "bubblewrap"})
"""The values of an environment's `backend=` -> the sandbox backend's name; `local` has none."""

_FOLDER = "/work/.toolset"
_CALL_S = 30.0
_KINDS = ((SandboxUnavailable, "unavailable"), (SandboxBusy, "busy"), (SandboxDied, "died"))
_lock = threading.Lock()
_open: dict[tuple[int, str], Backend] = {}

# Runs in the box. A reply is one line of JSON behind a mark, since a tool may print.
_SERVE = """
import importlib, json, sys
sys.path.insert(0, {folder!r})
from agentrl.envs.tools.toolset import ToolError
_kind = getattr(importlib.import_module({module!r}), {name!r})
def _serve(method, arguments):
    global _toolset
    try:
        if method == "__init__":
            _toolset, value = _kind(**arguments), None
        else:
            value = getattr(_toolset, method)(**arguments)
        reply = dict(value=value)
    except ToolError as error:
        reply = dict(refused=str(error))
    sys.stdout.write({mark!r} + json.dumps(reply) + "\\n")
"""
_MARK = "\x1etoolset:"


class LocalToolset:
    """A toolset in this process."""

    def __init__(self, toolset: Toolset) -> None:
        self._toolset = toolset

    @property
    def sandbox(self) -> None:
        """Nothing: the toolset lives in this process."""

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Call a tool.

        Raises:
            ToolError: The tool refuses, in words for the model.
        """
        return getattr(self._toolset, name)(**arguments)

    def snapshot(self) -> Any:
        """Return the toolset's state as plain data of its own, sharing nothing with it."""
        return json.loads(json.dumps(self._toolset.snapshot()))

    def restore(self, state: Any) -> None:
        """Go back to a state that `snapshot` gave."""
        self._toolset.restore(json.loads(json.dumps(state)))

    def close(self) -> None:
        """Let go of the toolset; may be called twice."""
        self._toolset.close()


class BoxedToolset:
    """A toolset in a box that is leased for it.

    Raises:
        UsageError: The toolset's module imports what a box does not have.
        InfrastructureError: No box could be had, or it failed.
    """

    def __init__(self, spec: ToolsetSpec, backend: Backend) -> None:
        files = {f"{_FOLDER}/{path}": source for path, source in sources_of(spec.kind).items()}
        with infrastructure():
            self._box: Sandbox = backend.lease(SandboxSpec(files=files, output_bytes=8_388_608))
        try:
            with infrastructure():
                self._session = self._box.python()
            kind = spec.kind
            self._cell(_SERVE.format(folder=_FOLDER, module=kind.__module__, name=kind.__qualname__, mark=_MARK))
            self._serve("__init__", spec.arguments)
        except BaseException:
            self._box.close()
            raise

    @property
    def sandbox(self) -> Sandbox:
        """The box in which the toolset lives."""
        return self._box

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Call a tool.

        Raises:
            ToolError: The tool refuses, in words for the model.
            InfrastructureError: The box failed, or the toolset raised something else.
        """
        return self._serve(name, arguments)

    def snapshot(self) -> Any:
        """Return the toolset's state as plain data."""
        return self._serve("snapshot", {})

    def restore(self, state: Any) -> None:
        """Go back to a state that `snapshot` gave."""
        self._serve("restore", {"state": state})

    def close(self) -> None:
        """Give the box back; may be called twice."""
        self._box.close()

    def _serve(self, method: str, arguments: Mapping[str, Any]) -> Any:
        output = self._cell(f"import json; _serve({method!r}, json.loads({json.dumps(arguments)!r}))")
        _, mark, line = output.rpartition(_MARK)
        if not mark:
            raise InfrastructureError(f"the tool {method} gave no answer", kind="silent", boundary="sandbox")
        reply = json.loads(line)
        if "refused" in reply:
            raise ToolError(reply["refused"])
        return reply["value"]

    def _cell(self, cell: str) -> str:
        with infrastructure():
            result = self._session.run(cell, timeout_s=_CALL_S)
        if result.status != "ok":
            # Our own code in there: what it raises is a fault of the tool, not of the model that called it.
            last = (result.error or result.status).strip().splitlines()[-1]
            raise InfrastructureError(f"a tool failed in its box: {last}", kind=result.status, boundary="tool")
        return result.stdout.decode("utf-8", "replace")


def start(spec: ToolsetSpec, backend: str) -> LocalToolset | BoxedToolset:
    """Start a toolset for an episode.

    Args:
        spec: Which, with what.
        backend: A key of `BACKENDS`; "auto" is in process, since a toolset is our own code.

    Raises:
        UsageError: No such backend.
        InfrastructureError: No box could be had.
    """
    if backend not in BACKENDS:
        raise UsageError(
            f"backend={backend!r} does not exist{nearest(backend, BACKENDS)}; there are {', '.join(BACKENDS)}"
        )
    if backend in ("auto", "local"):
        return LocalToolset(spec.kind(**spec.arguments))
    return BoxedToolset(spec, shared_backend(BACKENDS[backend]))


def shared_backend(name: str) -> Backend:
    """Return this process's backend of that name ("auto", "docker", "bubblewrap"), opened at the first call.

    Raises:
        InfrastructureError: None works here; the message has the command that mends it.
    """
    key = (os.getpid(), name)  # after a fork the child opens its own
    with _lock:
        if key not in _open:
            with infrastructure():
                _open[key] = open_backend(name)
            atexit.register(_close, key)
        return _open[key]


def open_backends() -> tuple[Backend, ...]:
    """Return the backends that `shared_backend` has opened in this process."""
    with _lock:
        return tuple(backend for (owner, _), backend in _open.items() if owner == os.getpid())


def close_backends() -> None:
    """Close what `shared_backend` has opened in this process, warm boxes included; a later call opens it anew."""
    for key in [each for each in _open if each[0] == os.getpid()]:
        _close(key)


@contextlib.contextmanager
def infrastructure() -> Iterator[None]:
    """Turn a failure of a sandbox into the environment's own error, a request that cannot work into a UsageError."""
    try:
        yield
    except SpecError as error:
        raise UsageError(str(error)) from error
    except SandboxError as error:
        kind = next((word for each, word in _KINDS if isinstance(error, each)), "sandbox")
        raise InfrastructureError(str(error), kind=kind, boundary="sandbox") from error


def _close(key: tuple[int, str]) -> None:
    backend = _open.pop(key, None)
    if backend is not None and key[0] == os.getpid():
        backend.close()
