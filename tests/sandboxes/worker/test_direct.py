"""Jobs that the worker starts itself: the same in every respect as those that the spawner forks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrl.sandboxes.open import open_backend
from agentrl.sandboxes.spec import SandboxSpec
from agentrl.sandboxes.worker import gate, job
from agentrl.sandboxes.worker.frames import KILL, OUT, RESET, pack, pack_json
from tests.sandboxes.local_vessel import CONFIG, Client, Done, LocalVessel

FILES = CONFIG["open_files"]
WAYS: dict[str, int] = {"direct": FILES, "spawner": FILES - 1}
"""The number of open files that a request names decides who starts its job."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces and users")
needs_gate = pytest.mark.skipif(gate.build(1, 1, []) is None, reason="no gate is written for this processor")


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    with LocalVessel(silence_s=120.0) as vessel:  # nothing is said between tests, however long a busy machine takes
        yield Client(vessel)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> int:
    return WAYS[str(request.param)]


def parent(client: Client, **body: Any) -> int:
    return int(client.shell("echo $PPID", **body).out)


def job_pid(client: Client, run: bytes) -> int:
    return int(client.wait_for(OUT, run=run).body)


@needs_gate
def test_the_listing_is_what_the_assembler_makes(tmp_path: Path) -> None:
    if shutil.which("as") is None or shutil.which("objcopy") is None:
        pytest.skip("needs binutils: apt-get install binutils")
    source, built, raw = tmp_path / "gate.s", tmp_path / "gate.o", tmp_path / "gate.bin"
    source.write_text("\n".join(text for _, text in gate.CODE) + "\n")
    subprocess.run(["as", source, "-o", built], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", built, raw], check=True)
    assert raw.read_bytes().hex() == "".join(code for code, _ in gate.CODE)


@needs_root
@needs_gate
def test_who_starts_what(shared: Client) -> None:
    spawner = parent(shared, lane="back")
    worker = int(shared.shell(f"cut -d' ' -f4 /proc/{spawner}/stat").out)
    assert parent(shared, open_files=WAYS["direct"]) == worker
    assert parent(shared, open_files=WAYS["spawner"]) == spawner
    assert parent(shared, cpu_s=5.0) == spawner


ALIKE: list[dict[str, Any]] = [
    {"argv": ["true"]},
    {"argv": ["false"]},
    {"argv": ["printf", "%s|", "a b", "", "\udcff", "é"]},
    {"argv": ["sh", "-c", "cat; echo err >&2; exit 7"], "data": b"in\0put" * 30_000},
    {"argv": ["sh", "-c", "kill -SEGV $$"]},
    {"argv": ["sh", "-c", "exit 126"]},
    {
        "argv": ["sh", "-c", "env | sort; pwd"],
        "env": {"PATH": "/usr/bin:/bin", "A": "b\nc", "É": "\udcfe"},
        "cwd": "/tmp",
    },
    {"argv": ["true"], "env": {}},
    {"argv": ["true"], "env": {"PATH": ""}},
    {"argv": ["true"], "env": {"PATH": "/nowhere:/etc/passwd:/root:/bin"}},
    {"argv": ["true"], "env": {"": "x"}},
    {"argv": ["true"], "env": {"A": "\0"}},
    {"argv": ["passwd"], "env": {"PATH": "/nowhere:/etc"}},
    {"argv": ["no-such-program"]},
    {"argv": ["/no/such"]},
    {"argv": ["/etc/passwd"]},
    {"argv": ["/etc/passwd/x"]},
    {"argv": ["/"]},
    {"argv": [""]},
    {"argv": ["./no-shebang"]},
    {"argv": ["./lost-interpreter"]},
    {"argv": ["./script"], "cwd": "/work"},
    {"argv": ["true", "x" * 140_000]},
    {"argv": ["true", "a\0b"]},
    {"argv": ["true", "\ud800"]},
    {"argv": ["true"], "cwd": "/no/such"},
    {"argv": ["true"], "cwd": "/etc/passwd"},
    {"argv": ["true"], "cwd": "/root"},
    {"argv": ["true"], "cwd": ""},
    {"argv": ["true"], "cwd": "a\0b"},
    {"argv": ["sh", "-c", "umask; cat /proc/self/oom_score_adj; ulimit -c; ulimit -f; ulimit -u; ls /proc/self/fd"]},
    {"argv": ["sh", "-c", "grep -E '^(Cap|Sig[BP]|NoNew|Seccomp|Uid|Gid|Groups)' /proc/self/status"]},
    {"argv": ["sh", "-c", "cut -d' ' -f7,18,19 /proc/self/stat; test $(cut -d' ' -f6 /proc/$$/stat) = $$"]},
    {"argv": ["sh", "-c", "ls /proc/$PPID/fd; cat /proc/$PPID/maps; kill -9 $PPID || kill $PPID; echo $?"]},
    {"argv": ["sh", "-c", "sleep 100 & sleep 100 & exit 3"]},
    {"argv": ["sh", "-c", "trap '' TERM; setsid sleep 100 & sleep 100"], "timeout_s": 0.3},
    {"argv": ["sh", "-c", "trap 'echo bye; exit 4' TERM; sleep 100; :"], "timeout_s": 0.3},
    {"argv": ["yes"], "output_bytes": 1000},
    {"argv": ["sh", "-c", "exec >&- 2>&-; sleep 0.1; exit 5"]},
    {"argv": ["sh", "-c", "exec <&-; sleep 0.1; exit 6"], "data": bytes(1_000_000)},
    {"argv": ["sh", "-c", "kill -9 -1; echo alive"]},
]


@needs_root
@pytest.mark.parametrize(
    "body", ALIKE, ids=lambda body: " ".join(body["argv"])[:40].encode("utf-8", "replace").decode()
)
def test_both_ways_are_alike(shared: Client, body: dict[str, Any]) -> None:
    shared.shell(
        "echo exit 9 > no-shebang; echo '#!/no/such' > lost-interpreter; printf '#!/bin/sh\\necho $0' > script;"
        "chmod +x no-shebang lost-interpreter script"
    )
    told = [_told(shared.run(**{**body, "open_files": files})) for files in WAYS.values()]
    assert told[0] == told[1]


def _told(done: Done) -> dict[str, Any]:
    end = {name: value for name, value in done.end.items() if name not in ("wall_s", "cpu_s")}
    # Process ids differ, and nothing else may.
    return {**end, "out": done.out, "err": re.sub(rb"/proc/\d+", b"/proc/N", done.err)}


@needs_root
def test_limits_end_a_job_either_way(way: int, tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("oom_kill 0\n")
    (tmp_path / "pids.events").write_text("max 0\n")
    with LocalVessel(counters=tmp_path) as vessel:
        client = Client(vessel)
        run = client.begin(argv=["sh", "-c", "echo $$; exec sleep 100"], open_files=way)
        job_pid(client, run)
        (tmp_path / "pids.events").write_text("max 1\n")
        assert client.finish(run).status == "pids"
        run = client.begin(argv=["sh", "-c", "echo; read x; kill -9 $$"], eof=False, open_files=way)
        client.wait_for(OUT, run=run)
        (tmp_path / "memory.events").write_text("oom_kill 1\n")
        client.feed(run, b"\n")
        assert client.finish(run).status == "oom"


@needs_root
def test_words_of_a_refusal_are_output(shared: Client, way: int) -> None:
    done = shared.run(argv=["no-such-program"], output_bytes=5, open_files=way)
    assert (done.status, done.err) == ("output_limit", b"sandb")


@needs_root
def test_processor_time_is_told_either_way(shared: Client, way: int) -> None:
    done = shared.shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done", open_files=way)
    assert 0.01 < done.end["cpu_s"] <= done.end["wall_s"] + 0.05


@needs_root
def test_killed_at_once(shared: Client, way: int) -> None:
    for number in range(60):
        run = shared.begin(argv=["sleep", "100"], eof=False, open_files=way)
        time.sleep(number * 0.0001)
        shared.send(pack(KILL, run))
        done = shared.finish(run, limit_s=5.0)
        assert done.end["signal"] in (9, 15), done.end
    assert shared.run(argv=["true"], open_files=way).status == "ok"


@needs_root
def test_reset_ends_what_the_worker_started(way: int) -> None:
    with LocalVessel() as vessel:
        client = Client(vessel)
        run = client.begin(argv=["sh", "-c", "echo $$; trap '' TERM; sleep 100"], eof=False, open_files=way)
        job_pid(client, run)
        reset = os.urandom(8)
        client.send(pack_json(RESET, reset, {}))
        assert client.finish(run).end["signal"] == 9
        assert client.finish(reset).status == "ok"
        assert client.run(argv=["true"], open_files=way).status == "ok"


# As early as a program can: no loader, no library. A worker that had the job's real id at any moment would die of it.
KILLER = """
static long call(long n, long a, long b) {
    long r; __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b) : "rcx", "r11", "memory"); return r;
}
void _start(void) { long r = call(62, call(110, 0, 0), 9); call(62, -1, 9); call(231, r == -1 ? 0 : 1, 0); }
"""


@needs_root
@needs_gate
def test_no_job_is_early_enough_to_kill_the_worker(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("needs a compiler: apt-get install gcc")
    source, built = tmp_path / "killer.c", tmp_path / "killer"
    source.write_text(KILLER)
    subprocess.run(["gcc", "-O1", "-static", "-nostdlib", "-ffreestanding", source, "-o", built], check=True)
    with LocalVessel() as vessel:
        client = Client(vessel)
        assert client.run("write", built.read_bytes(), path="/work/killer", permissions=0o755).status == "ok"
        for _ in range(300):
            done = client.run(argv=["/work/killer"], open_files=WAYS["direct"])
            assert (done.status, done.end["exit_code"]) == ("ok", 0), done.end


@needs_root
@needs_gate
def test_nothing_is_left_of_many(shared: Client) -> None:
    def figures() -> tuple[int, int]:
        pid = shared.vessel.worker_pid()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return len(os.listdir(f"/proc/{pid}/fd")), len(children)

    shared.run(argv=["true"], open_files=WAYS["direct"])
    before = figures()
    for number in range(100):
        argv = (["true"], ["no-such-program"], ["sh", "-c", "sleep 9 &"], ["true", "x" * 140_000])[number % 4]
        shared.run(argv=argv, open_files=WAYS["direct"])
    assert figures() == before


@needs_root
@needs_gate
def test_a_file_of_descriptors_is_closed_to_the_job(shared: Client) -> None:
    """While the worker holds many: other runs, their pipes, files being written."""
    others = [shared.begin(argv=["sleep", "20"], lane="back", eof=False) for _ in range(5)]
    others.append(shared.begin("write", b"x", eof=False, path="/work/slow", permissions=0o644))
    source = "import os; print([n for n in range(1000) if os.path.exists(f'/proc/self/fd/{n}')])"
    done = shared.run(argv=["/usr/bin/python3", "-I", "-S", "-c", source], open_files=WAYS["direct"])
    assert done.out == b"[0, 1, 2]\n"
    for run in others:
        shared.send(pack(KILL, run))
        shared.finish(run)


def test_words_are_the_same_for_both() -> None:
    assert job.failure("cannot run 'x'", FileNotFoundError(2, "")) == (
        b"sandbox: cannot run 'x': No such file or directory\n",
        127,
    )
    assert job.failure("cannot enter '/x'", FileNotFoundError(2, ""))[1] == 126
    assert job.candidates("x", {"PATH": "/a:"}) == ["/a/x", "x"]
    assert job.candidates("", {}) == []


BACKENDS = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bwrap),
]


@needs_gate
@pytest.mark.parametrize("name", BACKENDS)
def test_a_box_starts_its_jobs_so(name: str) -> None:
    with open_backend(name) as backend, backend.lease(SandboxSpec(open_files=300, memory_mb=128)) as box:
        worker = box.exec(["sh", "-c", "echo $PPID"]).stdout_text.strip()
        spawner = box.run_python("import os; print(os.getppid())").stdout_text.strip()
        assert box.exec(["cut", "-d ", "-f4", f"/proc/{spawner}/stat"]).stdout_text.strip() == worker
        done = box.exec(["sh", "-c", "cat /proc/self/status /proc/self/oom_score_adj; ulimit -n; ls /proc/self/fd"])
        fields = dict(line.split(":\t", 1) for line in done.stdout_text.splitlines() if ":\t" in line)
        assert fields["Uid"].split() == fields["Gid"].split() == ["1000"] * 4
        assert fields["Groups"].split() in ([], ["1000"])
        for each in ("CapInh", "CapPrm", "CapEff", "CapAmb", "SigBlk", "SigIgn", "SigPnd"):
            assert int(fields[each], 16) == 0, each
        assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
        assert done.stdout_text.split()[-6:] == ["1000", "300", "0", "1", "2", "3"]  # 3 is what `ls` opened
        done = box.exec(
            ["sh", "-c", f"kill -9 {worker}; kill -9 {spawner}; cat /proc/{worker}/mem /proc/{worker}/maps"]
        )
        assert done.stderr_text.count("not permitted") + done.stderr_text.count("ermission denied") >= 3
        assert box.exec(["true"]).ok
