"""`agentrl bench` as a user meets it: a table, JSON, a run that goes on, and the next thing to type."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from agentrl.bench.store import BenchStore
from agentrl.cli.main import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `agentrl bench` in this process, in a folder of its own."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        try:
            status = main(["bench", *words])
        except SystemExit as exit:
            status = exit.code if isinstance(exit.code, int) else 2
        told = capsys.readouterr()
        return status, told.out, told.err

    return call


def test_a_table_for_people(run: Run) -> None:
    words = (
        "--env",
        "Math-v0,ToolUse-v0",
        "--agent",
        "oracle",
        "-n",
        "2",
        "--level",
        "1,2",
        "--k",
        "1,2",
        "--out",
        "o",
    )
    status, out, err = run(*words)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == "environment level tasks success % reward turns p50 s p99 s failed".split()
    assert lines[1].split()[:6] == ["Math-v0", "1", "2", "100.0", "[34.2,", "100.0]"]
    assert lines[3].split()[:3] == ["Math-v0", "all", "4"]
    assert "pass^2" in out
    assert "every episode is in o" in out
    assert Path("o/bench.sqlite").is_file()


def test_json_for_machines_and_the_same_command_plays_nothing_again(run: Run) -> None:
    words = ("--env", "AgentRL/Math-v0", "--agent", "random", "-n", "3", "--k", "2", "--json")
    status, out, err = run(*words)
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert told["identity"]["envs"] == ["AgentRL/Math-v0"]
    assert told["identity"]["num_samples"] == 2
    (row,) = told["summaries"]
    assert (row["num_episodes"], row["success"]["num_tasks"], list(row["pass_at"])) == (6, 3, ["2"])
    before = Path(told["folder"], "bench.sqlite").stat().st_size
    assert told["num_played"] == 6
    assert json.loads(run(*words)[1]) == {**told, "num_played": 0}
    assert "0 episodes were played now, the others earlier" in run(*words[:-1])[1]
    assert Path(told["folder"], "bench.sqlite").stat().st_size == before
    assert str(Path(told["folder"]).parent) == "runs"


def test_failures_are_told_and_end_with_1(run: Run) -> None:
    Path("broken.py").write_text("def f(messages, seed):\n    return '<answer>1</answer>' if seed else 1 / 0\n")
    status, out, _ = run("--env", "Math-v0", "--agent", "python:broken:f", "-n", "4", "--retries", "1", "--out", "o")
    assert status == 1
    assert "1 episode failed and counts for nothing (1 agent: error)" in " ".join(out.split())


class _Model(BaseHTTPRequestHandler):
    """Gives one answer to all, and counts tokens as a server would."""

    keys: ClassVar[list[str | None]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.keys.append(self.headers["Authorization"])
        message = {"role": "assistant", "content": "<answer>1</answer>"}
        usage = {"prompt_tokens": 1000, "completion_tokens": 200}
        body = json.dumps({"choices": [{"message": message}], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_a_model_behind_an_endpoint_with_its_cost(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "k")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Model) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            words = ["--env", "Math-v0", "--agent", "openai:m", "-n", "5", "--key-env", "MY_KEY", "--price", "2,10"]
            words += ["--base-url", f"http://127.0.0.1:{server.server_address[1]}/v1"]
            status, out, err = run(*words)
            told = json.loads(run(*words, "--json")[1])
        finally:
            server.shutdown()
            thread.join()
    assert (status, err) == (0, "")
    assert "5,000 tokens read, 1,000 written; cost 0.0200" in out
    assert told["cost"] == pytest.approx(0.02)
    assert told["identity"]["agent_settings"]["tools"] == "auto"
    assert _Model.keys == ["Bearer k"] * 5


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "name an environment: --env AgentRL/Math-v0"),
        (("--env", "Maht-v0", "--agent", "oracle"), "did you mean 'AgentRL/Math-v0'"),
        (("--env", "Math-v0"), "name who plays: --agent oracle"),
        (("--env", "Math-v0", "--agent", "orcale"), "did you mean 'oracle'"),
        (("--env", "Math-v0", "--agent", "oracle", "-n", "0"), "num_tasks=0 must be 1 or more"),
        (("--env", "Math-v0", "--agent", "oracle", "--k", "1,x"), "--k '1,x' must be whole numbers; type --k 1,4"),
        (("--env", "Math-v0", "--agent", "oracle", "--concurrency", "x"), "type --concurrency 8, or auto"),
        (("--env", "Math-v0", "--agent", "oracle", "--concurrency", "0"), "concurrency=0 must be 1 or more, or auto"),
        (("--env", "Math-v0", "--agent", "oracle", "--concurrency", "2", "--memory", "9"), "bounds concurrency='auto'"),
        (("--env", "Math-v0", "--agent", "oracle", "--k", "0"), "--k '0' must be 1 or more"),
        (("--env", "Math-v0", "--agent", "oracle", "--level", "7"), "has no level 7; there are 1, 2, 3, 4, 5"),
        (("--env", "Math-v0", "--agent", "oracle", "--split", "tset"), "did you mean 'test'"),
        (("--env", "Math-v0", "--agent", "oracle", "--base-url", "http://x"), "--base-url has no effect on oracle"),
        (("--env", "Math-v0", "--agent", "oracle", "--key-env", "X"), "--key-env has no effect on oracle"),
        (("--env", "Math-v0", "--agent", "openai:m", "--base-url", "x:1"), "base_url='x:1' is no address"),
        (("--env", "Math-v0", "--agent", "openai:m", "--price", "1"), "--price '1' must be two numbers"),
        (("--env", "Math-v0", "--agent", "oracle", "--kwargs", "[]"), "--kwargs '[]' is not a JSON object"),
    ],
)
def test_a_wrong_word_is_answered_with_what_to_type(run: Run, words: tuple[str, ...], told: str) -> None:
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert told in err
    assert "Traceback" not in err
    assert not Path("runs").exists()


def test_another_bench_in_the_same_folder_is_refused(run: Run) -> None:
    run("--env", "Math-v0", "--agent", "oracle", "-n", "1", "--out", "o")
    status, _, err = run("--env", "Math-v0", "--agent", "noop", "-n", "1", "--out", "o")
    assert status == 2
    assert 'agent was "oracle" and is "noop"' in err


AGENT = """import os, time
def slow(messages, seed):
    time.sleep(float(os.environ.get("PACE_S", "0")))
    return f'<answer>{seed}</answer>'
"""


@pytest.mark.slow
def test_killed_three_times_it_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(AGENT)
    command = [sys.executable, "-m", "agentrl.cli.main", "bench", "--env", "Math-v0", "--agent", "python:mine:slow"]
    command += ["-n", "150", "--concurrency", "2"]
    sizes: list[int] = []
    slowly = os.environ | {"PACE_S": "0.2"}  # a busy machine may look seldom
    for _ in range(3):
        process = subprocess.Popen([*command, "--out", "cut"], cwd=tmp_path, stdout=subprocess.PIPE, env=slowly)
        stop = time.monotonic() + 60
        enough = (sizes[-1] if sizes else 0) + 20
        while time.monotonic() < stop and _count(tmp_path / "cut") < enough:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        sizes.append(_count(tmp_path / "cut"))
    assert 20 <= sizes[0] < sizes[1] < sizes[2] < 150
    for folder in ("cut", "whole"):
        subprocess.run([*command, "--out", folder], cwd=tmp_path, check=True, stdout=subprocess.PIPE, timeout=120)
    with BenchStore(tmp_path / "cut") as cut, BenchStore(tmp_path / "whole") as whole:
        one, two = list(cut.episodes()), list(whole.episodes())
    assert len(one) == 150
    assert [(e.job, e.task_id, e.reward, e.success, e.messages) for e in one] == [
        (e.job, e.task_id, e.reward, e.success, e.messages) for e in two
    ]


def _count(folder: Path) -> int:
    if not (folder / "bench.sqlite").exists():
        return 0
    import sqlite3
    from contextlib import closing

    try:
        with closing(sqlite3.connect(folder / "bench.sqlite")) as db:
            return int(db.execute("SELECT count(*) FROM episodes").fetchone()[0])
    except sqlite3.OperationalError:  # made, and without its table yet
        return 0
