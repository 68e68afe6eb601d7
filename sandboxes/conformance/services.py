"""Cases: the services of a lease. The port that was named is reached, and nothing beside, before or after it."""

from __future__ import annotations

from collections.abc import Callable

from agentrl.sandboxes.base import Backend
from agentrl.sandboxes.conformance.case import Case, attempts, must, refused, small
from agentrl.sandboxes.conformance.network import GUARD
from agentrl.sandboxes.conformance.service import Service, down
from agentrl.sandboxes.network.services import MOST_STREAMS
from agentrl.sandboxes.results import ExecResult

__all__ = ["CASES"]

ITEM = "services"
# A client without any setting, and one that speaks no HTTP.
CLIENT = """
import socket, sys, threading, time, urllib.error, urllib.request

def ask(path='/', port=8000, body=None):
    return urllib.request.urlopen('http://127.0.0.1:%d%s' % (port, path), data=body, timeout=20).read()

def connect(port=8000):
    return socket.create_connection(('127.0.0.1', port), timeout=20)
"""
OTHERS = """
import json
ports = json.loads(sys.stdin.read())
for port in ports:
    quick('port %d of the host' % port, tcp('127.0.0.1', port))
for address in ('127.0.0.2', '0.0.0.0', '::1'):
    quick(address, tcp(address, ports[0], socket.AF_INET6 if ':' in address else socket.AF_INET))
quick('another port', tcp('127.0.0.1', 8001))
quick('the proxy', tcp('127.0.0.1', 3128))
quick('metadata', tcp('169.254.169.254', 80))
quick('gateway', tcp('172.17.0.1', 22))
quick('outside', tcp('1.1.1.1', 443))
quick('dns', udp('1.1.1.1', 53))
quick('docker dns', udp('127.0.0.11', 53))
quick('name', lambda: socket.getaddrinfo('example.org', 80))
quick('name of the host', lambda: socket.getaddrinfo('host.docker.internal', 80))
"""


def _result(result: ExecResult, *texts: str) -> None:
    said = f"{result.status}: {result.stdout_text[-400:]!r} {result.stderr_text[-600:]!r}"
    must(result.status == "ok", said)
    for each in texts:
        must(each in result.stdout_text, f"lacks {each!r}: {said}")


def _reached(backend: Backend) -> None:
    program = (
        "body = bytes(range(256)) * 20_000\n"
        "assert ask(body=body) == body, 'five megabytes came back changed'\n"
        "assert len(ask('/big=6553600')) == 6553600\n"
        "print(ask().decode())\n"
    )
    with Service("reached") as service, backend.lease(small(services={8000: service.port})) as box:
        _result(box.run_python(CLIENT + program, timeout_s=15), "reached")
        # Without a proxy's settings, from a job in the background and from a session.
        job = box.start(["python3", "-c", CLIENT + "print(ask().decode())"])
        _result(job.wait(15), "reached")
        with box.python() as session:
            cell = session.run(CLIENT + "ask()")
            must(cell.value == "b'reached'", f"from a session: {cell.value} {cell.error}")


def _streams(backend: Backend) -> None:
    program = (
        "begun = time.monotonic()\n"
        "times = []\n"
        "for line in urllib.request.urlopen('http://127.0.0.1:8000/events=8', timeout=20):\n"
        "    if line.strip(): times.append(time.monotonic() - begun)\n"
        "steps = [after - before for before, after in zip(times, times[1:])]\n"
        "assert len(times) == 8, times\n"
        "assert sum(step > 0.05 for step in steps) >= 5, steps\n"
        "print('as they came')\n"
    )
    with Service() as service, backend.lease(small(services={8000: service.port})) as box:
        _result(box.run_python(CLIENT + program, timeout_s=15), "as they came")


def _down(backend: Backend) -> None:
    program = (
        "begun = time.monotonic()\n"
        "try:\n"
        "    ask(body=b'x' * 3_000_000)\n"
        "except urllib.error.HTTPError as error:\n"
        "    print(error.code, error.read().decode())\n"
        "with connect() as link:\n"
        "    link.sendall(b'\\x16\\x03\\x01 no words of HTTP')\n"
        "    try:\n"
        "        assert not link.recv(1000)\n"
        "    except ConnectionError: pass\n"
        "assert time.monotonic() - begun < 3\n"
        "print('told at once')\n"
    )
    with down() as port, backend.lease(small(services={8000: port})) as box:
        _result(box.run_python(CLIENT + program, timeout_s=15), "502", "port 8000", "refused", "told at once")


def _nothing_else(backend: Backend) -> None:
    with Service() as service, Service("other") as other:
        with backend.lease(small(services={8000: service.port})) as box:
            ports = f"[{service.port}, {other.port}]".encode()
            wrong = refused(box.run_python(attempts(GUARD + OTHERS), stdin=ports, timeout_s=20))
            must(wrong is None, wrong or "")
            _result(box.run_python(CLIENT + "print(ask())", timeout_s=10), "mark")
        must(other.num_asked == 0, "a service that was not named was asked")


def _of_another_box(backend: Backend) -> None:
    both = "print(ask())\ntry: print('REACHED', ask(port=%d))\nexcept urllib.error.URLError as error: print(error)\n"
    with (
        Service("first") as first,
        Service("second") as second,
        backend.lease(small(services={8000: first.port, 8001: first.port})) as one,
        backend.lease(small(services={8000: second.port, 8002: second.port})) as two,
    ):
        for box, mark, foreign in ((one, "first", 8002), (two, "second", 8001)):
            result = box.run_python(CLIENT + both % foreign, timeout_s=10)
            _result(result, mark, "refused")
            must("REACHED" not in result.stdout_text, f"the other box's service: {result.stdout_text}")


def _ends_with_the_lease(backend: Backend) -> None:
    hang = CLIENT + "links = [connect() for _ in range(20)]\nfor link in links: link.sendall(b'GET /hang HTTP/1.1\\r\\n"
    hang += "\\r\\n')\ntime.sleep(100)\n"
    listening = "print([line for line in open('/proc/net/tcp').read().splitlines()[1:] if line.split()[3] == '0A'])\n"
    with Service("first") as first, Service("second") as second:
        for _ in range(3):
            with backend.lease(small(services={8000: first.port})) as box:
                box.start(["python3", "-c", hang])
                must(first.wait_open(20), f"{first.num_open} connections of 20")
            must(first.wait_open(0), f"{first.num_open} connections after the lease")
            asked = first.num_asked
            # Boxes are handed out again; which one comes does not matter, since none may have a way there.
            with backend.lease(small()) as box:
                result = box.run_python(CLIENT + listening + "print(ask())", timeout_s=10)
                must(result.status == "nonzero" and "refused" in result.stderr_text, f"still there: {result}")
                must(result.stdout == b"[]\n", f"a door in a box without services: {result.stdout_text}")
            with backend.lease(small(services={8000: second.port})) as box:
                _result(box.run_python(CLIENT + "print(ask())", timeout_s=10), "second")
            must(first.num_asked == asked, "a later lease asked the service of an earlier one")


def _killed_clients(backend: Backend) -> None:
    program = (
        "links = [connect() for _ in range(30)]\n"
        "for link in links: link.sendall(b'GET /big=1000000000 HTTP/1.1\\r\\n\\r\\n')\n"
        "print('asked', flush=True)\n"
        "time.sleep(100)\n"
    )
    with Service() as service, backend.lease(small(services={8000: service.port})) as box:
        result = box.run_python(CLIENT + program, timeout_s=1.5)
        must(result.status == "timeout" and b"asked" in result.stdout, f"{result}")
        must(service.wait_open(0), f"{service.num_open} connections of a job that was killed")
        _result(box.run_python(CLIENT + "print(ask())", timeout_s=10), "mark")


def _flood(backend: Backend) -> None:
    program = (
        "import os\n"
        "links = []\n"
        "for number in range(300):\n"
        "    link = socket.socket()\n"
        "    link.setblocking(False)\n"
        "    link.connect_ex(('127.0.0.1', 8000))\n"
        "    links.append(link)\n"
        "for link in links:\n"
        "    try: link.send(b'GET /hang HTTP/1.1\\r\\n\\r\\n')\n"
        "    except OSError: pass\n"
        "while not os.path.exists('/work/go'): time.sleep(0.05)\n"
        "for turn in range(4):\n"
        "    for link in links:\n"
        "        try: link.send(os.urandom(20_000))\n"
        "        except OSError: pass\n"
        "for link in links: link.close()\n"
        "for turn in range(300):\n"
        "    connect().close()\n"
        "print('flooded', ask())\n"
    )
    with Service() as service, backend.lease(small(services={8000: service.port}, memory_mb=192)) as box:
        job = box.start(["python3", "-c", CLIENT + program])
        must(service.wait_open(MOST_STREAMS), f"{service.num_open} connections of 300")
        must(box.exec(["echo", "on"]).stdout == b"on\n", "a job beside the flood")
        must(service.most_open == MOST_STREAMS, f"{service.most_open} connections at once")
        box.write("go", b"")
        _result(job.wait(20), "flooded")
        must(service.wait_open(0), f"{service.num_open} connections are left")


def _case(name: str, steps: Callable[[Backend], None]) -> Case:
    needs = frozenset({"network"})
    return Case(name=name, group="network", item=ITEM, backend_steps=steps, timeout_s=25, needs=needs)


CASES: tuple[Case, ...] = (
    _case("service_is_reached", _reached),
    _case("service_streams", _streams),
    _case("service_that_is_down", _down),
    _case("service_and_nothing_else", _nothing_else),
    _case("service_of_another_box", _of_another_box),
    _case("service_ends_with_the_lease", _ends_with_the_lease),
    _case("service_whose_clients_are_killed", _killed_clients),
    _case("service_that_is_flooded", _flood),
)
