"""What goes to a candidate's function and what comes back, both as tagged JSON; the latter is the candidate's word."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.sandboxes.errors import SpecError
from agentrl.sandboxes.host.runs import Ended, Run
from agentrl.sandboxes.results import CallResult
from agentrl.sandboxes.worker.values import ValueNotCarried, dump, untag

__all__ = ["call_input", "call_result"]

LONGEST_ERROR = 2000
REASONS = {
    "timeout": "it did not return in time",
    "cpu_timeout": "it used up its processor time",
    "oom": "it met the memory limit",
    "pids": "it met the limit on processes",
    "output_limit": "it wrote more than its output limit",
}


def call_input(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    """Return the arguments of a call as tagged JSON.

    Raises:
        SpecError: One of them cannot be carried.
    """
    if isinstance(args, str | bytes):
        raise SpecError(f"args={args!r:.60} must be a list or tuple of arguments; write [{args!r:.60}]")
    try:
        return dump([list(args), dict(kwargs)])
    except ValueNotCarried as error:
        raise SpecError(
            f"arguments: {error}; None, bool, int, float, str, bytes, list, tuple, dict, set and frozenset can be"
        ) from None


def call_result(run: Run, ended: Ended) -> CallResult:
    """Return the record of a call that has ended.

    Flags: "exited" (it left without returning), "killed" (by a signal), "several_values" (more came back than one),
    "forged_value" (what came back is none), "died_after_value" (it returned, and ended otherwise than it should).
    """
    lines = bytes(run.value).split(b"\n")
    flags: list[str] = []
    value, error, returned = None, None, False
    if run.value:
        try:
            value, error, returned = _reply(lines[0])
        except ValueNotCarried as fault:
            flags, error = ["forged_value"], f"what came back is no value: {fault}"
        if len(lines) != 2 or lines[1]:
            flags, error = [*flags, "several_values"], "more came back than one value"
        elif returned and ended.status != "ok":
            flags = ["died_after_value"]
        elif error and error.startswith("SystemExit"):
            flags = ["exited"]
    elif ended.status == "signal":
        flags = ["killed"]
    elif ended.status in ("ok", "nonzero"):
        flags = ["exited"]
    if error is None and (flags or ended.status != "ok"):
        left = (
            f"it left with exit code {ended.exit_code}" if ended.signal is None else f"signal {ended.signal} ended it"
        )
        error = REASONS.get(ended.status) or ended.message or left
    returned = returned and not flags and ended.status == "ok"
    return CallResult(
        status=ended.status if returned or ended.status != "ok" else "nonzero",
        returned=returned,
        value=value if returned else None,
        error=error[:LONGEST_ERROR] if error else None,
        stdout=bytes(run.stdout),
        stderr=bytes(run.stderr),
        wall_s=ended.wall_s,
        flags=tuple(flags),
    )


def _reply(line: bytes) -> tuple[Any, str | None, bool]:
    """Return the value, the error, and whether it is a value."""
    try:
        reply = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ValueNotCarried("not JSON") from None
    if not isinstance(reply, dict) or len(reply) != 1:
        raise ValueNotCarried("not an object with a value")
    if "value" in reply:
        return untag(reply["value"]), None, True
    error = reply.get("error")
    if not isinstance(error, str):
        raise ValueNotCarried("neither a value nor an error")
    return None, error, False


def _no_constant(text: str) -> float:
    raise ValueError(text)
