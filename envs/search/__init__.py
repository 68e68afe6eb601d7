"""`AgentRL/Search-v0`: multi-hop questions answered by searching and reading."""

from agentrl.envs.search.env import SearchEnv

__all__ = ["SearchEnv"]
