"""Cases: ways to outlive a kill, and ways to kill what must stay."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from agentrl.sandboxes.base import Backend, Sandbox
from agentrl.sandboxes.conformance.case import Case, attempts, must, refused, says, small
from agentrl.sandboxes.conformance.census import processes_that_say
from agentrl.sandboxes.errors import SandboxBusy, SandboxClosed, SandboxDied
from agentrl.sandboxes.pool.pool import Pool
from agentrl.sandboxes.results import ExecResult

__all__ = ["CASES"]

LEAVE = """
import os, signal, time
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 1024)
        while True:
            with open('/work/beat', 'a') as file:
                file.write('x')
            time.sleep(0.01)
    os._exit(0)
time.sleep(0.1)
print('left')
"""

CALLER = """
import sys, time
from agentrl.sandboxes.open import open_backend
from agentrl.sandboxes.spec import SandboxSpec
backend = open_backend(sys.argv[1])
box = backend.lease(SandboxSpec(memory_mb=128, pids=40, disk_mb=16))
job = box.start(["sleep", sys.argv[2]])
time.sleep(0.3)
print("ready", flush=True)
time.sleep(60)
"""


def _double_fork(box: Sandbox) -> ExecResult:
    left = box.run_python(LEAVE)
    size = len(box.read("/work/beat"))
    must(size > 0, "the double fork did not run")
    time.sleep(0.1)
    must(len(box.read("/work/beat")) == size, "a process outlived its job")
    return left


def _background_outlives(box: Sandbox) -> None:
    job = box.start(LEAVE_SHELL)
    while not job.output()[0]:
        must(job.poll() is None, f"the background job ended: {job.poll()}")
        time.sleep(0.01)
    foreground = box.exec("kill -9 -1; echo fine")
    must(b"fine" in foreground.stdout, f"foreground: {foreground}")
    must(job.poll() is None, "a foreground job killed a background job")
    ended = job.kill()
    must(ended.status == "signal", f"a killed background job: {ended.status}")
    mark = ended.stdout.split()[0].decode()
    must(not processes_that_say(f"3611.{mark}"), "children of a killed background job live on")


LEAVE_SHELL = "echo 25; setsid sleep 3611.25 & sleep 3611.25"


def _disconnect(backend: Backend) -> None:
    mark = f"3612.{time.monotonic_ns() % 10**9}"
    box = backend.lease(small())
    seen: list[BaseException | str] = []

    def run() -> None:
        try:
            seen.append(box.exec(["sleep", mark], timeout_s=30).status)
        except (SandboxClosed, SandboxDied) as error:
            seen.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    _wait_for(lambda: processes_that_say(mark), "the job was not seen to start")
    box.close()
    thread.join(10)
    must(not thread.is_alive(), "the call did not return when its lease was closed")
    must(seen and seen[0] != "ok", f"the call returned {seen}")
    _wait_for(lambda: not processes_that_say(mark), "the job lives on after its lease was closed")


def _caller_killed(backend: Backend) -> None:
    mark = f"3613.{time.monotonic_ns() % 10**9}"
    name = backend.capabilities().backend.split("+")[0]
    with subprocess.Popen([sys.executable, "-c", CALLER, name, mark], stdout=subprocess.PIPE) as caller:
        try:
            assert caller.stdout is not None
            must(caller.stdout.readline() == b"ready\n", "the caller did not come so far")
            # The caller's own command line says the mark too.
            must(len(processes_that_say(mark)) > 1, "the caller's job was not seen")
        finally:
            caller.kill()
    _wait_for(lambda: not processes_that_say(mark), "the job lives on 12 s after its caller was killed", 12)


class _Unsure:
    """A real box whose end is not confirmed while `stuck`; what the pool asks of a box."""

    def __init__(self, box: Sandbox, stuck: threading.Event) -> None:
        self._box = box
        self._stuck = stuck
        self.dirty: str | None = None

    def alive(self) -> bool:
        return True

    def reset(self) -> bool:
        return False

    def destroy(self, deadline_s: float = 10.0) -> bool:
        self._box.close()
        return not self._stuck.is_set()


def _engine_hangs(backend: Backend) -> None:
    stuck = threading.Event()
    stuck.set()
    shape = small().shape()
    pool: Pool[_Unsure] = Pool(lambda shape: _Unsure(backend.lease(shape), stuck), max_boxes=1, warm=0)
    try:
        box = pool.take(shape, wait_s=20)
        box.dirty = "a limit was met"
        pool.give_back(box)
        _wait_for(lambda: pool.stats().quarantined == 1, "a box whose end was not confirmed is not in quarantine")
        try:
            pool.take(shape, wait_s=0.2)
        except SandboxBusy:
            pass
        else:
            must(False, "the slot of a box whose end was not confirmed was used again")
        stuck.clear()
        pool.give_back(pool.take(shape, wait_s=20))
    finally:
        stuck.clear()
        must(pool.close(), "the pool did not end")


def _removes_bin(box: Sandbox) -> None:
    removed = box.exec("rm -rf /bin /usr/bin /lib /lib64 /usr/lib /sbin 2>/dev/null; echo $?")
    must(removed.stdout.strip() != b"0", "programs of the image were removed")
    must(box.exec(["echo", "on"]).stdout == b"on\n", "the box after an attempt to remove /bin")


def _no_program(box: Sandbox) -> None:
    absent = box.exec(["/no/such/program"])
    must(absent.status == "nonzero" and absent.exit_code == 127, f"a missing program: {absent}")
    box.write("/work/plain", b"no program", mode=0o644)
    denied = box.exec(["/work/plain"])
    must(denied.status == "nonzero" and denied.exit_code == 126, f"a file that is no program: {denied}")
    nowhere = box.exec(["true"], cwd="/no/such/folder")
    must(nowhere.status == "nonzero" and nowhere.exit_code in (126, 127), f"a missing folder: {nowhere}")


def _wait_for(holds: object, text: str, seconds: float = 5.0) -> None:
    assert callable(holds)
    end = time.monotonic() + seconds
    while not holds():
        must(time.monotonic() < end, text)
        time.sleep(0.02)


CASES: tuple[Case, ...] = (
    Case(
        name="ignores_sigterm",
        group="kill",
        item="ignores sigterm",
        python="import signal, time\nfor n in (1, 2, 15):\n    signal.signal(n, signal.SIG_IGN)\n"
        "while True: time.sleep(1)",
        timeout_s=0.3,
        expected=frozenset({"timeout"}),
    ),
    Case(
        name="sigterm_is_answered_with_more_work",
        group="kill",
        item="ignores sigterm",
        python=(
            "import os, signal, time\n"
            "def again(*_):\n    os.fork(); os.setsid() if os.getpid() != os.getpgrp() else None\n"
            "signal.signal(signal.SIGTERM, again)\nwhile True: time.sleep(1)"
        ),
        timeout_s=0.3,
        expected=frozenset({"timeout"}),
    ),
    Case(name="double_fork", group="kill", item="double fork", steps=_double_fork),
    Case(
        name="kill_all",
        group="kill",
        item="kill all",
        python="import os\ntry: os.kill(-1, 9)\nexcept OSError as error: print('refused', error)\nprint('fine')",
        check=says("fine"),
    ),
    Case(
        name="kill_all_from_a_child",
        group="kill",
        item="kill all",
        python="import os\nif os.fork() == 0: os.kill(-1, 9)\nos.wait()",
        expected=frozenset({"signal"}),
        check=lambda result: None if result.signal == 9 else f"signal {result.signal}",
    ),
    Case(
        name="signals_to_every_low_pid",
        group="kill",
        item="kill worker",
        python=attempts(
            "own = {os.getpid(), 0}\n"
            "for pid in range(1, 50):\n"
            "    if pid in own: continue\n"
            "    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGALRM, "
            "signal.SIGCONT, 0):\n"
            "        attempt('signal %d to %d' % (number, pid), os.kill, pid, number)\n"
        ),
        check=refused,
        needs=frozenset({"split"}),
    ),
    Case(
        name="signals_to_the_parent",
        group="kill",
        item="kill worker",
        python=attempts(
            "for number in (9, 19, 15, 2, 1, 14, 10, 12):\n    attempt('parent %d' % number, os.kill, "
            "os.getppid(), number)\n"
            "attempt('owner of stdout', lambda: __import__('fcntl').fcntl(1, 8, os.getppid()) or "
            "os.kill(os.getppid(), 23))\n"
        ),
        check=refused,
        needs=frozenset({"split"}),
    ),
    Case(
        name="trace_and_read_the_worker",
        group="kill",
        item="kill worker",
        python=attempts(
            "for pid in [1, os.getppid()] + list(range(2, 12)):\n"
            "    if pid == os.getpid(): continue\n"
            "    attempt('attach %d' % pid, system, 101, 16, pid, 0, 0)\n"
            "    attempt('seize %d' % pid, system, 101, 0x4206, pid, 0, 0)\n"
            "    attempt('mem %d' % pid, lambda: open('/proc/%d/mem' % pid, 'r+b'))\n"
            "    attempt('environ %d' % pid, lambda: open('/proc/%d/environ' % pid, 'rb').read())\n"
            "    attempt('fd %d' % pid, os.listdir, '/proc/%d/fd' % pid)\n"
            "    attempt('fd 0 of %d' % pid, os.open, '/proc/%d/fd/0' % pid, os.O_RDWR)\n"
            "    attempt('fd 1 of %d' % pid, os.open, '/proc/%d/fd/1' % pid, os.O_WRONLY)\n"
            "    attempt('root %d' % pid, os.listdir, '/proc/%d/root' % pid)\n"
            "    attempt('maps %d' % pid, lambda: open('/proc/%d/maps' % pid).read() or 1 / 0)\n"
            "    attempt('vm_readv %d' % pid, system, 310, pid, ctypes.create_string_buffer(16), 1, "
            "ctypes.create_string_buffer(16), 1, 0)\n"
            "    attempt('pidfd_getfd %d' % pid, lambda: system(438, system(434, pid, 0), 0, 0))\n"
            "    attempt('kcmp %d' % pid, system, 312, os.getpid(), pid, 0, 0, 0)\n"
            "    attempt('prlimit %d' % pid, system, 302, pid, 7, ctypes.create_string_buffer(16), None)\n"
            "    attempt('oom score %d' % pid, overwrite, '/proc/%d/oom_score_adj' % pid, '1000')\n"
            "    attempt('coredump filter %d' % pid, overwrite, '/proc/%d/coredump_filter' % pid, '0x7f')\n"
            "    attempt('migrate pages %d' % pid, system, 256, pid, 64, ctypes.create_string_buffer(8), "
            "ctypes.create_string_buffer(8))\n"
        ),
        check=refused,
        needs=frozenset({"split"}),
    ),
    Case(name="caller_disconnects", group="kill", item="caller disconnects", backend_steps=_disconnect, timeout_s=20),
    Case(name="caller_is_killed", group="kill", item="caller killed", backend_steps=_caller_killed, timeout_s=40),
    Case(
        name="engine_that_hangs_on_a_kill", group="kill", item="engine hangs", backend_steps=_engine_hangs, timeout_s=40
    ),
    Case(name="removes_bin", group="kill", item="removes bin", steps=_removes_bin),
    Case(name="programs_that_cannot_start", group="kill", item="removes bin", steps=_no_program),
    Case(name="background_job_and_neighbour", group="kill", item="own kill", steps=_background_outlives),
)
