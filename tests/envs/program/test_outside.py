"""What others see of a program's episode: rubrics from outside, proxies, interrupts, and what is left of the killed."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from agentrl.envs.program.env import ProgramEnv
from agentrl.envs.program.launch.keeper import sweep
from agentrl.envs.rubrics import RubricReward
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
