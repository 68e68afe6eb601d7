"""`AgentRL/SQL-v0`: a question about a database, answered by one SELECT query."""

__all__: list[str] = []
