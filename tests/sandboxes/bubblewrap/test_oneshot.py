"""One program in one bubblewrap box: the statuses, what it may see, and that nothing is left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentrl.sandboxes.bubblewrap.backend import BubblewrapBackend
from agentrl.sandboxes.bubblewrap.cgroups import usable_hierarchy
from agentrl.sandboxes.bubblewrap.oneshot import _parse
from agentrl.sandboxes.errors import SpecError
from agentrl.sandboxes.reaper import owner_token
from agentrl.sandboxes.spec import SandboxSpec

SMALL = SandboxSpec(memory_mb=128, pids=32, wall_s=30.0)


@pytest.fixture(scope="module")
def backend() -> Iterator[BubblewrapBackend]:
    with BubblewrapBackend(warm=0) as made:
        yield made


def left_behind() -> list[str]:
    roots = usable_hierarchy().roots()
    return [str(each) for root in roots for each in (root / owner_token()).glob("run-*")]


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("exit 0\n0m0.0s 0m0.0s\n0m0.25s 1m0.5s\n", (0, None, 60.75)),
        ("exit 137\n", (137, None, 0.0)),
        ("Killed\nexit 137\n", (None, 9, 0.0)),
        ("sandbox: line 3:     7 Segmentation fault      (exec ...)\nexit 139\n", (None, 11, 0.0)),
        ("exit 130\n", (130, None, 0.0)),
        ("exit 141\n", (141, None, 0.0)),
        ("", (None, None, 0.0)),
        ("nonsense", (None, None, 0.0)),
    ],
)
def test_the_report_tells_an_exit_code_from_a_signal(
    report: str, expected: tuple[int | None, int | None, float]
) -> None:
    assert _parse(report) == expected


@pytest.mark.bwrap
@pytest.mark.parametrize("command", ["", [], [""], ["a\0b"], ["x" * 131_072], ["y" * 100_000] * 3, [b"bytes"]])
def test_what_the_system_does_not_take_is_refused(backend: BubblewrapBackend, command: list[str] | str) -> None:
    with pytest.raises(SpecError, match="command"):
        backend.run(command, spec=SMALL)
    assert not left_behind()


@pytest.mark.bwrap
@pytest.mark.parametrize(
    ("command", "status", "exit_code", "number"),
    [
        ("exit 0", "ok", 0, None),
        ("exit 3", "nonzero", 3, None),
        ("exit 130", "nonzero", 130, None),
        ("exit 137", "nonzero", 137, None),
        ("exit 141", "nonzero", 141, None),
        ("kill -9 $$", "signal", None, 9),
        ("kill -11 $$", "signal", None, 11),
        ("kill -15 $$", "signal", None, 15),
        ("kill -2 $$", "nonzero", 130, None),
        ("kill -13 $$", "nonzero", 141, None),
        (["no-such-program"], "nonzero", 127, None),
        (["./missing"], "nonzero", 127, None),
        (["/etc/passwd"], "nonzero", 126, None),
        (["/usr"], "nonzero", 126, None),
    ],
)
def test_how_it_ended_is_told_exactly(
    backend: BubblewrapBackend, command: list[str] | str, status: str, exit_code: int | None, number: int | None
) -> None:
    done = backend.run(command, spec=SMALL)
    assert (done.status, done.exit_code, done.signal) == (status, exit_code, number)
    if exit_code in (126, 127):
        assert done.stderr.startswith(b"sandbox: cannot run '")
    assert not left_behind()


@pytest.mark.bwrap
def test_input_and_both_outputs_are_carried_whole(backend: BubblewrapBackend) -> None:
    program = (
        "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data); sys.stderr.buffer.write(data[::-1])"
    )
    data = bytes(range(256)) * 1500
    done = backend.run(["python3", "-c", program], spec=SMALL, stdin=data)
    assert (done.status, done.stdout, done.stderr) == ("ok", data, data[::-1])


@pytest.mark.bwrap
def test_input_ends_and_may_be_left_unread(backend: BubblewrapBackend) -> None:
    assert backend.run("cat", spec=SMALL).status == "ok"
    assert backend.run("exec 0<&-; sleep 0.1; echo done", spec=SMALL, stdin=bytes(1 << 20)).stdout == b"done\n"


@pytest.mark.bwrap
@pytest.mark.parametrize(
    ("program", "spec", "status"),
    [
        ("while True: pass", SandboxSpec(wall_s=0.5), "timeout"),
        ("import time, signal; signal.signal(15, signal.SIG_IGN); time.sleep(60)", SandboxSpec(wall_s=0.5), "timeout"),
        ("while True: pass", SandboxSpec(cpu_s=0.4), "cpu_timeout"),
        ("import os\nos.fork(); os.fork()\nwhile True: pass", SandboxSpec(cpu_s=0.8), "cpu_timeout"),
        ("x = bytearray(1 << 30)", SandboxSpec(memory_mb=64), "oom"),
        ("import os\nwhile True: os.fork()", SandboxSpec(pids=16, memory_mb=512), "pids"),
        ("while True: print('x' * 1000)", SandboxSpec(output_bytes=5000), "output_limit"),
        ("import sys\nwhile True: sys.stderr.write('x' * 1000)", SandboxSpec(output_bytes=5000), "output_limit"),
        ("print('x' * 4999)", SandboxSpec(output_bytes=5000), "ok"),
        ("open('/work/x', 'wb').write(bytes(2 << 20))", SandboxSpec(disk_mb=1), "nonzero"),
        ("[open(f'/tmp/{n}', 'w').close() for n in range(50)]", SandboxSpec(inodes=16), "nonzero"),
        ("x = [open('/dev/null') for _ in range(50)]", SandboxSpec(open_files=20), "nonzero"),
        ("open('/x', 'w')", SMALL, "nonzero"),
    ],
)
def test_each_limit_has_its_status(backend: BubblewrapBackend, program: str, spec: SandboxSpec, status: str) -> None:
    needed = {"oom": "memory_mb", "pids": "pids", "cpu_timeout": "cpus"}.get(status)
    if needed and needed not in backend.capabilities().held:
        pytest.skip(f"{needed} is not held here: {backend.capabilities().missing[needed]}")
    began = time.monotonic()
    done = backend.run(["python3", "-c", program], spec=spec)
    assert done.status == status, done
    assert len(done.stdout) + len(done.stderr) <= spec.output_bytes
    assert time.monotonic() - began < 30
    assert not left_behind()


@pytest.mark.bwrap
@pytest.mark.parametrize("size", [10, 60_000, 120_000])
def test_an_environment_of_any_size_arrives(backend: BubblewrapBackend, size: int) -> None:
    spec = SandboxSpec(environment={"LONG": "x" * size})
    assert backend.run("echo ${#LONG}; ls /work /dev/shm", spec=spec).stdout.split()[0] == b"%d" % size


@pytest.mark.bwrap
def test_what_it_left_running_is_dead(backend: BubblewrapBackend) -> None:
    name = f"sleep 98.{os.getpid()}"
    done = backend.run(f"setsid {name} >/dev/null 2>&1 & echo left", spec=SMALL)
    assert done.stdout == b"left\n"
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert name not in shown.splitlines()


@pytest.mark.bwrap
def test_no_zombie_is_left_to_anybody(backend: BubblewrapBackend) -> None:
    script = "for n in 1 2 3 4 5; do (setsid sleep 0.01 &) ; done; sleep 0.2; ps -eo stat,args | grep -c '^Z'; true"
    assert backend.run(script, spec=SMALL).stdout == b"0\n"
    for _ in range(3):
        backend.run("true", spec=SMALL)
    users = {str(first_id) for _, first_id in backend._found()._holders.values()}
    shown = subprocess.run(["ps", "-eo", "uid,stat,args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in shown.splitlines() if line.split()[0] in users and line.split()[1].startswith("Z")]


@pytest.mark.bwrap
def test_nothing_of_the_host_shows(backend: BubblewrapBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "hidden")
    script = "env; ls -A / /root /etc/ssl; cat /proc/*/cmdline /proc/*/environ; cat /proc/net/dev; hostname; "
    script += "ls /proc/self/fd"
    done = backend.run(script, spec=SMALL)
    for word in (b"hidden", b"/tmp/agentrl", b"home", b"private", b"eth0"):
        assert word not in done.stdout, done.stdout
    assert b"sandbox\n" in done.stdout
    assert done.stdout.endswith(b"0\n1\n2\n3\n")
    for path in ("/etc/shadow", "/var/run/docker.sock", str(Path.home() / ".ssh"), "/sys/kernel"):
        assert backend.run(["ls", path], spec=SMALL).exit_code == 2


@pytest.mark.bwrap
def test_the_job_has_no_capability_and_gains_none(backend: BubblewrapBackend) -> None:
    done = backend.run("id -u; grep -E 'Cap(Inh|Prm|Eff|Amb)|NoNewPrivs|Seccomp:' /proc/self/status", spec=SMALL)
    lines = done.stdout_text.split("\n")
    assert lines[0] == "1000"
    assert [line.split()[-1] for line in lines[1:5]] == ["0" * 16] * 4
    assert "NoNewPrivs:\t1" in lines
    assert "Seccomp:\t2" in lines


@pytest.mark.bwrap
@pytest.mark.parametrize(
    "program", ["git --version", "sqlite3 :memory: 'select 1'", "gcc --version", "make --version", "node -e 1"]
)
def test_common_programs_run(backend: BubblewrapBackend, program: str) -> None:
    if backend.run(f"command -v {program.split()[0]}", spec=SMALL).exit_code:
        pytest.skip(f"{program.split()[0]} is not installed below /usr here")
    done = backend.run(program, spec=SandboxSpec(memory_mb=1024))
    assert done.status == "ok", done


@pytest.mark.bwrap
def test_several_threads_at_once(backend: BubblewrapBackend) -> None:
    found: list[bytes] = []

    def work(number: int) -> None:
        found.append(backend.run(f"echo {number}", spec=SMALL).stdout)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(b"%d\n" % number for number in range(12))
    assert not left_behind()


@pytest.mark.bwrap
def test_a_killed_owner_takes_its_program_along(tmp_path: Path) -> None:
    name = f"97.{os.getpid()}"
    program = (
        "from agentrl.sandboxes.bubblewrap.backend import BubblewrapBackend\n"
        "with BubblewrapBackend(warm=0) as backend:\n"
        f"    backend.run(['sleep', '{name}'])\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
    try:
        until = time.monotonic() + 30
        while not (found := sleeping(name)) and time.monotonic() < until:
            time.sleep(0.05)
        assert found
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    until = time.monotonic() + 10
    while sleeping(name) and time.monotonic() < until:
        time.sleep(0.05)
    assert not sleeping(name)


def sleeping(name: str) -> list[str]:
    shown = subprocess.run(["ps", "-eo", "stat,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in shown.splitlines() if line.split()[1:] == ["sleep", name] and line[0] != "Z"]
