"""The box of an episode's code: its session, its files, what it survives, and that its state can be taken along."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from agentrl.envs.core import TextEnv, Turn
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.scripted import call
from agentrl.envs.tools import Tool
from agentrl.envs.tools.codebox import CodeBox
from agentrl.envs.tools.host import shared_backend
from agentrl.sandboxes import SandboxSpec, ScriptedBackend
from agentrl.sandboxes.errors import SandboxDied, SandboxFileError
from agentrl.sandboxes.scripted import exec_result

BACKENDS = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bwrap),
]
SPEC = SandboxSpec(files={"first.txt": b"first"}, memory_mb=128, wall_s=10.0)


@pytest.fixture(params=BACKENDS)
def box(request: pytest.FixtureRequest) -> Iterator[CodeBox]:
    made = CodeBox(SPEC, shared_backend(request.param))
    yield made
    made.close()
    made.close()  # may be called twice


def test_a_session_keeps_its_state_and_a_program_does_not(box: CodeBox) -> None:
    assert box.cell("x = 6").status == "ok"
    assert box.cell("x * 7").value == "42"
    assert box.run("print(open('first.txt').read(), 'x' in globals())").stdout == b"first False\n"
    assert box.exec("cat; echo $0", stdin=b"in ").stdout == b"in sh\n"
    assert box.call("f", [3], source="def f(x): return [x, x]").value == [3, 3]


def test_a_renewed_box_is_clean(box: CodeBox) -> None:
    box.cell("x = 1; open('mine.txt', 'w').write('mine')")
    box.renew()
    assert box.read("first.txt") == b"first"
    with pytest.raises(SandboxFileError):
        box.read("mine.txt")
    assert box.cell("x").status == "nonzero"


def test_a_box_that_met_its_memory_limit_is_replaced(box: CodeBox) -> None:
    box.cell("x = 1")
    assert box.run("a = bytearray(10**9)").status == "oom"
    assert box.num_replaced == 0
    assert box.cell("x").status == "nonzero"
    assert box.num_replaced == 1
    assert box.read("first.txt") == b"first"


def test_a_snapshot_has_files_links_folders_and_the_session(box: CodeBox) -> None:
    box.cell("count = 0")
    box.cell(
        "import os; count += 1; open('log.txt', 'a').write('once ')\n"
        "os.makedirs('a/empty'); os.makedirs('a/b'); open('a/b/data', 'wb').write(bytes(range(256)))\n"
        "os.symlink('b/data', 'a/link'); os.chmod('a/b/data', 0o600); os.remove('first.txt'); os.chmod('a/b', 0o700)"
    )
    taken = json.loads(json.dumps(box.snapshot()))
    box.cell("count = 99; open('log.txt', 'w').write('gone')")
    box.restore(taken)
    assert box.cell("count").value == "1"
    assert box.read("log.txt") == b"once "
    assert box.exec(["sha256sum", "a/link"]).status == "nonzero"  # the session's user keeps it to itself, as before
    assert box.cell("open('a/link', 'rb').read() == bytes(range(256))").value == "True"
    box.exec("rm a/link; mkdir b; echo 2 >> log.txt; echo new > b/c; ln -s b/c there")
    later = box.snapshot()
    box.restore(later)
    assert box.read("log.txt") == b"once 2\n"
    assert box.exec("cat there; ls a").stdout == b"new\nb\nempty\n"
    assert {**later, "cells": []} == {**box.snapshot(), "cells": []}
    box.restore(taken)
    modes = {entry.name: (entry.kind, entry.mode) for entry in box.list("/work/a")}
    assert modes["b"] == ("folder", 0o700)
    assert modes["empty"][0] == "folder"
    assert modes["link"][0] == "link"
    with pytest.raises(SandboxFileError):
        box.read("first.txt")
    assert box.snapshot() == taken


def test_a_session_that_was_stopped_is_not_run_again(box: CodeBox) -> None:
    box.cell("x = 1")
    assert box.cell("while True: pass", timeout_s=0.5).status == "timeout"
    box.cell("y = 2")
    box.restore(box.snapshot())
    assert box.cell("y").value == "2"
    assert box.cell("x").status == "nonzero"


def test_a_dead_box_is_an_infrastructure_failure() -> None:
    box = CodeBox(SPEC, ScriptedBackend([exec_result("fine"), SandboxDied("gone")]))
    assert box.run("print('fine')").stdout == b"fine"
    with pytest.raises(InfrastructureError, match="gone") as caught:
        box.run("print('fine')")
    assert (caught.value.kind, caught.value.boundary) == ("died", "sandbox")


class Shell(TextEnv):
    """Runs what it is told."""

    runs_code = True
    backend_dies = False

    @property
    def tools(self) -> tuple[Tool, ...]:
        return (Tool.of(self.sh),)

    def sh(self, line: str) -> str:
        """Run a line.

        Args:
            line: Of the shell.
        """
        return self.box.exec(line).stdout_text

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        return str(rng.integers(10**9))

    def question(self) -> str:
        return "Say what the file holds."

    def box_spec(self) -> SandboxSpec | None:
        return SPEC

    def answer(self, text: str, turn: str) -> Turn:
        right = text == self.box.read("first.txt").decode()
        return Turn(rewards={"exact_match": float(right)}, terminated=True, success=right)

    def oracle(self) -> Policy:
        return lambda observation, info: "<answer>first</answer>"


def test_the_model_s_code_is_never_run_here() -> None:
    with pytest.raises(UsageError, match=r"backend='local' would run the model's code in this process; Shell takes"):
        Shell(backend="local")


@pytest.mark.parametrize(
    "backend", [pytest.param("docker", marks=pytest.mark.docker), pytest.param("bwrap", marks=pytest.mark.bwrap)]
)
def test_an_episode_owns_one_box_from_reset_to_its_end(backend: str) -> None:
    env = Shell(backend=backend)
    env.reset(seed=1)
    stats: Any = env.box.backend.stats  # type: ignore[attr-defined]
    leased = stats().leased
    assert env.step(call("sh", line="pwd; ls"))[0] == "/work\nfirst.txt\n"
    taken = env.snapshot()
    env.step(call("sh", line="echo other > first.txt"))
    assert stats().leased == leased
    env.restore(taken)
    assert env.step("<answer>first</answer>")[4]["success"] is True
    assert stats().leased == leased - 1
    env.restore(taken)
    env.box._box.close()
    _, reward, terminated, truncated, info = env.step(call("sh", line="ls"))
    assert (reward, terminated, truncated, info["failure"]["boundary"]) == (0.0, False, True, "sandbox")
    env.reset(seed=2)
    assert stats().leased == leased
    env.close()
    assert stats().leased == leased - 1
