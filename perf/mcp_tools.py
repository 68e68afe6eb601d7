"""What a call of an MCP server's tool costs in an environment, beside the SDK's own client on the same server.

The server is of the SDK, with one tool that answers at once. `bare` is the SDK's client with the server as its child,
in the event loop of the measurement; `local` is ours with the server as a plain process, `box` ours with it in a
sandbox. A turn is a call with the parsing of the model's text before it and the observation made after it. They take
turns; of several rounds the fastest counts. `start` is from nothing until the tools are known, which is a reset;
`box_kept_start` is one with fresh=False.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import gymnasium
from common import parser, report, time_calls, versions
from mcp import Client, StdioServerParameters

from agentrl.envs.spaces import Unicode
from agentrl.envs.tools.mcp import McpTools

SERVER = '''
from mcp.server.mcpserver import MCPServer
server = MCPServer("quick")
@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b
server.run()
'''
TURN = 'I add them. <tool_call>{"name": "add", "arguments": {"a": 2, "b": 3}}</tool_call>'


class Quick(gymnasium.Env[str, str]):
    """An environment that answers at once."""

    metadata = {"render_modes": []}  # noqa: RUF012  # Gymnasium's

    def __init__(self) -> None:
        self.action_space = self.observation_space = Unicode()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        return "Go.", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        return "Go on.", 0.0, False, False, {}


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--backend", default="bwrap", help="of the box: bwrap (default) or docker")
    options.add_argument("--calls", type=int, default=500, metavar="N", help="of a round")
    options.add_argument("--rounds", type=int, default=5, metavar="N")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "server.py"
        path.write_text(SERVER)
        local = McpTools(Quick(), f"mcp:{sys.executable} server.py", backend="local", **_more(path, arguments))
        boxed = McpTools(
            Quick(),
            "mcp:python3 server.py",
            backend=arguments.backend,
            packages=["mcp"],
            **_more(path, arguments),
        )
        kept = McpTools(
            Quick(),
            "mcp:python3 server.py",
            backend=arguments.backend,
            packages=["mcp"],
            fresh=False,
            **_more(path, arguments),
        )
        boxed.reset()  # makes the archive of the packages, which a process makes once, and the first box
        kept.reset()
        best: dict[str, float] = {}

        def note(**figures: float) -> None:
            for name, seconds in figures.items():
                best[name] = min(best.get(name, seconds), seconds)

        for _ in range(arguments.rounds):
            start, call = asyncio.run(bare(path, arguments.calls))
            note(bare_start=start, bare_call=call)
            for name, env in (("local", local), ("box", boxed)):
                note(**{f"{name}_start": _seconds(env.reset)})
                note(**{f"{name}_turn": median(time_calls(partial(env.step, TURN), arguments.calls))})
            note(box_kept_start=_seconds(kept.reset))
        for env in (local, boxed, kept):
            env.close()
    figures = {f"{name}_ms": seconds * 1e3 for name, seconds in best.items()}
    figures |= {f"{name}_turn_over_bare_call": best[f"{name}_turn"] / best["bare_call"] for name in ("local", "box")}
    figures |= {
        f"{name}_start_over_bare": best[f"{name}_start"] / best["bare_start"] for name in ("local", "box", "box_kept")
    }
    report(figures, versions("mcp", "gymnasium"), arguments.json)


async def bare(path: Path, num_calls: int) -> tuple[float, float]:
    """Return the seconds of a start, and the median seconds of a call, of the SDK's own client."""
    began = time.perf_counter()
    async with Client(StdioServerParameters(command=sys.executable, args=[str(path)])) as client:
        await client.list_tools()
        start = time.perf_counter() - began
        seconds = []
        for _ in range(num_calls):
            began = time.perf_counter()
            result = await client.call_tool("add", {"a": 2, "b": 3})
            seconds.append(time.perf_counter() - began)
            assert not result.is_error
    return start, median(seconds)


def _more(path: Path, arguments: Any) -> dict[str, Any]:
    return {"files": {"server.py": str(path)}, "max_turns": arguments.calls + 1}


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
