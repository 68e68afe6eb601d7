"""A local web page over training runs and benches: find them, chart them, read every episode, compare."""

__all__: list[str] = []
