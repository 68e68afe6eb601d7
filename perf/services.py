"""What the way from a box to a service of the host costs, beside the same client as a plain process of the host.

One server runs in a process of its own and answers at once with 2 KB. The client is one program, the same in a box of
each backend and outside: it asks over one kept connection (`kept`), over a new one each time (`new`), sends 4 MiB
(`upload`), and asks from 64 threads at once, each with its own connection (`busy`). `first_piece` is a streamed answer:
from the request to its first piece of twenty. All take turns, and of each the best turn's median counts, for what else
runs on the machine only adds.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from common import parser, percentile, report, versions

from agentrl.sandboxes import SandboxError, SandboxSpec, open_backend

SERVER = """
import asyncio, socket, sys, uvicorn

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for _ in range(20 if scope["path"] == "/stream" else 0):
        await send({"type": "http.response.body", "body": b"data: x\\n\\n", "more_body": True})
        await asyncio.sleep(0.001)
    await send({"type": "http.response.body", "body": b"y" * 2000})

listening = socket.create_server(("127.0.0.1", 0), backlog=256)
print(listening.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off")).run(sockets=[listening])
"""
CLIENT = """
import http.client, json, sys, threading, time
port, kind, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def connected():
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    link.connect()
    return link

def ask(link, body=b"x" * 1000, path="/"):
    link.request("POST", path, body=body)
    answer = link.getresponse()
    assert answer.status == 200 and answer.read().endswith(b"y" * 2000)

def first(link):
    link.request("POST", "/stream", body=b"x" * 1000)
    answer = link.getresponse()
    began = time.perf_counter()
    answer.read(1)
    end = time.perf_counter()
    answer.read()
    return end

times = []
if kind == "busy":
    links = [connected() for _ in range(64)]
    ready = threading.Barrier(65)
    def work(link):
        ready.wait()
        for _ in range(count // 64): ask(link)
    threads = [threading.Thread(target=work, args=(link,)) for link in links]
    for thread in threads: thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in threads: thread.join()
    times.append((time.perf_counter() - began) / (count // 64 * 64))
else:
    link = connected()
    ask(link)
    big = bytes(4 << 20)
    for _ in range(count):
        began = time.perf_counter()
        if kind == "kept": ask(link)
        elif kind == "upload": ask(link, big)
        elif kind == "new":
            fresh = connected()
            ask(fresh)
            fresh.close()
        else:
            times.append(first(link) - began)
            continue
        times.append(time.perf_counter() - began)
print(json.dumps(times))
"""
COUNTS = {"kept": 200, "new": 100, "upload": 10, "first_piece": 20, "busy": 1280}
PORT = 8000
Ask = Callable[[str, int], list[float]]


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=10, metavar="N")
    arguments = options.parse_args()
    peers = versions("docker", "uvicorn")
    turns: dict[tuple[str, str], list[list[float]]] = {}
    with ExitStack() as stack:
        port = stack.enter_context(_server())
        clients = {"host": _on_host(port)}
        for name in ("docker", "bubblewrap"):
            try:
                clients[name] = stack.enter_context(_in_box(name, port))
            except SandboxError as error:
                peers[name] = f"not measured: {error}"
        for _ in range(arguments.rounds):
            for kind, count in COUNTS.items():
                for name, ask in clients.items():
                    turns.setdefault((kind, name), []).append(ask(kind, count))
    figures: dict[str, float] = {}
    for (kind, name), found in turns.items():
        best = min(found, key=statistics.median)
        figures[f"{kind}_{name}_ms"] = statistics.median(best) * 1e3
        if kind == "kept":
            figures[f"{kind}_{name}_p99_ms"] = percentile(best, 99) * 1e3
    for kind, name in turns:
        if name != "host":
            figures[f"{kind}_{name}_ratio"] = figures[f"{kind}_{name}_ms"] / figures[f"{kind}_host_ms"]
    report(figures, peers, arguments.json)


@contextmanager
def _server() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def _on_host(port: int) -> Ask:
    def ask(kind: str, count: int) -> list[float]:
        command = [sys.executable, "-c", CLIENT, str(port), kind, str(count)]
        return _times(subprocess.run(command, capture_output=True, check=True).stdout)

    return ask


@contextmanager
def _in_box(name: str, port: int) -> Iterator[Ask]:
    with open_backend(name) as backend, backend.lease(SandboxSpec(services={PORT: port}, cpus=2.0)) as box:

        def ask(kind: str, count: int) -> list[float]:
            result = box.exec(["python3", "-c", CLIENT, str(PORT), kind, str(count)])
            assert result.status == "ok", result.stderr_text
            return _times(result.stdout)

        yield ask


def _times(data: bytes) -> list[float]:
    return [float(each) for each in json.loads(data)]


if __name__ == "__main__":
    main()
