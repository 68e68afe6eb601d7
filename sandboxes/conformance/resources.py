"""Cases: programs that take more than they were given. Each meets its limit, and the box or the host does not."""

from __future__ import annotations

from agentrl.sandboxes.base import Sandbox
from agentrl.sandboxes.conformance.case import Case, must, says
from agentrl.sandboxes.errors import SpecError
from agentrl.sandboxes.results import ExecResult

__all__ = ["CASES"]

FILL = """
import errno
def fill(folder):
    block = b"x" * 65536
    written = 0
    try:
        with open(folder + "/fill", "wb", buffering=0) as file:
            while written < 1 << 30:
                written += file.write(block)
    except OSError as error:
        print(folder, errno.errorcode[error.errno], written >> 20)
"""

TOUCH = """
import errno, os, sys
names = 0
try:
    while names < 100000:
        os.close(os.open("/work/f%d" % names, os.O_CREAT | os.O_WRONLY))
        names += 1
except OSError as error:
    print(errno.errorcode[error.errno], names <= 2000)
"""

SPIN = """
import os, sys, time
def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
for _ in range(3):
    if os.fork() == 0:
        spin(60)
        os._exit(0)
spin(60)
"""

SHARE = """
import os, time
def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
begun = time.monotonic()
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        spin(1.0)
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
wall = time.monotonic() - begun
spent = os.times().children_user + os.times().children_system
print("fair" if spent <= 1.2 * wall + 0.25 else "took", spent, wall)
"""


# A function of the C library that calls back the comparison that calls it: recursion that no interpreter counts.
DEEP = """
import ctypes
libc = ctypes.CDLL(None)
area = (ctypes.c_int * 2)(2, 1)
kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
@kind
def deeper(one, two):
    libc.qsort(area, 2, 4, deeper)
    return 0
import sys
sys.setrecursionlimit(10**9)
deeper(None, None)
"""


def _zombies(box: Sandbox) -> ExecResult:
    box.run_python(
        "import os\nfor _ in range(200):\n    pid = os.fork()\n    if not pid: os._exit(0)\n    os.waitpid(pid, 0)"
    )
    orphans = """
import os
for _ in range(100):
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
    os.waitpid(pid, 0)
"""
    must(box.run_python(orphans, timeout_s=10).status in ("ok", "pids"), "orphans that end were not reaped in time")
    unwaited = "import os, time\nfor _ in range(10):\n    os.fork() or os._exit(0)\nprint('left')"
    must(box.run_python(unwaited).ok, "ten children that nobody waits for")
    return box.run_python(
        "import os, time\n"
        "def zombies():\n"
        "    found = []\n"
        "    for name in os.listdir('/proc'):\n"
        "        if name.isdigit():\n"
        "            try: found += [open('/proc/%s/stat' % name).read().rpartition(')')[2].split()[0]]\n"
        "            except OSError: pass\n"
        "    return found.count('Z')\n"
        "end = time.monotonic() + 3\n"
        "while zombies() and time.monotonic() < end: time.sleep(0.05)\n"
        "print('zombies', zombies())"
    )


def _huge_arguments(box: Sandbox) -> None:
    _raises_spec_error(box, ["true", "x" * 10_000_000], {})
    _raises_spec_error(box, ["true", *["y" * 1000] * 5000], {})
    _raises_spec_error(box, ["true"], {"HUGE": "z" * 10_000_000})
    _raises_spec_error(box, ["true", "a\0b"], {})
    _raises_spec_error(box, [], {})
    must(box.exec(["printf", "%s", "x" * 100_000]).stdout == b"x" * 100_000, "100,000 bytes of argument do not arrive")


def _raises_spec_error(box: Sandbox, argv: list[str], environment: dict[str, str]) -> None:
    try:
        box.exec(argv, environment=environment)
    except SpecError as error:
        must(len(str(error)) < 2000, f"the message repeats the value: {len(str(error))} characters")
    else:
        must(False, f"{len(argv)} arguments of {sum(map(len, argv))} bytes were accepted")


def _no_core(box: Sandbox) -> ExecResult:
    must("raised" not in box.exec("ulimit -c unlimited 2>/dev/null && echo raised").stdout_text, "the limit was raised")
    box.write("/work/deep.py", DEEP.encode())
    crashed = box.exec(["python3", "/work/deep.py"])
    box.exec(["rm", "/work/deep.py"])
    must([each.name for each in box.list("/work")] == [], "a file in /work after a crash")
    return crashed


def _descriptors(box: Sandbox) -> ExecResult:
    first = box.run_python(
        "import errno, os\nheld = []\n"
        "try:\n    while True: held.append(os.open('/dev/null', os.O_RDONLY))\n"
        "except OSError as error: print(errno.errorcode[error.errno], len(held) < 1100)"
    )
    must(box.exec(["true"]).ok, "the worker did not outlive a job without descriptors")
    return first


CASES: tuple[Case, ...] = (
    Case(
        name="fork_bomb_shell",
        group="resources",
        item="fork bomb",
        shell="b() { b | b & }; b; sleep 5",
        expected=frozenset({"pids"}),
        needs=frozenset({"pids"}),
    ),
    Case(
        name="fork_bomb_python",
        group="resources",
        item="fork bomb",
        python="import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        expected=frozenset({"pids"}),
        needs=frozenset({"pids"}),
    ),
    Case(
        name="fork_bomb_that_leaves_its_session",
        group="resources",
        item="fork bomb",
        python=(
            "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "while True:\n    try:\n        if os.fork(): os.setsid()\n    except OSError: pass"
        ),
        expected=frozenset({"pids"}),
        needs=frozenset({"pids"}),
    ),
    Case(
        name="thread_bomb",
        group="resources",
        item="thread bomb",
        python=(
            "import threading, time\nwhile True:\n"
            "    try: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
            "    except RuntimeError: time.sleep(0.01)"
        ),
        expected=frozenset({"pids"}),
        needs=frozenset({"pids"}),
    ),
    Case(
        name="zombie_flood",
        group="resources",
        item="zombie flood",
        steps=_zombies,
        check=says("zombies 0"),
    ),
    Case(
        name="malloc_bomb",
        group="resources",
        item="malloc bomb",
        python="held = []\nwhile True: held.append(b'\\1' * (4 << 20))",
        expected=frozenset({"oom"}),
        needs=frozenset({"memory_mb", "oom"}),
        timeout_s=10,
    ),
    Case(
        name="malloc_bomb_in_a_child",
        group="resources",
        item="malloc bomb",
        python=(
            "import os, sys\nif os.fork() == 0:\n    held = []\n    while True: held.append(b'\\1' * (4 << 20))\n"
            "os.wait()\nsys.exit(0)"
        ),
        expected=frozenset({"oom"}),
        needs=frozenset({"memory_mb", "oom"}),
        timeout_s=10,
    ),
    Case(
        name="exit_137_is_no_oom",
        group="resources",
        item="malloc bomb",
        python="import os\nos._exit(137)",
        expected=frozenset({"nonzero"}),
        check=lambda result: None if result.exit_code == 137 else f"exit code {result.exit_code}",
    ),
    Case(
        name="sigkill_to_itself_is_no_oom",
        group="resources",
        item="malloc bomb",
        python="import os\nos.kill(os.getpid(), 9)",
        expected=frozenset({"signal"}),
        check=lambda result: None if result.signal == 9 else f"signal {result.signal}",
    ),
    Case(
        name="mmap_past_memory_and_swap",
        group="resources",
        item="mmap",
        python=(
            "import mmap\narea = mmap.mmap(-1, 1 << 30)\n"
            "for place in range(0, 1 << 30, 4096): area[place] = 1\nprint('touched it all')"
        ),
        expected=frozenset({"oom"}),
        needs=frozenset({"memory_mb", "oom"}),
        timeout_s=10,
    ),
    Case(
        name="tmpfs_fill",
        group="resources",
        item="tmpfs fill",
        python=FILL + "fill('/work')\nfill('/tmp')",
        check=says("/work ENOSPC 1", "/tmp ENOSPC 1"),
        needs=frozenset({"disk_mb"}),
    ),
    Case(
        name="dev_shm_fill",
        group="resources",
        item="own resources",
        python=FILL + "fill('/dev/shm')",
        check=says("/dev/shm E"),
        needs=frozenset({"disk_mb"}),
    ),
    Case(
        name="root_fill",
        group="resources",
        item="root fill",
        python=(
            "import errno, os\n"
            "for folder in ('/', '/usr', '/bin', '/etc', '/var', '/var/tmp', '/opt', '/home', '/root', '/run', "
            "'/lib'):\n"
            "    try:\n        open(folder + '/new', 'w').write('x')\n"
            "    except OSError as error:\n"
            "        assert error.errno in (errno.EROFS, errno.EACCES, errno.ENOENT), (folder, error)\n"
            "    else:\n        print('WRITTEN', folder)\n"
            "try: open('/usr/new', 'w')\nexcept OSError as error: print(errno.errorcode[error.errno])"
        ),
        check=lambda result: (
            None
            if result.stdout_text.strip() in ("EROFS", "EACCES")
            else f"{result.stdout_text} {result.stderr_text[-300:]}"
        ),
    ),
    Case(
        name="inode_exhaustion",
        group="resources",
        item="inodes",
        python=TOUCH,
        check=says("ENOSPC True"),
        needs=frozenset({"inodes"}),
    ),
    Case(
        name="descriptor_exhaustion",
        group="resources",
        item="descriptors",
        steps=_descriptors,
        check=says("EMFILE True"),
    ),
    Case(
        name="spin_on_all_cores",
        group="resources",
        item="spin",
        python=SPIN,
        spec={"cpu_s": 0.4},
        timeout_s=20,
        expected=frozenset({"cpu_timeout"}),
        needs=frozenset({"cpu_s"}),
    ),
    Case(
        name="spin_in_short_children",
        group="resources",
        item="spin",
        python=(
            "import os, time\nwhile True:\n    if os.fork() == 0:\n        end = time.process_time() + 0.05\n"
            "        while time.process_time() < end: pass\n        os._exit(0)\n    os.wait()"
        ),
        spec={"cpu_s": 0.4},
        timeout_s=20,
        expected=frozenset({"cpu_timeout"}),
        needs=frozenset({"cpu_s"}),
    ),
    Case(
        name="spin_that_ignores_sigxcpu",
        group="resources",
        item="spin",
        python="import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
        spec={"cpu_s": 0.4},
        timeout_s=20,
        expected=frozenset({"cpu_timeout"}),
        needs=frozenset({"cpu_s"}),
    ),
    Case(
        name="cpu_share",
        group="resources",
        item="spin",
        python=SHARE,
        timeout_s=20,
        check=says("fair"),
        needs=frozenset({"cpus"}),
    ),
    Case(
        name="sleep",
        group="resources",
        item="sleep",
        argv=("sleep", "60"),
        timeout_s=0.3,
        expected=frozenset({"timeout"}),
    ),
    Case(
        name="sleep_python",
        group="resources",
        item="sleep",
        python="import time\ntime.sleep(60)",
        timeout_s=0.3,
        expected=frozenset({"timeout"}),
    ),
    Case(name="huge_arguments", group="resources", item="huge arguments", steps=_huge_arguments),
    Case(
        name="deep_recursion",
        group="resources",
        item="recursion",
        python=DEEP,
        expected=frozenset({"signal"}),
        check=lambda result: None if result.signal == 11 else f"signal {result.signal}",
    ),
    Case(
        name="deep_recursion_python",
        group="resources",
        item="recursion",
        python="import sys\nsys.setrecursionlimit(10**9)\nx = []\nfor _ in range(10**6): x = [x]\nrepr(x)",
        expected=frozenset({"signal", "nonzero"}),
        reason="interpreters from 3.12 on raise RecursionError where older ones overflow the stack",
    ),
    Case(
        name="core_dump",
        group="resources",
        item="core dump",
        steps=_no_core,
        expected=frozenset({"signal"}),
    ),
    Case(
        name="regex_that_holds_the_interpreter",
        group="resources",
        item="regex",
        python="import re\nre.match('(a|a)*$', 'a' * 60 + 'b')",
        timeout_s=0.5,
        expected=frozenset({"timeout"}),
    ),
)
