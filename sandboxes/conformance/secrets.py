"""Cases: what a job must not see: the host's environment, processes and files, and what an earlier lease left."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from agentrl.sandboxes.base import Backend, Sandbox
from agentrl.sandboxes.conformance.case import Case, attempts, must, refused, small
from agentrl.sandboxes.results import ExecResult

__all__ = ["CASES"]

# Set by the runner's own process below the line: a job that sees it has the host's environment.
CANARY = "AGENTRL_CONFORMANCE_CANARY"
ALLOWED = {"PATH", "HOME", "LANG", "TMPDIR", "PWD", "SHLVL", "_", "LC_CTYPE", "OLDPWD", "USER", "LOGNAME", "HOSTNAME"}


def _environment(box: Sandbox) -> ExecResult:
    os.environ[CANARY] = "secret"
    try:
        with suppress(Exception):
            box.exec(["true"])
        result = box.exec("tr '\\0' '\\n' < /proc/self/environ; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; true")
        python = box.run_python("import os\nprint('\\n'.join(os.environ))")
    finally:
        del os.environ[CANARY]
    for each in (result, python):
        names = {line.partition("=")[0] for line in each.stdout_text.splitlines() if line}
        must(names <= ALLOWED, f"variables beyond the allowed ones: {sorted(names - ALLOWED)}")
    return result


def _given_environment(box: Sandbox) -> None:
    given = box.exec("echo $GIVEN", environment={"GIVEN": "one"})
    must(given.stdout == b"one\n", f"a given variable: {given.stdout!r}")
    must(box.exec("echo $GIVEN").stdout == b"\n", "a variable of one call is seen by the next")
    python = "import os\nprint(os.environ.get('GIVEN'))"
    must(box.run_python(python, environment={"GIVEN": "two"}).stdout == b"two\n", "a variable of run_python")
    must(box.run_python(python).stdout == b"None\n", "a variable of one run_python is seen by the next")


def _earlier_lease(backend: Backend) -> None:
    spoil = (
        "for d in /work /tmp /dev/shm /var/tmp /dev/mqueue /run /home /; do echo secret > $d/left; echo secret > "
        "$d/.left; done 2>/dev/null; "
        "mkdir -p /work/.git /tmp/deep/er; mkfifo /tmp/fifo; umask 0; ln -s /etc /work/link; echo x > "
        "/work/$(printf 'a\\nb'); true"
    )
    for _ in range(4):
        with backend.lease(small()) as box:
            found = box.exec(
                "find / -xdev -name '*left' 2>/dev/null; find /work /tmp /dev/shm -mindepth 1 2>/dev/null; true"
            )
            must(found.stdout == b"", f"left by an earlier lease: {found.stdout[:200]!r}")
            must(box.exec("echo $HOME; pwd").stdout.splitlines()[1] == b"/work", "the folder that a job begins in")
            box.exec(spoil)
            box.start(["sleep", "3614"])
    with backend.lease(small()) as box:
        listed = box.exec("cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout
        must(b"3614" not in listed, "a process of an earlier lease")


NOTE = """
import os
for folder in ("/work", "/tmp", "/dev/shm"):
    print(os.listxattr(folder), end=" ")
    try:
        os.setxattr(folder, "user.note", b"for whoever comes next")
    except OSError as error:
        print(error.errno, end=" ")
"""


def _notes_on_folders(backend: Backend) -> None:
    for _ in range(4):
        with backend.lease(small()) as box:
            found = box.run_python(NOTE)
            must(found.ok and b"user.note" not in found.stdout, f"attributes of an earlier lease: {found.stdout!r}")


def _interpreter_state(backend: Backend) -> None:
    for _ in range(3):
        with backend.lease(small()) as box:
            seen = box.run_python("import builtins, json\nprint(hasattr(builtins, 'left'), hasattr(json, 'left'))")
            must(seen.stdout == b"False False\n", f"state of an earlier interpreter: {seen.stdout!r}")
            box.run_python("import builtins, json\nbuiltins.left = json.left = 1")
            must(
                box.run_python("import builtins\nprint(hasattr(builtins, 'left'))").stdout == b"False\n",
                "state of an earlier job's interpreter",
            )


MEET = """
import os, socket, sys, time
name = sys.argv[1]
mine, other = sys.argv[2], sys.argv[3]
held = []
for family, address in ((socket.AF_UNIX, chr(0) + mine), (socket.AF_INET, ('127.0.0.1', 7000 + int(name)))):
    link = socket.socket(family)
    link.bind(address)
    link.listen()
    held.append(link)
open('/dev/shm/' + mine, 'w').close()
open('/tmp/' + mine, 'w').close()
print('ready', flush=True)
time.sleep(float(sys.argv[4]))
for family, address in ((socket.AF_UNIX, chr(0) + other), (socket.AF_INET, ('127.0.0.1', 7000 + 1 - int(name)))):
    try: socket.socket(family).connect(address)
    except OSError as error: print('refused', error)
    else: print('MET', address)
for path in ('/dev/shm/' + other, '/tmp/' + other):
    if os.path.exists(path): print('MET', path)
for pid in os.listdir('/proc'):
    if pid.isdigit() and other.encode() in open('/proc/%s/cmdline' % pid, 'rb').read() and int(pid) != os.getpid():
        print('MET', pid)
print('end')
"""


def _boxes_stay_apart(backend: Backend) -> None:
    with backend.lease(small()) as one, backend.lease(small()) as two:
        waits = one.start(["python3", "-c", MEET, "0", "box-one", "box-two", "20"], timeout_s=30)
        end = time.monotonic() + 10
        while b"ready" not in waits.output()[0]:
            must(waits.poll() is None and time.monotonic() < end, f"the first box: {waits.output()}")
            time.sleep(0.02)
        seen = two.exec(["python3", "-c", MEET, "1", "box-two", "box-one", "0"])
        must(seen.ok and b"end" in seen.stdout, f"the second box: {seen}")
        must(b"MET" not in seen.stdout, f"one box reached another: {seen.stdout_text}")
        must(seen.stdout.count(b"refused [") == 2, f"the second box: {seen.stdout_text}")
        waits.kill()


CASES: tuple[Case, ...] = (
    Case(name="environment_of_the_host", group="secrets", item="environment", steps=_environment),
    Case(name="environment_of_one_call", group="secrets", item="environment", steps=_given_environment),
    Case(
        name="environment_and_memory_of_others",
        group="secrets",
        item="environment",
        python=attempts(
            "for name in sorted(os.listdir('/proc')):\n"
            "    if name.isdigit() and int(name) != os.getpid():\n"
            "        for what in ('environ', 'mem', 'auxv', 'pagemap', 'syscall', 'stack', 'exe', 'cwd'):\n"
            "            attempt(name + ' ' + what, lambda: os.open('/proc/%s/%s' % (name, what), os.O_RDONLY))\n"
        ),
        check=refused,
        needs=frozenset({"split"}),
    ),
    Case(
        name="processes_of_the_host",
        group="secrets",
        item="command lines",
        python=(
            "import os\n"
            "pids = [int(name) for name in os.listdir('/proc') if name.isdigit()]\n"
            "lines = []\nfor pid in pids:\n"
            "    try: lines.append(open('/proc/%d/cmdline' % pid, 'rb').read())\n"
            "    except (FileNotFoundError, ProcessLookupError): pass  # ended since\n"
            "print('pids', len(pids), max(pids))\nassert len(pids) < 16, (pids, lines)\n"
            "assert not any(b'dockerd' in line or b'pytest' in line or b'systemd' in line for line in lines), lines\n"
            "assert os.getpid() < 4000, os.getpid()"
        ),
    ),
    Case(
        name="password_file",
        group="secrets",
        item="shadow",
        python=attempts(
            "for path in ('/etc/shadow', '/etc/gshadow', '/etc/sudoers', '/root/.bashrc', '/root/.ssh/id_rsa', "
            "'/etc/ssh/ssh_host_rsa_key'):\n"
            "    attempt(path, lambda: open(path).read())\n"
            "attempt('list root', os.listdir, '/root') if os.path.isdir('/root') and os.listdir.__self__ and False "
            "else None\n"
            "import pwd\nassert not [each for each in pwd.getpwall() if 1000 <= each.pw_uid < 60000 and "
            "os.path.isdir(each.pw_dir + '/.ssh')]\n"
        ),
        check=refused,
    ),
    Case(
        name="keys_and_sockets_of_the_host",
        group="secrets",
        item="shadow",
        python=(
            "import os, stat, sys\n"
            "found = []\n"
            "for folder in ('/run', '/var/run', '/var/lib', '/root', '/home', '/mnt', '/media', '/srv', '/tmp', "
            "'/etc/docker', '/etc/ssh', '/host'):\n"
            "    for here, folders, names in os.walk(folder):\n"
            # The installation of Python itself, which has keys among its tests, may lie in somebody's home.
            "        if here == sys.base_prefix: folders[:] = []\n"
            "        for name in names:\n"
            "            path = os.path.join(here, name)\n"
            "            try: mode = os.lstat(path).st_mode\n"
            "            except OSError: continue\n"
            "            if stat.S_ISSOCK(mode) or name.startswith('id_') or name.endswith(('.pem', '.key')) or "
            "'docker' in name:\n"
            "                found.append(path)\n"
            "for name in ('/var/run/docker.sock', '/run/docker.sock', '/run/containerd/containerd.sock', "
            "'/run/podman/podman.sock'):\n"
            "    if os.path.exists(name): found.append(name)\n"
            "print(found)\nassert not found, found"
        ),
    ),
    Case(
        name="abstract_sockets_of_the_host",
        group="secrets",
        item="shadow",
        python="print(open('/proc/net/unix').read())\nassert '@' not in open('/proc/net/unix').read()",
    ),
    Case(
        name="two_boxes_do_not_meet",
        group="secrets",
        item="own escape",
        backend_steps=_boxes_stay_apart,
        timeout_s=30,
    ),
    Case(
        name="mounts_of_the_host",
        group="secrets",
        item="shadow",
        python=(
            "text = open('/proc/self/mounts').read()\nprint(text)\n"
            "for line in text.splitlines():\n"
            "    source, place, kind, options = line.split()[:4]\n"
            "    writable = 'rw' in options.split(',')\n"
            "    assert not (writable and kind in ('ext4', 'xfs', 'btrfs', 'ext3', '9p', 'nfs', 'fuseblk')), line\n"
            "    assert place not in ('/host', '/mnt', '/root', '/home'), line"
        ),
    ),
    Case(
        name="writable_places",
        group="secrets",
        item="root fill",
        python=(
            "import os\n"
            "found = set()\n"
            "for here, folders, names in os.walk('/'):\n"
            "    if here == '/': folders[:] = [name for name in folders if name not in ('proc', 'sys')]\n"
            "    if os.access(here, os.W_OK): found.add(here)\n"
            "    for name in names:\n"
            "        path = os.path.join(here, name)\n"
            "        if not here.startswith('/dev') and not os.path.islink(path) and os.access(path, os.W_OK): "
            "found.add(path)\n"
            "print(sorted(found))\n"
            "assert found <= {'/work', '/tmp', '/dev/shm', '/dev/mqueue'}, sorted(found)[:20]"
        ),
        timeout_s=40,  # the whole image is walked, on a machine that may be busy
    ),
    Case(
        name="kernel_log_and_addresses",
        group="secrets",
        item="own escape",
        python=attempts(
            "attempt('kmsg', lambda: open('/dev/kmsg').read(10)[0])\n"
            "attempt('syslog', system, 103, 3, ctypes.create_string_buffer(100), 100)\n"
            "attempt('proc kmsg', lambda: open('/proc/kmsg').read(10)[0])\n"
            "attempt('kcore', lambda: open('/proc/kcore', 'rb').read(10)[0])\n"
            "def addresses():\n"
            "    lines = [line for line in open('/proc/kallsyms') if not line.startswith('0000000000000000')]\n"
            "    return lines[0]\n"
            "attempt('kallsyms', addresses)\n"
            "attempt('firmware', lambda: os.listdir('/sys/firmware')[0])\n"
            "attempt('timer_list', lambda: open('/proc/timer_list').read()[0])\n"
            "attempt('sched_debug', lambda: open('/proc/sched_debug').read()[0])\n"
            "attempt('keys', lambda: [l for l in open('/proc/keys') if 'user' in l][0])\n"
        ),
        check=refused,
    ),
    Case(
        name="files_of_an_earlier_lease",
        group="secrets",
        item="earlier lease",
        backend_steps=_earlier_lease,
        timeout_s=20,
    ),
    Case(
        name="attributes_of_an_earlier_lease",
        group="secrets",
        item="earlier lease",
        backend_steps=_notes_on_folders,
        timeout_s=20,
    ),
    Case(
        name="interpreter_of_an_earlier_job",
        group="secrets",
        item="earlier lease",
        backend_steps=_interpreter_state,
        timeout_s=20,
    ),
)
