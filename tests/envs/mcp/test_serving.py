"""Our environments as an MCP server, played by the SDK's client and by our own wrapper."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from agentrl.cli.main import main
from agentrl.envs.errors import InfrastructureError
from agentrl.envs.protocol import Policy
from agentrl.envs.remote.mcp_transport import http_app
from agentrl.envs.remote.sessions import Limits
from agentrl.envs.spaces import Unicode
from agentrl.envs.tools import ToolCall, parse
from agentrl.envs.tools.mcp import McpTools
from agentrl.envs.turns import final_answers
from tests.envs.mcp.conftest import Echo, call

AGENTRL = Path(sys.executable).with_name("agentrl")
SEARCH = "AgentRL/Search-v0"


class Tally(gymnasium.Env[str, str]):
    """Has one tool, `add`, and as many of `extra` kinds as the level says; counts how many of it are open."""

    metadata = {"render_modes": []}  # noqa: RUF012  # Gymnasium's
    num_open = 0

    def __init__(self) -> None:
        self.action_space = self.observation_space = Unicode()
        type(self).num_open += 1
        self.told: list[str] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        if options and options.get("split") == "none":
            raise ValueError("no such split")
        names = ["add", "answer", *(f"extra{number}" for number in range(int((options or {}).get("level", 0))))]
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
        tools = [{"type": "function", "function": {"name": name, "parameters": schema}} for name in names]
        self.told = []
        return f"Seed {seed}.", {"tools": tools, "system": "Be brief."}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.told.append(action)
        if "break" in action:
            return "", 0.0, False, True, {"failure": {"kind": "k", "boundary": "disk", "message": "it is full"}}
        over = bool(final_answers(action))
        return f"{len(self.told)}: {action}", 0.5, over, False, {"success": True} if over else {}

    def close(self) -> None:
        type(self).num_open -= 1


@pytest.fixture(autouse=True)
def _tally() -> Iterator[None]:
    gymnasium.register(id="Tally-v0", entry_point=lambda **kwargs: Tally(**kwargs))
    Tally.num_open = 0
    yield
    gymnasium.registry.pop("Tally-v0")


def text_of(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def _oracle(seed: int, split: str) -> tuple[Policy, str]:
    """Return the policy that solves a task of Search, and its first observation; the task is set up here too."""
    inner = gymnasium.make(SEARCH)
    observation, _ = inner.reset(seed=seed, options={"split": split})
    return inner.get_wrapper_attr("oracle")(), observation


async def _played(client: Client, seed: int, split: str) -> dict[str, Any]:
    """Play a task of Search by what its oracle says, through the client."""
    policy, first = _oracle(seed, split)
    started = await client.call_tool("start_episode", {"seed": seed, "split": split})
    assert not started.is_error
    assert first in text_of(started)
    observation = first
    info: dict[str, Any] = {}
    while True:
        turn = policy(observation, info)
        answers = final_answers(turn)
        if answers:
            result = await client.call_tool("answer", {"text": answers[0]})
            assert isinstance(result.structured_content, dict)
            return result.structured_content
        replies = []
        for each in parse(turn, ["search", "open"]):
            assert isinstance(each, ToolCall)
            result = await client.call_tool(each.name, each.arguments)
            replies.append({"role": "tool", "name": each.name, "content": text_of(result)})
        observation, info = "\n\n".join(each["content"] for each in replies), {"replies": replies}


def _stdio(*words: str) -> StdioServerParameters:
    return StdioServerParameters(command=str(AGENTRL), args=["serve", "--mcp", *words])


def test_a_client_of_the_sdk_plays_over_standard_input_and_output() -> None:
    async def play() -> None:
        changed = asyncio.Event()

        async def heard(message: Any) -> None:
            if "list_changed" in str(getattr(message, "method", "")):
                changed.set()

        async with Client(_stdio(SEARCH), message_handler=heard) as client:
            tools = {each.name: each for each in (await client.list_tools()).tools}
            assert list(tools) == ["start_episode", "answer", "say", "search", "open"]
            assert tools["search"].input_schema["properties"]["query"]["type"] == "string"
            early = await client.call_tool("search", {"query": "king"})
            assert early.is_error
            assert "call start_episode first" in text_of(early)
            for seed, split in ((3, "test"), (4, "train")):
                outcome = await _played(client, seed, split)
                assert outcome == {"over": True, "reward": 1.0, "success": True, "terminated": True, "truncated": False}
            over = await client.call_tool("answer", {"text": "again"})
            assert over.is_error
            await client.call_tool("start_episode", {"seed": 3})
            wrong = await client.call_tool("answer", {"text": "nobody"})
            assert (wrong.structured_content["success"], wrong.structured_content["reward"]) == (False, 0.0)
            assert "not solved" in text_of(wrong)
            for arguments, words in (
                ({"split": "tset"}, "split='tset' does not exist; did you mean 'test'"),
                ({"level": 99}, "level=99"),
                ({"seed": -1}, "seed is -1"),
                ({"sede": 1}, "takes seed, split and level, not 'sede'"),
            ):
                refused = await client.call_tool("start_episode", arguments)
                assert refused.is_error
                assert words in text_of(refused)
            nothing = await client.call_tool("nothing", {})
            assert nothing.is_error
            assert not changed.is_set()  # the tools of all its tasks are the same

    asyncio.run(play())


def test_our_own_wrapper_plays_what_we_serve() -> None:
    tools = f"mcp:{AGENTRL} serve --mcp {SEARCH}"
    with contextlib.closing(McpTools(Echo(), tools, backend="local")) as env:
        env.reset(seed=0)
        started = env.step(call("start_episode", seed=3, split="test"))[0]
        policy, observation = _oracle(3, "test")
        assert observation in started
        info: dict[str, Any] = {}
        while not final_answers(turn := policy(observation, info)):
            observation, *_, info = env.step(turn)
        observation, *_ = env.step(call("answer", text=final_answers(turn)[0]))
        assert "The episode is over: reward 1, solved." in observation


@pytest.mark.parametrize("end", ["closed input", "interrupt", "termination"])
def test_the_server_ends_with_its_client(end: str) -> None:
    command = [str(AGENTRL), "serve", "--mcp", SEARCH]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        about = b'{"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}'
        process.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": ' + about + b"}\n")
        process.stdin.flush()
        assert b'"tools":{"listChanged":true}' in process.stdout.readline()
        if end == "closed input":
            process.stdin.close()
        else:
            process.send_signal(signal.SIGINT if end == "interrupt" else signal.SIGTERM)
        assert process.wait(20) == {"closed input": 0, "interrupt": 130, "termination": 143}[end]
        assert process.stdout.read() == b""


@contextlib.asynccontextmanager
async def served(env_id: str, **more: Any) -> AsyncIterator[str]:
    """Serve an environment over HTTP in this loop; yield the address."""
    import socket

    import uvicorn

    with contextlib.closing(gymnasium.make(env_id, disable_env_checker=True)) as env:
        tools = env.reset(seed=0)[1]["tools"]
    app = http_app(env_id, {}, tools, **more)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            await task


def test_clients_over_http_are_kept_apart_and_free_what_they_held() -> None:
    async def play() -> None:
        async with served("Tally-v0") as address:
            before = Tally.num_open
            async with Client(address) as one, Client(address) as other:
                for client, seed in ((one, 1), (other, 2)):
                    told = await client.call_tool("start_episode", {"seed": seed})
                    assert text_of(told).startswith(
                        f"Be brief.\n\nSeed {seed}.\n\nTools of this episode: add, env_answer."
                    )
                assert Tally.num_open == before + 2
                calls = [one.call_tool("add", {"a": number}) for number in range(4)]
                calls += [other.call_tool("env_answer", {"a": 7})]
                *mine, theirs = [text_of(each) for each in await asyncio.gather(*calls)]
                assert [each[0] for each in sorted(mine)] == ["1", "2", "3", "4"]
                assert theirs == '1: <tool_call>\n{"name": "answer", "arguments": {"a": 7}}\n</tool_call>'
                said = await one.call_tool("say", {"text": "Hello."})
                assert (text_of(said), said.structured_content) == ("5: Hello.", {"over": False})
                ended = await one.call_tool("answer", {"text": "x"})
                assert ended.structured_content["reward"] == 3.0
                assert "solved" in text_of(ended)
            until = time.monotonic() + 10
            while Tally.num_open > before and time.monotonic() < until:
                await asyncio.sleep(0.05)
            assert Tally.num_open == before

    asyncio.run(play())


def test_other_tools_are_told_and_failures_are_results() -> None:
    async def play() -> None:
        changed = asyncio.Event()

        async def heard(message: Any) -> None:
            if "list_changed" in str(getattr(message, "method", "")):
                changed.set()

        async with served("Tally-v0") as address, Client(address, message_handler=heard) as client:
            await client.call_tool("start_episode", {"seed": 1})
            await client.call_tool("start_episode", {"seed": 1, "level": 2})
            await asyncio.wait_for(changed.wait(), 10)
            names = [each.name for each in (await client.list_tools()).tools]
            assert names == ["start_episode", "answer", "say", "add", "env_answer", "extra0", "extra1"]
            failed = await client.call_tool("say", {"text": "break"})
            assert failed.is_error
            assert text_of(failed) == "The episode was ended: disk failed: it is full"
            assert (await client.call_tool("say", {"text": "on"})).is_error
            failed = await client.call_tool("start_episode", {"split": "none"})
            assert text_of(failed) == (
                "The episode could not be started: environment failed: ValueError: no such split"
            )
            assert not (await client.call_tool("start_episode", {})).is_error

    asyncio.run(play())


def test_a_token_a_bound_and_an_end_of_silence() -> None:
    token = "a-token-of-some-length"

    async def play() -> None:
        import httpx2

        limits = Limits(max_sessions=2, idle_s=1.0)
        async with served("Tally-v0", token=token, limits=limits) as address:
            before = Tally.num_open
            with pytest.raises(ExceptionGroup):
                async with Client(address):
                    pass
            async with contextlib.AsyncExitStack() as held:

                async def connected() -> Client:
                    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"})
                    await held.enter_async_context(http)
                    transport = streamable_http_client(address, http_client=http)
                    return await held.enter_async_context(Client(transport))

                clients = [await connected() for _ in range(2)]
                for client in clients:
                    assert not (await client.call_tool("start_episode", {})).is_error
                with pytest.raises(ExceptionGroup):  # a third session of the protocol
                    await connected()
                assert Tally.num_open == before + 2
                until = time.monotonic() + 15
                while Tally.num_open > before and time.monotonic() < until:
                    await asyncio.sleep(0.1)
                assert Tally.num_open == before

    asyncio.run(play())


def test_the_command_serves_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    token = "a-token-of-some-length"
    command = [str(AGENTRL), "serve", "--mcp-http", SEARCH, "--port", "0", "--token", token]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address.startswith("http://localhost:")
            assert address.endswith("/mcp")
            with contextlib.closing(McpTools(Echo(), f"mcp+{address}")) as env:
                with pytest.raises(InfrastructureError, match="HTTP status 401"):
                    env.reset(seed=0)
                monkeypatch.setenv("AGENTRL_MCP_TOKEN", token)
                env.reset(seed=0)
                policy, observation = _oracle(3, "test")
                assert observation in env.step(call("start_episode", seed=3, split="test"))[0]
                observation, *_ = env.step(policy(observation, {}))
                assert observation
                assert not observation.startswith("Error")
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) in (0, 130)


def test_what_cannot_be_served_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["--mcp", SEARCH, "AgentRL/Math-v0"], "--mcp serves one environment"),
        (["--mcp", "CartPole-v1"], "CartPole-v1 speaks no text"),
        (["--mcp", SEARCH, "--kwargs", '{"level": 77}'], "level=77"),
        (["--mcp-http", "Search-v9"], "is not registered"),
    ):
        assert main(["serve", *words]) == 2
        assert said in capsys.readouterr().err
