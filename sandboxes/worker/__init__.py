"""The worker, which runs inside a box: `main.py` there is where to begin, `source.py` is how it gets in."""

from __future__ import annotations

__all__: list[str] = []
