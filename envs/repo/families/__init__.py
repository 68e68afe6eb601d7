"""The kinds of repositories, a file for each group of them; `catalogue.py` lists them all."""

__all__: list[str] = []
