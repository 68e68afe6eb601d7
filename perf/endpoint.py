"""What a call of a program costs at the endpoint, beside a bare echo of Starlette behind the same server.

Both servers run in processes of their own and answer at once: the endpoint reads the call, asks a scripted policy and
writes its answer in the dialect; the echo sends back the bytes that it gets, unread. Clients are a process too: 1, 16
and 64 of them call one after the other as fast as they are answered, over connections that stay open, so that at 64 a
call waits for 63 others at a server that never rests. `paced` are 64 that each call ten times a second, as programs
would whose policy answers at once. The servers take turns; of several rounds the fastest counts. `stream` is the same
call answered as a stream. `cpu` is what a call takes of the server's core: where the machine has other work to do, 64
times its difference is what a call would wait for the others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import parser, report, versions

SERVER = """
import socket, sys, uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from agentrl.envs.program.app import make_endpoint
from agentrl.envs.program.calls import Asked, Said

class Scripted:
    async def answer(self, key, call):
        return [said] * call.num_answers
    async def passed_on(self, key, model):
        return None

async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/json")

said = Said(
    content="I will look that up first. " * 8,
    calls=(Asked(id="call_0", name="look", arguments='{"query": "the price of tea", "limit": 5}'),),
    prompt_tokens=1500, completion_tokens=80,
)
paths = ["/v1/chat/completions", "/v1/responses", "/v1/messages"]
echoing = Starlette(routes=[Route(path, echo, methods=["POST"]) for path in paths])
app = make_endpoint(Scripted()) if sys.argv[1] == "endpoint" else echoing
listening = socket.create_server(("127.0.0.1", 0), backlog=512)
print(listening.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off")).run(sockets=[listening])
"""
DIALECTS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
TEXT = "The price of tea in the second quarter was 4.20 a pound, said the report; see table 7 for the rest. " * 3


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--calls", type=int, default=1500, metavar="N", help="of all clients of a round together")
    options.add_argument("--rounds", type=int, default=5, metavar="N")
    options.add_argument("--what", nargs="+", default=["chat", "stream", "responses", "messages"], metavar="NAME")
    options.add_argument("--client", nargs=5, metavar="X", help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.client:
        port, what, num_clients, num_calls, every_s = arguments.client
        print(asyncio.run(clients(int(port), what, int(num_clients), int(num_calls), float(every_s))))
        return
    figures: dict[str, float] = {}
    with _Server("endpoint") as endpoint, _Server("echo") as echo:
        for what in arguments.what:
            for name, num_clients, every_s in (("1", 1, 0.0), ("16", 16, 0.0), ("64", 64, 0.0), ("paced", 64, 0.1)):
                best, cpu = [float("inf")] * 2, [float("inf")] * 2
                for _ in range(arguments.rounds):
                    for which, server in enumerate((endpoint, echo)):
                        before = server.cpu_s()
                        p50_s = measured(server.port, what, num_clients, arguments.calls, every_s)
                        cpu[which] = min(cpu[which], (server.cpu_s() - before) / arguments.calls)
                        best[which] = min(best[which], p50_s)
                figures |= compared(f"{what}_{name}", "p50_ms", best)
                if name == "64":
                    figures |= compared(f"{what}_{name}", "cpu_ms", cpu)
    report(figures, versions("starlette", "uvicorn", "httptools"), arguments.json)


def compared(name: str, unit: str, found_s: list[float]) -> dict[str, float]:
    """Return a figure of the endpoint beside that of the echo.

    Args:
        name: Of what was measured.
        unit: How the figure's name ends.
        found_s: Seconds of a call at the endpoint, and at the echo.
    """
    ours, echo = (each * 1e3 for each in found_s)
    found = {f"{name}_{unit}": ours, f"{name}_echo_{unit}": echo, f"{name}_over_echo_{unit}": ours - echo}
    return {**found, f"{name}_over_echo_{unit.removesuffix('_ms')}_ratio": ours / echo}


class _Server:
    """A server in a process of its own."""

    def __init__(self, which: str) -> None:
        self._which = which

    def __enter__(self) -> _Server:
        command = [sys.executable, "-c", SERVER, self._which]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def cpu_s(self) -> float:
        """Return the seconds that its thread has run."""
        return int(Path(f"/proc/{self._process.pid}/schedstat").read_text().split()[0]) / 1e9

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()


def measured(port: int, what: str, num_clients: int, num_calls: int, every_s: float) -> float:
    """Return the median seconds of a call, of clients in a process of their own."""
    words = [str(each) for each in (port, what, num_clients, num_calls, every_s)]
    return float(subprocess.check_output([sys.executable, __file__, "--client", *words], text=True))


async def clients(port: int, what: str, num_clients: int, num_calls: int, every_s: float) -> float:
    """Call as fast as is answered, or at a pace; return the median seconds of a call."""
    times: list[float] = []
    async with asyncio.TaskGroup() as group:
        for number in range(num_clients):
            wait_s = every_s * number / num_clients
            group.create_task(client(port, request(what), num_calls // num_clients, times, wait_s, every_s))
    return statistics.median(times)


async def client(port: int, sent: bytes, num_calls: int, times: list[float], wait_s: float, every_s: float) -> None:
    """Call one after the other over one connection; what comes before the first warms up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(wait_s)
    for number in range(-(num_calls // 20), num_calls):
        began = time.perf_counter()
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        if b"chunked" in head:
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readexactly(2)
        else:
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        took = time.perf_counter() - began
        if number >= 0:
            times.append(took)
        if every_s:
            await asyncio.sleep(max(0.0, every_s - took))
    writer.close()
    await writer.wait_closed()


def request(what: str) -> bytes:
    """Return a call in the middle of an episode: ten messages and four tools, 8 kB."""
    asks = {"model": "policy", "temperature": 1.0, "max_tokens": 512, **({"stream": True} if what == "stream" else {})}
    schema = {"type": "object", "properties": {"query": {"type": "string", "description": TEXT[:100]}}}
    names = [f"tool_{number}" for number in range(4)]
    turns = [{"role": role, "content": TEXT} for _ in range(5) for role in ("user", "assistant")]
    if what == "responses":
        tools = [{"type": "function", "name": each, "description": TEXT, "parameters": schema} for each in names]
        told = {**asks, "input": turns, "instructions": TEXT, "tools": tools, "store": False}
    elif what == "messages":
        told = {**asks, "system": TEXT, "messages": turns}
        told["tools"] = [{"name": each, "description": TEXT, "input_schema": schema} for each in names]
    else:
        functions = [{"name": each, "description": TEXT, "parameters": schema} for each in names]
        told = {**asks, "messages": [{"role": "system", "content": TEXT}, *turns]}
        told["tools"] = [{"type": "function", "function": each} for each in functions]
    body = json.dumps(told).encode()
    path = DIALECTS.get(what, DIALECTS["chat"])
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer key\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


if __name__ == "__main__":
    main()
