"""One suite for all backends: each case ends on each backend as it says; what deviates is listed with its reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import get_args

import pytest

from agentrl.sandboxes.conformance.case import Candidate, Case, Group, refused
from agentrl.sandboxes.conformance.deviations import DEVIATIONS
from agentrl.sandboxes.conformance.items import ITEMS
from agentrl.sandboxes.conformance.runner import Outcome, Runner, report
from agentrl.sandboxes.conformance.suite import CASES, pick
from agentrl.sandboxes.errors import SandboxError, SandboxUnavailable
from agentrl.sandboxes.open import open_backend
from agentrl.sandboxes.results import ExecResult, Status

BACKENDS = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bwrap),
]
# The list that the suite was asked for, in its order; `items.py` says what each means. "own" items are beyond it.
ASKED = """
    fork bomb, thread bomb, zombie flood, malloc bomb, mmap, tmpfs fill, root fill, inodes, descriptors, spin, sleep,
    huge arguments, recursion, core dump, regex,
    endless output, large output, both streams, not utf-8, control characters, forged frame, stdin, closed stdout,
    ignores sigterm, double fork, kill all, kill worker, caller disconnects, caller killed, engine hangs, removes bin,
    symlink, traversal, hardlink, fifo, device, bomb, mode 000, growing file,
    environment, command lines, shadow, kernel files, namespaces, release agent, setuid, network, raw sockets,
    earlier lease, clock,
    exit, late rewrite, gc, patched, injection, shadowing, forged verdict, reward file, daemon, trojan, earlier step,
    git history, caching
"""


@pytest.fixture(scope="session", params=BACKENDS)
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    try:
        backend = open_backend(request.param)
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    with backend, Runner(backend) as made:
        yield made


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(runner: Runner, case: Case) -> None:
    deviation = DEVIATIONS.get((runner.capabilities.backend, case.name))
    outcome = runner.run(case)
    if outcome.skipped and deviation is None:
        pytest.skip(f"{case.name}: {outcome.reason}")
    assert outcome.passed or (outcome.skipped and deviation), f"expected {outcome.expected}: {outcome.reason}"


def test_every_item_has_a_case() -> None:
    asked = [" ".join(each.split()) for each in ASKED.split(",")]
    assert len(asked) == len(set(asked)) == 63
    assert set(asked) <= set(ITEMS)
    covered = {case.item for case in CASES}
    assert covered == set(ITEMS)


def test_names_groups_and_statuses_are_known() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
    assert {case.group for case in CASES} == set(get_args(Group))
    errors = {each.__name__ for each in SandboxError.__subclasses__()}
    for case in CASES:
        assert case.expected <= {*get_args(Status), *errors}, case.name
        assert 0 < case.timeout_s <= 40, case.name


def test_programs_are_for_python_3_8() -> None:
    for case in CASES:
        if case.python is not None:
            ast.parse(case.python, case.name, feature_version=(3, 8))


def test_deviations_name_cases_and_reasons() -> None:
    known = {case.name for case in CASES}
    for (_, name), deviation in DEVIATIONS.items():
        assert name in known
        assert len(deviation.reason) > 20


def test_every_grader_case_expects_nothing_or_is_honest() -> None:
    candidates = [case.candidate for case in CASES if case.group == "grader"]
    assert all(isinstance(each, Candidate) for each in candidates)
    assert sum(each.honest for each in candidates if each) >= 2


@pytest.mark.parametrize(
    ("stdout", "wrong"),
    [
        (b"refused mount OSError\nfinished\n", False),
        (b"refused a OSError\nDONE mount 0\nfinished\n", True),
        (b"finished\n", True),
        (b"refused mount OSError\n", True),
        (b"", True),
    ],
)
def test_refused_sees_success_silence_and_an_early_end(stdout: bytes, wrong: bool) -> None:
    result = ExecResult(status="ok", exit_code=0, signal=None, stdout=stdout, stderr=b"", wall_s=0.0, cpu_s=0.0)
    assert (refused(result) is not None) == wrong


def test_pick_and_report() -> None:
    assert pick(None) == CASES
    assert {case.group for case in pick(["network"])} == {"network"}
    assert [case.name for case in pick(["fork_bomb_shell"])] == ["fork_bomb_shell"]
    with pytest.raises(ValueError, match="did you mean 'network'"):
        pick(["netwrok"])
    made = Outcome(name="a", group="files", item="", passed=True, expected="ok", got="ok", seconds=0.1)
    assert report([made]) == [("files", 1, 0, 0)]
