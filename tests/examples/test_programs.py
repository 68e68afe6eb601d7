"""Agents of real frameworks as environments: each solves a task over HTTP, calls tools at once, and survives bad turns.

The libraries are those of their registry. LlamaIndex asks for an older `openai`, so it has a virtual environment of its
own (`make test` makes it), and its agent is run as a command.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import shop

import agentrl.envs

PROGRAMS = Path(__file__).parents[2] / "examples" / "programs"
LLAMAINDEX = Path(sys.prefix) / "llamaindex" / "bin" / "python"
AGENTS: dict[str, str | list[str]] = {
    "plain_loop": "plain_loop:run",
    "openai_agents": "openai_agents:run",
    "smolagents_agent": "smolagents_agent:run",
    "langgraph_agent": "langgraph_agent:run",
    "pydantic_ai_agent": "pydantic_ai_agent:run",
    "llamaindex_agent": [str(LLAMAINDEX), str(PROGRAMS / "llamaindex_agent.py")],
}
UNREADABLE = '<tool_call>{"name": "find", "arguments": {"name": "Red'
WRONG = '<tool_call>{"name": "find", "arguments": {"thing": "Red Lamp"}}</tool_call>'
Turn = tuple[str, dict[str, Any]]
"""The policy's turn, and the info that followed it."""

assert agentrl.envs.__name__  # imported to register the environments


@pytest.fixture(scope="module", params=AGENTS)
def agent(request: pytest.FixtureRequest) -> str:
    """The name of an agent."""
    name: str = request.param
    if name == "llamaindex_agent" and not LLAMAINDEX.exists():
        pytest.skip(f"there is no {LLAMAINDEX}; `make test` makes it")
    return name


@pytest.fixture(scope="module")
def env(agent: str) -> Iterator[gymnasium.Env[str, str]]:
    """Its environment, one for all tests of this file: an import takes seconds, an episode much less."""
    made = gymnasium.make(
        "AgentRL/Program-v0", program=AGENTS[agent], tasks=shop.draw, oracle=shop.solve, disable_env_checker=True
    )
    yield made
    made.close()


def _play(
    env: gymnasium.Env[str, str], *, first: str | None = None, level: int = 1, seed: int = 0
) -> tuple[list[dict[str, Any]], list[Turn], float]:
    """Play an episode by the oracle, after a first turn if one is given; return contexts, turns and reward."""
    observation, info = env.reset(seed=seed, options={"split": "test", "level": level})
    solve: Callable[[str, dict[str, Any]], str] = env.unwrapped.oracle()  # type: ignore[attr-defined]
    contexts, turns, done, reward = [info["context"]], list[Turn](), False, 0.0
    while not done:
        action = first if first is not None and not turns else solve(observation, info)
        observation, earned, terminated, truncated, info = env.step(action)
        reward += float(earned)
        turns.append((action, info))
        done = terminated or truncated
        if not done:
            contexts.append(info["context"])
    return contexts, turns, reward


def test_it_solves_a_task(env: gymnasium.Env[str, str], agent: str) -> None:
    for seed in range(2):
        contexts, turns, reward = _play(env, seed=seed)
        assert reward == 1.0, turns
        assert turns[-1][1]["success"] is True
        assert len(turns) == 3
        # smolagents writes its history anew as text, so that each turn is a conversation of its own.
        after = [None, None, None] if agent == "smolagents_agent" else [None, 0, 1]
        assert [context["after"] for context in contexts] == after


def test_tools_are_called_at_once(env: gymnasium.Env[str, str]) -> None:
    contexts, turns, reward = _play(env, level=2)
    assert [action.count("<tool_call>") for action, _ in turns[:2]] == [2, 2]
    assert reward == 1.0, turns
    told = [str(message["content"]) for message in contexts[1]["messages"] if message["role"] in ("tool", "user")]
    assert "".join(told).count("article ") == 2


@pytest.mark.parametrize("bad", [UNREADABLE, WRONG], ids=["no JSON", "wrong argument"])
def test_a_malformed_turn_is_data(env: gymnasium.Env[str, str], agent: str, bad: str) -> None:
    _, turns, reward = _play(env, first=bad)
    assert not any("failure" in info for _, info in turns)
    goes_on = agent == "smolagents_agent" or (bad is WRONG and agent != "plain_loop")
    assert reward == float(goes_on), turns
    if bad is WRONG and agent == "plain_loop":  # it catches nothing
        assert turns[-1][1]["flags"] == ["program:raised"]


@pytest.mark.parametrize("name", AGENTS)
def test_it_is_short(name: str) -> None:
    source = (PROGRAMS / f"{name}.py").read_text()
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.stmt) and not is_docstring:
            last = node.body[0].lineno - 1 if hasattr(node, "body") else node.end_lineno
            lines |= set(range(node.lineno, (last or node.lineno) + 1))
    assert 8 < len(lines) < 30


def test_the_shop_keeps_its_splits_apart_and_its_demonstrator_errs() -> None:
    generator = np.random.default_rng(0)
    things = {
        split: {thing for _ in range(500) for thing in shop.draw(generator, split, 2)["_things"]}
        for split in ("train", "test")
    }
    assert not things["train"] & things["test"]
    solved = []
    for _ in range(400):
        task = shop.draw(generator, "train", 1)
        messages: list[dict[str, Any]] = [{"role": "user", "content": task["question"]}]
        article = shop.find(task["_things"][0])
        told = [article, shop.stock(article.split()[-1])]
        for content in told:
            messages.append({"role": "tool", "content": content})
        assert shop.solve(task, messages) == task["answer"]
        solved.append(shop.demonstrate(task, messages) == task["answer"])
    assert 0.2 < np.mean(solved) < 0.6
