"""One container with a started worker: made whole or not at all, examined when it died, and removed for certain."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any

from agentrl.sandboxes.docker.channel import DockerChannel, take_socket
from agentrl.sandboxes.docker.engine import Absent, Engine, Refused
from agentrl.sandboxes.errors import SandboxUnavailable
from agentrl.sandboxes.pool.records import HalfMade
from agentrl.sandboxes.vessel import Channel

__all__ = ["DockerVessel", "remove", "remove_late", "start_vessel"]

# How long after the end of a box's output its end may take to show among the engine's events.
SETTLE_S = 2.0
# An engine that gave no answer to `create` may still make the container; after this long it is looked for again.
LATE_S = 60.0
# How long to wait for an engine that is not there at all. Whoever keeps the slot tries again.
ABSENT_S = 1.0
PAUSE_LEAST_S, PAUSE_MOST_S = 0.01, 0.2


class DockerVessel:
    """A `Vessel` in a container."""

    def __init__(self, engine: Engine, container: str, name: str, channel: DockerChannel) -> None:
        self.id = name
        self.container = container
        self.channel: Channel = channel
        self.pipe = channel
        """The same, with what Docker's has beside the contract."""
        self.first = b""
        """What the first process is sent before anything else."""
        self._engine = engine
        self._gone = False

    def autopsy(self, since: float) -> tuple[str, bool]:
        """Say how it ended in a few words, and whether the kernel killed for memory since `since`.

        The container removes itself, so its state is gone within some 15 ms of its end; the engine's events, which name
        memory before they name the end, stay (the last 256 of them). Both are asked.
        """
        oom, ended = False, ""
        patience = time.monotonic() + SETTLE_S
        try:
            while True:
                for action, code in self._events(since):
                    oom = oom or action == "oom"
                    ended = f"its first process ended with {code}" if action == "die" else ended
                state = self._state()
                if state is not None and not state.get("Running"):
                    oom = oom or bool(state.get("OOMKilled"))
                if ended or time.monotonic() > patience:
                    break
                time.sleep(0.02)
        except SandboxUnavailable as error:
            ended = ended or str(error)
        words = [ended or "it still runs, but answers no more"]
        if oom:
            words.append("the kernel killed for memory")
        last = self.pipe.stderr.decode("utf-8", "backslashreplace").strip()
        if last:
            words.append(f"its last words: {last[-600:]!r}")
        return "; ".join(words), oom

    def destroy(self, deadline_s: float = 10.0) -> bool:
        """Kill it and remove all of it; idempotent. False when the engine did not confirm in time; see `remove`."""
        self.channel.close()
        self._gone = self._gone or remove(self._engine, self.container, deadline_s)
        return self._gone

    def _events(self, since: float) -> list[tuple[str, str]]:
        wanted = {"container": self.container, "event": ["oom", "die"]}
        with self._engine.client(SETTLE_S) as client:
            events = client.events(since=f"{since:.9f}", until=f"{time.time():.9f}", filters=wanted, decode=True)
            with contextlib.closing(events):
                return [(event["Action"], event["Actor"]["Attributes"].get("exitCode", "?")) for event in events]

    def _state(self) -> Mapping[str, Any] | None:
        try:
            with self._engine.client(SETTLE_S) as client:
                state: Mapping[str, Any] = client.inspect_container(self.container)["State"]
                return state
        except Refused:
            return None


def start_vessel(engine: Engine, arguments: Mapping[str, Any], name: str) -> DockerVessel:
    """Create, attach and start; the first process may be written to from the moment that this returns.

    Args:
        engine: Where.
        arguments: The body of the request to create; see `create_arguments`.
        name: The container's, which its labels should hold too.

    Raises:
        SandboxUnavailable: It could not be made; what was made of it is removed.
        HalfMade: The same, but the engine did not confirm the removal, or may still be making it.
    """
    channel = None
    # The name may be taken even where the answer to `create` is lost, so its removal goes by name.
    container = name
    try:
        with engine.client() as client:
            container = client.create_container_from_config(dict(arguments), name=name)["Id"]
            attached = client.attach_socket(container, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
            # Before the start, so that no output can come before somebody listens.
            channel = DockerChannel(*take_socket(attached))
            client.start(container)
    except BaseException as error:
        if channel is not None:
            channel.close()
        if isinstance(error, Refused | Absent) and container == name:
            raise  # nothing was made; where the name is taken, it is somebody else's
        if container == name:
            engine.late.append((time.monotonic() + LATE_S, name))
        left = _Left(engine, container)
        if not left.destroy(5.0) and isinstance(error, SandboxUnavailable):
            raise HalfMade(f"{error}; what was made of box {name} may still be there", left) from error
        raise
    remove_late(engine)
    return DockerVessel(engine, container, name, channel)


def remove_late(engine: Engine, *, closing: bool = False) -> None:
    """Remove the containers that an engine made after nobody waited for its answer any more.

    They were never started, so they hold no slot meanwhile: no process and no memory, but a name and a folder.

    Args:
        engine: Where.
        closing: Look for all of them now, for there is no later; what is made later still is the janitor's.
    """
    for _ in range(len(engine.late)):
        try:
            due, name = engine.late.popleft()
        except IndexError:
            return  # another thread is at it
        if not closing and due > time.monotonic():
            engine.late.append((due, name))
        elif not remove(engine, name, ABSENT_S) and not closing:
            engine.late.append((time.monotonic() + LATE_S, name))


class _Left:
    """What may have been made of a box."""

    def __init__(self, engine: Engine, container: str) -> None:
        self._engine, self._container = engine, container

    def destroy(self, deadline_s: float = 10.0) -> bool:
        """Remove it; return whether the engine said that it is not there."""
        return remove(self._engine, self._container, deadline_s)


def remove(engine: Engine, container: str, deadline_s: float = 10.0) -> bool:
    """Kill and remove a container, in whatever state it is; return whether the engine confirmed that it is gone.

    Args:
        engine: Where.
        container: Its id or name.
        deadline_s: Seconds for all tries together; never more than the engine may take over one answer.
    """
    began = time.monotonic()
    end, pause = began + min(deadline_s, engine.timeout_s), PAUSE_LEAST_S
    while True:
        left = end - time.monotonic()
        if left <= 0:
            return False
        try:
            with engine.client(left) as client:
                client.remove_container(container, force=True, v=True)
        except Refused as error:
            if error.status == 404:
                return True
            # 409: it is being removed already, by itself. Other refusals may pass too: a busy mount, say.
        except Absent:
            if time.monotonic() > began + ABSENT_S:
                return False
        except SandboxUnavailable:
            pass  # no answer, or half of one; the deadline is looked at above
        time.sleep(min(pause, max(0.0, end - time.monotonic())))
        pause = min(pause * 2, PAUSE_MOST_S)
