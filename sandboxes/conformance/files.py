"""Cases: files. What the host reads out of a box is bytes of regular files, as the job may read them, up to a bound."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from agentrl.sandboxes.base import Backend, Sandbox
from agentrl.sandboxes.conformance.case import Case, attempts, must, refused, says, small
from agentrl.sandboxes.errors import SandboxFileError, SpecError
from agentrl.sandboxes.results import ExecResult

__all__ = ["CASES"]

# A tar with names that leave the folder, an absolute name, links out of it, a pipe, a device and a setuid file.
TAR = """
import io, tarfile
def add(name, data=b'evil', kind=tarfile.REGTYPE, link='', mode=0o644):
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, link, mode
    member.size = len(data) if kind == tarfile.REGTYPE else 0
    archive.addfile(member, io.BytesIO(data))
with tarfile.open('/work/evil.tar', 'w') as archive:
    add('../../../../tmp/agentrl-conformance-escaped')
    add('/tmp/agentrl-conformance-escaped')
    add('link', kind=tarfile.SYMTYPE, link='/')
    add('link/tmp/agentrl-conformance-escaped')
    add('hard', kind=tarfile.LNKTYPE, link='/etc/shadow')
    add('pipe', kind=tarfile.FIFOTYPE)
    add('device', kind=tarfile.CHRTYPE)
    add('setuid', mode=0o6755)
    for number in range(400):
        add('m%d' % number, b'')
"""

ESCAPED = "agentrl-conformance-escaped"


def _fails(action: Callable[[], object], what: str) -> None:
    begun = time.monotonic()
    try:
        got = action()
    except (SandboxFileError, SpecError) as error:
        must(len(str(error)) < 5000, f"{what}: a message of {len(str(error))} characters")
    else:
        must(False, f"{what} was allowed: {str(got)[:100]!r}")
    must(time.monotonic() - begun < 20, f"{what} took {time.monotonic() - begun:.0f} s")


def _symlink(box: Sandbox) -> None:
    box.exec(
        "ln -s /etc/shadow shadow; ln -s /etc out; ln -s ../../../../../../etc/shadow up; ln -s loop loop; "
        "ln -s /proc/1/environ init; ln -s /proc/self/environ self; ln -s /dev/zero zero; ln -s / root"
    )
    for name in ("shadow", "out", "up", "loop", "init", "zero", "out/shadow", "root/etc/shadow"):
        _fails(lambda name=name: box.read(name, max_bytes=10_000), name)  # type: ignore[misc]
    with tempfile.NamedTemporaryFile(prefix="agentrl-conformance-", delete=True) as secret:
        secret.write(b"a secret of the host")
        secret.flush()
        os.chmod(secret.name, 0o644)
        box.exec(["ln", "-s", secret.name, "host"])
        _fails(lambda: box.read("host"), "a link to a file of the host")
        _fails(lambda: box.read(secret.name), "a file of the host")
        must(not any(each.kind == "file" for each in box.list("/work")), "a link is listed as a file")
        _write_through(box, secret.name)
        must(Path(secret.name).read_bytes() == b"a secret of the host", "a file of the host was overwritten")


def _write_through(box: Sandbox, path: str) -> None:
    try:
        box.write("host", b"overwritten")
    except SandboxFileError:
        return
    must(Path(path).read_bytes() != b"overwritten", "a write through a link reached the host")


def _traversal(box: Sandbox) -> None:
    for path in (
        "../../../../../../etc/agentrl-new",
        "/etc/agentrl-new",
        "/usr/agentrl-new",
        "/agentrl-new",
        "",
        "a\0b",
    ):
        _fails(lambda path=path: box.write(path, b"x"), f"write {path!r}")  # type: ignore[misc]
    for path in ("../../../../../../etc/shadow", "/work/../etc/shadow", "/proc/1/mem", "//etc//shadow", "", "a\0b"):
        _fails(lambda path=path: box.read(path), f"read {path!r}")  # type: ignore[misc]
    for path in ("../../../../proc/1/fd", "/proc/1/fd", "/no/such", "", "a\0b"):
        _fails(lambda path=path: box.list(path), f"list {path!r}")  # type: ignore[misc]
    must(not Path("/etc/agentrl-new").exists(), "a file of the host was made")


def _tar(box: Sandbox) -> None:
    outside = Path(tempfile.gettempdir()) / ESCAPED
    outside.unlink(missing_ok=True)
    must(box.run_python(TAR).ok, "the archive was not made")
    box.exec("tar -xPf evil.tar -C /work; tar -xf evil.tar", timeout_s=10)
    must(not outside.exists(), "a member of the archive reached the host")
    must(len(box.read("/work/evil.tar")) > 10_000, "an archive is bytes like any file")
    for name in ("pipe", "device", "link"):
        _fails(lambda name=name: box.read(name), name)  # type: ignore[misc]


def _hardlink(box: Sandbox) -> ExecResult:
    return box.run_python(
        attempts(
            "for path in ('/etc/shadow', '/etc/passwd', '/proc/1/environ', '/usr/bin/env', '/proc/1/exe'):\n"
            "    attempt('link ' + path, os.link, path, '/work/hard')\n"
            "    attempt('follow ' + path, lambda: os.link(path, '/tmp/hard', follow_symlinks=True))\n"
        )
    )


def _fifo(box: Sandbox) -> None:
    box.exec(
        "mkfifo pipe; mkdir folder; python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('/work/socket')\""
    )
    for name in ("pipe", "folder", "socket", "missing", "folder/missing", "pipe/x"):
        _fails(lambda name=name: box.read(name), f"read {name}")  # type: ignore[misc]
    for name in ("pipe", "folder", "socket", "pipe/x"):
        _fails(lambda name=name: box.write(name, b"x"), f"write {name}")  # type: ignore[misc]
    for name in ("pipe", "socket", "missing"):
        _fails(lambda name=name: box.list(name), f"list {name}")  # type: ignore[misc]
    kinds = {each.name: each.kind for each in box.list("/work")}
    must(kinds == {"pipe": "other", "folder": "folder", "socket": "other"}, f"listed as {kinds}")


def _device(box: Sandbox) -> ExecResult:
    tried = box.run_python(
        attempts(
            "import stat\n"
            "attempt('null', os.mknod, '/work/null', stat.S_IFCHR | 0o666, os.makedev(1, 3))\n"
            "attempt('memory', os.mknod, '/work/memory', stat.S_IFCHR | 0o666, os.makedev(1, 1))\n"
            "attempt('disk', os.mknod, '/tmp/disk', stat.S_IFBLK | 0o666, os.makedev(8, 0))\n"
            "attempt('chown', os.chown, '/work', 0, 0)\n"
            "for name in ('/dev/mem', '/dev/kmem', '/dev/kmsg', '/dev/sda', '/dev/vda', '/dev/fuse', '/dev/kvm', "
            "'/dev/net/tun', '/dev/loop0', '/dev/port'):\n"
            "    attempt(name, lambda: open(name, 'rb').read(1))\n"
        )
    )
    _fails(lambda: box.read("/dev/zero", max_bytes=100), "read /dev/zero")
    _fails(lambda: box.read("/dev/stdin", max_bytes=100), "read /dev/stdin")
    return tried


def _bomb(box: Sandbox) -> None:
    box.exec('truncate -s 30M big; python3 -c \'for n in range(500): open("/tmp/n%d" % n, "w")\'')
    _fails(lambda: box.read("big", max_bytes=1_000_000), "30 MB of zeros")
    _fails(lambda: box.list("/tmp", max_entries=100), "500 names")
    must(len(box.list("/tmp", max_entries=1000)) == 500, "500 names are not 500")
    box.exec("head -c 300000 /dev/zero > exact")
    must(box.read("exact", max_bytes=300_000) == bytes(300_000), "a file of just the bound")
    _fails(lambda: box.read("exact", max_bytes=299_999), "a byte past the bound")


def _too_large_to_write(box: Sandbox) -> None:
    _fails(lambda: box.write("large", bytes(20 << 20)), "20 MiB into a box of 16")
    must(box.exec(["echo", "on"]).stdout == b"on\n", "the box after a full disk")
    box.exec("rm -rf /work/*")
    box.write("large", bytes(2 << 20))
    must(box.read("large") == bytes(2 << 20), "2 MiB written and read")


def _mode_000(backend: Backend) -> None:
    with backend.lease(small()) as box:
        box.exec(
            "mkdir -p a/b/c; echo x > a/b/c/f; echo y > g; chmod 000 g a/b/c/f a/b/c a/b a; mkdir /tmp/z; chmod "
            "0 /tmp/z"
        )
        _fails(lambda: box.read("g"), "a file of mode 000")
        _fails(lambda: box.list("a"), "a folder of mode 000")
    for _ in range(3):
        with backend.lease(small()) as box:
            left = [each.name for each in [*box.list("/work"), *box.list("/tmp"), *box.list("/dev/shm")]]
            must(not left, f"{left} left by an earlier lease")


def _growing(box: Sandbox) -> None:
    job = box.start("while :; do head -c 20000 /dev/zero >> grow; done", timeout_s=20)
    time.sleep(0.1)
    for _ in range(5):
        try:
            must(len(box.read("grow", max_bytes=5_000_000)) <= 5_000_000, "more than was asked for")
        except SandboxFileError as error:
            must("5" in str(error) or "grow" in str(error), str(error))
    job.kill()


def _swapped(box: Sandbox) -> None:
    # A file that turns into a link and back while it is read: either its own bytes or an error, nothing else.
    job = box.start(
        "echo fine > real; while :; do cp real f; ln -sf /etc/hostname f; ln -sf /proc/self/status f; rm f; done",
        timeout_s=20,
    )
    time.sleep(0.1)
    for _ in range(30):
        try:
            got = box.read("f")
        except SandboxFileError:
            continue
        must(got in (b"fine\n", b""), f"a link was followed: {got[:100]!r}")
    job.kill()


def _names(box: Sandbox) -> None:
    made = box.run_python(
        "import os\nfor name in (b'new\\nline', b'\\xff\\xfe', b'-rf', b'x' * 255, b' ', b'\\x1b[2J', "
        "'\\u202e'.encode(), b'\"', b'a\\\\b'):\n"
        "    open(b'/work/' + name, 'w').close()\n"
        "try: open('/work/' + 'y' * 256, 'w')\nexcept OSError as error: print(error.errno)"
    )
    must(made.ok and made.stdout == b"36\n", f"names: {made}")
    must(len(box.list("/work")) == 9, f"{len(box.list('/work'))} names of 9")
    for each in box.list("/work"):
        must(box.read("/work/" + each.name) == b"", f"{each.name!r} cannot be read by the name it is listed under")
    _fails(lambda: box.write("y" * 256, b""), "a name of 256 bytes")
    _fails(lambda: box.write("d/" * 3000 + "f", b""), "a path of 6,000 bytes")


def _written_modes(box: Sandbox) -> ExecResult:
    box.write("bin/tool", b"#!/bin/sh\necho tool\n", mode=0o755)
    _fails(lambda: box.write("bin/other", b"", mode=0o6755), "a setuid bit")
    box.write("bin/set", b"#!/bin/sh\nid -u\n", mode=0o755)
    box.exec("chmod 6755 bin/set")
    must(box.exec(["/work/bin/tool"]).stdout == b"tool\n", "a written program does not run")
    must(box.exec(["/work/bin/set"]).stdout.strip() not in (b"", b"0"), "a setuid file gave privileges")
    return box.exec("rm -rf bin && echo mine")


CASES: tuple[Case, ...] = (
    Case(name="symlinks_out", group="files", item="symlink", steps=_symlink),
    Case(name="names_that_leave_the_folder", group="files", item="traversal", steps=_traversal),
    Case(name="hostile_tar", group="files", item="traversal", steps=_tar, timeout_s=15),
    Case(name="hard_links", group="files", item="hardlink", steps=_hardlink, check=refused),
    Case(name="pipes_and_sockets", group="files", item="fifo", steps=_fifo),
    Case(name="device_nodes", group="files", item="device", steps=_device, check=refused),
    Case(name="setuid_bit_of_a_written_file", group="files", item="device", steps=_written_modes, check=says("mine")),
    Case(name="bombs", group="files", item="bomb", steps=_bomb, timeout_s=15),
    Case(name="write_past_the_disk", group="files", item="bomb", steps=_too_large_to_write, timeout_s=15),
    Case(name="mode_000", group="files", item="mode 000", backend_steps=_mode_000, timeout_s=15),
    Case(name="growing_file", group="files", item="growing file", steps=_growing, timeout_s=15),
    Case(name="file_that_turns_into_a_link", group="files", item="own files", steps=_swapped, timeout_s=15),
    Case(name="strange_names", group="files", item="own files", steps=_names),
)
