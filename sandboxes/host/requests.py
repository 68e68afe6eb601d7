"""From a call's arguments to the body of a START: what is checked on the host before anything goes to the box."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.sandboxes.errors import SpecError
from agentrl.sandboxes.spec import PROXY_PORT, VARIABLE, SandboxSpec

__all__ = ["argv_of", "environment_of", "path_of", "request", "seconds_of"]

# The kernel takes at most 128 KiB for one argument (MAX_ARG_STRLEN), NUL included; the frame at most 256 KiB in all.
LONGEST_ARGUMENT = 131_071
MOST_ARGUMENTS = 204_800
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def argv_of(command: Sequence[str] | str) -> list[str]:
    """Return what to run: the arguments, or a string as a shell script.

    Raises:
        SpecError: Nothing to run, or something that is no text.
    """
    if not isinstance(command, Sequence) or isinstance(command, bytes | bytearray | memoryview):
        raise SpecError(
            f"command={command!r:.100} is {type(command).__name__}; write a str, which the shell runs, or a list of "
            "str, such as ['ls', '-l']"
        )
    argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
    if not argv or (isinstance(command, str) and not command.strip()):
        raise SpecError(f"command={command!r} is empty; write a program with its arguments, such as ['true']")
    for each in argv:
        if not isinstance(each, str):
            raise SpecError(f"command: {each!r:.100} is {type(each).__name__}; every argument must be a str")
    return argv


def environment_of(spec: SandboxSpec, more: Mapping[str, str] | None, path: str | None = None) -> dict[str, str]:
    """Return all that a job has in its environment; nothing of it is the host's.

    Args:
        spec: Of the lease.
        more: Of the call.
        path: The vessel's own PATH, where it has one.

    Raises:
        SpecError: A name or text that cannot be one.
    """
    environment = {"PATH": path or PATH, "HOME": "/work", "LANG": "C.UTF-8", "TMPDIR": "/tmp"}
    if spec.network:
        address = f"http://127.0.0.1:{PROXY_PORT}"
        environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), address)
        if spec.services:  # what is in the box itself is not the proxy's to reach
            environment |= dict.fromkeys(("NO_PROXY", "no_proxy"), "localhost,127.0.0.1")
    environment |= spec.environment
    for name, text in (more or {}).items():
        if not isinstance(name, str) or not VARIABLE.fullmatch(name) or not isinstance(text, str):
            raise SpecError(f"environment: {name!r:.100}={text!r:.100} must be a variable name and a text")
        environment[name] = text
    return environment


def path_of(path: str) -> str:
    """Return a path in the box; what is relative is below /work.

    Raises:
        SpecError: Empty, no text, or with NUL.
    """
    if not isinstance(path, str) or not path or "\0" in path:
        raise SpecError(f"path={path!r:.200} must be a text without NUL, such as 'answer.txt'")
    whole = posixpath.join("/work", path)
    if len(_bytes(whole)) > 4096:
        raise SpecError(f"path of {len(whole)} characters: the system takes at most 4096 bytes")
    return whole


def seconds_of(timeout_s: float | None, usual: float) -> float:
    """Return how long a job may last.

    Raises:
        SpecError: No number from 0.01 to a million.
    """
    if timeout_s is None:
        return usual
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or not 0.01 <= timeout_s <= 1e6:
        raise SpecError(f"timeout_s={timeout_s!r} must be a number from 0.01 to a million, or None for the spec's")
    return float(timeout_s)


def request(
    mode: str,
    spec: SandboxSpec,
    *,
    timeout_s: float | None,
    lane: str = "front",
    cwd: str = "/work",
    environment: Mapping[str, str] | None = None,
    argv: Sequence[str] = (),
    value_bytes: int = 0,
    **more: Any,
) -> dict[str, Any]:
    """Return the body of a START.

    Args:
        mode: "exec", "python", "session", "call", "write", "read" or "list".
        spec: Of the lease.
        timeout_s: Seconds of wall time; None for none.
        lane: "front" or "back".
        cwd: Where it starts.
        environment: All of it.
        argv: The arguments, for "exec".
        value_bytes: Most bytes of its result.
        more: What the mode needs besides.

    Raises:
        SpecError: NUL in an argument or variable, or more of them than the system takes.
    """
    environment = environment or {}
    texts = [*argv, *(f"{name}={text}" for name, text in environment.items())]
    total = 0
    for each in texts:
        size = len(_bytes(each))
        if "\0" in each:
            raise SpecError(f"{each!r:.100} holds NUL, which no argument or variable can")
        if size > LONGEST_ARGUMENT:
            raise SpecError(f"{each!r:.40} takes {size} bytes; the system takes {LONGEST_ARGUMENT} for one argument")
        total += size + 1
    if total > MOST_ARGUMENTS:
        raise SpecError(f"arguments and environment take {total} bytes; the most is {MOST_ARGUMENTS}: use stdin")
    body = {
        "mode": mode,
        "lane": lane,
        "timeout_s": timeout_s,
        "cpu_s": spec.cpu_s,
        "output_bytes": spec.output_bytes,
        "value_bytes": value_bytes,
        "cwd": path_of(cwd),
        "env": dict(environment),
        "open_files": spec.open_files,
        **more,
    }
    return body | {"argv": list(argv)} if argv else body


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise SpecError(f"{text!r:.100} is not text that has bytes: {error.reason}") from None
