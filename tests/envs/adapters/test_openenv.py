"""Environments of OpenEnv servers: what its own package answered, recorded, and what a server can do wrong.

`openenv.json` is recorded from `openenv-core` 0.3.0 by `python openenv_server.py record`. The server here sends what
was recorded for a message, and refuses any other, so that the adapter has to say what a real server was told.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

import agentrl.envs  # noqa: F401  # registers
from agentrl.envs.adapters.openenv import OpenEnvEnv
from agentrl.envs.errors import InfrastructureError, UsageError

RECORDED = json.loads(Path(__file__).with_name("openenv.json").read_text())


class Server:
    """Answers as a recorded one did."""

    def __init__(self, kind: str, *, token: str = "") -> None:
        self.recorded, self.token = RECORDED[kind], token
        self.told: list[dict[str, Any]] = []
        self.do = ""  # "hang", "drop", "junk" or "full": in place of an answer to a step
        self.sessions: list[ServerConnection] = []
        self._answers = list(zip(self.recorded["asked"], self.recorded["answered"], strict=True))

    def page(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer HTTP."""
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return Response(HTTPStatus.UNAUTHORIZED, "", Headers({"Content-Length": "0"}), b"")
        if request.path == "/ws":
            return None
        body = json.dumps(self.recorded["pages"][request.path]).encode()
        return Response(HTTPStatus.OK, "", Headers({"Content-Length": str(len(body))}), body)

    def talk(self, connection: ServerConnection) -> None:
        """Answer a session."""
        self.sessions.append(connection)
        for text in connection:
            message = json.loads(text)
            self.told.append(message)
            if message["type"] == "close":
                return
            if message["type"] == "reset":
                message["data"]["seed"] = 1  # the one that was recorded
            elif self.do == "hang":
                time.sleep(2)
            elif self.do == "drop":
                connection.close_socket()
                return
            elif self.do == "junk":
                connection.send("[1, 2")
                continue
            elif self.do == "full":
                connection.send(json.dumps({"type": "error", "data": {"message": "full", "code": "CAPACITY_REACHED"}}))
                continue
            answer = next((reply for asked, reply in self._answers if asked == message), None)
            assert answer is not None, f"no real server was asked {message}"
            connection.send(json.dumps(answer))


@contextmanager
def serving(kind: str, *, token: str = "", port: int = 0) -> Iterator[tuple[Server, str]]:
    """Serve; yield the server and its URL."""
    server = Server(kind, token=token)
    with serve(server.talk, "127.0.0.1", port, process_request=server.page) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield server, f"http://127.0.0.1:{listening.socket.getsockname()[1]}"
        finally:
            listening.shutdown()
            for session in server.sessions:
                session.close_socket()
            thread.join()


def made(url: str, **arguments: Any) -> OpenEnvEnv:
    env = gymnasium.make("AgentRL/OpenEnv-v0", url=url, **arguments).unwrapped
    assert isinstance(env, OpenEnvEnv)
    return env


def test_a_turn_is_the_text_that_an_action_is() -> None:
    with serving("text") as (server, url), made(url) as env:
        observation, info = env.reset(seed=7)
        assert observation == "text: Guess a number from 1 to 9.\nturns_left: 4"
        assert info["system"] == "Game environment"
        assert "tools" not in info
        assert env.step("<think>9?</think>0")[:4] == ("text: No.\nturns_left: 3", 0.0, False, False)
        _, reward, terminated, _, info = env.step("3")
        assert (reward, terminated, info["success"]) == (1.0, True, True)
        assert info["rewards"] == {"reward": 1.0, "penalty": 0.0}
        assert server.told[1:] == RECORDED["text"]["asked"][1:3]


def test_fields_of_an_action_are_a_tool() -> None:
    with serving("fields") as (server, url), made(url) as env:
        _, info = env.reset(seed=7)
        [tool] = [each["function"] for each in info["tools"]]
        assert (tool["name"], tool["description"]) == ("act", "Guess the number.")
        assert list(tool["parameters"]["properties"]) == ["number", "sure"]
        assert env.step("I guess.")[0] == "Error: no tool call and no answer found. Call act."
        assert (
            "number must be an integer"
            in env.step('<tool_call>{"name": "act", "arguments": {"number": "x"}}</tool_call>')[0]
        )
        assert len(server.told) == 1
        call = '<tool_call>{"name": "act", "arguments": {"number": "3", "sure": true}}</tool_call>'
        assert env.step(call)[4]["success"] is True


def test_what_the_server_refuses_is_told_to_the_model() -> None:
    with serving("fields") as (_, url), made(url, text_field="number") as env:
        env.reset(seed=7)
        told = env.step("x")
        assert told[0].startswith("Error: number: Input should be a valid integer")
        assert told[1:4] == (0.0, False, False)


def test_tools_of_a_server_are_tools_here() -> None:
    with serving("tools") as (_, url), made(url) as env:
        observation, info = env.reset(seed=7)
        assert observation == "Go."
        assert [tool["function"]["name"] for tool in info["tools"]] == ["add"]
        told = env.step('<tool_call>{"name": "add", "arguments": {"a": 2, "b": 3}}</tool_call>')
        assert told[4]["replies"] == [{"role": "tool", "name": "add", "content": "5"}]
        assert "There is no tool 'sub'" in env.step('<tool_call>{"name": "sub", "arguments": {}}</tool_call>')[0]


@pytest.mark.parametrize(
    ("do", "kind"), [("hang", "timeout"), ("drop", "unreachable"), ("junk", "unreachable"), ("full", "full")]
)
def test_what_a_server_does_wrong_is_a_failure(do: str, kind: str) -> None:
    with serving("text") as (server, url), made(url, timeout_s=0.5) as env:
        env.reset(seed=7)
        server.do = do
        step = env.step("0")
        assert step[1:4] == (0.0, False, True)
        assert (step[4]["failure"]["kind"], step[4]["failure"]["boundary"]) == (kind, "OpenEnv")
        server.do = ""
        env.reset(seed=7)
        assert env.step("3")[4]["success"] is True


def test_an_environment_that_breaks_there_is_a_failure() -> None:
    with serving("text") as (_, url), made(url) as env:
        env.reset(seed=7)
        failure = env.step("crash")[4]["failure"]
        assert (failure["kind"], "the game broke" in failure["message"]) == ("crash", True)


def test_a_server_that_was_restarted_is_found_again() -> None:
    with serving("text") as (_, url):
        env = made(url, connect_s=0.3)
        env.reset(seed=7)
        env.step("3")
    with pytest.raises(InfrastructureError, match=r"not reached within 0\.3 s"):
        env.reset(seed=7)
    with serving("text", port=int(url.rpartition(":")[2])):
        env.reset(seed=7)
        assert env.step("3")[4]["success"] is True
        env.close()
        env.close()


def test_a_token_is_shown() -> None:
    with serving("text", token="secret") as (_, url):
        with made(url, token="secret") as env:
            env.reset(seed=7)
        with made(url, token="wrong") as env, pytest.raises(UsageError, match="the token is missing or wrong"):
            env.reset(seed=7)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"url": "127.0.0.1:8000"}, "is no address"),
        ({"url": "http://127.0.0.1:8000", "timeout_s": 0}, "timeout_s=0 must be a number of seconds above 0"),
    ],
)
def test_what_cannot_work_is_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        made(**arguments)


def test_a_field_that_is_none_is_refused() -> None:
    with serving("text") as (_, url), made(url, text_field="massage") as env, pytest.raises(UsageError) as error:
        env.reset(seed=7)
    assert "did you mean 'message'" in str(error.value)
