"""Boxes kept ready and given back, bounded; `pool.py` is where to begin."""

from __future__ import annotations

__all__: list[str] = []
