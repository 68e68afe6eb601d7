"""`agentrl view`: what it says where it cannot work; that it works is tested in a browser (tests/bench/viewer)."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agentrl.cli.main import main


def _view(folder: Path, *options: str, before: str = "") -> subprocess.CompletedProcess[str]:
    code = f"import sys; {before}\nfrom agentrl.cli.main import main\nsys.exit(main(['view', *sys.argv[1:]]))"
    command = [sys.executable, "-c", code, *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_help_is_for_a_newcomer(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["view", "--help"])
    printed = capsys.readouterr().out
    assert "agentrl view runs/one" in printed
    assert "token" in printed


def test_without_runs_it_says_what_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["view"]) == 2
    assert "runs is no folder; it is made by agentrl train and agentrl bench" in capsys.readouterr().err
    assert main(["view", "elsewhere"]) == 2
    assert "elsewhere is no folder" in capsys.readouterr().err


def test_without_nicegui_it_says_how_to_install_it(tmp_path: Path) -> None:
    done = _view(tmp_path, ".", before="sys.modules['nicegui'] = None")
    assert done.returncode == 2
    assert "pip install 'agentrl-gym[view]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_and_a_short_token_are_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = _view(tmp_path, ".", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "--port 0 for a free one" in done.stderr
    done = _view(tmp_path, ".", "--host", "0.0.0.0", "--token", "abc")
    assert done.returncode == 2
    assert "at least 16" in done.stderr


@pytest.mark.parametrize("token", ["a" * 16 + ";b", "a" * 16 + " b", "a" * 16 + "&b", "ä" * 16, "+" * 16])
def test_a_token_that_needs_quoting_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], token: str) -> None:
    assert main(["view", str(tmp_path), "--token", token]) == 2
    assert "letters, digits and -._~ alone" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["99999", "65536", "-1"])
def test_a_port_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], port: str) -> None:
    assert main(["view", str(tmp_path), f"--port={port}"]) == 2
    assert f"--port {port} is no port; give one from 1 to 65535" in capsys.readouterr().err


def test_viewing_loads_no_torch_and_writes_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\nfrom agentrl.bench.viewer.app import make_app\n"
        "make_app([pathlib.Path('.')], token='', port=1)\n"
        "print(sorted({'torch', 'transformers', 'agentrl.trainer.loop', 'vllm'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr
    assert list(tmp_path.iterdir()) == []
