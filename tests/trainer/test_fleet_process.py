"""Servers that the run starts: they are started again when they die, and end with the run, however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agentrl.trainer.engines import vllm_servers
from agentrl.trainer.engines.base import Engine, Request
from agentrl.trainer.engines.fleet import fleet, keeper, process
from agentrl.trainer.engines.fleet.process import FOLDER, Launched
from agentrl.trainer.engines.opening import open_engine
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.errors import EngineError
from tests.trainer.fake_vllm import bias_of

pytestmark = pytest.mark.timeout(120)
ROOT = Path(__file__).parents[2]
FAKE = [sys.executable, "-m", "tests.trainer.fake_vllm"]
# A child of its own, as vLLM has, that outlives it; and a file in the folder for temporary ones.
NESTED = 'sleep 300 & touch "$TMPDIR/mine"; echo begun; exec sleep 300'


def until(true: Callable[[], Any], seconds: float = 20.0) -> None:
    stop = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < stop
        time.sleep(0.02)


def living(mark: str) -> set[int]:
    """Return the processes that have a mark in their environment."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if f"AGENTRL_TEST={mark}".encode() in (entry / "environ").read_bytes():
                    found.add(int(entry.name))
    return found


def test_all_of_a_server_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(process, "_LONGEST", 1000)
    server = Launched(["sh", "-c", NESTED, FOLDER], {"AGENTRL_TEST": str(tmp_path)})
    server.start()
    until(lambda: "begun" in server.tail())
    assert len(living(str(tmp_path))) == 3  # keeper, shell, and what that began
    server.close()
    assert living(str(tmp_path)) == set()
    assert list(tmp_path.iterdir()) == []
    server.close()
    server.start()  # closed is closed
    assert living(str(tmp_path)) == set()


def test_what_a_dead_server_left_is_ended_and_its_log_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(process, "_LONGEST", 1000)
    server = Launched(["sh", "-c", "sleep 300 & echo no memory; exit 7"], {"AGENTRL_TEST": str(tmp_path)})
    server.start()
    until(lambda: server.ended() is not None)
    assert server.ended() == 7
    assert "no memory" in server.tail()
    assert living(str(tmp_path)) == set()
    server.close()
    assert list(tmp_path.iterdir()) == []


OWNER = """
import os, sys, time
from agentrl.trainer.engines.fleet import process
from agentrl.trainer.engines.fleet.process import Launched
process._LONGEST = 1000
server = Launched(["sh", "-c", sys.argv[1]])
server.start()
if sys.argv[2] == "forked" and os.fork() == 0:  # a child that holds the pipe
    time.sleep(300)
print("begun", flush=True)
time.sleep(300)
"""


@pytest.mark.parametrize("how", ["plain", "forked"])
def test_a_killed_owner_leaves_nothing(tmp_path: Path, how: str) -> None:
    settings = os.environ | {"TMPDIR": str(tmp_path), "AGENTRL_TEST": str(tmp_path)}
    owner = subprocess.Popen([sys.executable, "-c", OWNER, NESTED, how], stdout=subprocess.PIPE, env=settings)
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"begun\n"
    until(lambda: len(living(str(tmp_path))) >= 4)
    held = living(str(tmp_path))
    owner.kill()
    owner.wait()
    owner.stdout.close()
    forked = {pid for pid in held if how == "forked" and b"-c" in _line(pid) and b"Launched" in _line(pid)}
    until(lambda: not living(str(tmp_path)) - forked)
    assert list(tmp_path.iterdir()) == []
    for pid in forked - {owner.pid}:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _line(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def test_a_keeper_imports_nothing_of_ours() -> None:
    ours = "[name for name in sys.modules if name.startswith('agentrl.')]"
    code = f"import runpy, sys; runpy.run_path({keeper.__file__!r}); print({ours})"
    said = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


# -- a run's ------------------------------------------------------------------------------------------------------


@pytest.fixture
def model(tiny_model: Callable[..., Any]) -> Any:
    return tiny_model(seed=1)


def opened(model: Any, monkeypatch: pytest.MonkeyPatch, command: list[str], count: int = 2, **more: Any) -> Engine:
    """Open the engine with another command in place of vLLM's."""
    monkeypatch.setattr(
        vllm_servers, "arguments_of", lambda *_, **__: (command, [{"PYTHONPATH": str(ROOT)} for _ in range(count)])
    )
    monkeypatch.setattr(vllm_servers, "check_version", lambda: "0.32.0")
    options = EngineConfig(name="vllm", servers=count, **{"timeout_s": 30.0, "health_s": 0.3, **more})
    return open_engine(model, max_tokens=64, max_sessions=8, schedule="eager", options=options)


def say(engine: Engine, seed: int = 1) -> list[float]:
    async def turn() -> list[float]:
        session = engine.session()
        request = Request(prompt_ids=[1], max_new_tokens=3, temperature=1.0, seed=seed, stop_ids=frozenset())
        said = await session.generate(request)
        session.close()
        return said.logprobs

    return asyncio.run(turn())


def kill_server(launched: Launched) -> None:
    (child,) = Path(f"/proc/{launched.pid}/task/{launched.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)


def test_a_server_that_dies_is_started_again_a_few_times(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "_STARTS", 2)
    with opened(model, monkeypatch, FAKE, count=1) as engine:
        (launched,) = engine._launched  # type: ignore[attr-defined]
        assert say(engine) == pytest.approx([bias_of(model)] * 3)
        kill_server(launched)
        assert say(engine) == pytest.approx([bias_of(model)] * 3)  # waits, and the weights were pushed again
        seen = engine.metrics()
        assert (seen["engine/servers_restarted"], seen["engine/servers_returned"]) == (1.0, 1.0)
        kill_server(launched)
        began = time.monotonic()
        with pytest.raises(EngineError, match=r"it was started 2 times and has ended again"):
            say(engine)
        assert time.monotonic() - began < 20  # not the whole time: it cannot come back


def test_why_a_server_did_not_start_is_shown(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["sh", "-c", "echo cannot allocate memory; exit 3"]
    with pytest.raises(EngineError, match=r"was started and ended with 3; its log ends: cannot allocate memory"):
        opened(model, monkeypatch, command)
