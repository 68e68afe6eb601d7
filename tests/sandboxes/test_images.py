"""The base image: what it holds, how small it is, and that both ways of building it use the same recipe."""

from __future__ import annotations

import gc
import json
import re
import subprocess
import time
import warnings
from pathlib import Path
from threading import Event, Thread

import pytest

from agentrl.sandboxes.docker.engine import Engine
from agentrl.sandboxes.errors import SandboxUnavailable, SpecError
from agentrl.sandboxes.images import BASE_IMAGE, build_image, recipe
from agentrl.sandboxes.images import bootstrap as bootstrap_module
from agentrl.sandboxes.images import build as build_module

FOLDER = Path(build_module.__file__).parent


def in_image(script: str, *, user: str = "0") -> str:
    """Run a script in a container of the base image, without network."""
    command = ["docker", "run", "--rm", "--network", "none", "--user", user, BASE_IMAGE, "sh", "-euc", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def unexpected(line: str) -> None:
    """Stand for progress that must not be."""
    raise AssertionError(line)


def test_the_recipe_is_one_for_both_ways() -> None:
    dockerfile = (FOLDER / "Dockerfile").read_text()
    assert "packages.txt" in dockerfile
    assert "finish.sh" in dockerfile
    assert f"debian:{recipe.SUITE}-" in dockerfile
    assert recipe.changes() == [
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "ENV LANG=C.UTF-8",
        "WORKDIR /work",
        'CMD ["python3"]',
    ]
    assert {"python3", "git", "make", "gcc", "g++", "jq", "sqlite3", "procps"} <= set(recipe.packages())
    assert recipe.packages() == sorted(recipe.packages())


def test_the_times_of_the_recipe_agree() -> None:
    dockerfile = (FOLDER / "Dockerfile").read_text()
    day = time.strftime("%Y%m%d", time.gmtime(recipe.epoch()))
    assert f"ARG BASE=debian:{recipe.SUITE}-{day}-slim" in dockerfile
    assert f"ARG SNAPSHOT={day}T000000Z" in dockerfile


def test_a_change_of_any_file_changes_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe.recipe_digest()
    texts = {name: (FOLDER / name).read_text() for name in ("Dockerfile", "finish.sh", "packages.txt")}
    for changed in texts:
        monkeypatch.setattr(recipe, "_text", lambda name, changed=changed: texts[name] + "#" * (name == changed))
        assert recipe.recipe_digest() != before
    monkeypatch.setattr(recipe, "_text", texts.__getitem__)
    assert recipe.recipe_digest() == before


def test_no_file_names_a_mirror_of_the_machine() -> None:
    texts = [path.read_text() for path in FOLDER.iterdir() if path.is_file()]
    hosts = {host for text in texts for host in re.findall(r"https?://([^/\s\"']+)", text)}
    assert hosts == {"deb.debian.org", "snapshot.debian.org"}


def test_the_mirror_comes_from_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "apt-get"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def says(*lines: str) -> str:
        script.write_text("#!/bin/sh\ncat <<'EOF'\n" + "\n".join(lines) + "\nEOF\n")
        script.chmod(0o755)
        return bootstrap_module.machine_mirror()

    assert says(
        "X|X|http://x.test/y/", "Debian|Debian-Security|http://a.test/s/", "Debian|Debian|http://m.test/d/"
    ) == ("http://m.test/d")
    assert says("||http://x.test/other/", "||http://m.test/debian/") == "http://m.test/debian"
    assert says("Ubuntu|Ubuntu|http://u.test/ubuntu/") == says() == bootstrap_module.DEBIAN
    script.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bootstrap_module.machine_mirror() == bootstrap_module.DEBIAN


def test_what_is_wrong_names_what_mends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match="dockerfile or debootstrap"):
        build_image("podman")  # type: ignore[arg-type]
    with pytest.raises(SandboxUnavailable, match=r"apt-get install docker\.io"):
        build_image(base_url=f"unix://{tmp_path}/none.sock")
    with warnings.catch_warnings():  # the SDK leaves a socket open that could not be connected
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()

    monkeypatch.setattr(bootstrap_module, "_PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with (
        pytest.raises(SandboxUnavailable, match="apt-get install debootstrap"),
        bootstrap_module.root_tar("http://m.test/d", 0, unexpected),
    ):
        pass
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with (
        pytest.raises(SandboxUnavailable, match="sudo agentrl sandbox build"),
        bootstrap_module.root_tar("http://m.test/d", 0, unexpected),
    ):
        pass


def test_a_step_that_fails_says_its_last_lines_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("debootstrap", "chroot", "unshare"):
        (tmp_path / name).write_text("#!/bin/sh\necho no route to the mirror\nexit 3\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(bootstrap_module, "_PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(bootstrap_module, "_NAMESPACES", ())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    lines: list[str] = []
    with (
        pytest.raises(SandboxUnavailable, match="debootstrap ended with 3:\n  no route to the mirror"),
        bootstrap_module.root_tar("http://m.test/d", 0, lines.append),
    ):
        pass
    assert "no route to the mirror" in lines
    assert {path.name for path in tmp_path.iterdir()} == {"debootstrap", "chroot", "unshare"}


def test_builds_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    inside, leave = Event(), Event()

    def hold() -> None:
        with build_module._lock(1.0, lambda line: None):
            inside.set()
            leave.wait(60)

    first = Thread(target=hold)
    first.start()
    try:
        assert inside.wait(60)
        told: list[str] = []
        with pytest.raises(SandboxUnavailable, match="another build has held"), build_module._lock(0.2, told.append):
            pass
        assert "waiting for it" in told[0]
    finally:
        leave.set()
        first.join()
    with build_module._lock(0.0, told.append):
        pass
    assert len(told) == 1


def test_a_lock_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = build_module._lock_folder()
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SandboxUnavailable, match="not a folder of this user"):
        build_module._lock_folder()


@pytest.mark.docker
def test_the_image_is_up_to_date_and_small() -> None:
    engine = Engine()
    found = build_module._find(engine, BASE_IMAGE)
    engine.close()
    # Building it here would take it away from the tests that run beside this one.
    assert found is not None, "type: agentrl sandbox build"
    assert build_module._is_current(found), "the recipe has changed; type: agentrl sandbox build"
    image = build_image(on_progress=unexpected)
    assert not image.built
    assert image.id == found["Id"]
    assert image.size < 400e6
    assert len(image.layers) == 1


@pytest.mark.docker
def test_what_the_image_holds() -> None:
    tools = "python3 git make gcc g++ awk sed grep find tar gzip bzip2 xz less sqlite3 patch diff file ps jq sh bash"
    out = in_image(f"for tool in {tools}; do command -v $tool >/dev/null || echo missing $tool; done; id -un job7; pwd")
    assert out == "job7\n/work\n"
    out = in_image(
        "python3 -c 'import venv, ensurepip, sqlite3, ssl, ctypes, lzma, zoneinfo; zoneinfo.ZoneInfo(\"Asia/Tokyo\")'\n"
        "cd /tmp; echo 'int main(void){return 7;}' >a.c; gcc a.c -o a; r=0; ./a || r=$?; echo $r\n"
        "echo 'int main(){return 8;}' >b.cpp; g++ -O2 b.cpp -o b; r=0; ./b || r=$?; echo $r",
        user="1003:1000",
    )
    assert out == "7\n8\n"


@pytest.mark.docker
def test_git_takes_a_repository_of_another_user() -> None:
    out = in_image(
        "mkdir /tmp/r; cd /tmp/r; git init -q; chmod -R a+rwX .; git config user.name a; git config user.email a@b.c\n"
        "touch f; git add f; git commit -qm one; chown -R job3 .\n"
        'python3 -c \'import os; os.setgid(1000); os.setuid(1001); os.execlp("git", "git", "log", "--format=%s")\''
    )
    assert out == "one\n"


@pytest.mark.docker
def test_the_image_holds_nothing_that_raises_privileges_or_names_the_builder() -> None:
    assert in_image("find / -xdev -type f -perm /6000") == ""
    assert in_image("grep -v deb.debian.org /etc/apt/sources.list || true; ls -A /etc/apt/sources.list.d") == ""
    # The engine puts a host name and a resolver there when it runs a container; nothing else may be.
    assert in_image("cat /etc/machine-id || true; find /var/log /var/lib/apt/lists /root/.ssh -type f || true") == ""


@pytest.mark.docker
def test_byte_code_is_used_and_never_written() -> None:
    show = "print(json.dumps([module.__cached__ for module in sys.modules.values() if hasattr(module, '__cached__')]))"
    cached = set(json.loads(in_image(f'python3 -c "import sys, json, asyncio; {show}"'))) - {None}
    assert cached
    assert cached <= set(in_image("find /usr/lib/python3* -name '*.pyc'").split())
