"""Services of real boxes, beyond what the conformance suite runs: clients in use, boxes that die, memory, gVisor."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrl.sandboxes import Backend, SandboxDied, SandboxSpec, open_backend
from agentrl.sandboxes.bubblewrap.backend import BubblewrapBackend
from agentrl.sandboxes.conformance.service import Service
from agentrl.sandboxes.conformance.suite import CASES
from agentrl.sandboxes.docker.backend import DockerBackend
from agentrl.sandboxes.docker.engine import Engine
from agentrl.sandboxes.errors import SandboxUnavailable
from agentrl.sandboxes.network.services import door_settings
from agentrl.sandboxes.worker.frames import LISTEN, RESET
from tests.sandboxes.fake_worker import FakeVessel, Worker, ended
from tests.sandboxes.host.leases import lease

BACKENDS = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bwrap),
]
SMALL: dict[str, Any] = {"memory_mb": 96, "disk_mb": 16, "wall_s": 20.0}
GET = "exec 3<>/dev/tcp/127.0.0.1/8000 && printf 'GET / HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n' >&3 && cat <&3"
HANG = "exec 3<>/dev/tcp/127.0.0.1/8000; printf 'GET /hang HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3; echo over"


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with open_backend(request.param, warm=0, max_boxes=2) as found:
        yield found


def spec(to: int | tuple[str, int], **more: Any) -> SandboxSpec:
    return SandboxSpec(**{**SMALL, "services": {8000: to}, **more})


def test_clients_that_know_nothing_of_it(backend: Backend) -> None:
    with Service() as service, backend.lease(spec(service.port)) as box:
        assert box.exec(["bash", "-c", GET]).stdout.endswith(b"mark")
        source = "import urllib.request\nprint(urllib.request.urlopen('http://127.0.0.1:8000/').read())"
        assert box.run_python(source).stdout == b"b'mark'\n"
        source = "import asyncio\nasync def main():\n    r, w = await asyncio.open_connection('127.0.0.1', 8000)\n"
        source += "    w.write(b'GET / HTTP/1.0\\r\\n\\r\\n')\n    w.write_eof()\n    print(await r.read())\n"
        assert b"mark" in box.run_python(source + "asyncio.run(main())").stdout


def test_beside_a_network_programs_are_told_not_to_ask_the_proxy(backend: Backend) -> None:
    with Service() as service, backend.lease(spec(service.port, network=["docs.example.org"])) as box:
        source = "import os, urllib.request\nprint(os.environ['HTTP_PROXY'], os.environ['NO_PROXY'])\n"
        source += "print(urllib.request.urlopen('http://127.0.0.1:8000/').read())\n"
        source += "try: urllib.request.urlopen('http://evil.net/')\nexcept OSError as error: print(error.code)"
        result = box.run_python(source)
        assert result.stdout_text.splitlines() == ["http://127.0.0.1:3128 localhost,127.0.0.1", "b'mark'", "403"]
        # And with both there is still only one way through each door.
        assert b"mark" not in box.exec(["bash", "-c", GET.replace("8000", "3128")]).stdout
    with backend.lease(SandboxSpec(network=["docs.example.org"])) as box:
        assert "NO_PROXY" not in box.exec("env").stdout_text


def test_a_box_alone_has_neither_proxy_nor_variables(backend: Backend) -> None:
    with Service() as service, backend.lease(spec(service.port)) as box:
        assert "proxy" not in box.exec("env").stdout_text.lower()
        assert b"refused" in box.exec(["bash", "-c", GET.replace("8000", "3128")]).stderr


def test_one_program_in_a_box_of_its_own(backend: Backend) -> None:
    with Service() as service:
        result = backend.run(["bash", "-c", GET], spec=spec(service.port))
        assert result.stdout.endswith(b"mark")


def test_the_same_box_serves_leases_with_other_services_and_none(backend: Backend) -> None:
    ids = set()
    with Service("one") as one, Service("two") as two:
        turns = [({8000: one.port}, b"one"), ({}, b""), ({8001: two.port}, b""), ({8000: two.port}, b"two")]
        for services, said in turns:
            with backend.lease(SandboxSpec(**SMALL, services=services)) as box:
                ids.add(box.id)
                assert box.exec(["bash", "-c", GET]).stdout.rpartition(b"\r\n\r\n")[2] == said
            time.sleep(0.3)
    assert len(ids) == 1


def test_a_box_that_dies_and_a_backend_that_closes_hang_up_on_the_service(backend: Backend) -> None:
    with Service() as service:
        box = backend.lease(spec(service.port))
        box.start(["bash", "-c", HANG])
        assert service.wait_open(1)
        box._box.link.fail("the test ends it")  # type: ignore[attr-defined]
        assert service.wait_open(0)
        with pytest.raises(SandboxDied):
            box.exec("true")
        box.close()
        box = backend.lease(spec(service.port))
        box.start(["bash", "-c", HANG])
        assert service.wait_open(1)
        backend.close()
        assert service.wait_open(0)


def test_a_service_that_goes_on_after_the_lease_speaks_to_nobody(backend: Backend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as far:
        far.settimeout(20)
        with backend.lease(spec(far.getsockname()[1])) as box:
            box.start(["bash", "-c", HANG])
            server, _ = far.accept()
        # That its client has said all is nothing to it; that there is nobody to write to must be.
        with server:
            assert _refuses_bytes(server)


def test_neither_side_keeps_what_a_reader_leaves(backend: Backend) -> None:
    source = (
        "import socket, time\n"
        "links = [socket.create_connection(('127.0.0.1', 8000)) for _ in range(60)]\n"
        "for link in links: link.sendall(b'GET /big=100000000 HTTP/1.1\\r\\n\\r\\n')\n"
        "time.sleep(2)\n"
        "link = socket.create_connection(('127.0.0.1', 8000))\n"
        "link.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n')\n"
        "print(link.recv(1000))\n"
    )
    with Service() as service, backend.lease(spec(service.port)) as box:
        before = _resident()
        result = box.run_python(source)
        assert (result.status, b"200 OK" in result.stdout) == ("ok", True)
        assert _resident() - before < 60 << 20
        assert service.wait_open(0)


def _refuses_bytes(end: socket.socket, seconds: float = 10.0) -> bool:
    end.setblocking(False)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.01)
        try:
            end.send(b"x")
        except BlockingIOError:
            continue
        except ConnectionError:
            return True
    return False


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_box_whose_port_is_taken_is_given_up() -> None:
    def script(worker: Worker) -> None:
        worker.ready()
        while frame := worker.frame(LISTEN, RESET):
            worker.say(ended(frame.run, status="nonzero", error={"errno": None, "message": "cannot listen on 8000"}))

    vessel = FakeVessel(script)
    with lease(vessel, SandboxSpec(services={8000: 1})) as box:
        with pytest.raises(SandboxDied, match="its services have no port: cannot listen on 8000"):
            box.open_services()
        assert vessel.num_destroyed == 1


@pytest.mark.bwrap
def test_a_port_that_no_box_can_give_is_told_at_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "agentrl.sandboxes.network.services.door_settings", lambda ports: door_settings([*ports, *ports])
    )
    said = "2 boxes died while the spec's files and services were set up.*cannot listen on port 8000: .*in use"
    with BubblewrapBackend(warm=0) as backend, pytest.raises(SandboxUnavailable, match=said):
        backend.lease(spec(1))


@pytest.mark.docker
@pytest.mark.slow
def test_all_of_it_holds_under_gvisor() -> None:
    engine = Engine()
    try:
        with engine.client() as client:
            if "runsc" not in client.info()["Runtimes"]:
                pytest.skip("runsc: put it into /etc/docker/daemon.json, and `kill -HUP $(pidof dockerd)`")
    finally:
        engine.close()
    with DockerBackend(runtime="runsc") as backend:
        for case in CASES:
            if case.item == "services" and case.backend_steps is not None:
                case.backend_steps(backend)


def test_a_service_may_be_on_ipv6(backend: Backend) -> None:
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as far,
        backend.lease(spec(("::1", far.getsockname()[1]))) as box,
    ):
        job = box.start(["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8000; cat <&3"])
        far.settimeout(20)
        server, _ = far.accept()
        with server:
            server.sendall(b"hello")
        assert job.wait(20).stdout == b"hello"
