"""The allow-list by name: a filtering proxy on the host, at the far end of a tunnel through the worker."""

from __future__ import annotations

__all__: list[str] = []
