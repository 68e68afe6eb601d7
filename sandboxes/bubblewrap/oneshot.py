"""One program in one bubblewrap box, without a worker: the box's program is the job, and the host is what watches it.

Half as expensive as a lease for a single program, with the same limits and statuses. A shell of the box's root stands
between bwrap and the job, since bwrap tells an exit with 137 and a SIGKILL alike; it reports on a pipe of its own, that
the job does not hold. Whatever the job leaves running dies with the box.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import select
import selectors
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from agentrl.sandboxes.bubblewrap.args import SWITCH_CAPABILITIES, Findings, Launch, path_variable
from agentrl.sandboxes.bubblewrap.cgroups import Cgroup, Counters
from agentrl.sandboxes.bubblewrap.chain import Holder, Started, start
from agentrl.sandboxes.errors import SandboxDied, SpecError
from agentrl.sandboxes.host.requests import LONGEST_ARGUMENT, MOST_ARGUMENTS, argv_of, environment_of
from agentrl.sandboxes.results import ExecResult, Status
from agentrl.sandboxes.spec import SandboxSpec

__all__ = ["run_once"]

POLL_S = 0.05
END_S = 10.0
REPORT_FD, ERROR_FD = 8, 7
MOST_REPORT = 4096

# On a job's death by a signal, dash and bash both write a line on their own standard error, which is the report here,
# but for SIGINT and SIGPIPE (see `_parse`).
SUPERVISOR = """\
exec 7>&2 2>&8
umask 002
refuse() {
    printf "sandbox: cannot run '%s': %s\\n" "$1" "$2" >&7
    echo "exit $3" >&8
    exit "$3"
}
case "$1" in
*/*) found=$1; [ -e "$found" ] || refuse "$1" "No such file or directory" 127 ;;
*) found=$(command -v -- "$1") || refuse "$1" "No such file or directory" 127 ;;
esac
case "$found" in
*/*) [ -x "$found" ] && [ ! -d "$found" ] || refuse "$1" "Permission denied" 126 ;;
esac
(exec SWITCH"$@" 2>&7 7>&- 8>&-)
code=$?
echo "exit $code" >&8
times >&8
"""


@dataclass
class _Watch:
    """What was seen of a job while it ran."""

    stdout: bytearray
    stderr: bytearray
    stopped: Status | None = None
    wall_s: float = 0.0
    spent_before: float = 0.0
    """Processor time that making the box took."""


def run_once(
    findings: Findings,
    holder: Holder,
    first_id: int,
    cgroup: Cgroup | None,
    spec: SandboxSpec,
    command: Sequence[str] | str,
    *,
    stdin: bytes = b"",
    timeout_s: float | None = None,
) -> ExecResult:
    """Run a program in a new box and wait for its end; the box and its control group are gone when this returns.

    Args:
        findings: What is there on this host.
        holder: Keeps the user namespace; may be shared by several runs.
        first_id: The host id of the box's root in it.
        cgroup: A fresh one with the spec's limits, which is removed in any case; None: none can be had.
        spec: Without files; the caller turns to a lease for those.
        command: A program with its arguments, or a script for `sh -c`.
        stdin: What it reads; end of file follows.
        timeout_s: Seconds of wall time; None: the spec's `wall_s`.

    Raises:
        SpecError: No command, or one that the system does not take.
        SandboxUnavailable: The box could not be made.
        SandboxDied: It could not be ended for certain, or ended before the program did.
    """
    argv = _checked(argv_of(command))
    environment = environment_of(spec, None, path_variable(findings))
    report_read, report_write = os.pipe()
    try:
        launch = Launch(
            shape=spec,
            holder=holder.pid,
            first_id=first_id,
            command=[findings.tools["sh"], "-c", _supervisor(findings, spec, cgroup), "sandbox", *argv],
            environment=environment,
            join=cgroup.join_files() if cgroup else (),
            capabilities=SWITCH_CAPABILITIES,
            redirects={REPORT_FD: f"/proc/{os.getpid()}/fd/{report_write}"},
            die_with_parent=True,
            ulimits=_ulimits(spec),
        )
        started = start(findings, launch, cgroup)
        os.close(report_write)
        report_write = -1
        counters = Counters(oom_kills=None, pids_refused=None, cpu_s=None)
        try:
            began = time.monotonic()
            watch = _watch(started, spec, stdin, began, spec.wall_s if timeout_s is None else timeout_s)
            if cgroup is not None:
                counters = cgroup.counters()
        finally:
            ended = started.end(END_S)
        if not ended:
            raise SandboxDied(
                f"a box was still not gone {END_S:g} s after it was killed; its process is {started.init_pid}"
            )
        report = _drain(report_read)
    finally:
        for fd in (report_read, report_write):
            if fd >= 0:
                os.close(fd)
    return _result(watch, report, counters, spec, started)


def _checked(argv: list[str]) -> list[str]:
    sizes = [len(os.fsencode(each)) for each in argv]
    if not argv[0] or any("\0" in each for each in argv):
        raise SpecError("command: the program has no name, or an argument holds NUL; write that to a file or stdin")
    if max(sizes) >= LONGEST_ARGUMENT or sum(sizes) > MOST_ARGUMENTS:
        raise SpecError(
            f"command: {max(sizes)} bytes in one argument and {sum(sizes)} in all; the system takes at most "
            f"{LONGEST_ARGUMENT} and {MOST_ARGUMENTS}; give them as stdin or as a file"
        )
    return argv


def _supervisor(findings: Findings, spec: SandboxSpec, cgroup: Cgroup | None) -> str:
    # Without a control group the kernel counts processes for a user id of this namespace, where it can.
    limit = "" if cgroup and "pids" in cgroup.folders else f"ulimit -u {spec.pids} 2>&- || ulimit -p {spec.pids} 2>&-\n"
    switch = ""
    if findings.mode != "single":
        user = spec.user
        switch = f"{findings.tools['setpriv']} --reuid {user} --regid {user} --clear-groups --inh-caps=-all -- "
    return limit + SUPERVISOR.replace("SWITCH", switch)


def _ulimits(spec: SandboxSpec) -> str:
    lines = ["ulimit -c 0", "ulimit -l 64", f"ulimit -n {spec.open_files}"]
    if spec.cpu_s is not None:
        seconds = max(1, math.ceil(spec.cpu_s))
        lines += [f"ulimit -S -t {seconds}", f"ulimit -H -t {seconds + 1}"]
    return "\n".join(lines)


def _watch(started: Started, spec: SandboxSpec, stdin: bytes, began: float, wall_s: float) -> _Watch:
    """Feed and drain the job till it has ended, or met a limit that the host holds."""
    watch = _Watch(stdout=bytearray(), stderr=bytearray())
    process, cgroup = started.process, started.cgroup
    assert process.stdin
    assert process.stdout
    assert process.stderr
    watch.spent_before = (cgroup.counters().cpu_s if cgroup else None) or 0.0
    ended_fd = os.pidfd_open(process.pid)
    rest = memoryview(stdin)
    try:
        with selectors.PollSelector() as selector:
            for pipe in (process.stdin, process.stdout, process.stderr):
                os.set_blocking(pipe.fileno(), False)
            selector.register(process.stdout, selectors.EVENT_READ, watch.stdout)
            selector.register(process.stderr, selectors.EVENT_READ, watch.stderr)
            selector.register(ended_fd, selectors.EVENT_READ, None)
            if rest:
                selector.register(process.stdin, selectors.EVENT_WRITE)
            else:
                process.stdin.close()
            while watch.stopped is None:
                left = began + wall_s - time.monotonic()
                if left <= 0:
                    watch.stopped = "timeout"
                    break
                ended = False
                for key, events in selector.select(min(left, POLL_S) if cgroup else left):
                    if key.fileobj == ended_fd:
                        ended = True
                    elif events & selectors.EVENT_WRITE:
                        rest = _feed(process.stdin, rest)
                        if not rest:
                            selector.unregister(process.stdin)
                            process.stdin.close()
                    elif not _take(key.fd, key.data, watch, spec.output_bytes):
                        selector.unregister(key.fileobj)
                if ended:
                    # All that could write is dead, so what is in the pipes now is all there will be.
                    for pipe, kept in ((process.stdout, watch.stdout), (process.stderr, watch.stderr)):
                        while watch.stopped is None and _take(pipe.fileno(), kept, watch, spec.output_bytes):
                            if not _has_more(pipe):
                                break
                    break
                if cgroup and watch.stopped is None:
                    watch.stopped = _met(cgroup.counters(), spec, watch.spent_before)
    finally:
        os.close(ended_fd)
    watch.wall_s = time.monotonic() - began
    return watch


def _met(counters: Counters, spec: SandboxSpec, spent_before: float) -> Status | None:
    if counters.pids_refused:
        return "pids"
    if spec.cpu_s is not None and counters.cpu_s is not None and counters.cpu_s - spent_before >= spec.cpu_s:
        return "cpu_timeout"
    return None


def _feed(pipe: IO[bytes], rest: memoryview) -> memoryview:
    try:
        return rest[os.write(pipe.fileno(), rest) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        return rest[:0]


def _take(fd: int, kept: bytearray, watch: _Watch, most: int) -> bool:
    try:
        piece = os.read(fd, 1 << 18)
    except BlockingIOError:
        return True
    room = most - len(watch.stdout) - len(watch.stderr)
    kept += piece[:room]
    if len(piece) > room:
        watch.stopped = "output_limit"
    return bool(piece)


def _has_more(pipe: IO[bytes]) -> bool:
    poller = select.poll()
    poller.register(pipe, select.POLLIN)
    return any(event & select.POLLIN for _, event in poller.poll(0))


def _drain(fd: int) -> str:
    os.set_blocking(fd, False)
    with contextlib.suppress(BlockingIOError):
        return os.read(fd, MOST_REPORT).decode("utf-8", "replace")
    return ""


def _result(watch: _Watch, report: str, counters: Counters, spec: SandboxSpec, started: Started) -> ExecResult:
    code, number, cpu_s = _parse(report)
    if watch.stopped is not None and counters.cpu_s is not None:
        cpu_s = max(0.0, counters.cpu_s - watch.spent_before)
    status: Status
    if counters.oom_kills:
        status = "oom"
    elif counters.pids_refused:
        status = "pids"
    elif watch.stopped == "output_limit":
        status = watch.stopped
    elif watch.stopped == "cpu_timeout" or number == 24 or (spec.cpu_s is not None and cpu_s >= spec.cpu_s):
        status = "cpu_timeout"
    elif watch.stopped is not None:
        status = watch.stopped
    elif code is None and number is None:
        # The supervisor was killed, with all of the box, by what was in it: it has no other enemy.
        raise SandboxDied(f"a box ended before its program did, with {started.process.returncode}: {report.strip()!r}")
    else:
        status = "signal" if number is not None else "nonzero" if code else "ok"
    if code is None and number is None:
        number = 9
    return ExecResult(
        status=status,
        exit_code=code,
        signal=number,
        stdout=bytes(watch.stdout),
        stderr=bytes(watch.stderr),
        wall_s=watch.wall_s,
        cpu_s=cpu_s,
    )


def _parse(report: str) -> tuple[int | None, int | None, float]:
    """Return exit code, signal, and seconds of processor time, from what the supervisor wrote."""
    found = re.search(r"^exit (\d+)", report, re.MULTILINE)
    if found is None:
        return None, None, 0.0
    code = int(found[1])
    # The last two of `times` are those of the children.
    spent = [60 * int(minutes) + float(seconds) for minutes, seconds in re.findall(r"(\d+)m([\d.]+)s", report)]
    cpu_s = sum(spent[-2:]) if len(spent) == 4 else 0.0
    # A line before "exit" is the shell's word on a death by signal. For SIGINT and SIGPIPE it has none, and a program
    # may exit with 130 and 141 by itself, so these two stay the codes that they are to every shell.
    if code > 128 and report[: found.start()].strip():
        return None, code - 128, cpu_s
    return code, None, cpu_s
