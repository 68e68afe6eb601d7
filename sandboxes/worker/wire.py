"""The worker's output: frames to the host, by blocking writes, and the last of them."""

from __future__ import annotations

import os
import select

from agentrl.sandboxes.worker.frames import END, FATAL, NO_RUN, pack_json

TYPE_CHECKING = False  # not from typing, whose import would take milliseconds of every start
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["answer", "fatal", "send"]


def send(data: bytes) -> None:
    """Write frames to the host."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(1, rest) :]
        except BlockingIOError:
            select.select([], [1], [])
        except BrokenPipeError:
            os._exit(0)


def answer(run: bytes, why: str | None, wall_s: float) -> None:
    """Say END of what the worker itself was asked to do: done, or why not."""
    body: dict[str, Any] = {"status": "nonzero" if why else "ok", "exit_code": 1 if why else 0, "signal": None}
    body.update(wall_s=wall_s, cpu_s=0.0, left=False)
    if why:
        body["error"] = {"errno": None, "message": why}
    send(pack_json(END, run, body))


def fatal(reason: str) -> NoReturn:
    """Give up: say why, and end the box by ending."""
    send(pack_json(FATAL, NO_RUN, {"reason": reason[:1000]}))
    os._exit(1)
