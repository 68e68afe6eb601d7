"""A real server: vLLM on the CPU serves the bundled model through its OpenAI API, benched over three environments."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

import agentrl.envs  # noqa: F401  # registers
from agentrl.bench.endpoint import EndpointSettings
from agentrl.bench.run import Settings, run
from agentrl.bench.store import BenchStore

pytestmark = pytest.mark.slow
MODEL = Path(__file__).parents[2] / "trainer" / "bundled" / "search-tiny"
ENVS = ("AgentRL/Search-v0", "AgentRL/Math-v0", "AgentRL/ToolUse-v0")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a server that takes native tool calls; return the address of its API."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: make .venv/installed-dev")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(MODEL)]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--max-model-len", "4096", "--max-num-seqs", "8", "--kv-cache-memory-bytes", str(2**27)]
    command += ["--enforce-eager", "--no-enable-chunked-prefill", "--block-size", "32", "--generation-config", "vllm"]
    command += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    log = tmp_path_factory.mktemp("served") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=os.environ | {"VLLM_NO_USAGE_STATS": "1", "OMP_NUM_THREADS": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        stop = time.monotonic() + 240
        while True:
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < stop, log.read_text()[-3000:]
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_three_environments_with_tool_calls(url: str, tmp_path: Path) -> None:
    asked = EndpointSettings(base_url=url, tools="native", temperature=0.0, max_tokens=64)
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
