"""One call of a candidate's function: its module is loaded in a process of its own; a value or an error comes out.

All of it is the candidate's word. It may write to the result channel itself, leave early, or never return; the host
compares, bounds and counts, and nothing it compares with is ever here.
"""

from __future__ import annotations

import json
import os
import sys
import traceback

from agentrl.sandboxes.worker import values

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["run"]

RESULT = 3
MODULE = "candidate"


def run(request: dict[str, Any], source: bytes, payload: bytes) -> NoReturn:
    """Load, call, answer with one line on the result channel, and end without any of the candidate's last words."""
    os.set_inheritable(RESULT, False)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    code = 1
    try:
        # Bound before the candidate runs; not a defence, since it shares the process, but an accident spared.
        dumps, tag, line = json.dumps, values.tag, b""
        try:
            args, kwargs = values.load(payload, most_bytes=len(payload))
            result = _resolve(request, source)(*args, **kwargs)
            line = dumps({"value": tag(result)}, separators=(",", ":")).encode()
            if len(line) > request["value_bytes"]:
                raise values.ValueNotCarried(f"a value of {len(line)} bytes")
            code = 0
        except BaseException as error:
            _show(error)
            line = dumps({"error": _last_line(error)}).encode()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                code = code or 120  # as Python does when its last flush fails
        rest = memoryview(line + b"\n")
        while rest:
            rest = rest[os.write(RESULT, rest) :]
    finally:
        os._exit(code)


def _resolve(request: dict[str, Any], source: bytes) -> Any:
    path = request.get("path")
    name = MODULE
    if path:
        path = os.path.abspath(path)
        name = os.path.splitext(os.path.basename(path))[0]
        sys.path[0] = os.path.dirname(path)
        with open(path, "rb") as file:
            source = file.read()
    module = type(sys)(name)
    module.__file__ = path or "<candidate>"
    sys.modules[name] = module
    sys.argv = [module.__file__]
    exec(compile(source, module.__file__, "exec", dont_inherit=True), module.__dict__)
    found: Any = module
    for part in request["function"].split("."):
        found = getattr(found, part)
    return found


def _show(error: BaseException) -> None:
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith("<agentrl."):
        trace = trace.tb_next
    try:
        traceback.print_exception(type(error), error, trace)
    except BaseException as second:
        os.write(2, (f"{type(second).__name__} while the error was printed\n").encode("utf-8", "replace"))


def _last_line(error: BaseException) -> str:
    try:
        lines = traceback.format_exception_only(type(error), error)
        return lines[-1].strip()[:2000] if isinstance(error, SyntaxError) else "".join(lines).strip()[:2000]
    except BaseException:
        return type(error).__name__
