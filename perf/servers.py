"""What several servers cost on our side: a turn through the engine beside a bare POST, and weights by folder and HTTP.

The servers are those of the tests, which speak vLLM's protocol over real HTTP and sample nothing: what is left is ours.

    turn       one turn of --prompt tokens through a session, beside `httpx.Client.post` of the same body to the same
               server, and beside `httpx.AsyncClient.post`; in turn, --calls each, the median of --rounds
    at once    --concurrency turns at once through sessions, beside as many in one `httpx.AsyncClient`
    update     `update_weights` of a model of --shape over HTTP beside through a folder, and to 2 servers beside 1; the
               worker's side reads every tensor, as vLLM's does

    python perf/servers.py --json servers.json
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import torch
from common import SHAPES, parser, random_qwen3, report, versions

sys.path.insert(0, str(Path(__file__).parents[1]))

from agentrl.trainer.engines.base import Engine, Request
from agentrl.trainer.engines.opening import open_engine
from agentrl.trainer.engines.options import EngineConfig
from tests.trainer.fake_vllm import FakeVllm, fakes


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("--shape", default="50m", choices=SHAPES)
    options.add_argument("--prompt", type=int, default=1000)
    options.add_argument("--tokens", type=int, default=100)
    options.add_argument("--calls", type=int, default=30)
    options.add_argument("--concurrency", type=int, default=32)
    options.add_argument("--rounds", type=int, default=5)
    arguments = options.parse_args()
    model = random_qwen3(arguments.shape, device=torch.device("cpu"), dtype=torch.float32, attention="sdpa").eval()
    figures: dict[str, float] = {}
    with fakes(2) as servers, _opened(model, servers[:1]) as engine:
        figures |= _turns(engine, servers[0], arguments)
    figures |= _updates(model, arguments.rounds)
    report(figures, versions("httpx", "torch", "safetensors"), arguments.json)


def _opened(model: Any, servers: list[FakeVllm], **more: Any) -> Engine:
    options = EngineConfig(name="vllm", urls=tuple(each.url for each in servers), **more)
    return open_engine(model, max_tokens=4096, max_sessions=256, schedule="eager", options=options)


def _turns(engine: Engine, server: FakeVllm, arguments: Any) -> dict[str, float]:
    prompt = list(range(arguments.prompt))
    request = Request(prompt_ids=prompt, max_new_tokens=arguments.tokens, temperature=1.0, seed=1, stop_ids=frozenset())
    asyncio.run(engine.session().generate(request))
    body, url = server.turns[-1], f"{server.url}/v1/completions"  # what the engine sent

    async def ours(at_once: int, calls: int) -> None:
        async def play() -> None:
            session = engine.session()
            for _ in range(calls):
                await session.generate(request)
            session.close()

        await asyncio.gather(*[play() for _ in range(at_once)])

    # Made once, as the engine's are: a client reads the certificates of the system when it is made.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=2.5)
    loop, client = asyncio.new_event_loop(), httpx.AsyncClient(trust_env=False, timeout=60, limits=limits)
    one = httpx.Client(trust_env=False, timeout=60, limits=limits)

    async def bare(at_once: int, calls: int) -> None:
        async def play() -> None:
            for _ in range(calls):
                (await client.post(url, json=body)).json()

        await asyncio.gather(*[play() for _ in range(at_once)])

    def plain(calls: int) -> None:
        for _ in range(calls):
            one.post(url, json=body).json()

    calls, many = arguments.calls, arguments.concurrency
    taken = _in_turn(
        {
            "ours": lambda: asyncio.run(ours(1, calls)),
            "plain": lambda: plain(calls),
            "bare": lambda: loop.run_until_complete(bare(1, calls)),
            "ours_many": lambda: asyncio.run(ours(many, 10)),
            "bare_many": lambda: loop.run_until_complete(bare(many, 10)),
        },
        arguments.rounds,
    )
    loop.run_until_complete(client.aclose())
    loop.close()
    one.close()
    return {
        "turn_to_httpx_ratio": _ratio(taken["ours"], taken["plain"]),
        "turn_to_async_httpx_ratio": _ratio(taken["ours"], taken["bare"]),
        "turns_at_once_to_async_httpx_ratio": _ratio(taken["ours_many"], taken["bare_many"]),
    }


def _updates(model: Any, rounds: int) -> dict[str, float]:
    with ExitStack() as opened, tempfile.TemporaryDirectory() as folder:
        contestants: dict[str, Callable[[], Any]] = {}
        for kind, more in (("folder", {"weights_dir": folder}), ("http", {})):
            for count in (1, 2):
                engine = opened.enter_context(_opened(model, opened.enter_context(fakes(count)), **more))
                contestants[f"{kind}_{count}"] = partial(engine.update_weights, 1)
        taken = _in_turn(contestants, rounds)
    return {
        "update_http_to_folder_ratio": _ratio(taken["http_1"], taken["folder_1"]),
        "update_folder_of_two_servers_to_one_ratio": _ratio(taken["folder_2"], taken["folder_1"]),
        "update_http_of_two_servers_to_one_ratio": _ratio(taken["http_2"], taken["http_1"]),
    }


def _in_turn(contestants: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, work in contestants.items():
            start = time.perf_counter()
            work()
            if number:  # the first warms up
                taken[name].append(time.perf_counter() - start)
    return taken


def _ratio(ours: list[float], other: list[float]) -> float:
    return statistics.median(one / two for one, two in zip(ours, other, strict=True))


if __name__ == "__main__":
    main()
