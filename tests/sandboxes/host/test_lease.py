"""A lease over a real worker: what it runs, what it refuses, and that it always comes to an end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from agentrl.sandboxes.errors import SandboxBusy, SandboxClosed, SandboxDied, SandboxFileError, SpecError
from agentrl.sandboxes.host.box import Box
from agentrl.sandboxes.host.lease import LeasedSandbox
from agentrl.sandboxes.spec import SandboxSpec
from tests.sandboxes.local_vessel import LocalVessel

pytestmark = pytest.mark.bwrap

SPEC = SandboxSpec(wall_s=20.0, output_bytes=100_000, environment={"COLOUR": "blue"})


@contextmanager
def leases(spec: SandboxSpec = SPEC) -> Iterator[tuple[LeasedSandbox, list[Box]]]:
    """Give a lease and the list of what was released."""
    vessel = LocalVessel()
    released: list[Box] = []
    try:
        leased = LeasedSandbox(Box(vessel, spec.shape()), spec, released.append)
        try:
            yield leased, released
        finally:
            leased.close()
            assert len(released) == 1
            released[0].destroy()
    finally:
        vessel.destroy()


@pytest.fixture
def box() -> Iterator[LeasedSandbox]:
    with leases() as (leased, _):
        yield leased


def test_a_program_runs_and_its_result_comes_back(box: LeasedSandbox) -> None:
    result = box.exec(["python3", "-c", "import sys; print(6 * 7); sys.stderr.write('e'); sys.exit(3)"])
    assert (result.status, result.exit_code, result.signal) == ("nonzero", 3, None)
    assert (result.stdout, result.stderr) == (b"42\n", b"e")
    assert 0 < result.wall_s < 20


def test_a_string_is_a_shell_script(box: LeasedSandbox) -> None:
    assert box.exec("echo $((1 + 2)) | tr 3 x").stdout == b"x\n"


def test_the_environment_is_the_specs_and_the_calls_and_nobody_elses(
    box: LeasedSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    lines = set(box.exec(["env"], environment={"SIZE": "9"}).stdout_text.split())
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert lines == {path, "HOME=/work", "LANG=C.UTF-8", "TMPDIR=/tmp", "COLOUR=blue", "SIZE=9"}


def test_where_it_starts(box: LeasedSandbox) -> None:
    assert box.exec("pwd").stdout == b"/work\n"
    assert box.exec("mkdir below; pwd", cwd="/tmp").stdout == b"/tmp\n"
    box.write("below/f", b"")
    assert box.exec("pwd", cwd="below").stdout == b"/work/below\n"
    assert box.exec("pwd", cwd="nowhere").status == "nonzero"


def test_input_of_any_size_and_bytes(box: LeasedSandbox) -> None:
    content = bytes(range(256)) * 300
    assert box.exec(["cat"], stdin=content).stdout == content
    assert box.exec(["wc", "-c"], stdin=bytes(5_000_000)).stdout.split() == [b"5000000"]
    assert box.exec(["true"], stdin=bytes(5_000_000)).ok
    assert box.exec(["cat"]).stdout == b""


def test_an_argument_may_hold_any_bytes_but_nul(box: LeasedSandbox) -> None:
    odd = bytes(range(1, 256)).decode("utf-8", "surrogateescape")
    assert box.exec(["printf", "%s", odd]).stdout == bytes(range(1, 256))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([], "is empty"),
        (" ", "is empty"),
        (["a\0b"], "holds NUL"),
        ("echo \0", "holds NUL"),
        (["x" * 200_000], "takes 200000 bytes"),
        (["x" * 100_000] * 3, "take 300"),
        (["\x01" * 100_000], "as a request"),
        (["\ud800"], "is not text that has bytes"),
        ([3], "must be a str"),
    ],
)
def test_a_command_that_cannot_run_is_refused(box: LeasedSandbox, command: list[str] | str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        box.exec(command)
    assert box.exec(["true"]).ok


def test_other_arguments_that_cannot_work_are_refused(box: LeasedSandbox) -> None:
    for refused in (
        lambda: box.exec("x", environment={"A": "x\0"}),
        lambda: box.exec("x", environment={"A=B": "x"}),
        lambda: box.exec("x", environment={"A": "x" * 140_000}),
        lambda: box.exec("x", cwd=""),
        lambda: box.exec("x", cwd="\0"),
        lambda: box.exec("x", timeout_s=0),
        lambda: box.exec("x", timeout_s=float("nan")),
        lambda: box.exec("x", stdin="text"),  # type: ignore[arg-type]
        lambda: box.read("\0"),
        lambda: box.read("x" * 5000),
        lambda: box.read("x", max_bytes=-1),
        lambda: box.write("x", b"", mode=0o4755),
        lambda: box.call("f"),
        lambda: box.call("f", source="", path="x"),
        lambda: box.call("f", [object()], source=""),
        lambda: box.call("f", "args", source=""),
    ):
        with pytest.raises(SpecError):
            refused()
    assert box.exec(["true"]).ok


def test_output_is_streamed_to_the_callers_thread(box: LeasedSandbox) -> None:
    pieces: list[tuple[str, bytes, int, float]] = []
    began = time.monotonic()

    def note(name: str, data: bytes) -> None:
        pieces.append((name, data, threading.get_ident(), time.monotonic() - began))

    result = box.exec("echo one; sleep 0.5; echo two >&2; sleep 0.5; echo three", on_output=note)
    assert [(name, data) for name, data, _, _ in pieces] == [
        ("stdout", b"one\n"),
        ("stderr", b"two\n"),
        ("stdout", b"three\n"),
    ]
    assert {thread for _, _, thread, _ in pieces} == {threading.get_ident()}
    assert pieces[0][3] < result.wall_s - 0.5
    assert (result.stdout, result.stderr) == (b"one\nthree\n", b"two\n")


def test_a_callback_that_raises_stops_the_job(box: LeasedSandbox) -> None:
    def fail(name: str, data: bytes) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        box.exec("echo; sleep 1000 & sleep 1000", on_output=fail)
    assert box.exec("ps -e -o args 2>/dev/null | grep -c '[s]leep 1000'").stdout in (b"0\n", b"")
    assert box._box.dirty


def test_a_callback_cannot_use_the_box_itself(box: LeasedSandbox) -> None:
    with pytest.raises(SandboxBusy, match="on_output"):
        box.exec("echo", on_output=lambda name, data: box.write("x", data))
    assert box.exec(["true"]).ok


def test_an_interrupt_stops_the_job_and_comes_through(box: LeasedSandbox) -> None:
    timer = threading.Timer(0.5, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        box.exec("sleep 1000")
    assert time.monotonic() - began < 15
    timer.join()
    assert box._box.link.num_runs() == 0
    assert box._box.dirty == "a run was interrupted by KeyboardInterrupt"
    assert box.exec(["true"]).ok


def test_a_timeout_soils_the_box_and_leaves_it_usable(box: LeasedSandbox) -> None:
    result = box.exec("echo so far; trap '' TERM; sleep 1000", timeout_s=0.5)
    assert (result.status, result.stdout) == ("timeout", b"so far\n")
    assert box._box.dirty == "a job ended with timeout"
    assert box._box.reset() is False
    assert box.exec(["true"]).ok


def test_too_much_output_is_capped(box: LeasedSandbox) -> None:
    result = box.exec("yes")
    assert result.status == "output_limit"
    assert len(result.stdout) == 100_000


def test_python_runs_fresh_each_time(box: LeasedSandbox) -> None:
    assert box.run_python("import sys; x = 1; print(sys.stdin.read())", stdin=b"in").stdout == b"in\n"
    assert "NameError" in box.run_python("x").stderr_text
    large = "y = 1\n" * 100_000 + "print(y)"
    assert box.run_python(large).stdout == b"1\n"


def test_background_jobs_run_beside_others(box: LeasedSandbox) -> None:
    process = box.start("echo begun; sleep 0.5; echo done; exit 4")
    assert process.poll() is None
    assert box.exec(["true"]).ok
    with pytest.raises(TimeoutError):
        process.wait(0.01)
    assert process.wait().exit_code == 4
    assert process.poll() == process.wait()
    assert process.output() == (b"begun\ndone\n", b"")


def test_a_background_job_is_killed_with_all_that_it_started(box: LeasedSandbox) -> None:
    process = box.start("setsid sleep 4242 & sleep 4242")
    time.sleep(0.2)
    result = process.kill()
    assert result.status == "signal"
    assert process.kill() == result
    assert box._box.dirty is None
    assert box.exec("cat /proc/[0-9]*/cmdline").stdout.count(b"4242") == 0


def test_output_of_a_background_job_is_streamed(box: LeasedSandbox) -> None:
    pieces: list[bytes] = []
    process = box.start("echo one", on_output=lambda name, data: pieces.append(data))
    assert process.wait().ok
    assert b"".join(pieces) == b"one\n"

    def fail(name: str, data: bytes) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        box.start("echo; sleep 1000", on_output=fail).wait()


def test_there_are_so_many_background_lanes_and_no_more(box: LeasedSandbox) -> None:
    jobs = [box.start("sleep 1000") for _ in range(box._box.ready.lanes - 1)]
    with pytest.raises(SandboxBusy, match="as many as it takes"):
        box.start("true")
    with pytest.raises(SandboxBusy):
        box.python()
    jobs[0].kill()
    assert box.start("true").wait().ok


def test_files_go_in_and_come_out(box: LeasedSandbox) -> None:
    content = bytes(range(256)) * 1000
    box.write("folder/below/file.bin", content, mode=0o600)
    assert box.read("/work/folder/below/file.bin") == content
    box.write("folder/below/file.bin", b"")
    assert box.read("folder/below/file.bin") == b""
    box.write("folder/run.sh", b"#!/bin/sh\necho ran", mode=0o755)
    assert box.exec(["folder/run.sh"]).stdout == b"ran\n"
    box.exec("ln -s /etc/passwd folder/link; mkfifo folder/pipe")
    found = {entry.name: (entry.kind, entry.size) for entry in box.list("folder")}
    assert found == {"below": ("folder", 0), "run.sh": ("file", 18), "link": ("link", 0), "pipe": ("other", 0)}
    assert [entry.name for entry in box.list()] == ["folder"]


def test_files_that_cannot_be_used_are_told(box: LeasedSandbox) -> None:
    box.exec("echo 12345 > five; ln -s /etc/passwd link; mkfifo pipe; mkdir folder; touch folder/a folder/b")
    for refused, word in (
        (lambda: box.read("missing"), "No such file"),
        (lambda: box.read("folder"), "directory"),
        (lambda: box.read("link"), "not a regular file"),
        (lambda: box.read("pipe"), "not a regular file"),
        (lambda: box.read("five", max_bytes=5), "more than 5 bytes"),
        (lambda: box.read("/etc/shadow"), "denied"),
        (lambda: box.write("/etc/new", b""), "denied"),
        (lambda: box.write("pipe", b""), "not a regular file"),
        (lambda: box.list("five"), "directory"),
        (lambda: box.list("missing"), "No such file"),
        (lambda: box.list("folder", max_entries=1), "more than 1 names"),
    ):
        with pytest.raises(SandboxFileError, match=word):
            refused()
    assert box.read("five", max_bytes=6) == b"12345\n"
    assert box._box.dirty is None


def test_a_call_carries_values_of_exact_types(box: LeasedSandbox) -> None:
    values = [None, True, 1, -(10**50), 1.5, "é\ud800", b"\0\xff", [1], (1, (2,)), {(1,): {2}}, frozenset({3}), ()]
    result = box.call("f", values, {"last": {"a": [1]}}, source="def f(*args, last): return [*args, last]")
    assert result.returned
    assert result.value == [*values, {"a": [1]}]
    assert list(map(type, result.value)) == [*map(type, values), dict]
    assert result.flags == ()


CHEATS = {
    "import sys\ndef f(): sys.exit(0)": "exited",
    "import os\ndef f(): os._exit(0)": "exited",
    "import os\ndef f(): os.kill(os.getpid(), 9)": "killed",
    "import os\ndef f():\n os.write(3, b'{\"value\":1}\\n'); return 1": "several_values",
    "import os\ndef f(): os.write(3, b'{\"value\":1}\\n'); os._exit(1)": "died_after_value",
    "import os\ndef f(): os.write(3, b'[' * 50000); os._exit(0)": "forged_value",
    "import os\ndef f(): os.write(3, b'\\xff\\n'); os._exit(0)": "forged_value",
    'import os\ndef f(): os.write(3, b\'{"value":{"pickle":1}}\\n\'); os._exit(0)': "forged_value",
    "import os\ndef f(): os.write(3, b'{\"value\":NaN}\\n'); os._exit(0)": "forged_value",
}


@pytest.mark.parametrize("source", CHEATS)
def test_what_looks_like_cheating_is_flagged(box: LeasedSandbox, source: str) -> None:
    result = box.call("f", source=source)
    assert CHEATS[source] in result.flags
    assert not result.returned
    assert result.value is None
    assert result.status != "ok"
    assert box.exec(["true"]).ok


def test_a_call_that_raises_or_hangs_or_answers_too_much(box: LeasedSandbox) -> None:
    result = box.call("f", source="def f(): return 1 / 0")
    assert (result.status, result.error, result.flags) == ("nonzero", "ZeroDivisionError: division by zero", ())
    result = box.call("f", source="def f():\n  while True: pass", timeout_s=0.5)
    assert (result.status, result.error, result.returned) == ("timeout", "it did not return in time", False)
    assert not box.call("f", source="def f(): return 'x' * 10_000_000").returned
    assert not box.call("f", source="def f(): return object()").returned
    assert not box.call("g", source="def f(): pass").returned
    box.write("lib.py", b"def helper(): return 5")
    box.write("main.py", b"from lib import helper\nclass A:\n  @staticmethod\n  def f(): return helper()")
    assert box.call("A.f", path="main.py").value == 5


def test_a_closed_lease_is_of_no_use() -> None:
    with leases() as (box, released):
        process = box.start("sleep 1000")
        session = box.python()
        box.close()
        box.close()
        assert len(released) == 1
        assert process.wait().status == "signal"
        for use in (
            lambda: box.exec("x"),
            lambda: box.read("x"),
            lambda: box.list(),
            lambda: box.start("x"),
            box.python,
        ):
            with pytest.raises(SandboxClosed, match="was given back"):
                use()
        with pytest.raises(SandboxClosed):
            session.run("1")
        session.close()
        assert released[0].dirty is None
        assert released[0].reset() is True


def test_a_reset_leaves_nothing_to_the_next_lease() -> None:
    with leases() as (box, released):
        box.write("secret", b"1")
        box.write("/tmp/deep/secret", b"1")
        box.start("sleep 1000")
        box.close()
        assert released[0].reset() is True
        following = LeasedSandbox(released[0], replace(SPEC, environment={}), lambda box: None)
        assert following.exec("find /work /tmp /dev/shm -mindepth 1; env | grep COLOUR").stdout == b""


def test_close_ends_a_job_of_another_thread() -> None:
    results: list[str] = []

    with leases() as (box, released):
        thread = threading.Thread(target=lambda: results.append(box.exec("sleep 1000").status))
        thread.start()
        time.sleep(0.3)
        box.close()
        thread.join(10.0)
        assert results == ["signal"]
        assert released[0].reset() is True


def test_jobs_of_several_threads_run_one_after_another(box: LeasedSandbox) -> None:
    results: list[bytes] = []

    def use(name: str) -> None:
        results.extend(box.exec(f"echo {name} >> log; sleep 0.05; tail -n 1 log").stdout for _ in range(5))

    threads = [threading.Thread(target=use, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(f"{name}\n".encode() for name in "abcd" for _ in range(5))


def test_a_worker_that_is_killed_is_told() -> None:
    with leases() as (box, _):
        vessel = box._box.vessel
        assert isinstance(vessel, LocalVessel)
        timer = threading.Timer(0.5, vessel.process.kill)
        timer.start()
        with pytest.raises(SandboxDied, match="the worker's output ended"):
            box.exec("sleep 1000")
        timer.join()
        with pytest.raises(SandboxDied):
            box.read("x")
