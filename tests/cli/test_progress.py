"""What a bench shows while it runs: readable at 40 columns, in a log, and in a notebook that runs."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import agentrl.envs  # noqa: F401  # registers
from agentrl.bench.run import Settings, run
from agentrl.bench.store import BenchStore
from agentrl.bench.summary import summarize
from agentrl.bench.table import table_of
from agentrl.bench.types import Episode, Job
from agentrl.cli.progress import Progress

ENVS = ("AgentRL/Math-v0", "mine:AgentRL/AnEnvironmentWithALongName-v0")
SETTINGS = Settings(envs=ENVS, agent="oracle", num_tasks=100, num_samples=5, levels=(1, 2))


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _episode(env_id: str, level: int, seed: int, *, failed: bool = False, right: bool = True) -> Episode:
    job = Job(env_id=env_id, level=level, seed=seed, sample=0)
    failure: Any = {"kind": "k", "boundary": "b", "message": "m"} if failed else None
    return Episode(job=job, task_id="", prompt="", success=None if failed else right, failure=failure)


def _shown(console: Console, folder: Path, *, settings: Settings = SETTINGS, num: int = 300) -> None:
    clock = Clock()
    with Progress(settings, folder, console=console, clock=clock) as progress:
        progress.start(2000, 0)
        for index in range(num):
            clock.now += 0.5
            env_id = settings.envs[index * len(settings.envs) // num]
            progress.add(_episode(env_id, 1, index, failed=index % 50 == 7, right=index % 4 > 0))


@pytest.mark.parametrize("width", [40, 60, 120])
def test_a_terminal_shows_each_environment_and_level(width: int, tmp_path: Path) -> None:
    out = io.StringIO()
    _shown(Console(file=out, force_terminal=True, width=width, color_system=None), tmp_path)
    frames = re.split(r"\x1b\[2K(?:\x1b\[1A\x1b\[2K)*", out.getvalue())
    picture = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", [each for each in frames if "all" in each][-1]).replace("\r", "")
    header, first, second, total, bar, *rest = picture.rstrip("\n").split("\n")
    assert not "".join(rest).strip()
    assert max(map(len, (header, first, second, total, bar))) <= width
    assert header.split()[:3] == ["environment", "done", "success"]
    assert first.split()[:4] == ["Math-v0", "L1", "147/500", "74.1%"]
    assert "147/500" in second
    assert "Name-v0 L1" in second
    assert total.split()[:3] == ["all", "294/2000", "74.5%"]
    assert bar.split()[-3:] == ["eta", "14m", "10s"]
    assert "2.0/s" in bar


def test_a_log_gets_a_line_every_ten_seconds(tmp_path: Path) -> None:
    out = io.StringIO()
    _shown(Console(file=out, width=40), tmp_path, num=50)
    assert out.getvalue().splitlines() == [
        "19/2000 episodes  success 73.7%  failed 1  2.0/s  eta 16m 30s",
        "39/2000 episodes  success 74.4%  failed 1  2.0/s  eta 16m 20s",
    ]


def test_what_was_done_before_is_counted(tmp_path: Path) -> None:
    settings = Settings(envs=ENVS[:1], agent="oracle", num_tasks=6)
    run(Settings(envs=ENVS[:1], agent="oracle", num_tasks=6), tmp_path)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=60, color_system=None)
    with Progress(settings, tmp_path, console=console) as progress:
        assert run(settings, tmp_path, on_start=progress.start, on_episode=progress.add) == 0
        assert re.search(r"Math-v0 +6/6 +100.0% +0", out.getvalue())
    with BenchStore(tmp_path) as store:
        assert store.tally() == {(ENVS[0], 0): (6, 6, 6)}


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_result_loses_columns_not_letters(width: int) -> None:
    episodes = [_episode("AgentRL/ToolUse-v0", level, seed) for level in (1, 2) for seed in range(9)]
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(table_of(summarize(episodes), width=width))
    header, *rows = console.export_text().rstrip("\n").split("\n")
    assert "…" not in "".join(rows)
    assert header.split()[:2] == ["environment", "level"]
    assert [row.split()[:2] for row in rows] == [["ToolUse-v0", each] for each in ("1", "2", "all")]
    assert all("100.0 [" in row for row in rows)


CELLS = """
import sys
from agentrl.cli.main import main
assert main(["bench", "--env", "Math-v0", "--agent", "oracle", "-n", "30", "--out", sys.argv[-1] + "run"]) == 0
"""
CLIENT = """
import sys, nbclient, nbformat
book = nbformat.reads(sys.stdin.read(), 4)
nbclient.NotebookClient(book, timeout=60, kernel_name="python3").execute()
print(nbformat.writes(book))
"""


def test_a_notebook_shows_the_table_in_place_and_the_result(tmp_path: Path) -> None:
    for name in ("nbclient", "ipykernel"):
        pytest.importorskip(name, reason=f"{name} is not installed; type: pip install -e .[dev]")
    nbformat: Any = import_module("nbformat")
    cell = nbformat.v4.new_code_cell(CELLS.replace('sys.argv[-1] + "run"', repr(str(tmp_path / "run"))))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CLIENT],
        input=nbformat.writes(nbformat.v4.new_notebook(cells=[cell])),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    outputs = nbformat.reads(done.stdout, 4).cells[0].outputs
    assert {each.output_type for each in outputs} == {"display_data"}, outputs
    texts = [each.data["text/plain"] for each in outputs]
    assert re.search(r"Math-v0 +30/30 +100.0% +0", texts[0])
    assert sum("30/30" in text for text in texts) == 1
    assert "success %" in texts[1]
    assert "\x1b" not in texts[0]
