"""Which pages there are: address -> function that builds it from a request and the runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request

from agentrl.bench.viewer.pages.episode import episode
from agentrl.bench.viewer.pages.episodes import episodes
from agentrl.bench.viewer.pages.index import index
from agentrl.bench.viewer.runs import Library

__all__ = ["PAGES"]

PAGES: dict[str, Callable[[Request, Library], Awaitable[None]]] = {
    "/": index,
    "/run/{key}/episodes": episodes,
    "/run/{key}/episode": episode,
}
