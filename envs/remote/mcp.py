"""An environment as an MCP server: its tools are tools there, and three more start an episode, answer, and say a turn.

`start_episode` returns what the model is to do. Each call of a tool is a turn of the environment; the one that ends the
episode tells its reward. A client has one episode at a time: over standard input and output there is one client, over
HTTP one for each session of the protocol. Before the first episode the tools are those of a task that was looked at
when the server came up; where an episode has others, the client is told so.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentrl.envs.remote.sessions import Session, Sessions
from agentrl.envs.remote.wire import WireError, plain

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server
    from mcp.types import CallToolResult, Tool

__all__ = ["CONTROLS", "Player", "Players", "make_server"]

Schema = dict[str, Any]

CONTROLS: Mapping[str, tuple[str, Schema]] = {
    "start_episode": (
        "Start a task, which ends the one before; returns what is to be done.",
        {
            "type": "object",
            "properties": {
                "seed": {"type": "integer", "minimum": 0, "description": "Decides the task; left out, one is drawn."},
                "split": {"type": "string", "enum": ["train", "test"], "description": "Which tasks it is drawn from."},
                "level": {"type": "integer", "description": "How difficult it is, 1 being the easiest."},
            },
        },
    ),
    "answer": (
        "Give the final answer to the task; returns the reward and whether it is right.",
        {
            "type": "object",
            "properties": {"text": {"type": "string", "description": "The answer alone."}},
            "required": ["text"],
        },
    ),
    "say": (
        "Say something to the user of the task, or take any turn in the task's own words.",
        {
            "type": "object",
            "properties": {"text": {"type": "string", "description": "The whole turn."}},
            "required": ["text"],
        },
    ),
}
"""The tools that are not the environment's: what each does, and its arguments."""


class Player:
    """The episodes of one client.

    Args:
        sessions: Of the server.
        env_id: Of the environment.
        tools: Schemas to tell before the first episode, as `info["tools"]` has them.
    """

    def __init__(self, sessions: Sessions, env_id: str, tools: Sequence[Schema]) -> None:
        self._sessions, self._env_id = sessions, env_id
        self._session: Session | None = None
        self.last_used = time.monotonic()
        self._lock = asyncio.Lock()  # clients call several tools at once, and an environment takes one turn at a time
        self._reward = 0.0
        self._is_over = True
        self._tools: dict[str, Schema] = {}
        self._take(tools)

    def tools(self) -> list[Tool]:
        """Return the tools that can be called now."""
        from mcp.types import Tool

        found = [Tool(name=name, description=said, input_schema=schema) for name, (said, schema) in CONTROLS.items()]
        return found + [
            Tool(
                name=name,
                description=str(each.get("description") or ""),
                input_schema={"type": "object", **(each.get("parameters") or {})},
            )
            for name, each in self._tools.items()
        ]

    async def call(self, name: str, arguments: Mapping[str, Any]) -> tuple[CallToolResult, bool]:
        """Call a tool; return its result, and whether the tools are others now. What goes wrong is a result too."""
        async with self._lock:
            before = dict(self._tools)
            if self._session is not None and not self._sessions.has(self._session):
                self.close()  # it expired
            try:
                result = await self._call(name, arguments)
            except (WireError, ValueError) as error:
                result = _result(str(error), is_error=True)
            self.last_used = time.monotonic()
            return result, self._tools != before

    @property
    def is_idle(self) -> bool:
        """Whether it holds nothing and does nothing."""
        return self._session is None and not self._lock.locked()

    def close(self) -> None:
        """End the episode and give back what it holds; idempotent."""
        session, self._session = self._session, None
        self._is_over = True
        if session is not None:
            self._sessions.end(session, "closed")

    async def _call(self, name: str, arguments: Mapping[str, Any]) -> CallToolResult:
        if name == "start_episode":
            return await self._start(arguments)
        if self._is_over:
            raise ValueError("There is no episode: call start_episode first.")
        if name in self._tools:
            told = {"name": str(self._tools[name]["name"]), "arguments": dict(arguments)}
            return await self._turn(f"<tool_call>\n{json.dumps(told, ensure_ascii=False)}\n</tool_call>")
        if name not in CONTROLS:
            raise ValueError(f"There is no tool {name[:64]!r}. The tools are: {', '.join([*CONTROLS, *self._tools])}.")
        text = arguments.get("text")
        if not isinstance(text, str):
            raise ValueError(f"{name}: text must be a string.")
        return await self._turn(f"<answer>{text}</answer>" if name == "answer" else text, tells=True)

    async def _start(self, arguments: Mapping[str, Any]) -> CallToolResult:
        unknown = set(arguments) - {"seed", "split", "level"}
        if unknown:
            raise ValueError(f"start_episode takes seed, split and level, not {sorted(unknown)[0][:40]!r}.")
        options = {key: arguments[key] for key in ("split", "level") if arguments.get(key) is not None}
        seed = arguments.get("seed")
        seed = secrets.randbelow(2**31) if seed is None else seed
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise ValueError(f"start_episode: seed is {seed!r:.40}, but must be a whole number from 0.")
        if self._session is None:
            self._session = self._sessions.open(self._env_id)
        self._is_over = True
        told = await self._session.reset(seed=seed, options=options or None)
        info = told["info"]
        if info.get("failure"):
            return self._failed("could not be started", info["failure"])
        self._is_over, self._reward = False, 0.0
        self._take(info.get("tools") or ())
        names = ", ".join(self._tools) or "none"
        ends = f"Tools of this episode: {names}. Give the final answer with the tool answer."
        text = "\n\n".join(part for part in (info.get("system"), told["observation"], ends) if part)
        return _result(text, {"seed": seed, "task": info.get("task"), "tools": list(self._tools)})

    async def _turn(self, action: str, *, tells: bool = False) -> CallToolResult:
        assert self._session is not None
        told = await self._session.step(action)
        info = told["info"]
        if info.get("failure"):
            return self._failed("was ended", info["failure"])
        self._reward += float(told["reward"])
        self._is_over = bool(told["terminated"] or told["truncated"])
        text = str(told["observation"])
        if not self._is_over:
            return _result(text, {"over": False} if tells else None)
        outcome = {
            "over": True,
            "reward": self._reward,
            "success": info.get("success"),
            "terminated": told["terminated"],
            "truncated": told["truncated"],
        }
        how = {True: ", solved", False: ", not solved"}.get(info.get("success"), "")
        ended = f"The episode is over: reward {self._reward:g}{how}. Call start_episode for another."
        return _result("\n\n".join(part for part in (text, ended) if part), outcome)

    def _failed(self, how: str, failure: Mapping[str, Any]) -> CallToolResult:
        self.close()
        said = f"The episode {how}: {failure.get('boundary')} failed: {str(failure.get('message'))[:500]}"
        return _result(said, is_error=True)

    def _take(self, schemas: Sequence[Schema]) -> None:
        functions = [each.get("function") or each for each in schemas]
        self._tools = {_name(str(each["name"])): each for each in functions}


class Players:
    """The clients of one server, by the name of their session.

    Args:
        sessions: Of the server.
        env_id: Of the environment.
        tools: Schemas to tell before a client's first episode.
    """

    def __init__(self, sessions: Sessions, env_id: str, tools: Sequence[Schema]) -> None:
        self._sessions, self._env_id, self._tools = sessions, env_id, list(tools)
        self._players: dict[str, Player] = {}

    def of(self, name: str) -> Player:
        """Return the player of a session, a new one where there is none."""
        if name not in self._players:
            self._players[name] = Player(self._sessions, self._env_id, self._tools)
        return self._players[name]

    def sweep(self, idle_s: float) -> None:
        """Forget who holds nothing and was silent for so long."""
        stale = time.monotonic() - idle_s
        for name in [name for name, each in self._players.items() if each.is_idle and each.last_used < stale]:
            del self._players[name]

    def leave(self, name: str) -> None:
        """End what a session holds."""
        player = self._players.pop(name, None)
        if player is not None:
            player.close()


def make_server(players: Players, name: str) -> Server[Any]:
    """Return the MCP server, for any transport.

    Args:
        players: Whose tools they are.
        name: Of the environment.
    """
    from mcp.server.lowlevel import Server
    from mcp.types import ListToolsResult

    async def list_tools(context: Any, params: Any) -> ListToolsResult:
        return ListToolsResult(tools=players.of(_key(context)).tools())

    async def call_tool(context: Any, params: Any) -> CallToolResult:
        result, has_changed = await players.of(_key(context)).call(params.name, params.arguments or {})
        if has_changed:
            await context.session.send_tool_list_changed()
        return result

    return Server(
        name,
        instructions="Call start_episode, do what it says with the tools, and give the final answer with answer.",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _key(context: Any) -> str:
    """Return the name of a session: over HTTP what the protocol calls it, else the only one."""
    headers = getattr(context.request, "headers", None)
    return str(headers.get("mcp-session-id", "")) if headers is not None else ""


def _name(name: str) -> str:
    return f"env_{name}" if name in CONTROLS else name


def _result(text: str, structured: Mapping[str, Any] | None = None, *, is_error: bool = False) -> CallToolResult:
    from mcp.types import CallToolResult, ContentBlock, TextContent

    content: list[ContentBlock] = [TextContent(text=text)]
    if structured is None:
        return CallToolResult(content=content, is_error=is_error)
    return CallToolResult(content=content, structured_content=plain(structured), is_error=is_error)
