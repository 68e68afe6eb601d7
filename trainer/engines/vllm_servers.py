"""vLLM as servers over HTTP: episodes are spread over them, and each update reaches all of them.

`engine.servers = N` starts them on this machine, for the run. Or start them yourself, one command each, on this machine
or on others, and name them in `engine.urls`:

    VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --logprobs-mode processed_logprobs --generation-config vllm \\
        --worker-extension-cls agentrl.trainer.engines.vllm_worker.WeightsExtension

On a CPU add `--enforce-eager --no-enable-chunked-prefill` (vLLM 0.32 fails on a chunk of a seeded request); its build
has no `vllm` command, so that `python -m vllm.entrypoints.openai.api_server --model MODEL` takes its place. Whoever
reaches such a server can give it other weights, so let only the trainer reach it.

At an update each server is paused, told where the weights are, its prefix cache emptied, and resumed; turns under way
are finished, kept or aborted by the server itself. Weights go over HTTP from this process, at `engine.weights_host`, or
through a folder that all see, `engine.weights_dir`. A server that dies, hangs or refuses is left out, and its turns are
asked for on another; the run ends once none has answered for `engine.timeout_s` (`fleet/fleet.py`).

Limits: arrival decides the batches, so runs are not reproducible bit by bit. A completion carries the version that its
server held when the turn was sent; one that arrives just behind an update is sampled from newer weights than it says.
Weights are not sent by NCCL: no GPU was at hand to try it on.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import ipaddress
import json
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from transformers import PreTrainedModel

from agentrl.trainer.engines.base import TIMEOUT_S, Engine, Probe, Proof, Request, Schedule, Session
from agentrl.trainer.engines.fleet.fleet import Fleet, Seat
from agentrl.trainer.engines.fleet.launching import arguments_of, served_config
from agentrl.trainer.engines.fleet.process import Launched
from agentrl.trainer.engines.fleet.server import Server
from agentrl.trainer.engines.fleet.weights import FolderShelf, HttpShelf, Shelf
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.engines.vllm_setup import check_version
from agentrl.trainer.errors import ConfigError, EngineError
from agentrl.trainer.types import Completion

__all__ = ["VllmServers"]

T = TypeVar("T")
_PAUSE = {"finish": "wait", "keep": "keep", "abort": "abort"}
_HEALTH_S = 5.0
_CLOSE_S = 10.0


class _ServersSession(Session):
    def __init__(self, engine: VllmServers, seat: Seat) -> None:
        self._engine, self._seat = engine, seat
        self._busy = self._closed = False

    async def generate(self, request: Request) -> Completion:
        if self._busy or self._closed:
            raise EngineError("the session is closed, or still samples a turn: await that one first")
        if request.max_new_tokens < 1 or not request.prompt_ids:
            raise EngineError(
                f"nothing to do: max_new_tokens={request.max_new_tokens}, {len(request.prompt_ids)} prompt tokens"
            )
        self._busy = True
        try:
            return await asyncio.wrap_future(self._engine._begin(self._engine._fleet.turn(self._seat, request)))
        finally:
            self._busy = False

    def forget(self) -> None:
        """The next episode may go to another server; vLLM itself drops what is not used."""
        self._engine._soon(self._seat.leave)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.forget()


class VllmServers(Engine):
    """Sample on servers that run already, or that are started for the run; see the module.

    Args:
        model: The trainer's, whose weights the servers get.
        max_tokens: Of an episode.
        max_sessions: Turns asked for at once.
        schedule: Must be "eager".
        options: `engine.*` of the configuration, with `urls` or `servers`.

    Raises:
        ConfigError: A server is not there, not of a version that is known, or not started as it must be.
        EngineError: A server does not start, or does not take the weights.
    """

    def __init__(
        self, model: PreTrainedModel, *, max_tokens: int, max_sessions: int, schedule: Schedule, options: EngineConfig
    ) -> None:
        if schedule != "eager":
            raise ConfigError(
                f"rollout.schedule is {schedule!r}, but servers batch turns as they come; type --rollout.schedule eager"
            )
        self._model, self._closed = model, False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="agentrl-servers", daemon=True)
        self._launched: list[Launched] = []
        self._shelf: Shelf | None = None
        self._thread.start()
        try:
            self._shelf = _shelf(options)
            if options.servers:
                self._launch(options, max_tokens=max_tokens, max_sessions=max_sessions)
            self._fleet: Fleet = self._wait(self._made(options, max_tokens))
            self._wait(self._fleet.open())
            self._wait(self._fleet.begin(self._shelf.put(model, 0)))
        except BaseException:
            self.close()
            raise

    def session(self) -> Session:
        self._check()
        return _ServersSession(self, Seat())

    def update_weights(self, version: int) -> None:
        """Give the weights to every server that takes part; one that does not take them is left out.

        Raises:
            EngineError: The weights cannot be written, or no server is left.
        """
        self._check()
        assert self._shelf is not None
        self._wait(self._fleet.update(self._shelf.put(self._model, version)))
        self.version = version

    def probes(self) -> Sequence[Probe]:
        """Return a part for each server with the current weights."""
        self._check()
        return [self._probe(server) for server in self._wait(self._fleet.provable())]

    def keep_proof(self, proof: Proof) -> None:
        """Keep what a server that returns has to pass."""

        async def prove(server: Server) -> None:
            await asyncio.to_thread(proof, self._probe(server))

        self._check()
        self._wait(self._fleet.keep_proof(prove))

    def metrics(self) -> dict[str, float]:
        """Return `engine/servers_up`, and what happened since the last call; docs/distributed.md has the names."""
        fleet = self._fleet
        found = {
            "engine/servers_up": sum(each.state == "up" for each in fleet.servers),
            "engine/servers_lost": fleet.lost,
            "engine/servers_returned": fleet.returned,
            "engine/servers_restarted": fleet.restarted,
            "engine/reissued_turns": fleet.reissued,
        }
        fleet.lost = fleet.returned = fleet.restarted = fleet.reissued = 0
        return {name: float(value) for name, value in found.items()}

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for each in self._launched:
            each.ask_to_end()
        with contextlib.suppress(concurrent.futures.TimeoutError):
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(_CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()
        for each in self._launched:
            each.close()
        if self._shelf is not None:
            self._shelf.close()

    # -- the engine's thread -------------------------------------------------------------------------------------

    async def _made(self, options: EngineConfig, max_tokens: int) -> Fleet:
        timeout_s, health_s = options.timeout_s or TIMEOUT_S, options.health_s or _HEALTH_S
        addresses: list[tuple[str, Launched | None]] = [(url, None) for url in options.urls]
        addresses += [(each.url, each) for each in self._launched]
        servers = [
            Server(url, timeout_s=timeout_s, health_s=health_s, launched=launched) for url, launched in addresses
        ]
        return Fleet(
            servers,
            model=self._model,
            max_tokens=max_tokens,
            pause=_PAUSE[options.in_flight or "finish"],
            timeout_s=timeout_s,
            health_s=health_s,
        )

    async def _end(self) -> None:
        if hasattr(self, "_fleet"):
            await self._fleet.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._loop.shutdown_default_executor(), _CLOSE_S / 2)

    def _begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        if self._closed:
            work.close()
            self._check()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._begin(work).result()

    def _soon(self, work: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(work)

    # -- parts ---------------------------------------------------------------------------------------------------

    def _launch(self, options: EngineConfig, *, max_tokens: int, max_sessions: int) -> None:
        check_version()
        command, settings = arguments_of(self._model, max_tokens=max_tokens, max_sessions=max_sessions, options=options)
        config = json.dumps(served_config(self._model))
        self._launched = [Launched(command, each, files={"config.json": config}) for each in settings]
        for each in self._launched:
            each.start()

    def _probe(self, server: Server) -> Probe:
        return Probe(name=server.url, session=lambda: _ServersSession(self, Seat(server)))

    def _check(self) -> None:
        if self._closed:
            raise EngineError("the engine is closed")


def _shelf(options: EngineConfig) -> Shelf:
    if options.weights_dir:
        return FolderShelf(Path(options.weights_dir))
    host = options.weights_host
    away = [url for url in options.urls if not _is_here(urlsplit(url).hostname or "")]
    if away and (host is None or _is_here(urlsplit(f"//{host}").hostname or "")):
        raise ConfigError(
            f"{away[0]} is on another machine and cannot fetch weights from {host or '127.0.0.1'}; write "
            "engine.weights_host = an address of this machine that it reaches, or engine.weights_dir = a folder that "
            "both see"
        )
    return HttpShelf(host or "127.0.0.1")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
