"""The bubblewrap backend: leased boxes with the real worker, what is held and what is refused, and the way out."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import agentrl.sandboxes
from agentrl.sandboxes.bubblewrap.backend import BubblewrapBackend
from agentrl.sandboxes.bubblewrap.cgroups import Hierarchy
from agentrl.sandboxes.bubblewrap.chain import Started
from agentrl.sandboxes.bubblewrap.host import find_ids, find_out, write_etc
from agentrl.sandboxes.bubblewrap.vessel import BwrapVessel
from agentrl.sandboxes.errors import LimitNotHeld, SandboxDied, SandboxUnavailable, SpecError
from agentrl.sandboxes.spec import SandboxSpec

pytestmark = pytest.mark.bwrap

SMALL = SandboxSpec(memory_mb=128, pids=40, wall_s=30.0)

ATLEAST = "import sys; sys.exit(sys.version_info < (3, 11))"
AS_NOBODY = """
import json
from agentrl.sandboxes.bubblewrap.backend import BubblewrapBackend
from agentrl.sandboxes.conformance.service import Service
from agentrl.sandboxes.spec import SandboxSpec
ASK = "import urllib.request\\nprint(urllib.request.urlopen('http://127.0.0.1:8000/').read().decode())"
with BubblewrapBackend(warm=0) as backend:
    findings = backend._found().findings
    found = backend.capabilities()
    made = {"mode": findings.mode, "once": backend.run("id -u").stdout_text, "held": sorted(found.held)}
    made["missing"] = dict(found.missing)
    with backend.lease(SandboxSpec()) as box:
        first = box.exec("id -u; kill -9 -1; kill -9 1 2 3").stdout_text
        made["leased"] = [first, box.exec("echo alive").stdout_text]
    with Service("reached") as service, backend.lease(SandboxSpec(services={8000: service.port})) as box:
        box.exec("kill -9 -1")
        made["service"] = box.run_python(ASK).stdout_text
    with backend.lease(SandboxSpec()) as box:
        made["later"] = box.run_python(ASK).stderr_text
made["folder_left"] = findings.folder.exists()
print(json.dumps(made))
"""


PACKAGES = """
import importlib.util, os, sys
print([name for name in ("pip", "pytest", "numpy", "agentrl") if importlib.util.find_spec(name)])
print([path for path in sys.path if "packages" in path and os.path.isdir(path) and os.listdir(path)])
"""


@pytest.fixture(scope="module")
def backend() -> Iterator[BubblewrapBackend]:
    with BubblewrapBackend(warm=0) as made:
        yield made


@pytest.fixture
def vessel(backend: BubblewrapBackend) -> Iterator[BwrapVessel]:
    made = backend._make(SMALL.shape())
    assert isinstance(made, BwrapVessel)
    yield made
    assert made.destroy()


def test_a_leased_box_runs_programs_and_keeps_files(backend: BubblewrapBackend) -> None:
    with backend.lease(replace(SMALL, files={"given": b"first"})) as box:
        assert box.exec("cat given; echo more > kept").stdout == b"first"
        assert box.exec("cat kept").stdout == b"more\n"
        assert box.run_python("print(6 * 7)").stdout == b"42\n"
        assert box.exec("exit 4").exit_code == 4
        assert box.exec("kill -9 $$").signal == 9


def test_no_job_reaches_the_worker_or_the_hosts_ids(backend: BubblewrapBackend) -> None:
    with backend.lease(SMALL) as box:
        done = box.exec("id -u; kill -9 -1; kill -9 1; kill -9 2; cat /proc/2/environ /proc/2/mem")
        assert done.stdout.startswith(b"1000\n")
        assert box.exec("echo alive").stdout == b"alive\n"
        for script in (
            "unshare -U true",
            "mount -t tmpfs x /tmp",
            "echo 1 > /proc/sysrq-trigger",
            "echo 1 > /proc/sys/x",
        ):
            assert box.exec(script).exit_code != 0, script
        assert box.exec("echo $(cat /proc/keys /proc/kcore 2>/dev/null | wc -c)").stdout == b"0\n"


def test_next_lease_finds_nothing_of_the_last(backend: BubblewrapBackend) -> None:
    with backend.lease(SMALL) as box:
        box.exec(
            "touch /work/a /tmp/b /dev/shm/c; mkdir -m 700 /work/closed; touch /work/closed/d; chmod 0 /work/closed"
        )
    with backend.lease(SMALL) as box:
        assert box.exec("ls -A /work /tmp /dev/shm").stdout.split() == [b"/dev/shm:", b"/tmp:", b"/work:"]


@pytest.mark.parametrize(
    ("program", "status"), [("x = bytearray(1 << 32)", "oom"), ("import os\nwhile True: os.fork()", "pids")]
)
def test_the_worker_reads_the_boxs_own_counters(backend: BubblewrapBackend, program: str, status: str) -> None:
    if status not in backend.capabilities().reported:
        pytest.skip(f"{status} cannot be told here: {backend.capabilities().missing}")
    # Enough memory for forty interpreters, so that the fork bomb meets its own limit first.
    with backend.lease(replace(SMALL, memory_mb=512)) as box:
        assert box.exec(["python3", "-c", program]).status == status
        assert box.exec("echo alive").status == "ok"


def test_capabilities_come_from_runs(backend: BubblewrapBackend) -> None:
    found = backend.capabilities()
    assert found.backend == "bubblewrap"
    assert {"disk_mb", "inodes", "output_bytes", "wall_s", "open_files", "network", "seccomp"} <= found.held
    assert not found.held & set(found.missing)
    assert "images" in found.missing
    assert found is backend.capabilities()
    if os.geteuid() == 0 and find_ids()[0] == "root":
        assert "split" in found.held


def test_an_image_is_refused(backend: BubblewrapBackend) -> None:
    with pytest.raises(SpecError, match="docker"):
        backend.lease(SandboxSpec(image="debian"))
    with pytest.raises(SpecError, match="docker"):
        backend.run("true", spec=SandboxSpec(image="debian"))


def test_without_control_groups_a_strict_spec_is_refused_and_another_runs() -> None:
    with BubblewrapBackend(warm=0) as backend:
        host = backend._found()
        host.hierarchy, host._refusal = Hierarchy(version=1), "none for this test"
        assert backend.run("echo here", spec=SMALL).stdout == b"here\n"
        assert {"memory_mb", "pids", "cpus", "oom"} <= set(backend.capabilities().missing)
        with pytest.raises(LimitNotHeld, match=r"memory_mb: none for this test; run as root"):
            backend.lease(replace(SMALL, strict=True))
        with pytest.raises(LimitNotHeld):
            backend.run("true", spec=replace(SMALL, strict=True))


def test_a_strict_spec_is_taken_where_all_is_held(backend: BubblewrapBackend) -> None:
    if missing := [name for name in ("memory_mb", "pids", "cpus") if name in backend.capabilities().missing]:
        pytest.skip(f"not held here: {missing}")
    with backend.lease(replace(SMALL, strict=True)) as box:
        assert box.exec("true").ok


def test_boxes_have_ids_of_their_own_that_nobody_else_has(backend: BubblewrapBackend) -> None:
    if find_ids()[0] == "single":
        pytest.skip("this user has one id")
    first, second = backend._make(SMALL.shape()), backend._make(SMALL.shape())
    try:
        owners = set()
        for each in (first, second):
            assert isinstance(each, BwrapVessel)
            owners.add(Path(f"/proc/{each.started.init_pid}").stat().st_uid)
        assert len(owners) == 2
        assert min(owners) > 65_536
    finally:
        assert first.destroy()
        assert second.destroy()


def test_destroy_is_confirmed_and_leaves_nothing(vessel: BwrapVessel) -> None:
    cgroup, init = vessel.started.cgroup, vessel.started.init_pid
    assert vessel.destroy()
    assert vessel.destroy()
    assert not Path(f"/proc/{init}").exists()
    assert vessel.started.process.returncode is not None
    if cgroup:
        assert not any(folder.exists() for folder in cgroup.folders.values())


def test_a_worker_whose_input_ends_goes(vessel: BwrapVessel) -> None:
    vessel.channel.send(memoryview(vessel.first))
    vessel.channel.close()
    assert vessel.started.process.wait(20) is not None
    words, oom = vessel.autopsy(time.time())
    assert "ended with" in words
    assert not oom


def test_a_box_that_is_killed_is_an_error_and_not_a_result(backend: BubblewrapBackend) -> None:
    box = backend.lease(SMALL)
    started: Started = box._box.vessel.started  # type: ignore[attr-defined]
    os.kill(started.init_pid, 9)
    started.process.wait(20)  # till then the worker may still answer
    with pytest.raises(SandboxDied):
        box.exec("true")
    box.close()
    with backend.lease(SMALL) as fresh:
        assert fresh.exec("true").ok


def test_a_closed_backend_says_so_and_removes_its_folder() -> None:
    backend = BubblewrapBackend(warm=0)
    backend.run("true", spec=SMALL)
    folder = backend._found().findings.folder
    assert folder.is_dir()
    backend.close()
    backend.close()
    assert not folder.exists()
    with pytest.raises(SandboxUnavailable, match="closed"):
        backend.run("true", spec=SMALL)


def test_where_namespaces_may_not_be_made_the_fix_is_named(tmp_path: Path) -> None:
    program = (
        "from agentrl.sandboxes.bubblewrap.backend import BubblewrapBackend\n"
        "from agentrl.sandboxes.errors import SandboxUnavailable\n"
        "with BubblewrapBackend(warm=0) as backend:\n"
        "    for work in (lambda: backend.run('true'), lambda: backend.lease(wait_s=20), backend.capabilities):\n"
        "        try:\n"
        "            work()\n"
        "        except SandboxUnavailable as error:\n"
        "            print(error)\n"
    )
    # The count of user namespaces can be bounded for what is inside of one.
    script = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    said = done.stdout.splitlines()
    assert len(said) == 3, done
    assert all("sysctl -w user.max_user_namespaces" in line for line in said)


def test_without_its_mounts_no_box_starts() -> None:
    with BubblewrapBackend(warm=0) as backend:
        host = backend._found()
        host.findings = replace(host.findings, tools={**host.findings.tools, "mount": "/bin/false"})
        for work in (lambda: backend.run("true", spec=SMALL), lambda: backend.lease(SMALL, wait_s=20)):
            with pytest.raises(SandboxUnavailable, match="could not make a box"):
                work()


def test_the_made_etc_has_no_secret_and_is_open_to_all() -> None:
    findings, _ = find_out()
    try:
        write_etc(findings.folder, 1234)
        write_etc(findings.folder, 1234)
        etc = findings.folder / "etc-1234"
        assert "sandbox:x:1234:" in (etc / "passwd").read_text()
        assert not list(etc.rglob("*shadow*"))
        assert not list(etc.rglob("private"))
        assert all(each.stat().st_mode & 0o004 for each in etc.rglob("*") if not each.is_symlink())
        assert findings.folder.stat().st_mode & 0o777 == 0o711
    finally:
        subprocess.run(["rm", "-r", str(findings.folder)], check=True)


def test_a_user_with_one_id_gets_boxes_too_and_is_told_what_is_missing() -> None:
    python = Path("/usr/bin/python3")
    if os.geteuid() != 0 or not python.exists() or subprocess.run([python, "-c", ATLEAST]).returncode:
        pytest.skip("needs root, to become nobody, and a Python 3.11 below /usr")
    # The package may lie where nobody else can read it, so a copy is used.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        root, package = Path(agentrl.sandboxes.__path__[0]), Path(folder, "package")
        shutil.copytree(root, package / "agentrl/sandboxes", ignore=shutil.ignore_patterns("__pycache__", "images"))
        library = pyseccomp_file()
        if library.is_dir():
            shutil.copytree(library, package / library.name)
        else:
            shutil.copy(library, package)
        command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env", "-i"]
        command += ["PATH=/usr/bin:/bin", f"PYTHONPATH={package}", str(python), "-B", "-c", AS_NOBODY]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=120)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["mode"] in ("single", "mapped")
    assert seen["once"] == "1000\n"
    assert seen["leased"] == ["1000\n", "alive\n"]
    assert seen["service"] == "reached\n"
    assert "Connection refused" in seen["later"]
    assert {"disk_mb", "inodes", "output_bytes", "seccomp", "network"} <= set(seen["held"])
    assert seen["mode"] == "mapped" or "usermod" in seen["missing"]["split"]
    assert seen["folder_left"] is False


def pyseccomp_file() -> Path:
    spec = importlib.util.find_spec("pyseccomp")
    assert spec
    assert spec.origin
    path = Path(spec.origin)
    return path.parent if path.name == "__init__.py" else path


def test_packages_installed_on_the_host_are_not_in_the_box(backend: BubblewrapBackend) -> None:
    """A package may hold a task's answers, and a box is to be the same on every host."""
    assert importlib.util.find_spec("pytest") is not None
    for python in ("python3", "/usr/bin/python3"):
        assert backend.run([python, "-c", PACKAGES]).stdout_text == "[]\n[]\n"
