"""`AgentRL/Python-v0`: questions about data files, answered with a persistent interpreter."""

from agentrl.envs.python.env import PythonEnv

__all__ = ["PythonEnv"]
