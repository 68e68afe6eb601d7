"""Families of questions, by the data that they are about."""

__all__: list[str] = []
