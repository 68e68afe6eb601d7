"""What others see of a program's episode: rubrics from outside, proxies, interrupts, and what is left of the killed."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentrl.envs.program.env import ProgramEnv
from agentrl.envs.program.launch.keeper import sweep
from agentrl.envs.rubrics import RubricReward
from tests.completions_server import serving
from tests.envs.program.test_env import PROGRAMS, echo, into, made, played

RUBRIC = '[[component]]\nuse = "exact_match"\n'
PARIS = {"train": [{"question": "?", "answer": "Paris"}]}


@pytest.mark.parametrize(
    ("program", "said", "right"),
    [
        ("waits", "Paris", 1.0),
        ("waits", "<answer>Paris</answer>", 1.0),  # the tags are no part of what it gave
        ("wraps", "<answer>Paris</answer>", 0.0),
        ("raises", "<answer>Paris</answer>", 0.0),
    ],
)
def test_a_rubric_from_outside_reads_what_the_program_gave(program: str, said: str, right: float) -> None:
    env = RubricReward(ProgramEnv(program=f"{PROGRAMS}:{program}", tasks=PARIS), RUBRIC)
    env.reset(seed=0)
    _, reward, _, _, info = env.step(said)
    env.close()
    assert reward == right, info
    assert info["success"] is bool(right)


def test_a_proxy_of_the_machine_is_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "example.org")
    with made("waits", tasks=PARIS) as env:
        assert played(env, lambda *_: "Paris")[-1][1] == 1.0


def test_an_interrupt_is_for_the_process_that_runs_it(tmp_path: Path) -> None:
    with made("waits", tasks=PARIS) as env:
        played(env, echo)
        (fork,) = _forking()
        os.kill(fork, signal.SIGINT)
        played(env, echo)
        assert _forking() == [fork]


def test_folders_of_the_killed_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    alive, dead, other = (tmp_path / f"agentrl-program-{pid}" for pid in (f"{os.getpid()}-a", "4194305-b", "x"))
    for folder in (alive, dead, other):
        folder.mkdir()
    sweep()
    assert sorted(tmp_path.iterdir()) == sorted([alive, other])


def test_long_results_of_commands_are_whole_or_refused(tmp_path: Path) -> None:
    script = tmp_path / "agent.py"
    script.write_text(
        "import json, os, sys\n"
        "sys.path.insert(0, '.')\n"
        "from tests.envs.program.programs import ask, user\n"
        "ask(os.environ['OPENAI_BASE_URL'], os.environ['OPENAI_API_KEY'], [user('?')])\n"
        "print(json.dumps(['x' * int(sys.argv[1])]))\n"
    )
    seen: list[Any] = []
    for length in (200_000, 9_000_000):
        with made(["python", str(script), str(length)], tasks=PARIS, rubric=into(seen)) as env:
            step = played(env, echo)[-1]
            assert (step[4]["flags"], len(json.dumps(seen))) == (
                ([], 200_006) if length < 1_000_000 else (["program:raised"], 200_006)
            )


def test_numbers_of_numpy_are_numbers_for_the_program() -> None:
    def draw(generator: np.random.Generator, split: str, level: int) -> dict[str, Any]:
        first, second = generator.integers(10, size=2)
        return {"a": first, "b": second, "answer": first + second}

    def add(task: dict[str, Any], base_url: str, api_key: str) -> Any:
        from tests.envs.program.programs import ask, user

        ask(base_url, api_key, [user("?")])
        return np.int64(task["a"] + task["b"])

    with made(add, tasks=draw, rubric=lambda task, result, transcript: np.bool_(result == task["answer"])) as env:
        step = played(env, echo)[-1]
        assert (step[1], step[4]["success"]) == (1.0, True)


def test_a_slow_endpoint_of_others_is_not_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(handler: Any, body: dict[str, Any]) -> str:
        time.sleep(2.5)
        return "here"

    with serving(slow) as server:
        other = {"big-*": {"base_url": server.url}}
        with made("consults", passthrough=other, silence_s=1.5, rubric=lambda *_: True) as env:
            assert played(env, echo)[-1][4].get("success")
        assert "authorization" not in {name.lower() for name in server.headers[0]}


@pytest.mark.parametrize("told", [{"x": 1, "success": "false"}, {"x": float("nan")}, "good"])
def test_what_no_rubric_may_say_is_a_failure(told: Any) -> None:
    with made("waits", rubric=lambda *_: told) as env:
        assert played(env, echo)[-1][4]["failure"]["boundary"] == "rubric"


def test_more_answers_than_turns_is_a_limit() -> None:
    with made("twice", max_turns=1, rubric=lambda *_: True) as env:
        assert played(env, echo)[-1][4]["flags"] == ["program:limit"]


def _forking() -> list[int]:
    """Return the processes of this one that fork programs."""
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, path.read_text().split()):
            if b"launch.forking" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found
