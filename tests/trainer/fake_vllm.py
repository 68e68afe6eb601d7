"""A server that speaks what the trainer asks of vLLM, on the loopback: for faults of the wire, and who is asked what.

The wire is real, and so is the worker's side of weights (`WeightsExtension` over a runner that adds them up). Tokens
come from the seed and the prompt, log-probabilities from the weights that it holds: stale ones are seen in the answer.
"""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import nn

from agentrl.trainer.engines.vllm_worker import WeightsExtension

Fault = Callable[["Handler", str, dict[str, Any]], bool]
"""(handler, path, body) -> whether it has dealt with the request by itself."""


class _Runner:
    """In place of vLLM's: takes weights over by adding them up."""

    def __init__(self) -> None:
        self.total = -1.0
        self._model = nn.Module()

    def reload_weights(self, weights_iterator: Any) -> None:
        self.total = sum(float(value.double().sum()) for _, value in weights_iterator)

    def get_model(self) -> nn.Module:
        return self._model


class Worker(WeightsExtension):
    """Holds weights."""

    def __init__(self) -> None:
        self.model_runner = _Runner()


def bias(total: float) -> float:
    """What weights that add up to `total` give each token as its log-probability."""
    return -1.0 - abs(total) % 1.0


def bias_of(model: Any) -> float:
    """The same for the trainer's model."""
    owners: set[int] = set()
    total = 0.0
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.data_ptr() not in owners:
                owners.add(value.data_ptr())
                total += float(value.double().sum())
    return bias(total)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that leave are tried too."""


class FakeVllm:
    """One server; `fault` may be set at any time, `stop` and `start` are a death and a restart on the same port."""

    def __init__(self, *, delay_s: float = 0.0, port: int = 0) -> None:
        self.delay_s = delay_s  # of a turn
        self.fault: Fault | None = None
        self.turns: list[dict[str, Any]] = []  # that were answered in full
        self.loads: list[str] = []  # names of weights taken
        self.most_at_once = self.under_way = 0
        self.lock = threading.Lock()
        self.port = port
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin, with no weights and nothing known of before."""
        self.worker, self.paused = Worker(), False
        self.sockets: set[socket.socket] = set()
        server = self

        class Bound(Handler):
            fake = server

        self._http = _Http(("127.0.0.1", self.port), Bound)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Die: every connection breaks."""
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        with self.lock:
            for each in self.sockets:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def rpc(self, method: str, arguments: list[Any]) -> Any:
        if method == "agentrl_load":
            self.loads.append(arguments[1]["version"])
        return getattr(self.worker, method)(*arguments)


class Handler(BaseHTTPRequestHandler):
    """Answers as vLLM 0.32 does."""

    fake: FakeVllm
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits for the receipt of its head, 40 ms

    def setup(self) -> None:
        super().setup()
        with self.fake.lock:
            self.fake.sockets.add(self.connection)

    def do_GET(self) -> None:
        self._do({})

    def do_POST(self) -> None:
        self._do(json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)) or b"{}"))

    def _do(self, body: dict[str, Any]) -> None:
        path, fake = urlsplit(self.path).path, self.fake
        if fake.fault is not None and fake.fault(self, path, body):
            return
        if path == "/v1/completions":
            self.complete(body)
        elif path == "/collective_rpc":
            try:
                self.say({"results": [fake.rpc(body["method"], body.get("args", []))]})
            except Exception as error:
                self.say({"error": {"message": f"{type(error).__name__}: {error}"}}, 500)
        elif path == "/v1/models":
            self.say({"data": [{"id": "fake", "max_model_len": 4096}]})
        else:
            answers: dict[str, Any] = {
                "/health": None,
                "/version": {"version": "0.32.0"},
                "/is_paused": {"is_paused": False},
                "/pause": {"status": "paused"},
                "/resume": {"status": "resumed"},
                "/reset_prefix_cache": {"success": True},
            }
            self.say(answers[path])

    def complete(self, body: dict[str, Any]) -> None:
        """Answer a turn."""
        fake = self.fake
        with fake.lock:
            fake.under_way += 1
            fake.most_at_once = max(fake.most_at_once, fake.under_way)
        try:
            time.sleep(fake.delay_s)
            draw = random.Random(f"{body['seed']} {body['prompt']}")
            ids = [draw.randrange(9, 99) for _ in range(body["max_tokens"])]
            logprobs = [bias(fake.worker.model_runner.total)] * len(ids)
            choice = {"token_ids": ids, "logprobs": {"token_logprobs": logprobs}, "finish_reason": "length"}
            self.say({"choices": [choice]})
            with fake.lock:
                fake.turns.append(body)
        finally:
            with fake.lock:
                fake.under_way -= 1

    def say(self, answer: Any, status: int = 200, *, cut_at: int | None = None) -> None:
        """Answer JSON; `cut_at`: break the connection after so many bytes of it."""
        data = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:cut_at])
        if cut_at is not None:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def fakes(count: int, **more: Any) -> Iterator[list[FakeVllm]]:
    """Start some servers."""
    started = [FakeVllm(**more) for _ in range(count)]
    try:
        yield started
    finally:
        for each in started:
            each.fault = None
            each.stop()


if __name__ == "__main__":  # as a process: takes vLLM's options, and knows one of them
    FakeVllm(port=int(sys.argv[sys.argv.index("--port") + 1]))
    threading.Event().wait()
