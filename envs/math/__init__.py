"""`AgentRL/Math-v0`: word problems answered with a number."""

from agentrl.envs.math.env import MathEnv

__all__ = ["MathEnv"]
