"""Cases: interpreter sessions and background jobs, which outlive one call and so can spoil the next."""

from __future__ import annotations

import threading

from agentrl.sandboxes.base import Process, Sandbox
from agentrl.sandboxes.conformance.case import Case, must
from agentrl.sandboxes.errors import SandboxBusy, SandboxDied, SpecError

__all__ = ["CASES"]


def _session_kills_itself(box: Sandbox) -> None:
    with box.python() as session:
        must(session.run("x = 1").status == "ok", "the first cell")
        gone = session.run("import os\nos.kill(os.getpid(), 9)")
        must(gone.status == "signal" and gone.error, f"a cell that kills its own process: {gone}")
        again = session.run("'x' in globals()")
        must(again.restarted and again.value == "False", f"the cell after: {again}")


def _session_exits(box: Sandbox) -> None:
    with box.python() as session:
        for source in (
            "import os\nos._exit(0)",
            "import sys\nsys.exit(0)",
            "raise SystemExit(3)",
            "import os\nos.abort()",
        ):
            cell = session.run(source)
            must(cell.value is None, f"{source!r}: {cell}")
            must(session.run("1 + 1").value == "2", f"the cell after {source!r}")


def _session_hangs(box: Sandbox) -> None:
    with box.python() as session:
        session.run("x = 1")
        hung = session.run(
            "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass", timeout_s=0.3
        )
        must(hung.status == "timeout" and hung.error, f"a cell that hangs: {hung}")
        again = session.run("1 + 1")
        must(again.restarted and again.value == "2", f"the cell after: {again}")


def _session_forks(box: Sandbox) -> None:
    with box.python() as session:
        session.run("import os\nchild = os.fork()", timeout_s=2)
        for number in range(5):
            cell = session.run(f"{number} + 100", timeout_s=2)
            must(cell.status == "ok" or cell.value is None, f"after a fork: {cell}")
            must(cell.value in (None, str(number + 100)), f"replies are out of step: {cell.value!r} for {number} + 100")
    must(box.exec(["echo", "on"]).stdout == b"on\n", "the box after a session that forked")


def _session_floods(box: Sandbox) -> None:
    with box.python() as session:
        flooded = session.run("while True: print('x' * 1000)", timeout_s=5)
        must(flooded.status == "output_limit" and flooded.error, f"a cell that prints for ever: {flooded.status}")
        must(len(flooded.stdout) <= box.spec.output_bytes, f"{len(flooded.stdout)} bytes of output")
        again = session.run("1 + 1")
        must(again.restarted and again.value == "2", f"the cell after: {again}")
        long = session.run("'y' * 50_000_000")
        must(long.status == "ok" and len(long.value or "") < 1_000_000, f"a long value: {long.status}")


def _session_takes_memory(box: Sandbox) -> None:
    with box.python() as session:
        session.run("held = []")
        taken = session.run("while True: held.append(b'x' * (1 << 20))", timeout_s=10)
        must(taken.status == "oom" and taken.error, f"a cell that takes all memory: {taken}")
        try:
            again = session.run("1 + 1")
        except SandboxDied:
            return  # the kernel may take the worker along
        must(again.restarted and again.value == "2", f"the cell after: {again}")


def _sessions_bounded(box: Sandbox) -> None:
    jobs: list[Process] = []
    try:
        while len(jobs) < 20:
            jobs.append(box.start(["sleep", "60"]))
    except SandboxBusy:
        must(len(jobs) >= 2, f"only {len(jobs)} jobs in the background")
    else:
        must(False, "20 background jobs at once")
    must(box.exec(["echo", "on"]).stdout == b"on\n", "a foreground job beside all of them")
    ended = jobs.pop().kill()
    must(ended.status == "signal", f"a killed job: {ended.status}")
    late = box.start(["sleep", "60"], timeout_s=0.2)
    must(late.wait(10).status == "timeout", "a background job past its time")


def _job_that_is_talked_to(box: Sandbox) -> None:
    heard = bytearray()
    told = threading.Event()

    def hear(name: str, data: bytes) -> None:
        heard.extend(data)
        told.set()

    # `sed` answers each line at once, and ends with its input.
    job = box.start(["sed", "-u", "s/^/heard /"], stdin=b"first\n", on_output=hear, open_stdin=True, timeout_s=10)
    said = b"heard first\n"
    for line in (b"second\n", b"x" * 200_000 + b"\n"):
        job.send(line)
        said += b"heard " + line
        while len(heard) < len(said):
            must(told.wait(5), f"{len(heard)} of {len(said)} bytes came back")
            told.clear()
    must(bytes(heard) == said, f"what came back is another text of {len(heard)} bytes")
    must(job.poll() is None, "a job whose input is open has ended")
    job.end_input()
    must(job.wait(5).status == "ok", f"a job whose input has ended: {job.poll()}")
    for is_open in (False, True):
        other = box.start(["sleep", "60"], open_stdin=is_open)
        other.end_input()
        try:
            other.send(b"late")
        except SpecError:
            other.kill()
        else:
            must(False, "input was taken after its end")


def _job_that_reads_nothing(box: Sandbox) -> None:
    job = box.start(["sleep", "60"], open_stdin=True)
    for _ in range(16):
        job.send(b"x" * 65_536)
    must(box.exec(["echo", "on"]).stdout == b"on\n", "a foreground job beside one that does not read")
    must(job.kill().status == "signal", "a job that does not read is killed")


CASES: tuple[Case, ...] = (
    Case(name="session_that_kills_itself", group="kill", item="own kill", steps=_session_kills_itself),
    Case(name="session_that_exits", group="kill", item="own kill", steps=_session_exits),
    Case(name="session_that_hangs", group="kill", item="own kill", steps=_session_hangs),
    Case(name="session_that_forks", group="kill", item="own kill", steps=_session_forks, timeout_s=15),
    Case(name="session_that_floods", group="output", item="endless output", steps=_session_floods, timeout_s=15),
    Case(
        name="session_that_takes_all_memory",
        group="resources",
        item="malloc bomb",
        steps=_session_takes_memory,
        needs=frozenset({"memory_mb", "oom"}),
        timeout_s=15,
    ),
    Case(name="job_that_is_talked_to", group="output", item="stdin", steps=_job_that_is_talked_to, timeout_s=20),
    Case(name="job_that_reads_nothing", group="output", item="stdin", steps=_job_that_reads_nothing, timeout_s=20),
    Case(name="background_jobs_have_a_bound", group="kill", item="own kill", steps=_sessions_bounded, timeout_s=15),
)
