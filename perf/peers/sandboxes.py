"""Run trivial jobs in another project's Docker sandbox, under an interpreter that has it installed.

Called by `perf/sandboxes.py` with the peer's name and an image. Prints {"version", "open_ms"} as JSON when its sandbox
is up; then for each line "KIND COUNT" read, where KIND is exec or python, a list of the seconds that each call took.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

Jobs = dict[str, Callable[[], object]]
MEMORY = "512m"
COMPOSE = f"""
services:
  default:
    image: IMAGE
    x-local: true
    command: tail -f /dev/null
    init: true
    network_mode: none
    mem_limit: {MEMORY}
    stop_grace_period: 1s
"""


def main() -> None:
    """Serve till the end of input."""
    name, image = sys.argv[1:]
    # What a peer prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    start_peer, distribution = PEERS[name]
    start = time.perf_counter()
    with start_peer(image) as jobs:
        open_ms = (time.perf_counter() - start) * 1e3
        print(json.dumps({"version": metadata.version(distribution), "open_ms": open_ms}), file=answers)
        for line in sys.stdin:
            kind, count = line.split()
            job, seconds = jobs[kind], []
            for _ in range(int(count)):
                start = time.perf_counter()
                job()
                seconds.append(time.perf_counter() - start)
            print(json.dumps(seconds), file=answers)


@contextmanager
def llm_sandbox(image: str) -> Iterator[Jobs]:
    """llm-sandbox: one session whose container is kept, without its venv and pip set-up, which needs a network."""
    module: Any = importlib.import_module("llm_sandbox")
    session = module.SandboxSession(
        backend=module.SandboxBackend.DOCKER,
        image=image,
        lang="python",
        keep_template=True,
        skip_environment_setup=True,
        runtime_configs={
            "network_mode": "none",
            "mem_limit": MEMORY,
            "init": True,
            "command": ["tail", "-f", "/dev/null"],
        },
    )
    with session:
        # It calls the interpreter "python", and the image has "python3" only.
        require(session.execute_command("ln -sf /usr/bin/python3 /usr/local/bin/python").exit_code == 0)
        yield {
            "exec": lambda: require(session.execute_command("true").exit_code == 0),
            "python": lambda: require(session.run("pass").exit_code == 0),
        }


@contextmanager
def inspect_ai(image: str) -> Iterator[Jobs]:
    """inspect_ai: its docker sandbox as a sample gets it, through `docker compose`.

    Called below `task_init`, which would refuse an engine older than 24.0.6; what runs a job is the same.
    """
    sandbox: Any = importlib.import_module("inspect_ai.util._sandbox.docker.docker").DockerSandboxEnvironment
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        path = Path(folder) / "compose.yaml"
        path.write_text(COMPOSE.replace("IMAGE", image), encoding="utf-8")
        environments = runner.run(sandbox.sample_init("perf", str(path), {}))
        box = environments["default"]
        try:
            yield {
                "exec": lambda: require(runner.run(box.exec(["true"])).success),
                "python": lambda: require(runner.run(box.exec(["python3", "-c", "pass"])).success),
            }
        finally:
            runner.run(sandbox.sample_cleanup("perf", str(path), environments, False))


def require(held: bool) -> None:
    """Stop where a job failed: a figure of failures would be none."""
    if not held:
        raise SystemExit("a job failed")


PEERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "llm-sandbox": (llm_sandbox, "llm-sandbox"),
    "inspect-ai": (inspect_ai, "inspect_ai"),
}

if __name__ == "__main__":
    main()
