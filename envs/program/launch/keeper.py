"""The keeper of one program: starts it, reads what it prints, and ends it together with everything that it started.

It adopts processes whose parent is gone (PR_SET_CHILD_SUBREAPER of prctl(2)), so that a program's daemons stay in
reach. It ends with the program, with the other end of its leash, or with the process that forked it.
"""

from __future__ import annotations

import asyncio
import ctypes
import dataclasses
import inspect
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["keep", "read_result", "sweep"]

_SUBREAPER, _DEATH_SIGNAL = 36, 1  # of prctl
_MOST_OUTPUT = 64 << 10  # bytes of what a program printed that are kept
_MOST_RESULT = 8 << 20  # bytes
_TOO_LONG = f"its result is longer than {_MOST_RESULT} bytes"
_FOLDER = "agentrl-program-"
_UNUSABLE = "unusable"  # a file that says so
_END_S = 8.0  # that ending everything may take


def sweep() -> None:
    """Remove the folders of keepers that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*-*"):
        pid = folder.name.removeprefix(_FOLDER).partition("-")[0]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)


def keep(program: Callable[..., Any] | None, trouble: str, order_fd: int, report_fd: int, leash_fd: int) -> None:
    """Run a program to its end and report how it ended, as JSON of `program.Ended`.

    Args:
        program: A callable; None: the order names a command.
        trouble: Why there is none, where that is so.
        order_fd: Where the order is read.
        report_fd: Where the report is written.
        leash_fd: The end of this pipe ends the program.
    """
    os.setsid()
    _prctl(_SUBREAPER, 1)
    with os.fdopen(order_fd, "rb") as file:
        file.seek(0)
        order = json.loads(file.read())
    report: dict[str, Any] = {"how": "unusable", "output": trouble}
    if not trouble:
        folder = tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-")
        try:
            report = _watched(program, order, folder, leash_fd, report_fd)
        finally:
            _end_all()
            shutil.rmtree(folder, ignore_errors=True)
    with suppress(BrokenPipeError), os.fdopen(report_fd, "wb") as out:
        out.write(json.dumps(report, default=str, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _watched(
    program: Callable[..., Any] | None, order: dict[str, Any], folder: str, leash_fd: int, report_fd: int
) -> dict[str, Any]:
    reads, writes = zip(*(os.pipe() for _ in range(2)), strict=True)  # of standard output and of standard error
    result_path = Path(folder, "result")
    result_fd = os.memfd_create("result")  # of a callable, which may remove the folder
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for fd in (leash_fd, report_fd, *reads):
                os.close(fd)
            _prctl(_DEATH_SIGNAL, signal.SIGKILL)
            if os.getppid() != keeper:
                return {}
            status = _become(program, order, folder, writes, result_path, result_fd)
        finally:
            os._exit(status)
    for fd in writes:
        os.close(fd)
    outputs = {fd: bytearray() for fd in reads}
    kept = {reads[0]: _MOST_RESULT + 1 if program is None else _MOST_OUTPUT, reads[1]: _MOST_OUTPUT}  # bytes
    ended_fd = os.pidfd_open(pid)
    poll = select.poll()
    for fd in (ended_fd, leash_fd, *reads):
        poll.register(fd, select.POLLIN | select.POLLHUP)
    stopped = ended = False
    while not (stopped or ended):
        for fd, _ in poll.poll():
            if fd in outputs:
                if not _drain(fd, outputs[fd], kept[fd]):
                    poll.unregister(fd)
            elif fd == leash_fd:
                stopped = True
            else:
                ended = True
    if stopped:
        return {"how": "lost", "output": _text(*outputs.values())}
    _, status = os.waitpid(pid, 0)
    for fd, output in outputs.items():
        os.set_blocking(fd, False)
        for _ in range(_MOST_OUTPUT >> 12):  # what it left running may go on printing
            if not _drain(fd, output, kept[fd]):
                break
    if program is None:
        return _told_by_command(status, result_path, *outputs.values())
    return _told(status, result_fd, *outputs.values())


def _told(status: int, result_fd: int, out: bytearray, err: bytearray) -> dict[str, Any]:
    """Return how a callable ended."""
    report: dict[str, Any] = {"output": _text(out, err), "code": 0}
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return report | {"how": "signal", "code": -code}
    written = os.pread(result_fd, _MOST_RESULT + 1, 0)
    if len(written) > _MOST_RESULT:
        return report | {"how": "raised", "output": _TOO_LONG}
    try:
        found = json.loads(written)
        more = {"output": report["output"] + str(found.get("trouble", ""))}
        return report | more | {"how": str(found["how"]), "code": int(found["code"]), "result": found["result"]}
    except (ValueError, KeyError, TypeError, AttributeError):  # it left by os._exit, or wrote there itself
        return report | {"how": "exited", "code": code}


def _told_by_command(status: int, result_path: Path, out: bytearray, err: bytearray) -> dict[str, Any]:
    """Return how a command ended."""
    report: dict[str, Any] = {"output": _text(out, err), "code": 0}
    code = os.waitstatus_to_exitcode(status)
    if result_path.with_name(_UNUSABLE).exists():
        return report | {"how": "unusable"}
    if code < 0:
        return report | {"how": "signal", "code": -code}
    if code:
        return report | {"how": "exited", "code": code}
    written = None
    with suppress(OSError), result_path.open("rb") as file:
        written = file.read(_MOST_RESULT + 1)
    if len(out if written is None else written) > _MOST_RESULT:
        return report | {"how": "raised", "output": _TOO_LONG}
    text = (out if written is None else written).decode(errors="replace")
    return report | {"how": "returned", "result": read_result(text)}


def _become(
    program: Callable[..., Any] | None,
    order: dict[str, Any],
    folder: str,
    writes: Sequence[int],
    result_path: Path,
    result_fd: int,
) -> int:
    """Turn this process into the program; return its exit status."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(writes[0], 1)
    os.dup2(writes[1], 2)
    os.environ.update(order["variables"] | {"TMPDIR": folder, "AGENTRL_RESULT": str(result_path)})
    tempfile.tempdir = None  # read anew
    if program is None:
        task = Path(folder, "task.json")
        task.write_text(json.dumps(order["task"]))
        os.environ["AGENTRL_TASK"] = str(task)
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execvpe(order["argv"][0], order["argv"], os.environ)
        except OSError as error:
            os.write(2, f"{order['argv'][0]}: {error.strerror}".encode())
            result_path.with_name(_UNUSABLE).touch()
            return 127
    sys.stdout = open(1, "w", buffering=1, closefd=False, errors="backslashreplace")  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False, errors="backslashreplace")  # noqa: SIM115
    random.seed(order["seed"])
    if (numpy := sys.modules.get("numpy")) is not None:  # else every fork would draw the same
        numpy.random.seed(order["seed"])
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(order["seed"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    own = os.getpid()
    told: dict[str, Any] = {"how": "returned", "code": 0, "result": None}
    try:
        value = program(task=order["task"], base_url=order["base_url"], api_key=order["api_key"])
        told["result"] = asyncio.run(_awaited(value)) if inspect.isawaitable(value) else value
    except SystemExit as error:
        told |= {"how": "exited", "code": error.code if isinstance(error.code, int) else int(error.code is not None)}
    except BaseException:
        traceback.print_exc()
        told["how"] = "raised"
    if os.getpid() != own:  # a child that the program forked, and that came back here
        return 0
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # it may have closed or replaced them
            stream.flush()
    try:
        written = json.dumps(told, default=_plainly).encode()
    except Exception as error:  # such as a dict whose keys are tuples
        trouble = f"it gave {type(told['result']).__name__} that is no plain data: {error}"
        written = json.dumps({"how": "raised", "code": 0, "result": None, "trouble": trouble}).encode()
    with os.fdopen(result_fd, "wb") as file:
        file.write(written)
    return 0


def _plainly(value: Any) -> Any:
    """Return a result's part as plain data where it says how: of numpy, pydantic and dataclasses; else as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    for method in ("model_dump", "tolist"):
        if callable(found := getattr(value, method, None)):
            return found()
    return list(value) if isinstance(value, set | frozenset) else str(value)


async def _awaited(value: Any) -> Any:
    return await value


def _drain(fd: int, output: bytearray, most: int) -> bool:
    """Read some; return False at the end."""
    try:
        data = os.read(fd, 1 << 16)
    except BlockingIOError:
        return False
    output += data
    del output[:-most]
    return bool(data)


def _text(*outputs: bytearray) -> str:
    return "".join(output[-_MOST_OUTPUT:].decode(errors="replace") for output in outputs)


def read_result(text: str) -> Any:
    """Return what a command gave: data where it is a JSON object or list, else text.

    >>> read_result(' {"a": 1}\\n'), read_result("4\\n")
    ({'a': 1}, '4')
    """
    text = text.strip()
    if text[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            return json.loads(text)
    return text


def _end_all() -> None:
    """Kill every process below this one, until there is none."""
    until = time.monotonic() + _END_S
    while time.monotonic() < until:
        for pid in _below(os.getpid()):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _below(top: int) -> list[int]:
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError, ValueError, IndexError), open(f"/proc/{entry}/stat", "rb") as file:
                parents[int(entry)] = int(file.read().rpartition(b")")[2].split()[1])
    found: list[int] = []
    wave = {top}
    while wave:
        wave = {pid for pid, parent in parents.items() if parent in wave}
        found += wave
    return found


def _prctl(option: int, value: int) -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
