"""Formats in which a run's episodes are written for others: JSON lines, Parquet and Inspect's log."""

__all__: list[str] = []
