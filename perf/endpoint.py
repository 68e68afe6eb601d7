"""What a call of a program costs at the endpoint, beside a bare echo of Starlette behind the same server.

Both servers run in processes of their own and answer at once: the endpoint reads the call, asks a scripted policy and
writes its answer in the dialect; the echo sends back the bytes that it gets, unread. Clients are a process too: 1, 16
and 64 of them call one after the other as fast as they are answered, over connections that stay open. The servers take
turns; of several rounds the fastest counts. `stream` is the same call answered as a stream.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time

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
    options.add_argument("--client", nargs=4, metavar="X", help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.client:
        port, what, num_clients, num_calls = arguments.client
        print(asyncio.run(clients(int(port), what, int(num_clients), int(num_calls))))
        return
    figures: dict[str, float] = {}
    with _Server("endpoint") as endpoint, _Server("echo") as echo:
        for what in ("chat", "stream", "responses", "messages"):
            for num_clients in (1, 16, 64):
                best = {endpoint: float("inf"), echo: float("inf")}
                for _ in range(arguments.rounds):
                    for port in best:
                        best[port] = min(best[port], measured(port, what, num_clients, arguments.calls))
                name = f"{what}_{num_clients}"
                figures[f"{name}_p50_ms"] = best[endpoint] * 1e3
                figures[f"{name}_echo_p50_ms"] = best[echo] * 1e3
                figures[f"{name}_over_echo_ms"] = (best[endpoint] - best[echo]) * 1e3
                figures[f"{name}_over_echo"] = best[endpoint] / best[echo]
    report(figures, versions("starlette", "uvicorn", "httptools"), arguments.json)


class _Server:
    """A server in a process of its own."""

    def __init__(self, which: str) -> None:
        self._which = which

    def __enter__(self) -> int:
        command = [sys.executable, "-c", SERVER, self._which]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()


def measured(port: int, what: str, num_clients: int, num_calls: int) -> float:
    """Return the median seconds of a call, of clients in a process of their own."""
    words = [str(each) for each in (port, what, num_clients, num_calls)]
    return float(subprocess.check_output([sys.executable, __file__, "--client", *words], text=True))


async def clients(port: int, what: str, num_clients: int, num_calls: int) -> float:
    """Call as fast as is answered; return the median seconds of a call."""
    times: list[float] = []
    async with asyncio.TaskGroup() as group:
        for _ in range(num_clients):
            group.create_task(client(port, request(what), num_calls // num_clients, times))
    return statistics.median(times)


async def client(port: int, sent: bytes, num_calls: int, times: list[float]) -> None:
    """Call one after the other over one connection; the first tenth warms up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(-(num_calls // 10), num_calls):
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
        if number >= 0:
            times.append(time.perf_counter() - began)
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
