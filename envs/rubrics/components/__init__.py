"""Components in the box: factories of scorers over one episode, each computed without a model; see `catalogue.py`."""

__all__: list[str] = []
