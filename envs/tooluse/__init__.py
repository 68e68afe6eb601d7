"""`AgentRL/ToolUse-v0`: serve a user by tools over a database, within a policy."""

__all__: list[str] = []
