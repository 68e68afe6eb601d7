"""Sandboxes: run code that nobody vouches for. Stands by itself; see README.md in this folder for the threat model.

with open_backend("auto") as backend, backend.lease(SandboxSpec(memory_mb=256)) as box:
    print(box.exec(["python3", "-c", "print(6 * 7)"]).stdout_text)
"""

from agentrl.sandboxes.base import Backend, Capabilities, Interpreter, Process, Sandbox
from agentrl.sandboxes.errors import (
    LimitNotHeld,
    SandboxBusy,
    SandboxClosed,
    SandboxDied,
    SandboxError,
    SandboxFileError,
    SandboxUnavailable,
    SpecError,
)
from agentrl.sandboxes.grader import Case, Grade, grade
from agentrl.sandboxes.open import BACKENDS, open_backend
from agentrl.sandboxes.results import CallResult, CellResult, Entry, ExecResult
from agentrl.sandboxes.scripted import ScriptedBackend
from agentrl.sandboxes.spec import SandboxSpec

__all__ = [
    "BACKENDS",
    "Backend",
    "CallResult",
    "Capabilities",
    "Case",
    "CellResult",
    "Entry",
    "ExecResult",
    "Grade",
    "Interpreter",
    "LimitNotHeld",
    "Process",
    "Sandbox",
    "SandboxBusy",
    "SandboxClosed",
    "SandboxDied",
    "SandboxError",
    "SandboxFileError",
    "SandboxSpec",
    "SandboxUnavailable",
    "ScriptedBackend",
    "SpecError",
    "grade",
    "open_backend",
]
