"""Grade a task: what the agent left in a fresh box of the same image, then the task's tests, which come there last.

The tests run as the task has them, beside the agent's files and in the same user's name, as Harbor itself has it:
README.md says what is done about that and what is left. Whether it is the agent or the tests that failed is found by
experiment: a task's first result that is not full is believed after its tests were seen to work, on an untouched box
or over the task's solution.
"""

from __future__ import annotations

import io
import json
import math
import re
import shlex
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agentrl.envs.errors import InfrastructureError
from agentrl.envs.outcomes import read_outcomes
from agentrl.envs.shell.harbor.carrying import MOST_BYTES, Carried
from agentrl.envs.shell.harbor.format import HarborTask
from agentrl.envs.shell.harbor.images import BASE, GRADING, PROGRAMS, ROOT, SOLUTION, Prepared
from agentrl.envs.tools.codebox import CodeBox
from agentrl.envs.tools.host import infrastructure
from agentrl.sandboxes import Backend, ExecResult, Sandbox, SandboxSpec
from agentrl.sandboxes.errors import SandboxFileError

__all__ = ["Graded", "fill", "spec_of", "try_out"]

FILL_S = 300.0
_TAR = "/tmp/.packed.tar"
_MOST_REWARD = 65_536
_FILL = f"""set -e
{PROGRAMS}
for folder in "$@"; do
  mkdir -p "{ROOT}${{folder%/*}}"
  cp -a "{BASE}$folder" "{ROOT}$folder"
done
"""
_LACKS = re.compile(
    r"No module named '?_?pytest\b|\b(?:pytest|uv|uvx|pip3?|python3?|node|npm|curl|wget|git|apt-get): (?:command )?not "
    r"found|Could not resolve host|[Tt]emporary failure in name resolution|Temporary failure resolving|Network is "
    r"unreachable"
)
_lock = threading.Lock()
_sound: set[tuple[str, str, str]] = set()  # tests that were seen to work


@dataclass(frozen=True, kw_only=True)
class Graded:
    """What came out of an episode."""

    score: float  # what the tests wrote
    passed: bool  # the score is full, and nothing speaks against it
    flags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Run:
    """How one run of the tests ended."""

    status: str
    exit_code: int | None
    reward: float | None  # None: none that counts
    output: str
    flags: tuple[str, ...]


_UNWRITABLE = _Run(status="nonzero", exit_code=None, reward=None, output="", flags=("unwritable",))


def spec_of(task: HarborTask, image: Prepared) -> SandboxSpec:
    """Return the box of a task: its limits, and the variables that its image and its file say."""
    return SandboxSpec(
        image=image.id,
        cpus=max(0.1, task.cpus),
        memory_mb=task.memory_mb + 2 * task.disk_mb,
        disk_mb=task.disk_mb,
        inodes=400_000,
        pids=512,
        wall_s=task.tests_s,
        output_bytes=8_388_608,
        environment={**image.environment, **task.environment},
    )


def fill(box: CodeBox | Sandbox, image: Prepared) -> None:
    """Copy the writable folders of the image to where they can be written.

    Raises:
        InfrastructureError: They do not fit, or the box failed.
    """
    result = box.exec(["/bin/sh", "-c", _FILL, "sh", *image.folders], timeout_s=FILL_S)
    if not result.ok:
        raise InfrastructureError(
            f"the folders {', '.join(image.folders)} of {image.called!r} could not be copied ({result.status}): "
            f"{result.stderr_text.strip()[-300:]}; they have to fit into the task's storage, which is memory here: "
            "raise storage_mb and memory_mb of its task.toml, or name other folders with writable=",
            kind="setup",
            boundary="sandbox",
        )


def try_out(backend: Backend, task: HarborTask, image: Prepared, carried: Carried, *, command: str | None) -> Graded:
    """Run a task's tests over what an agent left, in a fresh box.

    Args:
        backend: Docker.
        task: Whose tests.
        image: What `prepared` returned.
        carried: What `carry` read.
        command: What runs the tests in place of the task's own script.

    Raises:
        InfrastructureError: A box failed, or the tests do not work at all.
    """
    flags = set(carried.flags)
    if carried.packed is None:
        return Graded(score=0.0, passed=False, flags=tuple(sorted(flags)))
    run = _run(backend, task, image, carried.packed, command)
    flags |= set(run.flags)
    score = run.reward or 0.0
    if run.reward is None or score < 1.0:
        _check_tests(backend, task, image, command)
    elif read_outcomes(run.output).failed:  # the script wrote that all is well, and its tests say that it is not
        flags.add("contradictory_outcomes")
        score = 0.0
    return Graded(score=score, passed=score >= 1.0, flags=tuple(sorted(flags)))


def _check_tests(backend: Backend, task: HarborTask, image: Prepared, command: str | None) -> None:
    """Refuse the result of tests that do not work, which is the fault of nobody who was graded."""
    key = (task.folder, image.id, command or "")
    with _lock:
        if key in _sound:
            return
    run = _run(backend, task, image, None, command)
    fault, is_sure = _fault(run)
    # Work that is not done may have tests hang or end before they write; then they have to work over work that is.
    if fault and not is_sure and task.solution.is_file():
        solved = _run(backend, task, image, None, command, solve=True)
        fault = "" if (solved.reward or 0.0) >= 1.0 else f"{fault}; nor do they pass the task's own solution"
    if fault:
        raise InfrastructureError(
            f"the tests of task {task.id!r} do not work in a box of {image.called!r} that no agent has touched: "
            f"{fault}; put what they need into the image, or say how they are run with test_command=",
            kind="tests",
            boundary="judge",
        )
    with _lock:
        _sound.add(key)


def _fault(run: _Run) -> tuple[str, bool]:
    """Return what a run over an untouched box says against the tests themselves, "" for nothing; and whether surely."""
    last = " | ".join(run.output.strip().splitlines()[-3:])[-300:]
    if run.exit_code in (126, 127):
        return f"they cannot be started: {last}", True
    lacks = _LACKS.search(run.output)
    if lacks is not None:
        return f"they say {lacks[0]!r}", True
    if run.status not in ("ok", "nonzero"):
        return f"they end with {run.status}", False
    return ("", True) if run.reward is not None else (f"they write no reward: {last or 'they say nothing'}", False)


def _run(
    backend: Backend, task: HarborTask, image: Prepared, packed: bytes | None, command: str | None, solve: bool = False
) -> _Run:
    """Run the tests in a fresh box: over what was carried, or over the image's own files, with the solution or not."""
    flags: set[str] = set()
    with infrastructure(), backend.lease(spec_of(task, image)) as box:
        if packed is None:
            fill(box, image)
        elif not _is_unpacked(box, packed):  # a part of it says nothing: what is missing would pass for deleted
            return _UNWRITABLE
        if solve:
            _unpack(box, _packed_solution(task), SOLUTION)
            line = f"bash /solution/{task.solution.name}"
            _bash(box, image, line, timeout_s=task.agent_s, environment=task.solution_environment)
        # Read at each grading, so that a user who mends a test need not make the environment anew.
        copied = _unpack(box, _packed_tests(task), f"{GRADING}/tests")
        if not copied.ok and packed is not None:  # no room is left beside the files; whether there would be is tried
            return _UNWRITABLE
        if not copied.ok:
            raise InfrastructureError(
                f"the tests of task {task.id!r} could not be copied ({copied.status}): {copied.stderr_text[-300:]}",
                kind="tests",
                boundary="sandbox",
            )
        line = command or f"bash /tests/{task.script.name}"
        result = _bash(box, image, line, timeout_s=task.tests_s, environment=task.tests_environment)
        output = (result.stdout + b"\n" + result.stderr).decode("utf-8", "replace")
        reward = _reward(box, task, command, result, output, flags)
    return _Run(
        status=result.status, exit_code=result.exit_code, reward=reward, output=output, flags=tuple(sorted(flags))
    )


def _bash(box: Sandbox, image: Prepared, line: str, *, timeout_s: float, environment: Mapping[str, str]) -> ExecResult:
    """Run a line in the image's working folder; what it leaves running is killed with it."""
    argv = ["bash", "--norc", "--noprofile", "-c", f"cd {shlex.quote(image.place)} && {line}"]
    return box.exec(argv, timeout_s=timeout_s, environment=environment)


def _unpack(box: Sandbox, packed: bytes, folder: str) -> ExecResult:
    """Unpack a tar stream; before the tests, what was in their place goes, and rewards get their folders."""
    first = f"rm -rf {GRADING}; mkdir -p {GRADING}/logs/verifier {GRADING}/logs/agent {GRADING}/logs/artifacts\n"
    box.write(_TAR, packed, mode=0o600)
    script = (
        f"{PROGRAMS}\n{first if folder.startswith(GRADING) else ''}"
        f"mkdir -p {folder} && tar -xpf {_TAR} -C {folder} && rm -f {_TAR}"
    )
    return box.exec(["/bin/sh", "-c", script], timeout_s=FILL_S)


def _is_unpacked(box: Sandbox, packed: bytes) -> bool:
    """Unpack what an agent left; say whether all of it is there. That it does not fit is the agent's doing."""
    try:
        return _unpack(box, packed, ROOT).ok
    except SandboxFileError:
        return False


def _reward(
    box: Sandbox, task: HarborTask, command: str | None, result: ExecResult, output: str, flags: set[str]
) -> float | None:
    """Return what the tests say that the work is worth; what is not plainly said is None, and flagged."""
    if result.status not in ("ok", "nonzero"):
        flags.add(result.status)
        return None
    if task.is_old and command is None:
        outcomes = read_outcomes(output)
        if not outcomes.passed and not outcomes.failed:
            flags.add("no_reward")
            return None
        return float(not outcomes.failed and not outcomes.is_contradictory)
    for name, read in (("reward.json", _of_json), ("reward.txt", float)):  # in Harbor's order
        try:
            content = box.read(f"{GRADING}/logs/verifier/{name}", max_bytes=_MOST_REWARD)
        except SandboxFileError:
            continue
        try:
            value = read(content.decode())
        except (ValueError, TypeError, KeyError, RecursionError):
            value = math.nan
        if not math.isfinite(value):
            flags.add("odd_reward")
            return None
        return value
    if command is not None:  # a command that writes none says it by its exit
        return float(result.ok)
    flags.add("no_reward")
    return None


def _of_json(text: str) -> float:
    """Return the reward of a table of rewards: the one of that name, else the only one, else their mean."""
    value = json.loads(text)
    if isinstance(value, dict):
        numbers = [float(each) for each in value.values() if isinstance(each, int | float)]
        return (
            float(value["reward"]) if "reward" in value else math.fsum(numbers) / len(numbers) if numbers else math.nan
        )
    return float(value)


def _packed_tests(task: HarborTask) -> bytes:
    root = Path(task.folder, "tests")
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*")} if root.is_dir() else {}
    return _packed(task, {**files, task.script.name: task.script} if task.is_old else files)


def _packed_solution(task: HarborTask) -> bytes:
    root = task.solution.parent
    every = [task.solution] if task.is_old else list(root.rglob("*"))
    return _packed(task, {path.relative_to(root).as_posix(): path for path in every})


def _packed(task: HarborTask, files: Mapping[str, Path]) -> bytes:
    """Return files as a tar stream, those that links lead to within the task among them."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=tarfile.GNU_FORMAT) as packed:
        for name, path in sorted(files.items()):
            if path.is_file() and path.resolve().is_relative_to(task.folder):
                _add(packed, path, name)
    return out.getvalue()


def _add(packed: tarfile.TarFile, path: Path, name: str) -> None:
    content = path.read_bytes()
    head = tarfile.TarInfo(name)
    head.size = len(content)
    head.mode = 0o755 if content.startswith(b"#!") or path.suffix == ".sh" else 0o644
    packed.addfile(head, io.BytesIO(content))
    if packed.offset > MOST_BYTES:
        raise InfrastructureError(
            f"the files of {path.parent} have more than {MOST_BYTES >> 20} MiB", kind="tests", boundary="judge"
        )
