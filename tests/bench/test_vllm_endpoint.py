"""A real server: vLLM on the CPU serves the bundled model through its OpenAI API, benched over three environments."""

from __future__ import annotations

from pathlib import Path

import pytest

import agentrl.envs  # noqa: F401  # registers
from agentrl.bench.endpoint import EndpointSettings
from agentrl.bench.run import Settings, run
from agentrl.bench.store import BenchStore

pytestmark = pytest.mark.slow
ENVS = ("AgentRL/Search-v0", "AgentRL/Math-v0", "AgentRL/ToolUse-v0")


def test_three_environments_with_tool_calls(vllm_url: str, tmp_path: Path) -> None:
    asked = EndpointSettings(base_url=vllm_url, tools="native", temperature=0.0, max_tokens=64)
    run(Settings(envs=ENVS, agent="openai:tiny", num_tasks=2, endpoint=asked, turn_s=120.0), tmp_path / "run")
    with BenchStore(tmp_path / "run") as store:
        episodes = list(store.episodes())
    assert [each.failure for each in episodes] == [None] * 6
    assert all(each.prompt_tokens and each.completion_tokens for each in episodes)
    assert all(
        each.completion_tokens is not None and each.completion_tokens <= 64 * each.num_turns for each in episodes
    )
    searches = [message for each in episodes if each.job.env_id == ENVS[0] for message in each.messages]
    # The bundled model has learnt to search, so that its calls go through and are answered.
    assert any('<tool_call>{"name": "search"' in message["content"] for message in searches)
    assert any(message["role"] == "tool" and "[d" in message["content"] for message in searches)
