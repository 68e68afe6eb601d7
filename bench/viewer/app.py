"""The server: one application out of the pages, behind the guard, on one address.

Pages belong to the process, so one process serves one set of folders.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from agentrl.bench.errors import BenchError, UsageError
from agentrl.bench.viewer.guard import Guard, here
from agentrl.bench.viewer.runs import Library
from agentrl.envs.remote.listening import bind, checked_token, shown_host

__all__ = ["MISSING", "make_app", "serve"]

MISSING = "agentrl view needs NiceGUI, which is not installed; type: pip install 'agentrl-gym[view]'"


def make_app(folders: Sequence[Path], *, token: str, port: int) -> Any:
    """Return the ASGI application.

    Args:
        folders: Where runs are looked for.
        token: Asked of every request; empty for none.
        port: Of the server.

    Raises:
        UsageError: NiceGUI is not installed.
    """
    try:
        from fastapi import FastAPI, Request
        from fastapi.responses import RedirectResponse
        from nicegui import core, ui
        from starlette.middleware.gzip import GZipMiddleware
    except ImportError as error:
        raise UsageError(MISSING) from error
    from agentrl.bench.viewer.pages.listed import PAGES
    from agentrl.bench.viewer.parts import THEME_COOKIE

    library = Library(folders)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def theme(request: Request) -> RedirectResponse:
        came = urlsplit(request.headers.get("referer", ""))  # its path alone, so that the way stays on this viewer
        back = here(came.path) + (f"?{came.query}" if came.query else "")
        answer = RedirectResponse(back, status_code=303)
        name = str(request.path_params["name"])
        if name in ("light", "dark", "auto"):
            answer.set_cookie(THEME_COOKIE, name, max_age=365 * 86400, httponly=True, samesite="lax")
        return answer

    app.add_route("/theme/{name}", theme)
    for path, build in PAGES.items():
        _mount(path, build, library)
    ui.run_with(
        app,
        title="AgentRL",
        favicon=_ICON,
        dark=None,
        language="en-US",
        tailwind=False,
        gzip_middleware_factory=None,
        show_welcome_message=False,
        reconnect_timeout=10.0,
    )
    core.app.router.routes[:] = [route for route in core.app.router.routes if getattr(route, "path", "") not in _CLOSED]
    return GZipMiddleware(Guard(app, token=token, port=port), minimum_size=1000)


_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#2a6fdb"/>'
    '<path d="M6 23c5 0 6-4 9-8s5-6 11-6" fill="none" stroke="#fff"'
    ' stroke-width="3" stroke-linecap="round"/><circle cx="26" cy="9" r="2.6" fill="#fff"/></svg>'
)
_CLOSED = ("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json")


def serve(folders: Sequence[Path], *, host: str = "127.0.0.1", port: int = 8080, token: str | None = None) -> None:
    """Serve until interrupted; print the address.

    Args:
        folders: Where runs are looked for.
        host: Address to bind to; any but loopback asks for a token.
        port: 0 takes a free one.
        token: None makes one where one is needed.

    Raises:
        UsageError: The address cannot be bound, or NiceGUI is not installed.
    """
    token = checked_token(token, host)
    with bind(host, port) as listening:
        port = int(listening.getsockname()[1])
        app = make_app(folders, token=token, port=port)
        import uvicorn

        asked = f"?token={quote(token, safe='')}" if token else ""
        print(f"http://{shown_host(host)}:{port}/{asked}", flush=True)  # noqa: T201  # to be opened
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
        )
        uvicorn.Server(config).run(sockets=[listening])


def _mount(path: str, build: Callable[..., Awaitable[None]], library: Library) -> None:
    from fastapi import Request
    from nicegui import ui

    from agentrl.bench.viewer.parts import frame, note

    async def page(request: Request) -> None:
        try:
            await build(request, library)
        except BenchError as error:  # before anything was drawn: the address names what is not there
            ui.context.client.status_code = 404
            with frame(request, "Not here", ("Runs", "/")):
                note(error)

    page.__annotations__["request"] = Request  # read by FastAPI, which cannot see a name of a function
    ui.page(path, response_timeout=60)(page)
