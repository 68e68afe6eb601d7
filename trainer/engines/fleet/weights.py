"""The weights of one version as one file of safetensors, for servers to read: in a folder they share, or over HTTP.

The file stays until the next version, since a server that returns is given it again. What goes over HTTP has no name
on the disk: a run that is killed leaves nothing behind. Its path cannot be guessed; whoever listens on the way reads
it: bind an address of a network that is yours. Each worker of a server fetches the whole file.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import shutil
import tempfile
import threading
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from safetensors.torch import save_file
from transformers import PreTrainedModel

from agentrl.trainer.errors import ConfigError, EngineError
from agentrl.trainer.lora import merged_weights
from agentrl.trainer.spread import tied_names

__all__ = ["FolderShelf", "HttpShelf", "Shelf", "Weights"]

_NAME = "model.safetensors"
_CHUNK = 1 << 20
_SLOW_S = 60.0  # in which a reader must take something


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Where the weights of a version lie, and how to tell that they arrived."""

    version: int
    name: str  # that no other run gives
    source: str  # a folder, or an address
    tensors: int  # a tied one counts once
    bytes: int  # of the file
    crc32: int  # of the file; 0: not computed

    def told(self) -> dict[str, Any]:
        """Return what `agentrl_load` is told beside the source."""
        return {"version": self.name, "tensors": self.tensors, "bytes": self.bytes, "crc32": self.crc32}


class Shelf(ABC):
    """Holds the newest weights."""

    @abstractmethod
    def put(self, model: PreTrainedModel, version: int) -> Weights:
        """Write the model's weights; those put before are gone.

        Raises:
            EngineError: They cannot be written.
        """

    @abstractmethod
    def close(self) -> None:
        """Remove what is there; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class FolderShelf(Shelf):
    """Weights in a folder that the servers see under the same path.

    Args:
        folder: Made where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._before: Path | None = None

    def put(self, model: PreTrainedModel, version: int) -> Weights:
        """Write `version_<n>/model.safetensors`."""
        folder = self._folder / f"version_{version}"
        self.close()
        self._before = folder
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            tensors = _write(model, folder / _NAME)
            size = (folder / _NAME).stat().st_size
        except OSError as error:
            raise _unwritten(folder, error) from error
        return Weights(version=version, name=_name(version), source=str(folder), tensors=tensors, bytes=size, crc32=0)

    def close(self) -> None:
        if self._before is not None:
            shutil.rmtree(self._before, ignore_errors=True)


class HttpShelf(Shelf):
    """Weights that this process serves over HTTP.

    Args:
        host: HOST or HOST:PORT to bind, at which the servers reach it.

    Raises:
        ConfigError: It cannot be bound.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        where = urlsplit(f"//{host}")
        shelf = self
        self._lock = threading.Lock()
        self._file: int | None = None  # its descriptor; the file has no name
        self._path = ""

        class Handler(BaseHTTPRequestHandler):
            timeout = _SLOW_S

            def do_GET(self) -> None:
                shelf._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        try:
            self._http = _Http((where.hostname or "", where.port or 0), Handler)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"engine.weights_host is {host!r}, which cannot be bound: {error}; write an address of this machine"
            ) from error
        name = f"[{where.hostname}]" if ":" in (where.hostname or "") else where.hostname
        self.address = f"http://{name}:{self._http.server_address[1]}"
        """Where it listens."""
        self._thread = threading.Thread(target=self._http.serve_forever, name="agentrl-weights", daemon=True)
        self._thread.start()

    def put(self, model: PreTrainedModel, version: int) -> Weights:
        """Write them to a file without a name, at a new path."""
        try:
            with tempfile.TemporaryDirectory(prefix="agentrl-weights-") as folder:
                tensors = _write(model, Path(folder) / _NAME)
                file = os.open(Path(folder) / _NAME, os.O_RDONLY)
        except OSError as error:
            raise _unwritten(Path(tempfile.gettempdir()), error) from error
        size, crc32 = os.fstat(file).st_size, _crc32(file)
        path = f"/{secrets.token_urlsafe(32)}/{version}/{_NAME}"
        with self._lock:
            before, self._file, self._path = self._file, file, path
        if before is not None:
            os.close(before)  # a reader that is at it has a descriptor of its own
        return Weights(
            version=version, name=_name(version), source=self.address + path, tensors=tensors, bytes=size, crc32=crc32
        )

    def close(self) -> None:
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            os.close(file)
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()

    def _answer(self, reader: BaseHTTPRequestHandler) -> None:
        with self._lock:
            known = self._file is not None and hmac.compare_digest(reader.path.encode(), self._path.encode())
            file = os.dup(self._file) if known and self._file is not None else None
        if file is None:
            reader.send_error(404)
            return
        try:
            size = os.fstat(file).st_size
            reader.send_response(200)
            reader.send_header("Content-Type", "application/octet-stream")
            reader.send_header("Content-Length", str(size))
            reader.end_headers()
            at = 0
            while at < size:  # by offset: readers share the descriptor's own
                piece = os.pread(file, _CHUNK, at)
                reader.wfile.write(piece)
                at += len(piece)
        finally:
            os.close(file)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a reader that leaves is left out by whoever pushed."""


def _write(model: PreTrainedModel, path: Path) -> int:
    """Write the weights, a tied tensor once; return how many there are."""
    tied = tied_names(model)
    weights = {name: value.detach().cpu().contiguous() for name, value in merged_weights(model) if name not in tied}
    save_file(weights, path)
    return len(weights)


def _name(version: int) -> str:
    return f"{version}-{secrets.token_hex(4)}"


def _crc32(file: int) -> int:
    crc, at = 0, 0
    while piece := os.pread(file, _CHUNK, at):
        crc, at = zlib.crc32(piece, crc), at + len(piece)
    return crc


def _unwritten(folder: Path, error: OSError) -> EngineError:
    with contextlib.suppress(OSError):
        free = f" ({shutil.disk_usage(folder).free >> 20} MB are free)"
        return EngineError(f"weights cannot be written to {folder}: {error}{free}; free some space, or mend it")
    return EngineError(f"weights cannot be written to {folder}: {error}; free some space, or mend it")
