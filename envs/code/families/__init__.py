"""Families of programming tasks, by topic."""

__all__: list[str] = []
