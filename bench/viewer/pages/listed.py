"""Which pages there are: address -> function that builds it from a request and the runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request

from agentrl.bench.viewer.pages.comparison import compare_page, flip_page
from agentrl.bench.viewer.pages.curves import curves
from agentrl.bench.viewer.pages.episode import episode
from agentrl.bench.viewer.pages.episodes import episodes
from agentrl.bench.viewer.pages.index import index
from agentrl.bench.viewer.pages.overview import run_page
from agentrl.bench.viewer.pages.tasks import task, tasks
from agentrl.bench.viewer.runs import Library

__all__ = ["PAGES"]

PAGES: dict[str, Callable[[Request, Library], Awaitable[None]]] = {
    "/": index,
    "/curves": curves,
    "/run/{key}": run_page,
    "/compare": compare_page,
    "/compare/task": flip_page,
    "/run/{key}/tasks": tasks,
    "/run/{key}/task": task,
    "/run/{key}/episodes": episodes,
    "/run/{key}/episode": episode,
}
