"""`agentrl serve --mcp ENV`: an environment's tools for clients of MCP, over standard input and output or over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from argparse import Namespace
from typing import Any

from agentrl.envs.errors import UsageError
from agentrl.envs.remote.listening import bind, checked_token, shown_host
from agentrl.envs.remote.sessions import Limits

__all__ = ["serve_mcp"]


def serve_mcp(env_id: str, kwargs: dict[str, Any], options: Namespace, limits: Limits) -> None:
    """Serve until interrupted, or until the one client of standard input and output has left.

    Args:
        env_id: Of the environment.
        kwargs: For `gymnasium.make`.
        options: Of the command line: `mcp_http`, `host`, `port`, `token`.
        limits: What is allowed.

    Raises:
        UsageError: The SDK is not installed, or the environment cannot be served.
    """
    try:
        import mcp  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise UsageError(f"{error.name} is not installed; type: pip install 'agentrl-gym[mcp]'") from error
    from agentrl.envs.remote.mcp_transport import PATH, http_app, serve_stdio

    if not options.mcp_http:
        with contextlib.redirect_stdout(sys.stderr):  # what an environment prints is no message of the protocol
            tools = _tools(env_id, kwargs)
        asyncio.run(serve_stdio(env_id, kwargs, tools, limits))
        return
    token = checked_token(options.token, options.host)
    app = http_app(env_id, kwargs, _tools(env_id, kwargs), token=token, limits=limits)
    with bind(options.host, options.port) as listening:
        print(f"http://{shown_host(options.host)}:{listening.getsockname()[1]}{PATH}", flush=True)
        print(f"serving {env_id} as an MCP server; Ctrl-C stops", file=sys.stderr)
        if token and options.token is None:
            print(f"clients must show this token as a bearer: {token}", file=sys.stderr)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2
        )
        uvicorn.Server(config).run(sockets=[listening])


def _tools(env_id: str, kwargs: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the schemas of the tools of one task, as clients see them before their first.

    Raises:
        UsageError: The environment cannot be made, or its task cannot be set up.
    """
    import gymnasium

    try:
        env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
        try:
            _, info = env.reset(seed=0)
        finally:
            env.close()
    except Exception as error:  # somebody else's code
        raise UsageError(f"{env_id} cannot be served: {type(error).__name__}: {error}") from error
    return list(info.get("tools") or ())
