"""The host's side of a worker: the link to it, the box around it, and the lease that a user holds."""

from __future__ import annotations

__all__: list[str] = []
