"""What can go wrong in a sandbox, apart from the program that runs in it.

    SandboxError
    |-- SpecError            (also ValueError)  a spec, path or argument that cannot work
    |-- LimitNotHeld                            a strict spec asks for a limit that this backend cannot hold here
    |-- SandboxUnavailable                      no backend, image or engine; names the command that mends it
    |-- SandboxBusy                             no box became free within the time that the caller would wait
    |-- SandboxDied                             the box is gone, or did not answer, or broke the protocol
    |-- SandboxClosed                           the lease was given back already
    `-- SandboxFileError     (also OSError)     a path inside: missing, not a regular file, not permitted, too large

A program that fails, hangs, is killed or meets a limit is none of these: that is an `ExecResult`. An error here is the
infrastructure's, except `SpecError` and `SandboxFileError`, which are the caller's or the program's own doing.
"""

from __future__ import annotations

__all__ = [
    "LimitNotHeld",
    "SandboxBusy",
    "SandboxClosed",
    "SandboxDied",
    "SandboxError",
    "SandboxFileError",
    "SandboxUnavailable",
    "SpecError",
]


class SandboxError(Exception):
    """Root of every error that `agentrl.sandboxes` raises."""


class SpecError(SandboxError, ValueError):
    """A spec, path or argument that cannot work; the message names the value and what to type instead."""


class LimitNotHeld(SandboxError):
    """A spec with `strict=True` asks for a limit that this backend cannot hold on this machine."""


class SandboxUnavailable(SandboxError):
    """There is no backend, engine or image to run in; the message ends with the command that mends it."""


class SandboxBusy(SandboxError):
    """No box became free within the time that the caller was ready to wait."""


class SandboxDied(SandboxError):
    """The box is gone, stopped answering, or broke the protocol; what ran in it is lost. Lease another one."""


class SandboxClosed(SandboxError):
    """The lease was given back; its box may belong to somebody else by now."""


class SandboxFileError(SandboxError, OSError):
    """A path in the box could not be used: missing, not a regular file, not permitted, too large, no space."""
