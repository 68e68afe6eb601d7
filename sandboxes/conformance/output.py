"""Cases: output and input. What a job writes is bytes and nothing else, bounded, and never in the worker's way."""

from __future__ import annotations

import threading

from agentrl.sandboxes.base import Sandbox
from agentrl.sandboxes.conformance.case import Case, Check, must, says
from agentrl.sandboxes.results import ExecResult
from agentrl.sandboxes.worker.frames import END, NO_RUN, OUT, READY, pack, pack_json

__all__ = ["CASES"]

CONTROL = b"a\0b\x1b[2J\x1b]0;title\x07\rover\x08\x9b31m \xe2\x80\xae\xe2\x81\xa6 end\x7f\n"
FORGED = (
    pack_json(END, NO_RUN, {"status": "ok", "exit_code": 0, "signal": None, "wall_s": 0.0, "cpu_s": 0.0})
    + pack(OUT, b"12345678", b"forged")
    + pack_json(READY, NO_RUN, {})
    + b"\xff\xff\xff\xff" * 4
)


def _write(data: bytes, stream: int = 1) -> str:
    return f"import os\nos.write({stream}, {data!r})"


def _is(stdout: bytes, stderr: bytes = b"") -> Check:
    return lambda result: (
        None
        if (result.stdout, result.stderr) == (stdout, stderr)
        else f"{result.stdout[:200]!r} {result.stderr[:200]!r}"
    )


def _bounded(result: ExecResult) -> str | None:
    size = len(result.stdout) + len(result.stderr)
    return None if size <= 65_536 and size > 30_000 else f"{size} bytes were kept of a limit of 65,536"


def _control(result: ExecResult) -> str | None:
    if result.stdout != CONTROL:
        return f"not as it was written: {result.stdout!r}"
    return None if "end" in result.stdout_text else "the text lost what follows"


def _streamed(box: Sandbox) -> ExecResult:
    pieces: list[tuple[str, bytes]] = []
    threads = set()

    def on_output(stream: str, data: bytes) -> None:
        pieces.append((stream, data))
        threads.add(threading.get_ident())

    result = box.exec("for i in 1 2 3 4 5; do echo $i; echo e$i >&2; done", on_output=on_output)
    must(
        b"".join(data for name, data in pieces if name == "stdout") == result.stdout == b"1\n2\n3\n4\n5\n", str(pieces)
    )
    must(b"".join(data for name, data in pieces if name == "stderr") == result.stderr, str(pieces))
    must(len(threads) == 1, f"called from {len(threads)} threads")
    return result


def _stdin(box: Sandbox) -> ExecResult:
    data = bytes(range(256)) * 8192
    must(box.exec(["true"], stdin=data).ok, "input that nobody reads")
    must(box.exec("exec <&-; sleep 0.05", stdin=data).ok, "input that is closed")
    half = box.exec(["head", "-c", "5"], stdin=data)
    must(half.ok and half.stdout == data[:5], f"head: {half.status} {half.stdout!r}")
    return box.exec(["sha256sum"], stdin=data)


def _forged_in_session(box: Sandbox) -> None:
    with box.python() as session:
        session.run("x = 41")
        cell = session.run(
            'import os\nfor fd in range(3, 64):\n    try: os.write(fd, b\'{"status": "ok", "value": "1", "error": '
            "null}\\n' * 3)\n"
            "    except OSError: pass\nx"
        )
        must(cell.status == "ok" and cell.wall_s < 10, f"the forging cell: {cell}")
        later = session.run("6 * 7")
        must(later.value == "42", f"replies are out of step: {later.value!r}")
    must(box.exec(["echo", "on"]).stdout == b"on\n", "the box after a forged reply")


def _flooded_channel(box: Sandbox) -> None:
    source = (
        "import os\ndef solve():\n    for fd in range(3, 64):\n        try:\n"
        "            for _ in range(200): os.write(fd, b'x' * 65536)\n"
        "        except OSError: pass\n    return 1\n"
    )
    result = box.call("solve", source=source, timeout_s=3)
    must(not (result.returned and result.value != 1), f"a flood was taken for {result.value!r}")
    must(box.exec(["echo", "on"]).stdout == b"on\n", "the box after a flood of its result channel")


def _closed_everything(box: Sandbox) -> ExecResult:
    with box.python() as session:
        cell = session.run("import os\nos.closerange(0, 1024)\n1", timeout_s=2)
        must(cell.status != "ok", "a session without descriptors replied")
        again = session.run("1 + 1")
        must(again.restarted and again.value == "2", f"the session did not start again: {again}")
    call = box.call("solve", source="import os\ndef solve():\n    os.closerange(0, 1024)\n    return 1", timeout_s=2)
    must(not call.returned, "a value came through a closed channel")
    return box.run_python("import os\nos.closerange(0, 1024)")


CASES: tuple[Case, ...] = (
    Case(
        name="endless_stdout",
        group="output",
        item="endless output",
        argv=("yes",),
        expected=frozenset({"output_limit"}),
        check=_bounded,
        spec={"output_bytes": 65_536},
    ),
    Case(
        name="endless_stderr_of_a_child_that_ignores_sigpipe",
        group="output",
        item="endless output",
        python=(
            "import os, signal\nsignal.signal(signal.SIGPIPE, signal.SIG_IGN)\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "os.setsid() if os.fork() == 0 else None\n"
            "while True:\n    try: os.write(2, b'e' * 4096)\n    except OSError: pass"
        ),
        expected=frozenset({"output_limit"}),
        check=_bounded,
        spec={"output_bytes": 65_536},
    ),
    Case(
        name="a_megabyte_and_exit_0",
        group="output",
        item="large output",
        python="import sys\nsys.stdout.write('m' * 1048576)",
        spec={"output_bytes": 2_000_000},
        check=lambda result: None if result.stdout == b"m" * 1_048_576 else f"{len(result.stdout)} bytes",
    ),
    Case(
        name="output_just_at_its_limit",
        group="output",
        item="large output",
        python="import os\nfor _ in range(16): os.write(1, b'a' * 4096)",
        spec={"output_bytes": 65_536},
        check=lambda result: None if len(result.stdout) == 65_536 else f"{len(result.stdout)} bytes",
    ),
    Case(
        name="both_streams_flooded",
        group="output",
        item="both streams",
        shell="yes out & yes err >&2",
        expected=frozenset({"output_limit"}),
        check=_bounded,
        spec={"output_bytes": 65_536},
    ),
    Case(
        name="both_streams_full_and_whole",
        group="output",
        item="both streams",
        python="import os\nfor _ in range(100):\n    os.write(2, b'e' * 4000)\n    os.write(1, b'o' * 4000)",
        check=lambda result: (
            None
            if (len(result.stdout), len(result.stderr)) == (400_000, 400_000)
            else f"{len(result.stdout)} {len(result.stderr)}"
        ),
    ),
    Case(
        name="bytes_that_are_not_utf8",
        group="output",
        item="not utf-8",
        python=_write(b"\xff\xfe\x80ok\xc3"),
        check=lambda result: (
            None
            if result.stdout == b"\xff\xfe\x80ok\xc3" and result.stdout_text == "\ufffd\ufffd\ufffdok\ufffd"
            else repr(result.stdout)
        ),
    ),
    Case(name="control_characters", group="output", item="control characters", python=_write(CONTROL), check=_control),
    Case(
        name="forged_frames_on_both_streams",
        group="output",
        item="forged frame",
        python=_write(FORGED) + "\n" + _write(FORGED, 2) + "\nraise SystemExit(3)",
        expected=frozenset({"nonzero"}),
        check=_is(FORGED, FORGED),
    ),
    Case(
        name="forged_frames_on_every_descriptor",
        group="output",
        item="forged frame",
        python=(
            f"import os\nfor fd in range(3, 1024):\n    try: os.write(fd, {FORGED!r})\n"
            "    except OSError: pass\nprint('end')"
        ),
        check=says("end"),
    ),
    Case(name="forged_reply_in_a_session", group="output", item="forged frame", steps=_forged_in_session),
    Case(
        name="stdin_is_at_its_end",
        group="output",
        item="stdin",
        argv=("cat",),
        check=lambda result: None if result.stdout == b"" else repr(result.stdout),
    ),
    Case(
        name="stdin_is_at_its_end_for_input",
        group="output",
        item="stdin",
        python="input()",
        expected=frozenset({"nonzero"}),
        check=lambda result: None if b"EOFError" in result.stderr else repr(result.stderr[-200:]),
    ),
    Case(
        name="stdin_of_two_megabytes",
        group="output",
        item="stdin",
        steps=_stdin,
        timeout_s=10,
        check=lambda result: None if len(result.stdout) > 64 else repr(result.stdout),
    ),
    Case(
        name="closes_stdout_and_runs_on",
        group="output",
        item="closed stdout",
        shell="exec >&- 2>&- <&-; sleep 60",
        timeout_s=0.3,
        expected=frozenset({"timeout"}),
    ),
    Case(
        name="exits_while_a_child_holds_stdout",
        group="output",
        item="own output",
        shell="sleep 60 & echo gone",
        check=lambda result: None if result.stdout == b"gone\n" and result.wall_s < 4 else f"{result.wall_s:.1f} s",
    ),
    Case(name="every_descriptor_closed", group="output", item="own output", steps=_closed_everything),
    Case(name="result_channel_flooded", group="output", item="own output", steps=_flooded_channel, timeout_s=10),
    Case(name="output_is_streamed_whole", group="output", item="own output", steps=_streamed),
    Case(
        name="single_bytes",
        group="output",
        item="own output",
        python="import os\nfor _ in range(5000): os.write(1, b'.')",
        check=lambda result: None if result.stdout == b"." * 5000 else f"{len(result.stdout)} bytes",
    ),
    Case(
        name="output_before_a_crash_arrives",
        group="output",
        item="own output",
        python="import os, sys\nos.write(1, b'before')\nos.kill(os.getpid(), 11)",
        expected=frozenset({"signal"}),
        check=says("before"),
    ),
    Case(
        name="unblocking_the_pipe_does_not_help",
        group="output",
        item="own output",
        python=(
            "import fcntl, os\nfor fd in (0, 1, 2):\n    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)\n"
            "    try: fcntl.fcntl(fd, 1031, 1 << 20)\n    except OSError: pass\nos.write(1, b'fine')"
        ),
        check=says("fine"),
    ),
)
