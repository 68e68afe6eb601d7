"""What can go wrong in an environment, apart from the policy.

    EnvError
    |-- UsageError            (also ValueError)  an argument that cannot work
    |-- DataError             (also ValueError)  a bad row in the user's own data
    `-- InfrastructureError   a part below the environment failed; becomes info["failure"], never a reward

A wrong answer, a malformed call or a missed limit is none of these: that is data.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["DataError", "EnvError", "InfrastructureError", "UsageError", "nearest"]


class EnvError(Exception):
    """Root of every error that `agentrl.envs` raises."""


class UsageError(EnvError, ValueError):
    """An argument that cannot work; the message names the value and what to type instead."""


class DataError(EnvError, ValueError):
    """A row of the user's own data that cannot be used; the message names file, line and field."""


class InfrastructureError(EnvError):
    """A part below the environment failed: a retriever, a judge, a sandbox.

    Args:
        message: What failed and with what value.
        kind: A short stable word for counting, such as "timeout" or "unreachable".
        boundary: The part that failed, such as "retriever".
    """

    def __init__(self, message: str, *, kind: str, boundary: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.boundary = boundary

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (str(self), self.kind, self.boundary))


def nearest(value: object, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the closest known name, or an empty string, as for what is no text.

    >>> nearest("tset", ["train", "test"])
    "; did you mean 'test'?"
    """
    match = difflib.get_close_matches(value, list(known), n=1) if isinstance(value, str) else []
    return f"; did you mean {match[0]!r}?" if match else ""


def _rebuild(message: str, kind: str, boundary: str) -> InfrastructureError:
    return InfrastructureError(message, kind=kind, boundary=boundary)
