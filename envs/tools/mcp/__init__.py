"""The tools of MCP servers in any environment: a wrapper, and what it needs to start a server and to speak with it."""

from agentrl.envs.tools.mcp.wrapper import McpTools

__all__ = ["McpTools"]
