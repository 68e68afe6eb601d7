"""What the tests of MCP share: an environment that says what it was told, and it with the tools of a server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gymnasium

from agentrl.envs.spaces import Unicode
from agentrl.envs.tools.mcp import McpTools

HERE = Path(__file__).parent
Step = tuple[str, float, bool, bool, dict[str, Any]]


class Echo(gymnasium.Env[str, str]):
    """Tells what it was told; "end" ends it with success. It has one tool, which it does not run."""

    metadata = {"render_modes": []}  # noqa: RUF012  # Gymnasium's

    def __init__(self, *, with_tool: bool = True) -> None:
        self.action_space = Unicode()
        self.observation_space = Unicode()
        self.heard: list[str] = []
        self.closed = 0
        self._with_tool = with_tool

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self.heard = []
        tool = {"type": "function", "function": {"name": "ring", "description": "", "parameters": {"type": "object"}}}
        return "Say something.", {"tools": [tool]} if self._with_tool else {}

    def step(self, action: str) -> Step:
        self.heard.append(action)
        is_over = action == "end"
        info: dict[str, Any] = {"replies": [{"role": "tool", "name": "ring", "content": f"heard {action}"}]}
        if is_over:
            info["success"] = True
        return f"heard {action}", float(is_over), is_over, False, info

    def close(self) -> None:
        self.closed += 1


def call(tool: str, /, **arguments: Any) -> str:
    """Return a turn that calls a tool."""
    return f"<tool_call>{json.dumps({'name': tool, 'arguments': arguments})}</tool_call>"


def sdk(env: gymnasium.Env[str, str] | None = None, *, backend: str = "local", **kwargs: Any) -> McpTools:
    """Return an environment with the tools of the server that the SDK has made."""
    python = sys.executable if backend == "local" else "python3"
    files = {"server.py": str(HERE / "sdk_server.py")}
    more: dict[str, Any] = {} if backend == "local" else {"packages": ["mcp"]}
    return McpTools(env or Echo(), f"mcp:{python} server.py", backend=backend, files=files, **more, **kwargs)


def raw(
    how: str, *words: str, env: gymnasium.Env[str, str] | None = None, backend: str = "local", **kwargs: Any
) -> McpTools:
    """Return an environment with the tools of the server that misbehaves."""
    python = sys.executable if backend == "local" else "python3"
    command = " ".join((f"mcp:{python} server.py", how, *words))
    files = {"server.py": str(HERE / "raw_server.py")}
    return McpTools(env or Echo(), command, backend=backend, files=files, **{"call_s": 5.0, **kwargs})
