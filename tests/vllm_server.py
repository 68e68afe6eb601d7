"""vLLM's server of chat completions on the CPU, with the bundled model: real, for what speaks its protocol."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx

MODEL = Path(__file__).parents[1] / "trainer" / "bundled" / "search-tiny"


@contextmanager
def vllm_serving(folder: Path) -> Iterator[str]:
    """Start a server that takes native tool calls and structured output; yield the address of its API.

    Args:
        folder: For its log.
    """
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(MODEL)]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--max-model-len", "4096", "--max-num-seqs", "8", "--kv-cache-memory-bytes", str(2**27)]
    command += ["--enforce-eager", "--no-enable-chunked-prefill", "--block-size", "32", "--generation-config", "vllm"]
    command += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    # The bundled model, forced into JSON, would write blanks for ever where the grammar allows them.
    command += ["--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}']
    log = folder / "log"
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
