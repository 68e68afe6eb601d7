"""Toolsets in process, in Docker and in bubblewrap: the same calls, the same answers, typed failures, nothing left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import pytest

import agentrl.envs  # registers the environments  # noqa: F401
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.tools.host import BACKENDS, BoxedToolset, LocalToolset, shared_backend, start
from agentrl.envs.tools.sources import sources_of
from agentrl.envs.tools.tool import Tool
from agentrl.envs.tools.toolset import ToolError, Toolset
from agentrl.sandboxes.pooled import PooledBackend
from tests.envs.counter import Counter

EVERYWHERE = [
    "local",
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("bwrap", marks=pytest.mark.bwrap),
]
BOXED = EVERYWHERE[1:]


def num_leased(backend: str) -> int:
    shared = shared_backend(BACKENDS[backend])
    assert isinstance(shared, PooledBackend)
    return shared.stats().leased


@pytest.mark.parametrize("backend", EVERYWHERE)
def test_calls_answers_refusals_and_state(backend: str) -> None:
    tools = start(Counter.spec(start=5), backend)
    assert isinstance(tools, LocalToolset if backend == "local" else BoxedToolset)
    assert tools.call("add", {"step": 2}) == "7"
    assert (
        tools.call("add", {"step": 0, "note": "'\"\\ \n é 🙂 \ud800 \x1etoolset:{}"})
        == "7 '\"\\ \n é 🙂 \ud800 \x1etoolset:{}"
    )
    with pytest.raises(ToolError, match="-1 is negative; give at least 0"):
        tools.call("add", {"step": -1})
    taken = tools.snapshot()
    assert taken == {"value": 7}
    tools.call("add", {"step": 30})
    tools.restore(taken)
    assert tools.call("add", {"step": 1}) == "8"
    assert taken == {"value": 7}
    tools.close()
    tools.close()


@pytest.mark.parametrize("backend", BOXED)
def test_a_tool_that_breaks_in_its_box_is_a_failure_of_the_tool(backend: str) -> None:
    tools = start(Counter.spec(start=0), backend)
    with pytest.raises(InfrastructureError, match="RuntimeError: broken on purpose") as caught:
        tools.call("add", {"step": 13})
    assert caught.value.boundary == "tool"
    tools.close()
    assert num_leased(backend) == 0


@pytest.mark.parametrize("backend", BOXED)
@pytest.mark.parametrize("level", [1, 4])
def test_search_reads_the_same_wherever_its_tools_are(backend: str, level: int) -> None:
    def played(**kwargs: Any) -> list[Any]:
        env = gym.make("AgentRL/Search-v0", level=level, **kwargs)
        inner: Any = env.unwrapped
        heard: list[Any] = [env.reset(seed=3)]
        policy: Callable[..., str] = inner.oracle()
        done = False
        while not done:
            observation, info = heard[-1][0], heard[-1][-1]
            heard.append(env.step(policy(observation, info)))
            done = heard[-1][2] or heard[-1][3]
        env.close()
        return heard

    boxed = played(backend=backend)
    assert boxed == played(backend="local") == played()
    assert boxed[-1][1] == 1.0
    assert num_leased(backend) == 0


@pytest.mark.parametrize("backend", BOXED)
def test_a_box_that_dies_ends_the_episode_as_a_failure(backend: str) -> None:
    env = gym.make("AgentRL/Search-v0", backend=backend)
    env.reset(seed=1)
    inner: Any = env.unwrapped
    assert num_leased(backend) == 1
    (box,) = inner.sandboxes
    box.close()
    _, reward, terminated, truncated, info = env.step(
        '<tool_call>{"name": "search", "arguments": {"query": "x"}}</tool_call>'
    )
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["failure"]["boundary"] == "sandbox"
    assert num_leased(backend) == 0
    env.reset(seed=1)
    taken = inner.snapshot()
    assert num_leased(backend) == 1
    env.close()
    assert num_leased(backend) == 0
    inner.restore(taken)
    assert inner.step(inner.oracle()("", {}))[4].get("failure") is None
    env.close()


def test_a_backend_that_does_not_exist_is_named() -> None:
    with pytest.raises(UsageError, match="backend='dcoker' does not exist; did you mean 'docker'"):
        gym.make("AgentRL/Math-v0", backend="dcoker")
    with pytest.raises(UsageError, match=r"backend='podman' does not exist; there are auto, local, docker, bwrap"):
        start(Counter.spec(start=0), "podman")


def test_what_a_box_does_not_have_is_refused_before_one_is_asked_for() -> None:
    class Local(Toolset):
        """Inside a function."""

    with pytest.raises(UsageError, match="put it at the top of a module of its own"):
        sources_of(Local)
    wide = type("Wide", (Toolset,), {"__module__": "agentrl.envs.spaces"})
    with pytest.raises(UsageError, match=r"agentrl\.envs\.spaces imports .*, which a box does not have"):
        sources_of(wide)
    names = sources_of(Counter)
    assert set(names) >= {"tests/__init__.py", "tests/envs/counter.py", "agentrl/envs/tools/toolset.py"}
    assert names["agentrl/envs/__init__.py"] == b""  # the package's own would import gymnasium


def test_a_toolset_says_its_functions_and_their_schemas() -> None:
    assert list(Counter.functions()) == ["add"]
    heard: list[Any] = []

    def hear(name: str, arguments: dict[str, object]) -> str:
        heard.append((name, arguments))
        return ""

    tool = Tool.hosted(Counter.functions()["add"], hear)
    assert tool.signature == 'add(step: integer, note: string = "")'
    tool({"step": "3"})
    assert heard == [("add", {"step": 3})]
