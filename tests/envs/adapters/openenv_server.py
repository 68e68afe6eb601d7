"""Servers of OpenEnv's own package, for checks by hand: python openenv_server.py PORT text|fields|tools.

`openenv-core` brings a web interface and 40 packages along, so it is not among what the tests install. What the servers
said is in `openenv.json`, recorded from here by `record`.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastmcp import FastMCP  # type: ignore[import-not-found]
from openenv.core.env_server import create_fastapi_app  # type: ignore[import-not-found]
from openenv.core.env_server.interfaces import Environment  # type: ignore[import-not-found]
from openenv.core.env_server.mcp_environment import MCPEnvironment  # type: ignore[import-not-found]
from openenv.core.env_server.mcp_types import CallToolAction, CallToolObservation  # type: ignore[import-not-found]
from openenv.core.env_server.types import Action, Observation, State  # type: ignore[import-not-found]

__all__: list[str] = []


class Words(Action):  # type: ignore[misc]
    """Say a number."""

    message: str


class Guess(Action):  # type: ignore[misc]
    """Guess the number."""

    number: int
    sure: bool = False


class Hint(Observation):  # type: ignore[misc]
    """What the game says."""

    text: str
    turns_left: int | None = None


class Game(Environment):  # type: ignore[misc]
    """Guess a number from 1 to 9 in four turns."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed: int | None = None, episode_id: str | None = None, **more: Any) -> Hint:
        self.number, self.turns = random.Random(seed).randint(1, 9), 4
        return Hint(text="Guess a number from 1 to 9.", turns_left=4)

    def step(self, action: Any, timeout_s: float | None = None, **more: Any) -> Hint:
        said = action.message if isinstance(action, Words) else str(action.number)
        if said == "crash":
            raise RuntimeError("the game broke")
        self.turns -= 1
        if said.strip() == str(self.number):
            return Hint(text="Right.", turns_left=self.turns, reward=1.0, done=True)
        return Hint(text="No.", turns_left=self.turns, reward=0.0, done=self.turns == 0)

    @property
    def state(self) -> State:
        return State()


def _tools() -> Any:
    server = FastMCP("adder")

    @server.tool  # type: ignore[untyped-decorator]
    def add(a: int, b: int = 1) -> int:
        """Add two numbers."""
        return a + b

    class Adder(MCPEnvironment):  # type: ignore[misc]
        """Use a tool."""

        SUPPORTS_CONCURRENT_SESSIONS = True

        def __init__(self) -> None:
            super().__init__(server)

        def reset(self, seed: int | None = None, episode_id: str | None = None, **more: Any) -> Observation:
            return Observation(metadata={"status": "ready"})

        def _step_impl(self, action: Action, timeout_s: float | None = None, **more: Any) -> Observation:
            return Observation()

        @property
        def state(self) -> State:
            return State()

    return create_fastapi_app(Adder, CallToolAction, CallToolObservation, max_concurrent_envs=64)


def app(kind: str) -> Any:
    """Return the application of a kind."""
    if kind == "tools":
        return _tools()
    return create_fastapi_app(Game, Words if kind == "text" else Guess, Hint, max_concurrent_envs=64)


def record() -> None:
    """Write down what each server answers to a few messages, beside this file."""
    from fastapi.testclient import TestClient

    seed = {"type": "reset", "data": {"seed": 1}}
    asked: dict[str, list[dict[str, Any]]] = {
        "text": [seed, *({"type": "step", "data": {"message": m}} for m in ("0", "3", "crash"))],
        "fields": [
            seed,
            {"type": "step", "data": {"number": "x"}},
            {"type": "step", "data": {"number": 3, "sure": True}},
        ],
        "tools": [
            seed,
            {"type": "step", "data": {"type": "list_tools"}},
            {"type": "step", "data": {"type": "call_tool", "tool_name": "add", "arguments": {"a": 2, "b": 3}}},
            {"type": "step", "data": {"type": "call_tool", "tool_name": "sub", "arguments": {}}},
        ],
    }
    recorded: dict[str, Any] = {}
    for kind, messages in asked.items():
        with TestClient(app(kind)) as client, client.websocket_connect("/ws") as socket:
            pages = {path: client.get(path).json() for path in ("/schema", "/metadata")}
            answers = []
            for message in messages:
                socket.send_text(json.dumps(message))
                answers.append(json.loads(socket.receive_text()))
            recorded[kind] = {"pages": pages, "asked": messages, "answered": answers}
    Path(__file__).with_name("openenv.json").write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["record"]:
        record()
    else:
        uvicorn.run(app(sys.argv[2]), port=int(sys.argv[1]), log_level="warning")
