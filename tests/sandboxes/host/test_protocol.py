"""What a worker may not say ends its box with the reason, and any bytes end in a result or in a typed error."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrl.sandboxes.errors import SandboxDied
from agentrl.sandboxes.host.box import Box
from agentrl.sandboxes.worker.frames import (
    BEAT,
    END,
    ERR,
    FATAL,
    LARGEST,
    NET_DATA,
    NET_OPEN,
    NO_RUN,
    OUT,
    READY,
    START,
    VALUE,
    Frame,
    pack,
    pack_json,
)
from tests.sandboxes.fake_worker import READY_BODY, FakeVessel, Worker, ended
from tests.sandboxes.host.leases import SPEC, answering, lease

BREAKS: dict[str, Callable[[Frame], bytes]] = {
    "garbage": lambda frame: b"\xff" * 100,
    "a length of 4 GiB": lambda frame: struct.pack(">IB8s", 2**32 - 1, OUT, frame.run),
    "a length just past the bound": lambda frame: struct.pack(">IB8s", LARGEST + 10, OUT, frame.run),
    "a length below the header's": lambda frame: struct.pack(">IB8s", 8, OUT, frame.run),
    "output of another run": lambda frame: pack(OUT, b"stranger", b"hi"),
    "the end of another run": lambda frame: ended(b"stranger"),
    "one piece above the cap": lambda frame: pack(OUT, frame.run, b"x" * 10_001),
    "an empty piece": lambda frame: pack(OUT, frame.run, b""),
    "more output than the cap": lambda frame: pack(OUT, frame.run, b"x" * 6000) + pack(ERR, frame.run, b"x" * 4001),
    "a value where none was asked": lambda frame: pack(VALUE, frame.run, b"x"),
    "a second READY": lambda frame: pack_json(READY, NO_RUN, READY_BODY),
    "a BEAT": lambda frame: pack_json(BEAT, NO_RUN, {}),
    "a START": lambda frame: pack_json(START, frame.run, {}),
    "an unknown kind": lambda frame: pack(99, NO_RUN, b""),
    "END that is no JSON": lambda frame: pack(END, frame.run, b"{"),
    "END that is a list": lambda frame: pack(END, frame.run, b"[]"),
    "END that is not UTF-8": lambda frame: pack(END, frame.run, b"\xff\xfe{}"),
    "END nested deep": lambda frame: pack(END, frame.run, b"[" * 200_000),
    "END with an object nested deep": lambda frame: pack(END, frame.run, b'{"a":' * 40_000),
    "END with a long number": lambda frame: pack(
        END, frame.run, b'{"status": "ok", "exit_code": ' + b"9" * 9999 + b"}"
    ),
    "END without a status": lambda frame: pack(END, frame.run, b"{}"),
    "END with a list for status": lambda frame: ended(frame.run, ["ok"]),  # type: ignore[arg-type]
    "END with an unknown status": lambda frame: ended(frame.run, "fine"),
    "END with ok and a code": lambda frame: ended(frame.run, exit_code=3),
    "END with ok and a signal": lambda frame: ended(frame.run, signal=9),
    "END with a text for a code": lambda frame: ended(frame.run, exit_code="0"),
    "END with true for a code": lambda frame: ended(frame.run, "nonzero", exit_code=True),
    "END with code 256": lambda frame: ended(frame.run, "nonzero", exit_code=256),
    "END with signal 0": lambda frame: ended(frame.run, "signal", signal=0),
    "END with NaN seconds": lambda frame: ended(frame.run, wall_s=float("nan")),
    "END with endless seconds": lambda frame: ended(frame.run, cpu_s=float("inf")),
    "END with a text for seconds": lambda frame: ended(frame.run, wall_s="1"),
    "END with a number for an error": lambda frame: ended(frame.run, "nonzero", error=3),
    "END with a list for a message": lambda frame: ended(frame.run, "nonzero", error={"message": []}),
    "FATAL": lambda frame: pack_json(FATAL, NO_RUN, {"reason": "lost a lane"}),
    "FATAL that is no JSON": lambda frame: pack(FATAL, NO_RUN, b"x"),
    "FATAL of a run": lambda frame: pack_json(FATAL, frame.run, {"reason": "x"}),
    "a tunnel opened badly": lambda frame: pack(NET_DATA, b"streamno", b"x" * 1000) + b"\0" * 20,
}


@pytest.mark.parametrize("answer", BREAKS.values(), ids=BREAKS.keys())
def test_what_breaks_the_protocol_ends_the_box(answer: Callable[[Frame], bytes]) -> None:
    vessel = FakeVessel(answering(answer), oom=False)
    with lease(vessel) as box:
        began = time.monotonic()
        with pytest.raises(SandboxDied, match=r"box fake-\w+ died: .*; it was a fake"):
            box.exec("x")
        assert time.monotonic() - began < 4.0
        assert vessel.num_destroyed == 1
        with pytest.raises(SandboxDied):
            box.exec("x")


@pytest.mark.parametrize("late", [ended, lambda run: pack(OUT, run, b"late")], ids=["a second end", "output"])
def test_what_comes_after_the_end_ends_the_box(late: Callable[[bytes], bytes]) -> None:
    with lease(FakeVessel(answering(lambda frame: ended(frame.run) + late(frame.run)))) as box:
        assert box.exec("x").ok
        with pytest.raises(SandboxDied, match="for a run that is not there"):
            box.exec("x")


def test_a_tunnel_without_a_network_breaks_the_protocol() -> None:
    vessel = FakeVessel(answering(lambda frame: pack_json(NET_OPEN, b"streamno", {"port": 1}) + ended(frame.run)))
    with lease(vessel) as box:
        box._box.link.on_tunnel = None
        with pytest.raises(SandboxDied, match="a tunnel, where no network was allowed"):
            box.exec("x")


def test_a_hook_that_raises_ends_only_its_own_box() -> None:
    def hook(frame: Frame) -> None:
        raise RuntimeError("the hook's own fault")

    vessel = FakeVessel(answering(lambda frame: pack_json(NET_OPEN, b"streamno", {"port": 1})))
    with lease(FakeVessel(answering(lambda frame: ended(frame.run)))) as other, lease(vessel) as box:
        box._box.link.on_tunnel = hook
        with pytest.raises(SandboxDied, match="the hook's own fault"):
            box.exec("x")
        assert other.exec("x").ok


@pytest.mark.parametrize(
    "say",
    [b"", b"\0", pack_json(READY, NO_RUN, {}), pack_json(READY, NO_RUN, {**READY_BODY, "lanes": 0})],
    ids=["nothing", "half a length", "an empty READY", "no lanes"],
)
def test_a_worker_that_does_not_come_up_is_told(say: bytes) -> None:
    def script(worker: Worker) -> None:
        worker.say(say)
        worker.frame()

    vessel = FakeVessel(script)
    with pytest.raises(SandboxDied):
        Box(vessel, SPEC.shape(), ready_s=0.5)
    assert vessel.num_destroyed == 1


def test_an_end_of_output_is_oom_only_where_the_kernel_says_so() -> None:
    def script(worker: Worker) -> None:
        worker.ready()
        frame = worker.frame(START)
        assert frame
        worker.say(pack(OUT, frame.run, b"so far"))

    with lease(FakeVessel(script, oom=True)) as box:
        result = box.exec("x")
        assert (result.status, result.exit_code, result.stdout) == ("oom", None, b"so far")
        with pytest.raises(SandboxDied):
            box.exec("x")
    with lease(FakeVessel(script)) as box, pytest.raises(SandboxDied, match="the worker's output ended"):
        box.exec("x")


def test_a_worker_that_lies_is_no_witness_for_oom() -> None:
    with lease(FakeVessel(answering(lambda frame: b"\xff" * 99), oom=True)) as box, pytest.raises(SandboxDied):
        box.exec("x")


def test_a_removal_that_is_not_confirmed_is_said() -> None:
    vessel = FakeVessel(answering(lambda frame: b"\xff" * 99), confirms=False)
    with lease(vessel) as box:
        with pytest.raises(SandboxDied, match="its removal was not confirmed"):
            box.exec("x")
        assert box._box.destroy() is False


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=300),
            st.builds(
                lambda kind, mine, body: (kind, mine, body),
                st.sampled_from([OUT, ERR, VALUE, END, FATAL, READY, NET_OPEN, NET_DATA, 0, 255]),
                st.booleans(),
                st.one_of(
                    st.binary(max_size=100),
                    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists).map(
                        lambda value: json.dumps(value).encode()
                    ),
                    st.dictionaries(
                        st.sampled_from(["status", "exit_code", "signal", "wall_s", "error", "reason"]),
                        st.sampled_from(["ok", "nonzero", None, 0, 1, -1, 1e400, [], {}, {"message": "m"}]),
                    ).map(lambda value: json.dumps(value).encode()),
                ),
            ),
        ),
        max_size=8,
    )
)
def test_any_bytes_end_in_a_result_or_in_a_typed_error(pieces: list[bytes | tuple[int, bool, bytes]]) -> None:
    def script(worker: Worker) -> None:
        worker.ready()
        frame = worker.frame(START)
        assert frame
        for piece in pieces:
            worker.say(
                piece if isinstance(piece, bytes) else pack(piece[0], frame.run if piece[1] else NO_RUN, piece[2])
            )

    began = time.monotonic()
    with lease(FakeVessel(script)) as box:
        try:
            result = box.exec("x", timeout_s=1.0)
        except SandboxDied:
            pass
        else:
            assert len(result.stdout) + len(result.stderr) <= SPEC.output_bytes
    assert time.monotonic() - began < 30.0
