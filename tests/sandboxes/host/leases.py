"""A lease on a box whose worker is a script of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agentrl.sandboxes.host.box import Box
from agentrl.sandboxes.host.lease import LeasedSandbox
from agentrl.sandboxes.spec import SandboxSpec
from agentrl.sandboxes.worker.frames import (
    RESET,
    START,
    Frame,
)
from tests.sandboxes.fake_worker import FakeVessel, Worker

__all__ = ["SPEC", "Script", "answering", "lease"]

SPEC = SandboxSpec(output_bytes=10_000, wall_s=5.0)
Script = Callable[[Worker], None]


@contextmanager
def lease(vessel: FakeVessel, spec: SandboxSpec = SPEC) -> Iterator[LeasedSandbox]:
    box = Box(vessel, spec.shape(), ready_s=5.0)
    leased = LeasedSandbox(box, spec, lambda box: None)
    try:
        yield leased
    finally:
        leased.close()
        box.destroy()


def answering(answer: Callable[[Frame], bytes]) -> Script:
    """A worker that comes up and answers each START with some bytes."""

    def script(worker: Worker) -> None:
        worker.ready()
        while frame := worker.frame(START, RESET):
            worker.say(answer(frame))

    return script
