"""The Docker backend: boxes are containers; `backend.py` is where to begin."""

from __future__ import annotations

__all__: list[str] = []
