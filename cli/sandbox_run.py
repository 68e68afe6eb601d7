"""`agentrl sandbox run FILE`: a file of yours, run in a box; its output comes as it is written."""

from __future__ import annotations

import argparse
import codecs
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

if TYPE_CHECKING:
    from agentrl.sandboxes.base import OnOutput
    from agentrl.sandboxes.results import ExecResult

__all__ = ["exit_status", "run", "shown"]

_EPILOG = """\
Of this machine the program sees only the file, as /work/NAME, and what is piped in. It has no network beyond the names
given. Exit status: the program's own; 124 after the time limit; 128 and the signal's number when a signal ended it.

  agentrl sandbox run solve.py < input.txt
  agentrl sandbox run test.sh --timeout-s 10 --memory-mb 256 -- --verbose
"""
_HINTS = {
    "timeout": "more time: --timeout-s",
    "cpu_timeout": "more time: --timeout-s",
    "oom": "more memory: --memory-mb",
    "output_limit": "more output: --output-bytes",
    "pids": "more processes: --pids",
}


def run(args: Sequence[str]) -> int:
    """Run the file; return its exit status."""
    from agentrl.sandboxes.errors import SpecError
    from agentrl.sandboxes.open import open_backend
    from agentrl.sandboxes.spec import SandboxSpec

    _open_closed()
    default = SandboxSpec()
    parser = argparse.ArgumentParser(
        prog="agentrl sandbox run",
        description="Run a Python file or a script in a sandbox.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="a .py file, a script with a #! line, or a shell script")
    parser.add_argument(
        "args", metavar="ARG", nargs="*", default=[], help="arguments of the program; those with dashes after --"
    )
    parser.add_argument(
        "--backend",
        choices=("auto", "docker", "bubblewrap"),
        default="auto",
        help="auto is docker where an engine answers, else bubblewrap (default auto)",
    )
    parser.add_argument(
        "--memory-mb",
        metavar="MB",
        type=int,
        default=default.memory_mb,
        help=f"MiB of memory (default {default.memory_mb})",
    )
    parser.add_argument(
        "--timeout-s",
        metavar="S",
        type=float,
        default=default.wall_s,
        help=f"seconds to its end (default {default.wall_s:g})",
    )
    parser.add_argument(
        "--cpus", metavar="N", type=float, default=default.cpus, help=f"processor cores (default {default.cpus:g})"
    )
    parser.add_argument(
        "--pids", metavar="N", type=int, default=default.pids, help=f"processes (default {default.pids})"
    )
    parser.add_argument(
        "--output-bytes",
        metavar="N",
        type=int,
        default=default.output_bytes,
        help=f"bytes of output (default {default.output_bytes})",
    )
    parser.add_argument(
        "--network",
        metavar="NAME",
        action="append",
        default=[],
        help="a host that may be reached over HTTP and HTTPS, such as docs.example.org; may be repeated",
    )
    parser.add_argument("--image", help="a Docker image instead of the base image")
    words = list(args)
    cut = words.index("--") if "--" in words else len(words)
    options = parser.parse_intermixed_args(words[:cut])
    path = Path(options.file)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SpecError(
            f"{options.file!r} cannot be read: {error.strerror}; type: agentrl sandbox run FILE, with a file of yours"
        ) from error
    name = path.name
    spec = SandboxSpec(
        image=options.image,
        memory_mb=options.memory_mb,
        wall_s=options.timeout_s,
        cpus=options.cpus,
        pids=options.pids,
        output_bytes=options.output_bytes,
        network=options.network,
    )
    with open_backend(options.backend, max_boxes=1) as backend, backend.lease(spec) as box:
        stdin = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
        box.write(name, content, mode=0o755)
        command = [*_interpreter(name, content), f"/work/{name}", *options.args, *words[cut + 1 :]]
        result = box.exec(command, stdin=stdin, on_output=shown(sys.stdout, sys.stderr))
    sys.stdout.flush()
    if not result.ok:
        print(f"agentrl sandbox run: {_told(result)}", file=sys.stderr)
    return exit_status(result)


def exit_status(result: ExecResult) -> int:
    """Return the status that a shell would give; never 0 for a job that met a limit."""
    if result.status in ("ok", "nonzero"):
        return result.exit_code or 0
    if result.status == "timeout":
        return 124
    return 128 + result.signal if result.signal else result.exit_code or 1


def shown(stdout: TextIO, stderr: TextIO) -> OnOutput:
    """Return a function that writes output as it comes: raw to a file or pipe, escaped to a terminal.

    On a terminal, whatever is neither printable nor a line break or tab appears as an escape: no output of a job moves
    the cursor, sets a title or reverses the order of what is read. The function raises `SandboxError` where nothing can
    be written, such as to a full disk; a reader that is gone stays a `BrokenPipeError`.
    """
    writers = {"stdout": _Writer(stdout, "standard output"), "stderr": _Writer(stderr, "standard error")}
    return lambda stream, data: writers[stream].write(data)


class _Writer:
    def __init__(self, out: TextIO, name: str) -> None:
        self._out = out
        self._name = name
        self._raw: BinaryIO | None = None if out.isatty() else getattr(out, "buffer", None)
        # Pieces may end within a character; what is no UTF-8 shows as \xNN.
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def write(self, data: bytes) -> None:
        try:
            self._write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            from agentrl.sandboxes.errors import SandboxError

            _to_nowhere(self._out)
            raise SandboxError(
                f"{self._name} cannot be written: {error.strerror}; the program was stopped. Send its output "
                "elsewhere, such as > out.txt where there is room"
            ) from error

    def _write(self, data: bytes) -> None:
        if self._raw is not None:
            self._out.flush()
            self._raw.write(data)
            self._raw.flush()
            return
        text = self._decoder.decode(data)
        self._out.write("".join(char if char in "\n\t" or char.isprintable() else _escape(char) for char in text))
        self._out.flush()


def _open_closed() -> None:
    # `>&-`: Python then has None there, and the next file to be opened would become standard output.
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _to_nowhere(out: TextIO) -> None:
    # Python writes what is left in the buffer once more at its end, and would complain again.
    try:
        target = out.fileno()
    except OSError:
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, target)
    os.close(nowhere)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _interpreter(name: str, content: bytes) -> list[str]:
    if name.endswith(".py"):
        return ["python3"]
    # A program or a script with #! runs by itself.
    return [] if content.startswith((b"#!", b"\x7fELF")) else ["sh"]


def _told(result: ExecResult) -> str:
    how = f"signal {result.signal}" if result.signal else f"exit status {result.exit_code}"
    hint = f"; {_HINTS[result.status]}" if result.status in _HINTS else ""
    return f"{result.status} ({how}, {result.wall_s:.1f} s){hint}"
