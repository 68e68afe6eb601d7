"""What a model reads after it ran its code: the end of a program, and the examples one by one."""

from __future__ import annotations

from agentrl.envs.code.checks import Check, written
from agentrl.envs.code.source import whole
from agentrl.envs.code.tasks import Task
from agentrl.envs.tools.codebox import CodeBox
from agentrl.envs.turns import capped
from agentrl.sandboxes import ExecResult

__all__ = ["examples_told", "program_told"]

_ERROR_CHARS = 1200  # of an error's end, where the reason stands
_VALUE_CHARS = 400
_ENDS = {
    "timeout": "was stopped: it took too long",
    "cpu_timeout": "was stopped: it took too much processor time",
    "oom": "was stopped: it took too much memory",
    "pids": "was stopped: it started too many processes",
    "output_limit": "was stopped: it wrote too much",
}


def program_told(result: ExecResult) -> str:
    """Say what a program wrote and how it ended."""
    if result.status == "ok":
        ended = "ended well"
    elif result.status == "nonzero":
        ended = f"ended with exit code {result.exit_code}"
    elif result.status == "signal":
        ended = f"ended by signal {result.signal}"
    else:
        ended = _ENDS[result.status]
    parts = [f"The program {ended}."]
    parts.append(f"Output:\n{result.stdout_text.rstrip()}" if result.stdout.strip() else "It printed nothing.")
    if result.stderr.strip():
        parts.append(f"Errors:\n{result.stderr_text.rstrip()[-_ERROR_CHARS:]}")
    return "\n".join(parts)


def examples_told(box: CodeBox, task: Task, source: str) -> str:
    """Run a source on the public examples; say for each what came out and what is expected."""
    text, function = whole(task, source)
    if task.kind == "program":
        told = [_program(box, text, check) for check in task.examples]
    else:
        told = [_function(box, function, task.function, text, check) for check in task.examples]
    num_right = sum(right for right, _ in told)
    return "\n".join([f"{num_right} of {len(told)} examples are right.", *(text for _, text in told)])


def _function(box: CodeBox, function: str, name: str, source: str, check: Check) -> tuple[bool, str]:
    result = box.call(function, check.args, source=source)
    right = result.returned and check.passes(result.value)
    if result.returned:
        got = f"returned {_short(written(result.value))}"
    elif result.status in _ENDS:
        got = _ENDS[result.status]
    else:
        got = f"gave no value: {_short(result.error or result.status)}"
    said = "right" if right else f"wrong, {check.wanted()}"
    printed = result.stdout.decode("utf-8", "replace").rstrip()
    return right, f"{check.call(name)} {got}: {said}" + (f"\n  printed: {_short(printed)}" if printed else "")


def _program(box: CodeBox, source: str, check: Check) -> tuple[bool, str]:
    result = box.run(source, stdin=check.args[0].encode())
    right = result.ok and check.passes(result.stdout_text, program=True)
    if right:
        return True, f"Input {_short(repr(check.args[0]))}: right"
    return False, f"Input {_short(repr(check.args[0]))}: wrong\n{program_told(result)}\nExpected:\n{check.expected}"


def _short(text: str) -> str:
    return capped(text, _VALUE_CHARS)
