"""A turn may call tools of the environment, of a server, of both, or none; and every turn counts."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.spaces import Discrete

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.spaces import Unicode
from agentrl.envs.tools.mcp import McpTools
from tests.envs.mcp.conftest import HERE, Echo, call, raw


def names(replies: list[dict[str, Any]]) -> list[str]:
    return [each["name"] or each["role"] for each in replies]


def test_turns_of_each_kind() -> None:
    inner = Echo()
    with contextlib.closing(raw("echo", env=inner)) as env:
        _, info = env.reset(seed=0)
        assert [each["function"]["name"] for each in info["tools"]] == ["ring", "add"]

        observation, *_, info = env.step(f"I add. {call('add', a=1)}")  # a server's alone
        assert (observation, inner.heard) == ('{"a": 1}', [])

        observation, *_, info = env.step(call("ring"))  # the environment's alone: as it was said
        assert inner.heard == [call("ring")]
        assert observation == f"heard {call('ring')}"

        observation, *_, info = env.step("Hm.")  # none
        assert observation == "heard Hm."

        turn = f"<think>{call('add', a=9)}</think>First {call('add', a=2)} then {call('ring')} and {call('add', a=3)}"
        observation, *_, info = env.step(turn)  # both
        assert names(info["replies"]) == ["add", "add", "ring"]
        assert inner.heard[-1] == f"First  then {call('ring')} and"
        assert observation == '{"a": 2}\n\n{"a": 3}\n\nheard ' + inner.heard[-1]

        *_, info = env.step("[add(a=4), ring()]")  # both in one block, which cannot be taken apart
        assert names(info["replies"]) == ["add", "ring"]
        assert inner.heard[-1] == '\n<tool_call>\n{"name": "ring", "arguments": {}}\n</tool_call>'

        before = len(inner.heard)
        observation, *_, info = env.step(f"{call('add', a=5)} <answer>5</answer>")  # an answer beside a call
        assert names(info["replies"]) == ["add", "user"]
        assert "an answer in a turn that calls a tool does not count" in observation
        observation, *_, info = env.step(f"{call('add', a='<answer>no</answer>')}")  # not one inside an argument
        assert names(info["replies"]) == ["user"]
        assert "a must be an integer" in observation

        observation, *_, info = env.step(f"{call('ad', a=5)}")  # nobody's
        assert observation == "Error: There is no tool 'ad'. Did you mean add? The tools are: add, ring."
        *_, info = env.step(f"{call('add', a=5)} {call('ad', a=5)} {call('ring')}")
        assert names(info["replies"]) == ["add", "user", "ring"]
        assert "ad" not in inner.heard[-1].replace("heard", "")
        assert len(inner.heard) == before + 1


def test_an_environment_without_tools_gets_what_is_no_call() -> None:
    inner = Echo(with_tool=False)
    with contextlib.closing(raw("echo", env=inner)) as env:
        env.reset(seed=0)
        env.step("[push(1)]")
        assert inner.heard == ["[push(1)]"]
        observation, *_ = env.step(call("push"))
        assert "There is no tool 'push'" in observation
        assert len(inner.heard) == 1


def test_so_many_calls_are_run_and_no_more() -> None:
    with contextlib.closing(raw("echo", max_calls=3)) as env:
        env.reset(seed=0)
        *_, info = env.step("\n".join(call("add", a=number) for number in range(5)))
        assert names(info["replies"]) == ["add", "add", "add", "user"]
        assert "only the first 3 tool calls of a turn are run" in info["replies"][-1]["content"]


def test_every_turn_counts() -> None:
    with contextlib.closing(raw("echo", max_turns=3)) as env:
        env.reset(seed=0)
        assert env.step(call("add", a=1))[2:4] == (False, False)
        assert env.step("Hm.")[2:4] == (False, False)
        observation, _, terminated, truncated, info = env.step(call("add", a=2))
        assert (terminated, truncated) == (False, True)
        assert observation == '{"a": 2}'
        assert info["success"] is False
        with pytest.raises(UsageError, match="call reset"):
            env.step("Hm.")
        env.reset(seed=0)
        for _ in range(2):
            env.step(call("add", a=1))
        assert env.step("end")[1:4] == (1.0, True, False)  # an end is one, at the bound too


def test_the_bound_follows_the_environment() -> None:
    for inner, most in ((gymnasium.make("AgentRL/Search-v0", max_turns=5), 13), (Echo(), 64)):
        env = raw("echo", env=inner)
        assert env.max_turns == most
        env.close()


def test_a_failure_of_the_environment_is_its_own() -> None:
    class Failing(Echo):
        def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
            return "It broke.", 0.0, False, True, {"failure": {"kind": "k", "boundary": "b", "message": "m"}}

    with contextlib.closing(raw("echo", env=Failing())) as env:
        env.reset(seed=0)
        observation, _, _, truncated, info = env.step(f"{call('add', a=1)} {call('ring')}")
        assert (truncated, info["failure"]["boundary"]) == (True, "b")
        assert "replies" not in info
        assert observation == "It broke."


def test_names_that_clash_are_refused() -> None:
    class Adding(Echo):
        def reset(self, **kwargs: Any) -> tuple[str, dict[str, Any]]:
            return "", {"tools": [{"type": "function", "function": {"name": "add", "parameters": {}}}]}

    files = {"server.py": str(HERE / "raw_server.py")}
    command = f"mcp:{sys.executable} server.py echo"
    with pytest.raises(UsageError, match="and the environment have a tool called 'add'; give its tools other names"):
        raw("echo", env=Adding()).reset(seed=0)
    with pytest.raises(UsageError, match="and another server have a tool called 'add'"):
        McpTools(Echo(), [command, command], backend="local", files=files).reset(seed=0)
    with contextlib.closing(raw("echo", env=Adding(), prefix="mcp_")) as env:
        env.reset(seed=0)
        assert env.step(call("mcp_add", a=3))[0] == '{"a": 3}'


def test_servers_may_be_kept_from_one_episode_to_the_next() -> None:
    with contextlib.closing(raw("counts", fresh=False)) as env:
        told = []
        for seed in range(3):
            _, info = env.reset(seed=seed)
            assert [each["function"]["name"] for each in info["tools"]] == ["ring", "add"]
            told.append(env.step(call("add", a=0))[0])
            assert env.step("end")[2]
        assert told == ["1", "2", "3"]
        env.reset(seed=3)
        assert "failure" in env.step(call("add", a=-1))[4]  # it dies, and is started again
        env.reset(seed=4)
        assert env.step(call("add", a=0))[0] == "1"
        (session,) = env._sessions
    assert not session.is_open


def test_arguments_may_come_as_text() -> None:
    env = McpTools(
        Echo(),
        f"mcp:{sys.executable} raw_server.py odd_names",
        backend="local",
        files=str(HERE / "raw_server.py"),
        only="1st, files/read.v2 é",
        environment='{"MARK": "seen"}',
    )
    _, info = env.reset(seed=0)
    assert len(info["tools"]) == 3
    env.close()


def test_several_servers_at_once() -> None:
    files = {"server.py": str(HERE / "raw_server.py")}
    tools = [f"mcp:{sys.executable} server.py {how}" for how in ("echo", "odd_names")]
    with contextlib.closing(McpTools(Echo(), tools, backend="local", files=files)) as env:
        env.reset(seed=0)
        assert env.step(f"{call('add', a=1)} {call('_1st', a=1)}")[0] == '{"a": 1}\n\n2'
    with contextlib.closing(McpTools(Echo(), tools, backend="local", files=files, only="add, 1st")) as env:
        assert [each["function"]["name"] for each in env.reset(seed=0)[1]["tools"]] == ["ring", "add", "_1st"]
    with pytest.raises(UsageError, match="no server has a tool 'ad'; did you mean 'add'"):
        McpTools(Echo(), tools, backend="local", files=files, only="ad, 1st").reset(seed=0)


class Silent(gymnasium.Env[Any, Any]):
    """Speaks no text."""

    action_space = observation_space = Discrete(2)


def test_what_cannot_work_is_refused_at_once(tmp_path: Path) -> None:
    for arguments, words in (
        ({"tools": "calculator.py"}, "names no MCP server; write 'mcp:python3 server.py'"),
        ({"tools": "mcp:"}, "has no command"),
        ({"tools": "mcp:'a"}, "No closing quotation"),
        ({"tools": []}, "names no MCP server"),
        ({"tools": 5}, "is int"),
        ({"files": {"../a": __file__}}, "no path in the server's folder"),
        ({"files": {"a": str(tmp_path / "none")}}, "cannot be read"),
        ({"backend": "dokcer"}, "backend='dokcer'"),
        ({"call_s": 0}, "call_s=0 must be a number of seconds above 0"),
        ({"max_calls": 0}, "max_calls"),
        ({"backend": "local", "box": {"image": "a"}}, "are of a box"),
        ({"packages": 5}, "packages=5 must be a list of texts"),
        ({"files": "{"}, "is no JSON object"),
        ({"environment": "[1]"}, "must be a mapping"),
        ({"box": {"memory": 5}}, "its fields are those of SandboxSpec"),
        ({"box": {"memory_mb": 5}}, "memory_mb=5 must be"),
    ):
        with pytest.raises(UsageError, match=words):
            McpTools(Echo(), **{"tools": "mcp:true", **arguments})  # type: ignore[arg-type]  # that is the point
    with pytest.raises(UsageError, match="does not speak text"):
        McpTools(Silent(), "mcp:true")
    with pytest.raises(UsageError, match="cannot be started here"):
        McpTools(Echo(), "mcp:no-such-program", backend="local").reset(seed=0)
    with pytest.raises(UsageError, match="has no tool 'ad'; did you mean 'add'"):
        raw("echo", only=["ad"]).reset(seed=0)
    with pytest.raises(UsageError, match="no-such-package is not installed here"):
        raw("echo", backend="auto", packages=["no-such-package"]).reset(seed=0)
    with contextlib.closing(raw("echo")) as env:
        env.reset(seed=0)
        with pytest.raises(UsageError, match="an action is a string"):
            env.step(5)  # type: ignore[arg-type]  # that is the point
        with pytest.raises(UsageError, match="has no snapshot"):
            env.snapshot()


def test_a_reset_that_fails_leaves_nothing() -> None:
    class Broken(Echo):
        def reset(self, **kwargs: Any) -> tuple[str, dict[str, Any]]:
            raise InfrastructureError("no disk", kind="disk", boundary="disk")

    before = threading.active_count()
    with pytest.raises(InfrastructureError, match="no disk"):
        raw("echo", env=Broken()).reset(seed=0)
    with pytest.raises(InfrastructureError):
        raw("exits").reset(seed=0)
    time.sleep(0.1)
    assert threading.active_count() <= before + 1  # the event loop's own


def test_the_observation_space_holds_what_is_said() -> None:
    with contextlib.closing(raw("echo", max_calls=3, max_reply_chars=500)) as env:
        env.reset(seed=0)
        assert isinstance(env.observation_space, Unicode)
        assert env.observation_space.contains(env.step(call("add", a=1))[0])
