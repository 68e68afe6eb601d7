"""`agentrl serve ENV`: environments over HTTP and WebSocket, for clients in other languages and on other machines.

With `--mcp` it is one environment's tools for clients of MCP instead.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from agentrl.cli.registry import find_env
from agentrl.cli.serve_mcp import serve_mcp
from agentrl.cli.truths import read_object
from agentrl.envs.errors import UsageError
from agentrl.envs.remote.listening import bind, checked_token, shown_host
from agentrl.envs.remote.sessions import Limits

__all__ = ["run"]

_EXAMPLES = """examples:
  agentrl serve AgentRL/Search-v0
  agentrl serve AgentRL/Search-v0 AgentRL/Math-v0 --port 8300 --max-sessions 64
  agentrl serve --mcp AgentRL/Search-v0             # for a client of MCP that starts this command itself
  agentrl serve --mcp-http AgentRL/Search-v0        # for clients of MCP over streamable HTTP, at /mcp
  agentrl serve AgentRL/Code-v0 --host 0.0.0.0      # for other machines: prints a token that they must show

In Python:
  env = gym.make("AgentRL/Remote-v0", url="http://127.0.0.1:8300", env_id="AgentRL/Search-v0")
In any language: a WebSocket at /v1/connect, or HTTP as /docs describes it."""


def run(args: Sequence[str]) -> int:
    """Serve until interrupted; return 0."""
    options = _parser().parse_args(args)
    envs = {find_env(env): read_object("--kwargs", options.kwargs) for env in options.env}
    limits = Limits(max_sessions=options.max_sessions, idle_s=options.idle_s, deadline_s=options.deadline_s)
    if options.mcp or options.mcp_http:
        if len(envs) > 1:
            raise UsageError(f"--mcp serves one environment, not {', '.join(envs)}; start a server for each")
        ((env_id, kwargs),) = envs.items()
        _check(env_id, kwargs)
        serve_mcp(env_id, kwargs, options, limits)
        return 0
    token = checked_token(options.token, options.host)
    try:
        import uvicorn

        from agentrl.envs.remote.server import make_app
    except ImportError as error:
        raise UsageError(f"{error.name} is not installed; type: pip install 'agentrl-gym[serve]'") from error
    for env_id, kwargs in envs.items():
        _check(env_id, kwargs)
    with bind(options.host, options.port) as listening:
        address = f"http://{shown_host(options.host)}:{listening.getsockname()[1]}"
        print(address, flush=True)
        print(f"serving {', '.join(envs)}; Ctrl-C stops", file=sys.stderr)
        if token and options.token is None:
            print(f"clients must show this token, such as in AGENTRL_TOKEN: {token}", file=sys.stderr)
        config = uvicorn.Config(
            make_app(envs, token=token, limits=limits),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="websockets-sansio",
            timeout_graceful_shutdown=2,
        )
        uvicorn.Server(config).run(sockets=[listening])
    return 0


def _check(env_id: str, kwargs: dict[str, Any]) -> None:
    """Refuse an environment that cannot be made, or speaks no text.

    Raises:
        UsageError: It cannot be served.
    """
    import gymnasium
    from gymnasium.spaces import Text

    try:
        env = gymnasium.make(env_id, disable_env_checker=True, **kwargs)
    except Exception as error:  # somebody else's code
        raise UsageError(f"{env_id} cannot be made: {type(error).__name__}: {error}") from error
    speaks = isinstance(env.action_space, Text) and isinstance(env.observation_space, Text)
    env.close()
    if not speaks:
        raise UsageError(f"{env_id} speaks no text, which is what is served; wrap it so that its spaces are Text")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentrl serve",
        description="Serve environments over HTTP and WebSocket: each connection is a session with an environment.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("env", nargs="+", metavar="ENV", help="environment id, such as AgentRL/Search-v0")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve at (default 127.0.0.1, this machine)")
    parser.add_argument("--port", type=int, default=8300, help="default 8300; 0 takes a free one")
    parser.add_argument("--token", metavar="TEXT", help="what clients must show; made with a --host for others")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--mcp", action="store_true", help="an MCP server on standard input and output, for one client")
    how.add_argument("--mcp-http", action="store_true", help="an MCP server over streamable HTTP, at /mcp")
    parser.add_argument("--kwargs", default="{}", metavar="JSON", help="arguments of the environments, as an object")
    parser.add_argument("--max-sessions", type=int, default=Limits.max_sessions, metavar="N", help="at once (256)")
    parser.add_argument(
        "--idle-s", type=float, default=Limits.idle_s, metavar="S", help="silence that ends a session over HTTP (600)"
    )
    parser.add_argument(
        "--deadline-s", type=float, default=Limits.deadline_s, metavar="S", help="of one reset or step (120)"
    )
    return parser
