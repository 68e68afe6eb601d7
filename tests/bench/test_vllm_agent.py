"""`vllm:` for real: vLLM's CPU build in this process plays the bundled model, as the torch engine does greedily."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

import agentrl.envs  # noqa: F401  # registers
from agentrl.bench.plans import ModelSettings
from agentrl.bench.run import Settings, run
from agentrl.bench.store import BenchStore
from agentrl.bench.types import Episode

pytestmark = pytest.mark.slow


def _stored(folder: Path) -> list[Episode]:
    with BenchStore(folder) as store:
        return list(store.episodes())


def test_vllm_plays_what_torch_plays(tmp_path: Path) -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make .venv/installed-dev")
    settings = Settings(
        envs=("AgentRL/Search-v0",),
        agent="vllm:bundled:search-tiny",
        num_tasks=8,
        levels=(2,),
        env_kwargs={"max_turns": 5},
        model=ModelSettings(temperature=0.0, max_tokens=40, max_context=320, threads=1),
        concurrency=4,
    )
    assert settings.identity()["agent_settings"]["engine"] == "vllm"
    run(settings, tmp_path / "vllm")
    run(replace(settings, agent="hf:bundled:search-tiny"), tmp_path / "torch")
    ours, theirs = _stored(tmp_path / "torch"), _stored(tmp_path / "vllm")
    assert [each.failure for each in theirs] == [None] * 8
    assert [each.messages for each in theirs] == [each.messages for each in ours]
    assert [(each.prompt_tokens, each.completion_tokens) for each in theirs] == [
        (each.prompt_tokens, each.completion_tokens) for each in ours
    ]
    assert any(each.success for each in theirs)
