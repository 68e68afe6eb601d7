"""Small git repositories with a failing behaviour: read, edit, run the tests; see README.md of this folder."""

from agentrl.envs.repo.env import RepoEnv

__all__ = ["RepoEnv"]
