"""A program in a box reaches its endpoint and nothing else, and ends with its episode."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.program.env import ProgramEnv
from agentrl.envs.program.launch.boxed import read_folder
from tests.envs.program.test_env import TASKS, echo, played

BOXES = [pytest.param("docker", marks=pytest.mark.docker), pytest.param("bwrap", marks=pytest.mark.bwrap)]
AGENT = """
import json, os, socket, sys, urllib.request

task = json.load(open(os.environ["AGENTRL_TASK"]))
what = sys.argv[1]


def ask(messages):
    body = json.dumps({"model": "m", "messages": messages}).encode()
    request = urllib.request.Request(os.environ["OPENAI_BASE_URL"] + "/chat/completions", body,
        {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["choices"][0]["message"]


def reaches(host, port):
    try:
        socket.create_connection((host, port), timeout=2).close()
        return True
    except OSError:
        return False


from helper import question
messages = [{"role": "user", "content": question(task)}]
said = ask(messages)
messages += [said, {"role": "user", "content": "and?"}]
if what == "look":
    open("left", "w").close()
    found = {"open": [list(each) for each in json.loads(sys.argv[2]) if reaches(*each)],
             "home": sorted(os.listdir("/work")), "said": ask(messages)["content"]}
    with open(os.environ["AGENTRL_RESULT"], "w") as file:
        json.dump(found, file)
elif what == "hang":
    if os.fork() == 0:
        os.setsid()
    while True:
        pass
elif what == "raise":
    raise ValueError("no")
print("printed")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "agent.py").write_text(AGENT)
    (tmp_path / "helper.py").write_text("def question(task):\n    return task['question']\n")
    (tmp_path / "secret").symlink_to("/etc/passwd")
    return tmp_path


@pytest.fixture
def other() -> Iterator[int]:
    """A server of this machine that is none of the program's business."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def made(backend: str, folder: Path, *words: str, **more: Any) -> ProgramEnv:
    program = ["python3", "agent.py", *words]
    return ProgramEnv(program=program, tasks=TASKS, backend=backend, folder=folder, start_s=60.0, **more)


@pytest.mark.parametrize("backend", BOXES)
def test_it_reaches_its_endpoint_and_nothing_else(backend: str, folder: Path, other: int) -> None:
    seen: list[Any] = []

    def rubric(task: Any, result: Any, transcript: Any) -> bool:
        seen.append(result)
        return True

    places = [["127.0.0.1", other], ["169.254.169.254", 80], ["1.1.1.1", 443], ["172.17.0.1", 22]]
    env = made(backend, folder, "look", json.dumps(places), rubric=rubric)
    try:
        for _ in range(2):
            steps = played(env, echo)
            assert steps[-1][4].get("success"), steps[-1]
            assert len(steps) == 3
            assert steps[1][4]["context"]["after"] == 0
    finally:
        env.close()
    assert [each["open"] for each in seen] == [[], []]
    assert [each["said"] for each in seen] == ["said: and?"] * 2
    assert all(set(each["home"]) >= {"agent.py", "helper.py", "task.json"} for each in seen)
    assert all("secret" not in each["home"] for each in seen)
    assert seen[0]["home"] == seen[1]["home"]  # nothing of an earlier episode is there


@pytest.mark.parametrize("backend", BOXES)
def test_one_that_hangs_or_fails_is_data_and_ends(backend: str, folder: Path) -> None:
    for what, flag in (("hang", "program:limit"), ("raise", "program:exited"), ("print", "")):
        env = made(backend, folder, what, silence_s=3.0, rubric=lambda task, result, transcript: result == "printed")
        try:
            step = played(env, echo)[-1]
            assert step[4]["flags"] == ([flag] if flag else []), step
            assert step[4]["success"] is (what == "print")
        finally:
            env.close()


@pytest.mark.parametrize("backend", BOXES)
def test_a_program_that_is_not_there_is_a_failure_of_the_infrastructure(backend: str) -> None:
    env = ProgramEnv(program=["no-such-program"], tasks=TASKS, backend=backend)
    with pytest.raises((InfrastructureError, UsageError)):
        env.reset(seed=0)
    env.close()


def test_a_folder_is_read_without_links_and_within_bounds(folder: Path) -> None:
    assert set(read_folder(folder)) == {"agent.py", "helper.py"}
    with pytest.raises(UsageError, match="is no folder"):
        read_folder(folder / "none")
