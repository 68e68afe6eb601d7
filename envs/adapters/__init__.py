"""Environments of other suites in plain Gymnasium; each imports its suite when it is made."""

from agentrl.envs.adapters.foreign import ForeignEnv

__all__ = ["ForeignEnv"]
