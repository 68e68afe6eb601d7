"""Environments on another machine: a server of them, and the client that is an environment itself."""

from agentrl.envs.remote.client import RemoteEnv

__all__ = ["RemoteEnv"]
