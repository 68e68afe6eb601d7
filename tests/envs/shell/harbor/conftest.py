"""Tasks that the tests write, and images that they build: with a label of this process, by which they go again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.protocol import Policy
from agentrl.envs.scripted import call
from agentrl.envs.shell import ShellEnv
from agentrl.envs.shell.policies import DONE
from agentrl.envs.tools.host import close_backends
from agentrl.sandboxes.images import BASE_IMAGE

TEST_SH = """#!/bin/bash
cd /app
if PYTHONPATH=/tests python3 -m unittest -v test_sum; then echo 1; else echo 0; fi > /logs/verifier/reward.txt
"""
TEST_PY = """import pathlib
import subprocess
import unittest


class Sum(unittest.TestCase):
    def test_sum(self):
        expected = pathlib.Path("/tests/expected.txt").read_text()
        self.assertEqual(pathlib.Path("/app/sum.txt").read_text(), expected)

    def test_program(self):
        said = subprocess.run(["bash", "/app/total.sh", "3", "4"], capture_output=True, text=True, timeout=20)
        self.assertEqual(said.stdout.strip(), "7")
"""
FILES: Mapping[str, str] = {
    "instruction.md": "<!-- canary -->\nWrite the sum of numbers.txt to sum.txt, and total.sh that adds its arguments.",
    "task.toml": 'version = "1.0"\n[metadata]\nsplit = "train"\n[verifier]\ntimeout_sec = 60.0\n',
    "environment/Dockerfile": f"FROM {BASE_IMAGE}\nWORKDIR /app\nCOPY numbers.txt kept.sh /app/\nENV COLOUR=green\n",
    "environment/numbers.txt": "1\n2\n39\n",
    "environment/kept.sh": "#!/bin/sh\necho kept\n",
    "tests/test.sh": TEST_SH,
    "tests/test_sum.py": TEST_PY,
    "tests/expected.txt": "42\n",
    "solution/solve.sh": "#!/bin/bash\nset -e\necho 42 > /app/sum.txt\ncp /solution/parts/total.sh /app/total.sh\n",
    "solution/parts/total.sh": "echo $(($1 + $2))\n",
}
TOTAL = "echo 'echo $(($1 + $2))' > total.sh"


def written(folder: Path, *, owner: str = "", **changes: str | None) -> Path:
    """Write a task: `FILES`, with some of them changed or left out; `_` stands for what no keyword can have."""
    named = {path.replace("/", "_").replace(".", "_"): path for path in FILES}
    files = {**FILES, **{named.get(name, name): text for name, text in changes.items()}}
    for path, text in files.items():
        if text is not None:
            where = folder / path
            where.parent.mkdir(parents=True, exist_ok=True)
            where.write_text(f"{text}LABEL agentrl.test={owner}\n" if path.endswith("Dockerfile") and owner else text)
            where.chmod(0o755 if path.endswith(".sh") else 0o644)
    return folder


@pytest.fixture(scope="session")
def owner() -> Iterator[str]:
    """Give the mark of this process's images, and remove them in the end: those of no other process."""
    import docker

    mark = uuid.uuid4().hex
    yield mark
    close_backends()  # warm boxes hold the images
    client = docker.from_env()
    try:
        images = client.images.list(filters={"label": f"agentrl.test={mark}"})
        for image in sorted(images, key=lambda image: str(image.attrs["Created"]), reverse=True):  # made of it: first
            client.images.remove(image.id, force=True)
    finally:
        client.close()


def played(env: ShellEnv, policy: Policy, *, seed: int = 1) -> dict[str, Any]:
    """Play an episode to its end; return its last info, with the reward and all that was observed."""
    observation, info = env.reset(seed=seed)
    seen = []
    while True:
        observation, reward, terminated, truncated, info = env.step(policy(observation, info))
        seen.append(observation)
        if terminated or truncated:
            return {**info, "reward": reward, "seen": "\n".join(seen)}


def said(*commands: str) -> Policy:
    """Return a policy that types commands and says that it is done."""
    turns = iter([*(call("bash", command=each) for each in commands), DONE])
    return lambda observation, info: next(turns)
