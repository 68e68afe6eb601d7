"""What can go wrong in a bench, apart from the agent and the environment.

    BenchError
    |-- UsageError   (also ValueError)  an argument that cannot work
    |-- StoreError                      a run's file that cannot be read, written or gone on with
    `-- AgentError                      an agent that answers nothing usable, or that failed once too often

A failed episode is none of these: it is stored with its failure and counted apart.
"""

from __future__ import annotations

__all__ = ["AgentError", "BenchError", "OutOfRoom", "StoreError", "UsageError"]


class BenchError(Exception):
    """Root of every error that `agentrl.bench` raises."""


class UsageError(BenchError, ValueError):
    """An argument that cannot work; the message names the value and what to type instead."""


class StoreError(BenchError):
    """A run's file that cannot be read, written or gone on with; the message names it and what to do."""


class AgentError(BenchError):
    """An agent that answers nothing usable, or that failed once too often; the message says what it gave."""


class OutOfRoom(Exception):  # no error: an episode that is as long as the agent can read
    """Raised by a policy that can say nothing more: its episode ends as it stands, truncated and not solved."""
