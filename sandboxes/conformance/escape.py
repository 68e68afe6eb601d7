"""Cases: ways out of the box through namespaces, mounts, kernel files and privileges. All of them are refused."""

from __future__ import annotations

from agentrl.sandboxes.base import Sandbox
from agentrl.sandboxes.conformance.case import Case, attempts, must, refused, says
from agentrl.sandboxes.results import ExecResult

__all__ = ["CASES"]


def _escape(name: str, body: str, item: str = "own escape", needs: frozenset[str] = frozenset()) -> Case:
    return Case(name=name, group="escape", item=item, python=attempts(body), timeout_s=10, check=refused, needs=needs)


NO_PRIVILEGES = """
lines = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())
for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
    assert int(lines[name], 16) == 0 or name == 'CapBnd', (name, lines[name])
assert lines['NoNewPrivs'].strip() == '1', lines['NoNewPrivs']
assert set(lines['Uid'].split()) == {str(os.getuid())} and os.getuid() != 0, lines['Uid']
assert '0' not in lines['Gid'].split(), lines['Gid']
assert '0' not in lines['Groups'].split(), lines['Groups']
print('unprivileged', lines['CapBnd'].strip())
"""


def _setuid_program(box: Sandbox) -> ExecResult:
    box.exec("cp /bin/sleep /usr/bin/id /work/ 2>/dev/null; chmod 6755 /work/id; ls -ln /work/id")
    own = box.exec(["/work/id", "-u"]).stdout.strip()
    must(own not in (b"", b"0"), f"a setuid copy runs as {own!r}")
    return box.run_python(
        "import os, stat, subprocess\n"
        "found = []\n"
        "for folder in ('/bin', '/usr/bin', '/sbin', '/usr/sbin', '/usr/lib', '/usr/libexec', '/usr/local/bin'):\n"
        "    for here, _, names in os.walk(folder):\n"
        "        for name in names:\n"
        "            path = os.path.join(here, name)\n"
        "            try: mode = os.lstat(path).st_mode\n"
        "            except OSError: continue\n"
        "            if mode & (stat.S_ISUID | stat.S_ISGID) and stat.S_ISREG(mode): found.append(path)\n"
        "print(found)\n"
        "code = 'import os; print(os.geteuid(), os.getegid())'\n"
        "for line in (['su', '-c', 'id -u'], ['sudo', '-n', 'id', '-u'], ['newgrp'], ['mount', '/tmp'], ['pkexec', "
        "'id', '-u']):\n"
        "    try: got = subprocess.run(line, capture_output=True, timeout=5, stdin=subprocess.DEVNULL).stdout.strip()\n"
        "    except (OSError, subprocess.TimeoutExpired): continue\n"
        "    assert got != b'0', (line, got)\n"
        "status = open('/proc/self/status').read()\nassert 'NoNewPrivs:\\t1' in status\nprint('no gain')"
    )


# Code for the processor: mov eax, NUMBER; int 0x80; ret. The 32-bit way past a filter that only knows 64-bit numbers.
OLD_CALLS = """
import mmap
def old(number):
    # Both halves are read from registers that Python does not set; only the number decides what is asked for.
    code = b'\\x53\\xb8' + struct.pack('<I', number) + b'\\x31\\xdb\\x31\\xc9\\x31\\xd2\\xcd\\x80\\x5b\\xc3'
    area = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    area.write(code)
    place = ctypes.addressof(ctypes.c_char.from_buffer(area))
    result = ctypes.CFUNCTYPE(ctypes.c_int)(place)()
    if result < 0: raise OSError(-result, os.strerror(-result))
    return result
if os.uname().machine == 'x86_64':
    # mount, pivot_root, setns, add_key, bpf, userfaultfd, reboot, init_module, acct, iopl; all arguments are 0
    for number in (21, 217, 346, 286, 357, 374, 88, 128, 51, 110):
        attempt('int 0x80 %d' % number, in_child, lambda: old(number))
    # x32: bit 30 set. 165 mount, 272 unshare, 308 setns, 321 bpf
    for number in (165, 272, 308, 321, 101, 155):
        attempt('x32 %d' % number, in_child, lambda: system(0x40000000 + number, 0x10000000, 0, 0))
else:
    print('refused: another machine')
"""

CASES: tuple[Case, ...] = (
    _escape(
        "mounts",
        "attempt('tmpfs', system, 165, b'none', b'/tmp', b'tmpfs', 0, 0)\n"
        "attempt('proc', system, 165, b'proc', b'/tmp', b'proc', 0, 0)\n"
        "attempt('bind', system, 165, b'/', b'/tmp', None, 4096, 0)\n"
        "attempt('remount', system, 165, None, b'/', None, 32, 0)\n"
        "attempt('remount tmp', system, 165, None, b'/tmp', None, 32, 0)\n"
        "attempt('private', system, 165, None, b'/', None, 1 << 18, 0)\n"
        "attempt('umount', system, 166, b'/proc', 2)\n"
        "attempt('umount tmp', system, 166, b'/work', 2)\n"
        "attempt('pivot_root', system, 155, b'/tmp', b'/tmp')\n"
        "attempt('chroot', os.chroot, '/tmp')\n"
        "attempt('fsopen', system, 430, b'tmpfs', 0)\n"
        "attempt('open_tree', system, 428, -100, b'/', 1)\n"
        "attempt('fsmount', system, 432, 0, 0, 0)\n"
        "attempt('move_mount', system, 429, -100, b'/tmp', -100, b'/work', 0)\n"
        "attempt('mount_setattr', system, 442, -100, b'/', 0, ctypes.create_string_buffer(32), 32)\n"
        "attempt('swapon', system, 167, b'/work/swap', 0)\n"
        "attempt('quotactl', system, 179, 0x800002, b'/', 0, 0)\n"
        "attempt('open_by_handle_at', system, 304, -100, ctypes.create_string_buffer(struct.pack('=II', 8, 1) + "
        "bytes(8)), 0)\n",
        "namespaces",
    ),
    _escape(
        "unshare",
        "for name, flag in (('user', 1 << 28), ('mount', 1 << 17), ('pid', 1 << 29), ('net', 1 << 30), ('ipc', 1 "
        "<< 27), ('uts', 1 << 26), ('cgroup', 1 << 25), ('time', 1 << 7)):\n"
        "    attempt('unshare ' + name, in_child, lambda: system(272, flag))\n"
        "    attempt('unshare user and ' + name, in_child, lambda: system(272, flag | 1 << 28))\n",
        "namespaces",
    ),
    _escape(
        "clone_into_namespaces",
        "def clone(flags):\n"
        "    pid = system(56, flags | signal.SIGCHLD, 0, 0, 0, 0)\n"
        "    if pid == 0: os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        "def clone3(flags):\n"
        "    pid = system(435, ctypes.create_string_buffer(struct.pack('=8Q', flags, 0, 0, 0, signal.SIGCHLD, 0, "
        "0, 0)), 64)\n"
        "    if pid == 0: os._exit(0)\n"
        "    os.waitpid(pid, 0)\n"
        "for name, flag in (('user', 1 << 28), ('mount', 1 << 17), ('pid', 1 << 29), ('net', 1 << 30)):\n"
        "    attempt('clone ' + name, clone, flag)\n"
        "    attempt('clone user and ' + name, clone, flag | 1 << 28)\n"
        "    attempt('clone3 ' + name, clone3, flag)\n"
        "    attempt('clone3 user and ' + name, clone3, flag | 1 << 28)\n",
        "namespaces",
    ),
    _escape(
        "setns",
        "for pid in (1, os.getppid(), os.getpid()):\n"
        "    for name in ('user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup'):\n"
        "        attempt('%d %s' % (pid, name), lambda: system(308, os.open('/proc/%d/ns/%s' % (pid, name), "
        "os.O_RDONLY), 0))\n"
        "attempt('pidfd', lambda: system(308, system(434, 1, 0), 1 << 17))\n",
        "namespaces",
    ),
    _escape(
        "maps_of_users",
        "attempt('uid_map', overwrite, '/proc/self/uid_map', '0 0 1')\n"
        "attempt('gid_map', overwrite, '/proc/self/gid_map', '0 0 1')\n"
        "attempt('setgroups', overwrite, '/proc/self/setgroups', 'allow')\n"
        "for name in ('user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup', 'time'):\n"
        "    attempt('max ' + name, overwrite, '/proc/sys/user/max_%s_namespaces' % name, '1000')\n",
        "namespaces",
    ),
    _escape(
        "kernel_settings",
        "for name in ('sysrq-trigger', 'sys/kernel/core_pattern', 'sys/kernel/modprobe', 'sys/kernel/hotplug', "
        "'sys/vm/overcommit_memory', 'sys/vm/panic_on_oom',\n"
        "             'sys/kernel/sysrq', 'sys/kernel/pid_max', 'sys/kernel/threads-max', 'sys/fs/file-max', "
        "'sys/fs/binfmt_misc/register', 'sys/kernel/hostname',\n"
        "             'sys/kernel/domainname', 'sys/kernel/randomize_va_space', 'sys/kernel/yama/ptrace_scope', "
        "'sys/kernel/unprivileged_bpf_disabled', 'sys/vm/drop_caches',\n"
        "             'sys/kernel/ns_last_pid', 'sys/kernel/shmmax', 'sys/fs/mqueue/msg_max', "
        "'irq/default_smp_affinity', 'mtrr', 'acpi/wakeup', 'scsi/scsi', 'self/attr/current'):\n"
        "    attempt(name, overwrite, '/proc/' + name, '0')\n"
        "attempt('sethostname', lambda: socket.sethostname('x'))\n"
        "attempt('setdomainname', system, 171, b'x', 1)\n"
        "attempt('sysctl', system, 156, 0)\n",
        "kernel files",
    ),
    _escape(
        "sys_writes",
        # Opened for writing only; nothing is written where it works.
        "tried = 0\n"
        "for here, folders, names in os.walk('/sys'):\n"
        "    if here.count('/') > 5: folders[:] = []\n"
        "    for name in names:\n"
        "        path = os.path.join(here, name)\n"
        "        if os.path.islink(path) or tried > 20000: continue\n"
        "        tried += 1\n"
        "        try: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))\n"
        "        except OSError: continue\n"
        "        print('DONE', path)\n"
        "for path in ('/sys/kernel/uevent_helper', '/sys/power/state', '/sys/kernel/debug/x', "
        "'/sys/module/kernel/parameters/panic', '/sys/fs/selinux/enforce', '/sys/kernel/mm/ksm/run'):\n"
        "    attempt(path, overwrite, path, '')\n",
        "kernel files",
    ),
    _escape(
        "cgroup_files",
        "import glob\n"
        "places = ['/sys/fs/cgroup'] + glob.glob('/sys/fs/cgroup/*')\n"
        "for place in places:\n"
        "    for name in ('release_agent', 'notify_on_release', 'cgroup.procs', 'tasks', 'memory.limit_in_bytes', "
        "'memory.max', 'pids.max', 'cpu.max', 'cpu.cfs_quota_us', 'devices.allow', 'cgroup.kill', 'cgroup.freeze', "
        "'freezer.state', 'memory.oom_control'):\n"
        "        attempt(place + '/' + name, overwrite, place + '/' + name, '0')\n"
        "    attempt(place + '/new', os.mkdir, place + '/new')\n"
        "attempt('mount v1', system, 165, b'cgroup', b'/tmp', b'cgroup', 0, b'rdma')\n"
        "attempt('mount v2', system, 165, b'none', b'/tmp', b'cgroup2', 0, 0)\n",
        "release agent",
    ),
    Case(
        name="setuid_programs",
        group="escape",
        item="setuid",
        steps=_setuid_program,
        check=says("no gain"),
        timeout_s=20,
    ),
    _escape(
        "other_users",
        "for number in (0, 1, os.getuid() + 1, os.getuid() + 3, 65534):\n"
        "    attempt('setuid %d' % number, in_child, lambda: os.setuid(number))\n"
        "    attempt('seteuid %d' % number, in_child, lambda: os.seteuid(number))\n"
        "    attempt('setresuid %d' % number, in_child, lambda: os.setresuid(number, number, number))\n"
        "    attempt('setfsuid %d' % number, in_child, lambda: (system(122, number), system(122, number) == number "
        "or sys.exit(3)))\n"
        "for number in (0, 1, 42, os.getgid() + 1):\n"
        "    attempt('setgid %d' % number, in_child, lambda: os.setgid(number))\n"
        "    attempt('setgroups %d' % number, in_child, lambda: os.setgroups([number]))\n",
        "setuid",
    ),
    Case(
        name="no_privileges", group="escape", item="setuid", python=attempts(NO_PRIVILEGES), check=says("unprivileged")
    ),
    Case(
        name="no_privileges_in_a_program",
        group="escape",
        item="setuid",
        argv=("python3", "-c", attempts(NO_PRIVILEGES)),
        check=says("unprivileged"),
    ),
    Case(
        name="no_bounding_set",
        group="escape",
        item="own escape",
        python=(
            "mask = [line for line in open('/proc/self/status') if line.startswith('CapBnd')][0].split()[1]\n"
            # CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID, SETPCAP may stay: no_new_privs keeps them out of reach.
            "allowed = 0b111 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8\n"
            "print(mask)\nassert int(mask, 16) & ~allowed == 0, mask"
        ),
    ),
    Case(
        name="system_call_filter",
        group="escape",
        item="own escape",
        python="text = open('/proc/self/status').read()\nassert 'Seccomp:\\t2' in text, [l for l in "
        "text.splitlines() if 'eccomp' in l]",
        needs=frozenset({"seccomp"}),
    ),
    _escape(
        "no_new_privileges_stays",
        "attempt('prctl', lambda: libc.prctl(38, 0, 0, 0, 0) == 0 or 1 / 0)\n"
        "attempt('securebits', lambda: libc.prctl(28, 0, 0, 0, 0) == 0 or 1 / 0)\n"
        "attempt('ambient', lambda: libc.prctl(47, 2, 7, 0, 0) == 0 or 1 / 0)\n"
        "attempt('capset', system, 126, ctypes.create_string_buffer(struct.pack('=Ii', 0x20080522, 0)), "
        "ctypes.create_string_buffer(b'\\xff' * 24))\n"
        "attempt('filter off', lambda: libc.prctl(22, 0, 0, 0, 0) == 0 or 1 / 0)\n",
    ),
    _escape("old_ways_to_call_the_kernel", OLD_CALLS, needs=frozenset({"seccomp"})),
    _escape(
        "kernel_surfaces",
        "attempt('bpf', system, 321, 0, ctypes.create_string_buffer(72), 72)\n"
        "attempt('perf_event_open', system, 298, ctypes.create_string_buffer(struct.pack('=II', 1, 112) + "
        "bytes(104)), 0, -1, -1, 0)\n"
        "attempt('userfaultfd', system, 323, 0)\n"
        "attempt('io_uring_setup', system, 425, 8, ctypes.create_string_buffer(120))\n"
        "attempt('io_setup', system, 206, 8, ctypes.create_string_buffer(8))\n"
        "attempt('add_key', system, 248, b'user', b'agentrl', b'x', 1, -3)\n"
        "attempt('request_key', system, 249, b'user', b'agentrl', None, 0)\n"
        "attempt('keyctl', system, 250, 0, -3, 1)\n"
        "attempt('kexec_load', system, 246, 0, 0, 0, 0)\n"
        "attempt('kexec_file_load', system, 320, 0, 0, 0, 0, 0)\n"
        "attempt('init_module', system, 175, b'', 0, b'')\n"
        "attempt('finit_module', system, 313, 0, b'', 0)\n"
        "attempt('delete_module', system, 176, b'x', 0)\n"
        "attempt('reboot', system, 169, 0xfee1dead, 672274793, 0, 0)\n"
        "attempt('iopl', system, 172, 3)\n"
        "attempt('ioperm', system, 173, 0, 1, 1)\n"
        "attempt('acct', system, 163, b'/work/acct')\n"
        "attempt('lookup_dcookie', system, 212, 0, ctypes.create_string_buffer(16), 16)\n"
        "attempt('personality', system, 135, 0x0400000)\n"
        "attempt('fanotify', system, 300, 4, 0)\n"
        "attempt('vhangup', system, 153)\n"
        "attempt('nfsservctl', system, 180, 0, 0, 0)\n"
        "attempt('move_pages', system, 279, 1, 1, ctypes.create_string_buffer(8), 0, "
        "ctypes.create_string_buffer(8), 0)\n",
        needs=frozenset({"seccomp"}),
    ),
    _escape(
        "terminal_input",
        "import fcntl, termios\n"
        "for fd in (0, 1, 2):\n    attempt('TIOCSTI %d' % fd, fcntl.ioctl, fd, termios.TIOCSTI, b'x')\n"
        "    attempt('TIOCLINUX %d' % fd, fcntl.ioctl, fd, 0x541C, b'\\x02')\n"
        "attempt('tty', lambda: os.open('/dev/tty', os.O_RDWR))\n"
        "attempt('console', lambda: os.open('/dev/console', os.O_RDWR))\n"
        "attempt('TIOCSTI filter', lambda: fcntl.ioctl(os.openpty()[1], termios.TIOCSTI, b'x'))\n",
    ),
    _escape(
        "clock",
        "attempt('settimeofday', system, 164, ctypes.create_string_buffer(struct.pack('=qq', 1000000000, 0)), None)\n"
        "attempt('clock_settime', lambda: time.clock_settime(time.CLOCK_REALTIME, 1e9))\n"
        "attempt('clock_adjtime', system, 305, 0, ctypes.create_string_buffer(struct.pack('=I', 0x100) + bytes(204)))\n"
        "attempt('adjtimex', system, 159, ctypes.create_string_buffer(struct.pack('=I', 0x100) + bytes(204)))\n"
        "attempt('rtc', lambda: os.open('/dev/rtc0', os.O_RDONLY))\n"
        "attempt('timer offsets', overwrite, '/proc/self/timens_offsets', 'monotonic 1000 0')\n",
        "clock",
    ),
    _escape(
        "files_of_the_worker",
        "import glob\n"
        "for path in glob.glob('/proc/[0-9]*/task/*/mem') + glob.glob('/proc/[0-9]*/clear_refs') + "
        "glob.glob('/proc/[0-9]*/comm'):\n"
        "    if path.split('/')[2] != str(os.getpid()):\n"
        "        attempt(path, lambda: os.close(os.open(path, os.O_WRONLY)))\n",
        needs=frozenset({"split"}),
    ),
)
