"""The kinds of tasks, by the site on which they happen; `catalogue.py` names them all."""

__all__: list[str] = []
