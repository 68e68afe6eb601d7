"""Grade an instance of the user's own: the agent's changes in a fresh box of the same image, then the tests of the row.

The changes are read from the agent's box file by file, and written into the fresh one; what belongs to tests or acts
when Python starts is left out and flagged. Then the test patch is applied and the tests are run. They share a process
with the candidate, so a candidate may print outcomes, patch the test runner or end the process: README.md says what is
seen of that and what is not.
"""

from __future__ import annotations

import errno
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from agentrl.envs.errors import InfrastructureError
from agentrl.envs.outcomes import read_outcomes
from agentrl.envs.repo.copying import MOST_FILES, is_test
from agentrl.envs.repo.instances import Instance, touched
from agentrl.envs.repo.testbeds import BASE, TESTBED, WRITABLE
from agentrl.envs.startup import is_startup
from agentrl.envs.tools.codebox import CodeBox
from agentrl.envs.tools.host import infrastructure
from agentrl.sandboxes import Backend, Sandbox, SandboxSpec
from agentrl.sandboxes.errors import SandboxFileError

__all__ = ["TESTS", "Changes", "Trial", "changes_of", "prepare", "spec_of", "try_out"]

TESTS = (
    "if [ -f /opt/miniconda3/bin/activate ]; then . /opt/miniconda3/bin/activate testbed; fi; "
    "python -m pytest -rA -p no:cacheprovider {files}"
)
"""How tests are run, by bash in the repository; `{files}` are the files that the test patch touches."""
TESTS_S = 1800.0
MOST_FILE_BYTES = 4_000_000
MOST_BYTES = 32_000_000
_CONFIG = frozenset({"setup.cfg", "pytest.ini", "tox.ini", "pyproject.toml", ".coveragerc"})
_GIT = "GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null git -c core.fsmonitor= -c core.hooksPath=/dev/null"
_SETUP = f"""set -e
mkdir -p {WRITABLE}
cp -a --no-preserve=ownership {BASE}/. {WRITABLE}/
cd {WRITABLE}
{_GIT} init -q --template= .
printf '[user]\\n\\tname = Agent\\n\\temail = agent@example.org\\n' >> .git/config
{_GIT} add -A
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z'
{_GIT} -c core.logAllRefUpdates=false commit -q --no-verify --allow-empty -m base
{_GIT} rev-parse HEAD
"""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What an agent changed: path -> new content, None where the file is gone; and what was seen."""

    files: Mapping[str, bytes | None]
    flags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How an instance's tests came out."""

    passed: bool  # all of FAIL_TO_PASS and PASS_TO_PASS
    fixed: float  # share of FAIL_TO_PASS
    kept: float  # share of PASS_TO_PASS
    flags: tuple[str, ...]


def spec_of(image: str) -> SandboxSpec:
    """Return the box of an image with a repository: room for it and for its tests."""
    return SandboxSpec(
        image=image,
        memory_mb=4096,
        disk_mb=2048,
        inodes=400_000,
        pids=512,
        wall_s=TESTS_S,
        output_bytes=16_777_216,
        environment={"PYTHONDONTWRITEBYTECODE": "1"},
    )


def prepare(box: CodeBox | Sandbox) -> str:
    """Put the repository where it can be written, with a history of one commit; return that commit's hash.

    Raises:
        InfrastructureError: It cannot be done in this image.
    """
    result = box.exec(["/bin/sh", "-c", _SETUP], timeout_s=300.0)
    if not result.ok:
        raise InfrastructureError(
            f"the repository could not be copied ({result.status}): {result.stderr_text.strip()[-300:]}; the image "
            "needs git, and the repository fits into 2 GB",
            kind="setup",
            boundary="sandbox",
        )
    return result.stdout_text.strip().splitlines()[-1]


def changes_of(box: CodeBox, commit: str, instance: Instance) -> Changes:
    """Read what the agent changed since the first commit.

    Args:
        box: The episode's.
        commit: What `prepare` returned.
        instance: Whose test patch says which files are its own.

    Raises:
        InfrastructureError: The box failed.
    """
    script = f"cd {WRITABLE} && {_GIT} add -A -N . && {_GIT} diff --no-ext-diff --no-renames --name-only -z {commit}"
    result = box.exec(["/bin/sh", "-c", script], timeout_s=120.0)
    if not result.ok:
        return Changes(files={}, flags=("no_repository",))
    flags: set[str] = set()
    files: dict[str, bytes | None] = {}
    own = set(touched(instance.test_patch))
    total = 0
    names = [name for name in result.stdout.decode("utf-8", "surrogateescape").split("\0") if name]
    for name in names:
        flag = _refused(name, own)
        if flag is not None:
            flags.add(flag)
            continue
        if len(files) >= MOST_FILES:
            flags.add("too_much")
            break
        try:
            files[name] = box.read(f"{WRITABLE}/{name}", max_bytes=MOST_FILE_BYTES)
        except SandboxFileError as error:
            if error.errno == errno.ENOENT:
                files[name] = None
            else:
                flags.add("unreadable")
            continue
        total += len(files[name] or b"")
        if total > MOST_BYTES:
            flags.add("too_much")
            break
    return Changes(files=files, flags=tuple(sorted(flags)))


def try_out(backend: Backend, image: str, instance: Instance, changes: Changes, *, command: str = TESTS) -> Trial:
    """Run an instance's tests over an agent's changes, in a fresh box.

    Args:
        backend: Docker.
        image: What `testbeds.prepared` returned.
        instance: Whose tests.
        changes: What `changes_of` read.
        command: How tests are run; see `TESTS`.

    Raises:
        InfrastructureError: The box failed, or the test patch does not apply.
    """
    flags = set(changes.flags)
    with infrastructure(), backend.lease(spec_of(image)) as box:
        prepare(box)
        gone = [f"{WRITABLE}/{name}" for name, content in changes.files.items() if content is None]
        if gone:
            box.exec(["rm", "-f", "--", *gone])
        for name, content in changes.files.items():
            if content is not None:
                mode = 0o755 if content.startswith(b"#!") else 0o644
                try:
                    box.write(f"{WRITABLE}/{name}", content, mode=mode)
                except SandboxFileError:
                    flags.add("unwritable")
        _apply(box, instance)
        files = " ".join(map(shlex.quote, (each for each in touched(instance.test_patch) if each.endswith(".py"))))
        line = f"cd {TESTBED} && {command.replace('{files}', files)}"
        result = box.exec(["bash", "-c", line], timeout_s=TESTS_S)
    outcomes = read_outcomes((result.stdout + b"\n" + result.stderr).decode("utf-8", "replace"))
    if outcomes.is_contradictory:
        flags.add("contradictory_outcomes")
    if result.status not in ("ok", "nonzero"):
        flags.add(result.status)
    passed = outcomes.all_passed((*instance.fail_to_pass, *instance.pass_to_pass)) and not outcomes.is_contradictory
    return Trial(
        passed=passed and result.status in ("ok", "nonzero"),
        fixed=outcomes.share(instance.fail_to_pass),
        kept=outcomes.share(instance.pass_to_pass),
        flags=tuple(sorted(flags)),
    )


def _apply(box: Sandbox, instance: Instance) -> None:
    if not instance.test_patch.strip():
        return
    text = instance.test_patch if instance.test_patch.endswith("\n") else f"{instance.test_patch}\n"
    script = f"cd {WRITABLE} && {_GIT} apply --whitespace=nowarn -"
    result = box.exec(["/bin/sh", "-c", script], stdin=text.encode())
    if not result.ok:
        raise InfrastructureError(
            f"the test patch of {instance.id} does not apply at its base commit: {result.stderr_text.strip()[-300:]}",
            kind="data",
            boundary="instance",
        )


def _refused(name: str, own: set[str]) -> str | None:
    """Return why a changed file is not carried over, as a flag."""
    path = PurePosixPath(name)
    if not name.isprintable() or name.startswith("/") or ".." in path.parts or ".git" in path.parts:
        return "odd_name"
    if is_startup(path.name):
        return "startup_file"
    if name in own or is_test(name) or "tests" in path.parts or path.name.endswith("_test.py"):
        return "tests_changed"
    if path.name in _CONFIG:
        return "configuration_changed"
    return None
