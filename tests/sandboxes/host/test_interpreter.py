"""Interpreter sessions over a real worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from agentrl.sandboxes.base import Interpreter
from agentrl.sandboxes.errors import SandboxClosed, SandboxDied, SpecError
from agentrl.sandboxes.host.box import Box
from agentrl.sandboxes.host.lease import LeasedSandbox
from agentrl.sandboxes.spec import SandboxSpec
from tests.sandboxes.local_vessel import LocalVessel

pytestmark = pytest.mark.bwrap

SPEC = SandboxSpec(wall_s=20.0, output_bytes=100_000)


def _destroy(box: Box) -> None:
    box.destroy()


@pytest.fixture
def box() -> Iterator[LeasedSandbox]:
    vessel = LocalVessel()
    try:
        with LeasedSandbox(Box(vessel, SPEC.shape()), SPEC, _destroy) as leased:
            yield leased
    finally:
        vessel.destroy()


@pytest.fixture
def session(box: LeasedSandbox) -> Iterator[Interpreter]:
    with box.python() as session:
        yield session


def test_state_survives_and_the_last_value_comes_back(session: Interpreter) -> None:
    first = session.run("import sys\nx = 20\nprint('out')\nprint('err', file=sys.stderr)")
    assert (first.status, first.value, first.stdout, first.stderr) == ("ok", None, b"out\n", b"err\n")
    second = session.run("x + 1")
    assert (second.value, second.stdout, second.restarted) == ("21", b"", False)


def test_a_cell_that_raises_leaves_the_session(session: Interpreter) -> None:
    session.run("x = 5")
    result = session.run("print('before')\n1 / 0")
    assert (result.status, result.value, result.stdout) == ("nonzero", None, b"before\n")
    assert "ZeroDivisionError" in (result.error or "")
    assert session.run("x").value == "5"


def test_a_cell_that_hangs_is_killed_and_says_so(session: Interpreter, box: LeasedSandbox) -> None:
    session.run("x = 5")
    began = time.monotonic()
    result = session.run("print('so far', flush=True)\nimport re\nre.match('(a*)*b', 'a' * 40)", timeout_s=0.5)
    assert time.monotonic() - began < 15
    assert (result.status, result.stdout) == ("timeout", b"so far\n")
    assert "0.5 s" in (result.error or "")
    assert box._box.dirty
    fresh = session.run("'x' in globals()")
    assert (fresh.value, fresh.restarted) == ("False", True)
    assert session.run("1").restarted is False


def test_a_cell_that_leaves_ends_the_session(session: Interpreter) -> None:
    session.run("x = 5")
    result = session.run("import os; os._exit(7)")
    assert (result.status, result.restarted) == ("nonzero", False)
    assert "exit code 7" in (result.error or "")
    assert session.run("'x' in globals()").restarted is True


def test_a_cell_that_kills_itself_is_a_signal(session: Interpreter) -> None:
    result = session.run("import os; os.kill(os.getpid(), 9)")
    assert (result.status, "signal 9" in (result.error or "")) == ("signal", True)


def test_too_much_output_ends_the_session(session: Interpreter) -> None:
    result = session.run("while True: print('x' * 1000)")
    assert result.status == "output_limit"
    assert len(result.stdout) <= SPEC.output_bytes
    assert session.run("1").value == "1"


def test_each_cell_has_the_whole_room_for_output(session: Interpreter) -> None:
    for _ in range(4):
        result = session.run("print('x' * 80_000)")
        assert (result.status, len(result.stdout)) == ("ok", 80_001)


def test_forged_replies_are_only_text(session: Interpreter) -> None:
    forged = session.run("import os\nos.write(3, b'\\xff\\xfe[[[\\n')")
    assert forged.status == "nonzero"
    assert "is no reply" in (forged.error or "")


def test_a_cell_of_any_size_and_letters(session: Interpreter) -> None:
    assert session.run("# " + "é" * 100_000 + "\n'ü'").value == "'ü'"
    with pytest.raises(SpecError):
        session.run("x" * 10_000_000)
    with pytest.raises(SpecError):
        session.run("x", timeout_s=-1)
    assert session.run("").value is None


def test_sessions_are_apart_and_beside_other_jobs(box: LeasedSandbox) -> None:
    with box.python() as one, box.python() as other:
        one.run("x = 1")
        assert other.run("x").status == "nonzero"
        assert box.exec(["true"]).ok
        assert one.run("x").value == "1"


def test_cells_of_several_threads_take_turns(session: Interpreter) -> None:
    values: list[str | None] = []

    def use(number: int) -> None:
        values.extend(session.run(f"import time; time.sleep(0.01); {number}").value for _ in range(5))

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, values)) == sorted(str(number) for number in range(4) for _ in range(5))


def test_a_closed_session_frees_its_lane(box: LeasedSandbox) -> None:
    for _ in range(2 * box._box.ready.lanes):
        session = box.python()
        assert session.run("1").value == "1"
        session.close()
        session.close()
        with pytest.raises(SandboxClosed):
            session.run("1")
    assert box._box.link.num_runs() == 0


def test_a_box_that_dies_under_a_cell_is_told(box: LeasedSandbox) -> None:
    vessel = box._box.vessel
    assert isinstance(vessel, LocalVessel)
    session = box.python()
    timer = threading.Timer(0.5, vessel.process.kill)
    timer.start()
    with pytest.raises(SandboxDied):
        session.run("import time; time.sleep(1000)")
    timer.join()
    with pytest.raises(SandboxDied):
        session.run("1")
    session.close()
