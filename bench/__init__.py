"""Run agents over environments and tell how well they did: scores with intervals, runs that resume, comparison."""

__all__: list[str] = []
