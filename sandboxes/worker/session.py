"""An interpreter session: cells come in, output and replies go out, names stay from one cell to the next.

A cell is 4 bytes of length, 4 bytes of number and its source; a reply is one JSON line on the result channel, after the
cell's output. It says the number, so that a process which a cell forked, and which replies too, answers no later cell.
"""

from __future__ import annotations

import ast
import json
import linecache
import os
import sys
import traceback

from agentrl.sandboxes.worker.program import fresh_main

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from typing import Any

__all__ = ["run"]

RESULT = 3
LONGEST_REPR = 65_536


def run(request: dict[str, Any]) -> None:
    """Serve cells until the host has no more."""
    cells = os.dup(0)  # not inheritable, and a program that reads its standard input must not eat cells
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.set_inheritable(RESULT, False)
    sys.argv = ["-c"]
    space = fresh_main()
    # A character takes at most 12 bytes of JSON, so that a reply always fits.
    most = min(LONGEST_REPR, max(256, request["value_bytes"] // 16))
    number = 0
    while True:
        head = _take(cells, 8)
        if head is None:
            return
        source = _take(cells, int.from_bytes(head[:4], "big"))
        if source is None:
            return
        number += 1
        value, error = _run_cell(source.decode("utf-8", "replace"), f"<cell {number}>", space, most)
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            try:
                stream.flush()  # type: ignore[union-attr]
            except Exception as failure:  # a cell may have closed or replaced it; that is its own doing, and it is told
                error = error or f"{type(failure).__name__}: the cell's output could not be written"
        reply = {
            "status": "error" if error else "ok",
            "value": value,
            "error": error,
            "cell": int.from_bytes(head[4:], "big"),
        }
        rest = memoryview(json.dumps(reply).encode() + b"\n")
        while rest:
            rest = rest[os.write(RESULT, rest) :]


def _run_cell(
    source: str,
    name: str,
    space: dict[str, Any],
    most: int,
) -> tuple[str | None, str | None]:
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    try:
        tree = ast.parse(source, name)
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
        exec(compile(tree, name, "exec", dont_inherit=True), space)
        if last is None:
            return None, None
        value = eval(compile(last, name, "eval", dont_inherit=True), space)
        if value is None:
            return None, None
        text = repr(value)
        if len(text) > most:
            text = f"{text[:most]}... ({len(text) - most} characters more)"
        return text, None
    except BaseException as error:
        return None, _describe(error)[-most:]


def _describe(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith("<agentrl."):
        trace = trace.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, trace))
    except BaseException as second:
        return f"{type(error).__name__} (and {type(second).__name__} while it was printed)"


def _take(fd: int, size: int) -> bytes | None:
    parts: list[bytes] = []
    while size:
        part = os.read(fd, min(size, 1 << 16))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
