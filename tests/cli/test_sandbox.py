"""`agentrl sandbox` as a user meets it: a file runs in a box on each backend, and what is wrong is said in a line."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agentrl.cli.main import main
from agentrl.cli.sandbox import COMMANDS
from agentrl.cli.sandbox_run import exit_status, shown
from agentrl.sandboxes.errors import SandboxError
from agentrl.sandboxes.images import BASE_IMAGE
from agentrl.sandboxes.results import ExecResult, Status

AGENTRL = str(Path(sys.executable).with_name("agentrl"))
BACKENDS = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bwrap),
]


def sandbox(*words: str, stdin: bytes = b"", folder: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run `agentrl sandbox`."""
    command = [AGENTRL, "sandbox", *words]
    return subprocess.run(command, input=stdin, capture_output=True, cwd=folder, timeout=240, check=False)


def result(status: Status, exit_code: int | None = None, signal: int | None = None) -> ExecResult:
    """Return a result of which only the end matters."""
    return ExecResult(status=status, exit_code=exit_code, signal=signal, stdout=b"", stderr=b"", wall_s=0.0, cpu_s=0.0)


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "--help"]) == 0
    out = capsys.readouterr().out
    for name, (_, what) in COMMANDS.items():
        assert f"  {name} " in out
        assert what in out
    assert main(["sandbox"]) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["sandbox", command, "--help"])
    assert left.value.code == 0
    assert f"agentrl sandbox {command}" in capsys.readouterr().out


# words -> parts of the message
REFUSED: dict[tuple[str, ...], tuple[str, ...]] = {
    ("rnu",): ("no command 'rnu'", "run", "agentrl sandbox --help"),
    ("run",): ("the following arguments are required: FILE\n",),
    ("run", "none.py"): ("'none.py' cannot be read: No such file", "agentrl sandbox run FILE"),
    ("run", "."): ("'.' cannot be read",),
    ("run", "a.py", "--image", ""): ("image=''",),
    ("run", "a.py", "--memory-mb", "1"): ("memory_mb=1", "at least"),
    ("run", "a.py", "--timeout-s", "0"): ("wall_s=0.0",),
    ("run", "a.py", "--network", "http://example.org"): ("'http://example.org' is not a host name",),
    ("run", "a.py", "--backend", "chroot"): ("chroot", "docker", "bubblewrap"),
    ("build", "--method", "podman"): ("podman", "debootstrap"),
    ("doctor", "--backend", "chroot"): ("chroot", "bubblewrap"),
    ("doctor", "--quick", "--case", "spin"): ("--quick", "--case"),
}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_is_wrong_is_said(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").touch()
    try:
        status = main(["sandbox", *words])
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 1
    told = capsys.readouterr().err
    assert status == 2
    for part in REFUSED[words]:
        assert part in told


def test_exit_statuses() -> None:
    assert exit_status(result("ok", 0)) == 0
    assert exit_status(result("nonzero", 3)) == 3
    assert exit_status(result("signal", None, 11)) == 139
    assert exit_status(result("timeout", None, 9)) == exit_status(result("timeout", 0)) == 124
    assert exit_status(result("oom", None, 9)) == 137
    assert exit_status(result("output_limit", 0)) == 1
    assert exit_status(result("pids", 4)) == 4


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        """Return that it is."""
        return True


def test_output_cannot_move_a_terminal() -> None:
    out, err = Terminal(), Terminal()
    show = shown(out, err)
    show("stdout", b"\x1b[2Jred\r\x00\x07\t\n\xe2\x80\xae\xc2\x9b1m \xff")
    show("stderr", b"caf\xc3")
    show("stderr", b"\xa9\n")
    assert out.getvalue() == "\\x1b[2Jred\\r\\x00\\x07\t\n\\u202e\\x9b1m \\xff"
    assert err.getvalue() == "café\n"


def test_output_to_a_pipe_is_raw() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw)
    shown(out, out)("stdout", b"\x1b[2J\xff\r\n")
    assert raw.getvalue() == b"\x1b[2J\xff\r\n"


def test_output_that_finds_no_room_is_said_once() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        with pytest.raises(SandboxError) as caught:
            shown(full, full)("stdout", b"text")
        # What is left in the buffer goes nowhere, without another error.
        full.flush()
    assert str(caught.value).startswith("standard output cannot be written: No space left on device; ")


PROGRAM = """\
import os, sys
print(sys.argv, os.getcwd(), sys.stdin.read())
print("to the error stream", file=sys.stderr)
sys.exit(3)
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_runs(backend: str, tmp_path: Path) -> None:
    (tmp_path / "solve it.py").write_text(PROGRAM)
    done = sandbox("run", "solve it.py", "--backend", backend, "a", "--", "--x", stdin=b"in", folder=tmp_path)
    assert done.stdout.decode() == "['/work/solve it.py', 'a', '--x'] /work in\n", done.stderr
    assert done.stderr.startswith(b"to the error stream\nagentrl sandbox run: nonzero (exit status 3, ")
    assert done.returncode == 3
    (tmp_path / "script").write_text('printf \'%s \' "$0" "$1"; exit 0')
    done = sandbox("run", "script", "b", "--backend", backend, folder=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == (b"/work/script b ", b"", 0)
    (tmp_path / "script").write_text("#!/usr/bin/env python3\nimport os\nos.kill(os.getpid(), 11)\n")
    done = sandbox("run", "script", "--backend", backend, folder=tmp_path)
    assert b"signal (signal 11, " in done.stderr
    assert done.returncode == 139


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_limit_is_said_with_the_option_that_raises_it(backend: str, tmp_path: Path) -> None:
    (tmp_path / "hang.py").write_text("print('\\x1b[31mhi', flush=True)\nwhile True: pass")
    command = [AGENTRL, "sandbox", "run", "hang.py", "--timeout-s", "1", "--backend", backend]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        text = b""
        try:
            while piece := os.read(ours, 4096):
                text += piece
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        assert process.wait(timeout=60) == 124
    assert text.startswith(b"\\x1b[31mhi\r\n")
    assert re.search(rb"agentrl sandbox run: timeout \(.*\); more time: --timeout-s\r\n$", text)


@pytest.mark.bwrap
def test_a_full_disk_stops_the_program_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "huge.py").write_text("while True: print('x' * 1000, flush=True)")
    command = [AGENTRL, "sandbox", "run", "huge.py", "--backend", "bubblewrap", "--output-bytes", "1000000000"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert re.fullmatch(rb"agentrl sandbox: standard output cannot be written: No space left .*\n", done.stderr)


@pytest.mark.bwrap
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_takes_no_output_and_is_no_error(closed: str, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    script = f'"$0" sandbox run x.py --backend bubblewrap {closed}'
    done = subprocess.run(
        ["sh", "-c", script, AGENTRL],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert done.stdout == (b"" if " >&-" in f" {closed}" else b"out\n")
    assert done.stderr.startswith(b"" if "2>&-" in closed else b"err\nagentrl sandbox run: nonzero (")


@pytest.mark.docker
def test_build_says_the_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "build"]) == 0
    assert re.match(rf"{re.escape(BASE_IMAGE)} .*: \d{{3}} MB, sha256:[0-9a-f]{{64}}\n", capsys.readouterr().out)


@pytest.mark.docker
def test_prune_removes_nothing_that_lives(tmp_path: Path) -> None:
    (tmp_path / "wait.py").write_text("import sys, time\nprint('up', flush=True)\ntime.sleep(30)")
    command = [AGENTRL, "sandbox", "run", "wait.py", "--backend", "docker"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        dry = sandbox("prune", "--dry-run")
        done = sandbox("prune")
        assert process.poll() is None
        process.terminate()
    assert (dry.returncode, done.returncode) == (0, 0), done.stderr
    assert re.search(rb"^\d+ would be removed\n$", dry.stdout, re.MULTILINE)
    assert re.search(rb"^\d+ removed\n$", done.stdout, re.MULTILINE)


@pytest.mark.docker
@pytest.mark.bwrap
def test_the_doctor_says_what_is_held(tmp_path: Path) -> None:
    done = sandbox("doctor", "--quick", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert {"docker", "bubblewrap"} <= set(told["capabilities"])
    assert told["suite"] == {}
    assert {each["subject"] for each in told["findings"]} == {"host", "docker", "bubblewrap"}


@pytest.mark.bwrap
def test_the_doctor_runs_a_case_and_knows_its_cases() -> None:
    done = sandbox("doctor", "--backend", "bubblewrap", "--case", "no_such_case")
    assert done.returncode == 2
    assert b"no case or group is called 'no_such_case'" in done.stderr
