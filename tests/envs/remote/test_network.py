"""Two hundred sessions at once, and a network that delays, cuts and swallows: typed failures, nothing leaked."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from agentrl.envs.errors import InfrastructureError
from agentrl.envs.remote.client import RemoteEnv
from agentrl.envs.remote.sessions import Limits
from tests.envs.remote.conftest import served
from tests.envs.remote.test_remote import OPEN, _health, _until


class Network:
    """A proxy on the loopback that forwards bytes late, and cuts or swallows by chance.

    Args:
        url: What is behind it.
        delay_s: Most that a piece waits.
        cut: Chance of each piece to end its connection.
        swallow: Chance of each piece to be lost, after which the connection is dead and open.
    """

    def __init__(self, url: str, *, delay_s: float = 0.0, cut: float = 0.0, swallow: float = 0.0) -> None:
        self._to = urlsplit(url).hostname, urlsplit(url).port
        self._delay_s, self._cut, self._swallow = delay_s, cut, swallow
        self._chance = random.Random(0)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """End all connections."""
        self._listening.close()
        for each in list(self._sockets):
            with contextlib.suppress(OSError):
                each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
                far = socket.create_connection(self._to)
            except OSError:
                return
            self._sockets += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=(one, other), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket) -> None:
        swallowing = False
        with contextlib.suppress(OSError):
            while piece := one.recv(65536):
                time.sleep(self._chance.random() * self._delay_s)
                if self._chance.random() < self._cut:
                    break
                swallowing = swallowing or self._chance.random() < self._swallow
                if not swallowing:
                    other.sendall(piece)
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def bad_network(url: str, **how: float) -> Iterator[str]:
    network = Network(url, **how)
    try:
        yield network.url
    finally:
        network.close()


@pytest.mark.slow
def test_two_hundred_sessions_at_once_keep_apart() -> None:
    wrong: list[str] = []

    def play(number: int, url: str) -> None:
        env = RemoteEnv(url=url, connect_s=120)
        try:
            if env.reset(seed=number)[0] != f"seed {number}":
                wrong.append(f"{number}: reset")
            for turn in range(5):
                said = f"{number} at {turn}"
                observation, *_, info = env.step(said)
                if (observation, info.get("said")) != (said, said):
                    wrong.append(f"{number}: {observation!r} {info}")
        finally:
            env.close()

    with served("Test/Held-v0") as url:
        threads = [threading.Thread(target=play, args=(number, url)) for number in range(200)]
        for thread in threads:
            thread.start()
        most = 0
        for thread in threads:
            while thread.is_alive():
                most = max(most, _health(url)["sessions"])
                thread.join(0.02)
        assert wrong == []
        assert most > 50  # they did overlap
        assert _until(lambda: _health(url)["sessions"] == 0 and not OPEN)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "kinds"),
    [
        ({"delay_s": 0.05}, set()),
        ({"delay_s": 0.01, "cut": 0.05}, {"unreachable"}),
        ({"delay_s": 0.01, "swallow": 0.05}, {"timeout", "unreachable"}),
    ],
)
def test_what_a_bad_network_does_is_a_typed_failure(how: dict[str, float], kinds: set[str]) -> None:
    found: Counter[str] = Counter()
    with served("Test/Held-v0", limits=Limits(idle_s=5.0)) as url, bad_network(url, **how) as through:
        env = RemoteEnv(url=through, timeout_s=0.6, connect_s=20)
        for number in range(12):
            try:
                observation, _ = env.reset(seed=number)
            except InfrastructureError as error:
                found[error.kind if error.boundary == "server" else error.boundary] += 1
                continue
            assert observation == f"seed {number}"
            for turn in range(4):
                observation, _, _, truncated, info = env.step(f"turn {turn}")
                if truncated:
                    assert info["failure"]["boundary"] == "server"
                    found[info["failure"]["kind"]] += 1
                    break
                assert observation == f"turn {turn}"
        env.close()
        assert set(found) <= kinds
        assert bool(found) == bool(kinds)
        assert _until(lambda: _health(url)["sessions"] == 0 and not OPEN, 40)
