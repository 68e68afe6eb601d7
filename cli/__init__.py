"""The `agentrl` command."""

__all__: list[str] = []
