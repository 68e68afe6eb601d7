"""An engine that is absent, closed, slow or lying: a typed error in time, with the command that mends it."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
import time
import warnings
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from agentrl.sandboxes.docker.args import create_arguments
from agentrl.sandboxes.docker.client import open_client
from agentrl.sandboxes.docker.engine import Absent, Engine, Refused, diagnosis
from agentrl.sandboxes.docker.vessel import remove, start_vessel
from agentrl.sandboxes.errors import SandboxUnavailable, SpecError
from agentrl.sandboxes.pool.records import HalfMade
from agentrl.sandboxes.reaper import sweep
from agentrl.sandboxes.spec import SandboxSpec

Stub = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def stub(tmp_path: Path) -> Generator[Stub]:
    """Return a starter of an engine that is one function from a connection to what happens on it."""
    listener = socket.socket(socket.AF_UNIX)
    path = tmp_path / "engine.sock"
    held: list[socket.socket] = []

    def serve(answer: Callable[[socket.socket], None]) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = listener.accept()[0]
                held.append(connection)
                answer(connection)

    def start(answer: Callable[[socket.socket], None]) -> str:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=serve, args=(answer,), daemon=True).start()
        return f"unix://{path}"

    yield start
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for connection in held:
        connection.close()


def _answer(body: str, status: str = "200 OK", most: int = 100) -> Callable[[socket.socket], None]:
    text = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"

    num = 0

    def answer(connection: socket.socket) -> None:
        nonlocal num
        with contextlib.suppress(OSError):
            while num < most and connection.recv(65_536):
                num += 1
                connection.sendall(text.encode())

    return answer


def test_no_engine_names_the_commands_that_start_one(tmp_path: Path) -> None:
    engine = Engine(f"unix://{tmp_path}/none.sock")
    with pytest.raises(SandboxUnavailable, match=r"apt-get install docker\.io.*systemctl start docker.*dockerd &"):
        engine.client().__enter__()


def test_an_engine_that_went_away_names_the_commands_too(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "left.sock"))
    engine = Engine(f"unix://{tmp_path}/left.sock")
    with pytest.raises(SandboxUnavailable, match="no Docker engine answers"):
        engine.client().__enter__()


def test_an_engine_that_went_away_leaves_no_socket_and_no_doubt(stub: Stub) -> None:
    url = stub(_answer('{"ApiVersion": "1.41"}'))
    engine = Engine(url, timeout_s=1)
    arguments = create_arguments(SandboxSpec(), image="sha256:0", command=["x"], labels={})
    with engine.client() as client:
        assert client.version()
    Path(url.removeprefix("unix://")).unlink()
    engine.close()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(3):
            with pytest.raises(Absent):
                start_vessel(engine, arguments, "agentrl-000000000000")
        with pytest.raises(SandboxUnavailable):
            Engine(url).client().__enter__()
        assert sweep(tmp="/nowhere", cgroup_roots=[], engine_url=url).engine is not None
        gc.collect()
    assert [str(each.message) for each in said] == []
    assert not engine.late  # nothing was sent, so nothing can come late
    began = time.monotonic()
    assert not remove(engine, "agentrl-000000000000", 10.0)
    assert time.monotonic() - began < 5
    engine.close()


def test_a_socket_that_is_not_ours_names_the_group() -> None:
    wrapped = RuntimeError("Error while fetching server API version", OSError("x", PermissionError(13, "denied")))
    assert "usermod -aG docker" in diagnosis("unix:///x", wrapped, 1.0)


def test_an_engine_that_never_answers_is_given_up_in_time(stub: Stub) -> None:
    engine = Engine(stub(lambda connection: None), timeout_s=0.5)
    began = time.monotonic()
    with pytest.raises(SandboxUnavailable, match=r"did not answer within 0\.5 s"):
        engine.client().__enter__()
    assert time.monotonic() - began < 5
    engine.close()


def test_an_engine_that_answers_nonsense_is_unavailable(stub: Stub) -> None:
    engine = Engine(stub(_answer("<html>")), timeout_s=1)
    with pytest.raises(SandboxUnavailable):
        engine.client().__enter__()
    engine.close()


def test_a_refusal_carries_the_engines_words(stub: Stub) -> None:
    engine = Engine(stub(_answer('{"message": "not today"}', "503 Service Unavailable")), timeout_s=1)
    with pytest.raises(Refused, match="not today") as caught:
        engine.client().__enter__()
    assert caught.value.status == 503
    engine.close()


def test_a_box_is_not_made_by_an_engine_that_hangs_and_the_wait_is_bounded(stub: Stub) -> None:
    # It answers the first question, for its version, and nothing after that.
    engine = Engine(stub(_answer('{"ApiVersion": "1.41"}', most=1)), timeout_s=0.5)
    arguments = create_arguments(SandboxSpec(), image="sha256:0", command=["x"], labels={})
    began = time.monotonic()
    with pytest.raises(HalfMade, match=r"did not answer.*may still be there"):
        start_vessel(engine, arguments, "agentrl-000000000000")
    assert time.monotonic() - began < 20
    engine.close()


def test_a_removal_that_is_not_confirmed_says_so_within_its_deadline(stub: Stub) -> None:
    engine = Engine(stub(lambda connection: None), timeout_s=0.5)
    began = time.monotonic()
    assert not remove(engine, "agentrl-000000000000", 0.7)
    assert time.monotonic() - began < 5
    engine.close()


@pytest.mark.parametrize("url", ["docker.sock", "ssh://host", "https://host:2376"])
def test_an_address_that_cannot_carry_a_box_is_refused(url: str) -> None:
    with pytest.raises(SpecError, match="base_url"):
        Engine(url)


def test_the_address_comes_from_docker_host_when_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere.sock")
    assert Engine().url == "unix:///elsewhere.sock"
    monkeypatch.delenv("DOCKER_HOST")
    assert Engine().url == "unix:///var/run/docker.sock"


@pytest.mark.docker
def test_a_client_made_while_another_thread_settles_the_version_speaks_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine()
    opened = threading.Semaphore(0)
    first_is_done = threading.Event()
    late: list[str] = []

    def opens_late(url: str, timeout_s: float, version: str | None = None) -> object:
        made = open_client(url, timeout_s, version)
        if threading.current_thread() is second:
            opened.release()
            assert first_is_done.wait(30)
        return made

    def ask() -> None:
        with engine.client() as client:
            late.append(client.api_version)
            client.containers(limit=1)  # an engine that is older than the SDK refuses the SDK's own version

    second = threading.Thread(target=ask)
    monkeypatch.setattr("agentrl.sandboxes.docker.engine.open_client", opens_late)
    second.start()
    assert opened.acquire(timeout=30)
    with engine.client() as client:
        settled = client.api_version
    first_is_done.set()
    second.join(30)
    assert late == [settled]
    engine.close()
