"""A server in a box of its own, leased for one episode: its streams are those of a background job there.

Into the box go the files that the user names, and the packages: distributions that are installed here, with all that
they need, below /work/.packages. A box has this machine's version of Python (bubblewrap) or that of its image, and
compiled packages fit no other. A network it has only where the user names one.
"""

from __future__ import annotations

import importlib.metadata
import io
import re
import tarfile
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.tools.host import infrastructure
from agentrl.envs.tools.mcp.feed import Feed
from agentrl.envs.tools.mcp.local import MAX_OUTPUT_BYTES
from agentrl.sandboxes import Backend, SandboxSpec
from agentrl.sandboxes.errors import SandboxError

__all__ = ["BoxProcess", "packed", "spec_of"]

_LIFETIME_S = 6 * 3600.0  # of a server, which is that of an episode
_PACKAGES = "/work/.packages"
_TAIL = 2000  # characters of standard error that are kept for messages
_REQUIRED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


def spec_of(box: Mapping[str, object], environment: Mapping[str, str]) -> SandboxSpec:
    """Return the box that a server gets.

    Args:
        box: Fields of `SandboxSpec`, such as {"image": "…", "memory_mb": 1024, "network": ["docs.example.org"]}.
        environment: Variables that the server sees.

    Raises:
        UsageError: A field that does not exist, or a value that cannot work.
    """
    usual: dict[str, object] = {"output_bytes": MAX_OUTPUT_BYTES, "wall_s": _LIFETIME_S, "environment": environment}
    try:
        with infrastructure():
            return SandboxSpec(**{**usual, **box})  # type: ignore[arg-type]  # checked by the spec itself
    except TypeError as error:
        raise UsageError(f"box={dict(box)!r:.200}: {error}; its fields are those of SandboxSpec") from error


class BoxProcess:
    """A running server in a box.

    Args:
        command: The program and its arguments, as the box has them.
        spec: Of its box.
        files: Path in the box (relative to /work) -> content.
        packages: Of distributions installed here, that the server may import.
        backend: Where the box is leased.
        feed: Gets what it writes, and how it ended.

    Raises:
        InfrastructureError: No box could be had, or it failed.
        UsageError: A package is not installed here, or the spec asks for what the backend does not have.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        spec: SandboxSpec,
        files: Mapping[str, bytes],
        packages: tuple[str, ...],
        backend: Backend,
        feed: Feed,
    ) -> None:
        archive = packed(packages) if packages else b""
        self._feed = feed
        self._stderr = ""
        with infrastructure():
            self.sandbox = backend.lease(spec)
        try:
            with infrastructure():
                for name, content in files.items():
                    self.sandbox.write(name, content)
                environment = self._unpacked(archive) if archive else {}
                self._process = self.sandbox.start(
                    list(command), environment=environment, on_output=self._heard, open_stdin=True
                )
        except BaseException:
            self.sandbox.close()
            raise
        self._waiting = threading.Thread(target=self._wait, name="agentrl-mcp-box", daemon=True)
        self._waiting.start()

    def send(self, data: bytes) -> None:
        """Write to its standard input; nothing where it has ended.

        Raises:
            SandboxError: The box is gone.
        """
        self._process.send(data)

    def close(self) -> None:
        """Give the box back, which ends all that runs in it; idempotent."""
        self.sandbox.close()
        self._waiting.join(5.0)

    def _unpacked(self, archive: bytes) -> dict[str, str]:
        done = self.sandbox.exec(["tar", "-x", "-C", "/work", "-f", "-"], stdin=archive, timeout_s=60.0)
        if not done.ok:
            raise InfrastructureError(
                f"the server's packages could not be unpacked in its box: {done.status}: {done.stderr_text[-300:]}",
                kind=done.status,
                boundary="mcp",
            )
        return {"PYTHONPATH": _PACKAGES}

    def _heard(self, name: str, data: bytes) -> None:
        if name == "stdout":
            self._feed.put(data)
        else:
            self._stderr = (self._stderr + data.decode("utf-8", "replace"))[-_TAIL:]

    def _wait(self) -> None:
        try:
            ended = self._process.wait()
        except SandboxError as error:
            self._feed.end(f"its box is gone: {error}")
            return
        said = f"; it said: {self._stderr.strip()}" if self._stderr.strip() else ""
        how = {"signal": f"signal {ended.signal}", "ok": "exit code 0", "nonzero": f"exit code {ended.exit_code}"}
        self._feed.end(f"it ended with {how.get(ended.status, ended.status)}{said}")


@lru_cache(maxsize=4)
def packed(names: tuple[str, ...]) -> bytes:
    """Return a tar of installed distributions and of all that they need, as they lie here; made once for a process.

    Compiled modules keep the times of their sources, without which Python would compile them anew in every box.

    Raises:
        UsageError: One is not installed here.
    """
    found: dict[str, importlib.metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(name, "", True) for name in names]
    while waiting:
        name, extras, is_asked = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if (key, extras) in seen:
            continue
        seen.add((key, extras))
        try:
            found[key] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError as error:
            if is_asked:
                raise UsageError(
                    f"packages: {name} is not installed here; type: pip install {name}, or have it in the box's image"
                ) from error
            continue  # for another system
        for each in found[key].requires or ():
            needed, _, condition = each.partition(";")
            asked = _EXTRA.search(condition)
            match = _REQUIRED.match(needed)
            if match and (asked is None or asked[1] in extras.split(",")):
                waiting.append((match[1], (match[2] or "").replace(" ", ""), False))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for distribution in found.values():
            for file in distribution.files or ():
                path = Path(str(file.locate()))
                if ".." not in file.parts and path.is_file():
                    archive.add(path, arcname=f"{Path(_PACKAGES).name}/{file.as_posix()}", recursive=False)
    return buffer.getvalue()
