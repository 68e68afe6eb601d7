"""The checks, one file for each group; `agentrl.envs.checker.catalogue` puts them in order."""

__all__: list[str] = []
