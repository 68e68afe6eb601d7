"""Cases: what else can run out. A job may spoil its own box; the next lease and the neighbours must not notice."""

from __future__ import annotations

from agentrl.sandboxes.base import Backend, Sandbox
from agentrl.sandboxes.conformance.case import Case, attempts, must, refused, says, small
from agentrl.sandboxes.errors import SandboxFileError, SpecError
from agentrl.sandboxes.results import ExecResult

__all__ = ["CASES"]

ENDS = "\nexcept (OSError, MemoryError) as error: print('ended', type(error).__name__, error)\n"


def _shared_memory(backend: Backend) -> None:
    make = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "made = [libc.shmget(key, 4096, 0o1666) for key in range(77, 80)] + [libc.semget(5, 1, 0o1666), "
        "libc.msgget(6, 0o1666)]\n"
        "print(made)"
    )
    with backend.lease(small()) as box:
        must(box.run_python(make).ok, "shmget crashed")
    for _ in range(3):
        with backend.lease(small()) as box:
            lines = box.exec("cat /proc/sysvipc/shm /proc/sysvipc/sem /proc/sysvipc/msg | grep -vc key").stdout_text
            must(lines.strip() == "0", f"{lines.strip()} System V objects of an earlier lease")


def _deep_folders(box: Sandbox) -> ExecResult:
    made = box.run_python(
        "import os\nos.chdir('/work')\ndepth = 0\ntry:\n    while depth < 3000:\n"
        "        os.mkdir('d' * 200)\n        os.chdir('d' * 200)\n        depth += 1"
        + ENDS
        + "print('deep', depth > 100)"
    )
    must([each.kind for each in box.list("/work")] == ["folder"], "the folder at the top")
    for depth in (10, 100):
        try:
            box.read("/work/" + "/".join(["d" * 200] * depth))
        except (SandboxFileError, SpecError):
            continue
        must(False, f"a folder {depth} levels down was read as a file")
    return made


def _inotify(box: Sandbox) -> ExecResult:
    box.run_python(
        "import ctypes, time\nlibc = ctypes.CDLL(None)\ncount = 0\n"
        "while count < 5000 and libc.inotify_init() >= 0: count += 1\nprint(count)"
    )
    return box.run_python("import ctypes\nprint('inotify', ctypes.CDLL(None).inotify_init() >= 0)")


CASES: tuple[Case, ...] = (
    Case(
        name="system_v_objects_do_not_stay",
        group="resources",
        item="own resources",
        backend_steps=_shared_memory,
    ),
    Case(
        name="system_v_memory_fill",
        group="resources",
        item="own resources",
        python=(
            "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nlibc.shmat.restype = ctypes.c_void_p\n"
            "libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]\n"
            "for _ in range(100):\n    key = libc.shmget(0, 16 << 20, 0o1600)\n    if key < 0: break\n"
            "    ctypes.memset(libc.shmat(key, None, 0), 1, 16 << 20)\nprint('refused')"
        ),
        expected=frozenset({"oom", "ok"}),
        reason="a filter may refuse shmget; where it does not, the pages count as memory",
        needs=frozenset({"memory_mb", "oom"}),
        timeout_s=10,
    ),
    Case(
        name="memfd_fill",
        group="resources",
        item="own resources",
        python=(
            # Many of them, for a single file has a bound of its own.
            "import os\nwhile True:\n    file = os.memfd_create('x')\n"
            "    for _ in range(12): os.write(file, b'x' * (1 << 20))"
        ),
        expected=frozenset({"oom"}),
        needs=frozenset({"memory_mb", "oom"}),
        timeout_s=10,
    ),
    Case(name="deep_folders", group="resources", item="own resources", steps=_deep_folders, check=says("deep True")),
    Case(
        name="hard_link_flood",
        group="resources",
        item="own resources",
        python=(
            "import os\nopen('/work/a', 'w').close()\ncount = 0\n"
            "try:\n    while count < 100000:\n        os.link('/work/a', '/work/l%d' % count)\n        count += 1"
            + ENDS
            + "print('links', count < 100000)"
        ),
        timeout_s=15,
        check=says("links True"),
        needs=frozenset({"inodes"}),
    ),
    Case(
        name="symbolic_link_flood",
        group="resources",
        item="own resources",
        python=(
            "import os\ncount = 0\n"
            "try:\n    while count < 100000:\n        os.symlink('x' * 4000, '/tmp/l%d' % count)\n        count += 1"
            + ENDS
            + "print('links', count < 100000)"
        ),
        timeout_s=15,
        check=says("links True"),
        needs=frozenset({"inodes"}),
    ),
    Case(
        name="folder_flood",
        group="resources",
        item="own resources",
        python=(
            "import os\ncount = 0\n"
            "try:\n    while count < 100000:\n        os.mkdir('/dev/shm/d%d' % count)\n        count += 1"
            + ENDS
            + "print('folders', count < 100000)"
        ),
        timeout_s=15,
        check=says("folders True"),
        needs=frozenset({"inodes"}),
    ),
    Case(
        name="inotify_exhaustion", group="resources", item="own resources", steps=_inotify, check=says("inotify True")
    ),
    Case(
        name="message_queues",
        group="resources",
        item="own resources",
        python=(
            "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
            "librt = ctypes.CDLL('librt.so.1', use_errno=True)\n"
            "opened = [librt.mq_open(b'/q%d' % n, os.O_CREAT | os.O_RDWR, 0o600, None) for n in range(300)]\n"
            "print('queues', sum(each >= 0 for each in opened))"
        ),
        check=says("queues 0"),
    ),
    Case(
        name="pipe_and_socket_buffers",
        group="resources",
        item="own resources",
        python=(
            "import os, socket\nheld = []\ntotal = 0\n"
            "try:\n    while total < 1 << 30:\n        pair = socket.socketpair()\n        held.append(pair)\n"
            "        pair[0].setblocking(False)\n"
            "        try:\n            while True: total += pair[0].send(b'x' * 65536)\n"
            "        except BlockingIOError: pass" + ENDS + "print('held', total < 1 << 30)"
        ),
        timeout_s=15,
        check=lambda result: None if result.status != "ok" or "held True" in result.stdout_text else "1 GiB in sockets",
        expected=frozenset({"ok", "oom"}),
        reason="socket buffers meet the limit of descriptors or that of memory, whichever the kernel counts first",
    ),
    Case(
        name="huge_sparse_file",
        group="resources",
        item="own resources",
        shell="truncate -s 1T /work/big; ls -l /work/big; du -k /work/big; cp /work/big /work/copy & sleep 0.2; exit 0",
    ),
    Case(
        name="address_space",
        group="resources",
        item="own resources",
        python=(
            "import mmap\nheld = []\ntry:\n    for _ in range(200): held.append(mmap.mmap(-1, 1 << 40))"
            + ENDS
            + "print('fine')"
        ),
        check=says("fine"),
    ),
    Case(
        name="limits_cannot_be_raised",
        group="resources",
        item="own resources",
        python=attempts(
            "import resource\n"
            "for name in ('NOFILE', 'CORE', 'CPU', 'FSIZE', 'MSGQUEUE', 'MEMLOCK', 'NICE', 'RTPRIO'):\n"
            "    key = getattr(resource, 'RLIMIT_' + name)\n"
            "    hard = resource.getrlimit(key)[1]\n"
            "    if hard != resource.RLIM_INFINITY:\n"
            "        attempt('raise ' + name, resource.setrlimit, key, (hard + 1, hard + 1))\n"
        ),
        check=refused,
    ),
    Case(
        name="priority_cannot_be_raised",
        group="resources",
        item="own resources",
        python=attempts(
            "attempt('nice', os.nice, -5)\n"
            "attempt('realtime', os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(10))\n"
            "for score in ('-1000', '-500', '-1'):\n"
            "    attempt('oom score ' + score, overwrite, '/proc/self/oom_score_adj', score)\n"
            "attempt('oom adj', overwrite, '/proc/self/oom_adj', '-17')\n"
            "attempt('autogroup of init', overwrite, '/proc/1/autogroup', '-5')\n"
            "for pid in range(1, 50):\n"
            "    if pid != os.getpid():\n"
            "        attempt('priority of %d' % pid, os.setpriority, os.PRIO_PROCESS, pid, 19)\n"
            "        attempt('affinity of %d' % pid, os.sched_setaffinity, pid, {0})\n"
        ),
        check=refused,
        needs=frozenset({"split"}),
    ),
    Case(
        name="memory_taken_by_many_with_a_low_score",
        group="resources",
        item="own resources",
        # What the kernel would rather spare, and small: it may take the worker instead, and the box with it.
        python=(
            "import os, time\n"
            "try: open('/proc/self/oom_score_adj', 'w').write('0')\nexcept OSError: pass\n"
            "for _ in range(24):\n    if os.fork() == 0: break\n"
            "held = []\nwhile True:\n    held.append(b'x' * (1 << 18))\n    time.sleep(0.005)"
        ),
        expected=frozenset({"oom"}),
        needs=frozenset({"memory_mb", "oom"}),
        timeout_s=15,
    ),
    Case(
        name="signal_queue",
        group="resources",
        item="own resources",
        python=(
            "import os, signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(34, 64))\n"
            "count = 0\nlibc = __import__('ctypes').CDLL(None)\n"
            "while count < 200000 and libc.sigqueue(os.getpid(), 40, 0) == 0: count += 1\n"
            "print('queued', count < 200000)"
        ),
        check=says("queued True"),
    ),
    Case(
        name="stopped_job",
        group="resources",
        item="own resources",
        python="import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        timeout_s=0.3,
        expected=frozenset({"timeout"}),
    ),
    Case(
        name="endless_copy",
        group="resources",
        item="own resources",
        shell="exec cat /dev/zero > /dev/null",
        timeout_s=0.3,
        expected=frozenset({"timeout"}),
    ),
    Case(
        name="many_locks_and_timers",
        group="resources",
        item="own resources",
        python=(
            "import ctypes\nlibc = ctypes.CDLL('librt.so.1')\nid = ctypes.c_void_p()\ncount = 0\n"
            "while count < 200000 and libc.timer_create(1, None, ctypes.byref(id)) == 0: count += 1\n"
            "print('timers', count < 200000)"
        ),
        check=says("timers True"),
    ),
)
