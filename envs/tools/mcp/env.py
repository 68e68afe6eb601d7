"""`AgentRL/Mcp-v0`: another environment with the tools of MCP servers, by arguments alone.

For what makes an environment by its name and arguments, as the bench, the check and the server of environments do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium

from agentrl.envs.errors import UsageError
from agentrl.envs.tools.mcp.words import mapping_of
from agentrl.envs.tools.mcp.wrapper import McpTools

__all__ = ["make"]


def make(
    *,
    env_id: str = "",
    tools: str | Sequence[str] = (),
    env_kwargs: Mapping[str, Any] | str | None = None,
    **kwargs: Any,
) -> McpTools:
    """Make an environment with the tools of servers.

    Args:
        env_id: Of the environment, such as "AgentRL/Search-v0".
        tools: The servers; see `McpTools`.
        env_kwargs: Of the environment, for `gymnasium.make`; or JSON.
        kwargs: The other arguments of `McpTools`.

    Raises:
        UsageError: No environment or no server is named, or an argument cannot work.
    """
    if not env_id or not tools:
        raise UsageError(
            "AgentRL/Mcp-v0 puts servers' tools into another environment; give env_id='AgentRL/Search-v0' and "
            "tools='mcp:python3 server.py'"
        )
    env = gymnasium.make(env_id, disable_env_checker=True, **mapping_of("env_kwargs", env_kwargs))
    try:
        return McpTools(env, tools, **kwargs)
    except BaseException:
        env.close()
        raise
