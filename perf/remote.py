"""What a step from afar costs on the loopback, beside the same step in this process and beside a bare echo.

One server runs in a process of its own, with one environment that answers at once; `echo` is a WebSocket application
of Starlette that sends back what it gets, behind the same server and the same client library. They take turns; of
several rounds the fastest counts. `busy` is the same with many sessions that step all the time.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import gymnasium
from common import parser, report, versions
from websockets.sync.client import connect

from agentrl.envs.remote.client import RemoteEnv

SERVER = """
import gymnasium, socket, sys, uvicorn
from agentrl.envs.remote.server import make_app
from agentrl.envs.spaces import Unicode

class Quick(gymnasium.Env):
    action_space = observation_space = Unicode()
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return "Go.", {}
    def step(self, action):
        return "Go on.", 0.0, False, False, {"replies": [{"role": "tool", "name": "look", "content": "x" * 400}]}

gymnasium.register(id="Quick-v0", entry_point=Quick)

async def echo(scope, receive, send):
    while True:
        message = await receive()
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        elif message["type"] in ("websocket.disconnect", "lifespan.shutdown"):
            return
        elif message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})

app = make_app({"Quick-v0": {}}) if sys.argv[1] == "ours" else echo
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error", ws="websockets-sansio")).run(sockets=[listening])
"""


def main() -> None:
    """Measure and report."""
    options = parser(__doc__)
    options.add_argument("--steps", type=int, default=2000, metavar="N")
    options.add_argument("--rounds", type=int, default=5, metavar="N")
    options.add_argument("--sessions", type=int, default=64, metavar="N", help="of the busy server")
    arguments = options.parse_args()
    with _Server("ours") as ours, _Server("echo") as echo:
        best = {"remote": float("inf"), "echo": float("inf")}
        for _ in range(arguments.rounds):
            best["remote"] = min(best["remote"], remote(ours, arguments.steps))
            best["echo"] = min(best["echo"], echoed(echo, arguments.steps))
        figures = {
            "remote_step_p50_ms": best["remote"] * 1e3,
            "echo_p50_ms": best["echo"] * 1e3,
            "remote_over_echo": best["remote"] / best["echo"],
            **busy(ours, arguments.sessions, arguments.steps // 20),
        }
    report(figures, versions("fastapi", "gymnasium", "uvicorn", "websockets"), arguments.json)


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


def remote(port: int, num_steps: int) -> float:
    """Return the median seconds of a step."""
    env = RemoteEnv(url=f"http://127.0.0.1:{port}")
    env.reset(seed=0)
    found = median(lambda: env.step("Look there, and then tell me."), num_steps)
    env.close()
    return found


def echoed(port: int, num_steps: int) -> float:
    """Return the median seconds of a message of the same size, there and back."""
    text = json.dumps({"observation": "Go on.", "info": {"replies": [{"content": "x" * 400}]}})
    with connect(f"ws://127.0.0.1:{port}/", compression=None) as socket:

        def call() -> Any:
            socket.send(text)
            return socket.recv()

        return median(call, num_steps)


def median(call: Callable[[], Any], num: int) -> float:
    """Return the median seconds of a call."""
    times = []
    for _ in range(num):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def busy(port: int, num_sessions: int, num_steps: int) -> dict[str, float]:
    """Return the steps a second of many sessions at once."""
    envs: list[gymnasium.Env[str, str]] = [RemoteEnv(url=f"http://127.0.0.1:{port}") for _ in range(num_sessions)]
    for env in envs:
        env.reset(seed=0)

    def play(env: gymnasium.Env[str, str]) -> None:
        for _ in range(num_steps):
            env.step("Look there, and then tell me.")

    threads = [threading.Thread(target=play, args=(env,)) for env in envs]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    for env in envs:
        env.close()
    return {"busy_sessions": num_sessions, "busy_steps_per_s": num_sessions * num_steps / seconds}


if __name__ == "__main__":
    main()
