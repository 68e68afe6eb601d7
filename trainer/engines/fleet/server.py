"""One vLLM server at its address: what it is asked, and what each answer means.

All runs in the event loop of the engine's thread. What the server does wrong is `Lost`: it is left out, and the turn is
asked for elsewhere. What the request does wrong (400, 413, 422) is an `EngineError` of the turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any, Literal

import httpx
from transformers import PreTrainedModel

from agentrl.trainer.engines.base import Request
from agentrl.trainer.engines.fleet.balance import Load
from agentrl.trainer.engines.fleet.launching import EXTENSION
from agentrl.trainer.engines.fleet.process import Launched
from agentrl.trainer.engines.fleet.weights import Weights
from agentrl.trainer.engines.vllm_setup import check_head, check_version
from agentrl.trainer.errors import ConfigError, EngineError, PartLost
from agentrl.trainer.model import head_dtype
from agentrl.trainer.spread import compute_dtype
from agentrl.trainer.types import Completion

__all__ = ["Lost", "Server"]

_ENDS: dict[str, Literal["stop", "length", "abort"]] = {"stop": "stop", "length": "length", "abort": "abort"}
_OWN_FAULT = (400, 413, 422)
_IDLE_S = 2.5  # a connection is kept; vLLM closes it after 5, and what is sent just then is lost


class Lost(PartLost):
    """The server cannot be counted on any more."""


class Server:
    """One address.

    Args:
        url: Of the server.
        timeout_s: For a turn, or one step of an update.
        health_s: For what is answered at once.
        launched: Of one that the run has started.
    """

    def __init__(self, url: str, *, timeout_s: float, health_s: float, launched: Launched | None = None) -> None:
        self.url, self.launched = url.rstrip("/"), launched
        self.load = Load()
        self.state: Literal["down", "loaded", "up"] = "down"
        """Left out; with the current weights, and not yet proved; takes part."""
        self.reason = "it was not asked yet"
        """Why it was left out."""
        self.trouble = ""
        """Why it has not returned."""
        self.version = -1
        """Of the weights that it was given last."""
        self.ready = asyncio.Event()
        """Whether turns may begin: not while it takes over weights."""
        self.gone: asyncio.Future[None] | None = None
        """Done once it is left out; a new one each time it takes part."""
        self.pause_s = 0.0
        """Before it may return; grows while it fails again and again."""
        self._timeout_s, self._health_s = timeout_s, health_s
        self._model = ""
        self._instances: list[Any] = []
        self._name = ""  # of the weights it holds
        self._confirmed = 0.0  # when it was seen last to be the process that it was
        self._confirming = asyncio.Lock()
        # No proxy of the environment: a server is where its address says.
        self._client = httpx.AsyncClient(
            base_url=self.url,
            timeout=httpx.Timeout(None, connect=health_s),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=_IDLE_S),
            trust_env=False,
        )

    async def close(self) -> None:
        """Close its connections; the server itself goes on."""
        await self._client.aclose()

    # -- what it is ----------------------------------------------------------------------------------------------

    async def check(self, model: PreTrainedModel, max_tokens: int) -> None:
        """Ask what it is.

        Raises:
            Lost: It does not answer.
            ConfigError: It is of another version, too short, or takes no weights.
        """
        await self.healthy()
        told = await self._soon("GET", "/version", "asking for its version")
        models = await self._soon("GET", "/v1/models", "asking for its model")
        try:
            version, served = told["version"], models["data"][0]
            self._model, longest = served["id"], served.get("max_model_len")
        except (TypeError, KeyError, IndexError, AttributeError) as error:
            raise Lost(f"{self.url} is no vLLM server: asked what it is, it says {told} and {models}") from error
        check_version(str(version), where=self.url)
        if longest is not None and longest < max_tokens:
            raise ConfigError(
                f"{self.url} takes {longest} tokens, and rollout.max_episode_tokens is {max_tokens}; start it with "
                f"--max-model-len {max_tokens}"
            )
        try:
            await self._soon("GET", "/is_paused", "asking whether it is paused")
        except Lost as error:
            raise ConfigError(f"{self.url} takes no weights; start it with VLLM_SERVER_DEV_MODE=1 ({error})") from error
        if head_dtype(model) != compute_dtype(model):
            found = await self._rpc("asking for the precision of its logits", "agentrl_head_dtype")
            check_head(model, found, url=self.url)

    async def healthy(self) -> None:
        """Ask whether it is there.

        Raises:
            Lost: It says no, or nothing within `health_s`.
        """
        await self._soon("GET", "/health", "asking whether it is there")

    async def confirm(self, since: float) -> None:
        """Make sure that it is the process it was at a time.

        Raises:
            Lost: It is another one, or holds other weights than it was given.
        """
        if self._confirmed > since:
            return
        async with self._confirming:  # one asks for all who wait
            if self._confirmed > since:
                return
            asked, name = time.monotonic(), self._name
            held = await self._held("asking for its weights")
            # While it takes over others it says what it is just then.
            self._same(held, weights=self.ready.is_set() and name == self._name)
            self._confirmed = asked

    def holds(self, weights: Weights) -> bool:
        """Return whether it was given these last."""
        return self._name == weights.name

    def _same(self, held: list[Any], *, weights: bool) -> None:
        if [each.get("instance") for each in held] != self._instances:
            raise Lost(f"{self.url} is another process than the one that was given weights: it was started again")
        told = {each.get("version") for each in held}
        if weights and told != {self._name}:
            raise Lost(f"{self.url} holds weights {', '.join(map(str, told))}, and was given {self._name}")

    # -- what it does --------------------------------------------------------------------------------------------

    async def generate(self, request: Request) -> Completion:
        """Sample one turn.

        Raises:
            Lost: Something is wrong with the server.
            EngineError: Something is wrong with the request.
        """
        version, connected = self.version, 0.0
        what = f"sampling a turn of {len(request.prompt_ids)} prompt tokens and at most {request.max_new_tokens} new"
        body = {
            "model": self._model,
            "prompt": list(request.prompt_ids),
            "max_tokens": request.max_new_tokens,
            "temperature": request.temperature,
            "seed": request.seed & (2**63 - 1),
            "stop_token_ids": sorted(request.stop_ids),
            "ignore_eos": True,  # what ends a turn is in the request
            "logprobs": 0,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
            "skip_special_tokens": False,
            "cache_salt": str(version),
        }

        async def note(event: str, _: Any) -> None:
            nonlocal connected
            if event == "connection.connect_tcp.started":
                connected = time.monotonic()

        answer = await self._call("POST", "/v1/completions", what, json=body, extensions={"trace": note})
        try:
            choice = answer["choices"][0]
            ids = choice.get("token_ids") or []
            logprobs = (choice.get("logprobs") or {}).get("token_logprobs") or []
            finish = choice.get("finish_reason")
        except (TypeError, KeyError, IndexError, AttributeError) as error:
            raise Lost(f"{self.url} answered what is no completion while {what}: {str(answer)[:200]}") from error
        end = _ENDS.get(finish or "")
        if end is None or len(ids) != len(logprobs) or (end != "abort" and not ids) or None in logprobs:
            raise Lost(
                f"{self.url} answered {len(ids)} tokens, {len(logprobs)} log-probabilities and the end {finish!r} "
                f"while {what}"
            )
        if connected:  # a process that was started again is met over a new connection only
            await self.confirm(connected)
        return Completion(token_ids=ids, logprobs=logprobs, finish=end, version=version)

    async def take(self, weights: Weights, pause: str) -> None:
        """Pause, take over the weights, empty the prefix cache, go on.

        Raises:
            Lost: It does not take them, or says that it holds others.
        """
        what = f"taking over the weights of version {weights.version}"
        self.ready.clear()
        self._name = ""
        await self._call("POST", "/pause", what, params={"mode": pause, "clear_cache": "true"})
        try:
            try:
                taken = await self._held(what, "agentrl_load", weights.source, weights.told())
            except Lost as error:
                raise Lost(f"{error}; is it started with --worker-extension-cls {EXTENSION}?") from error
            if any(each.get("tensors") != weights.tensors for each in taken):
                raise Lost(f"{self.url} took {taken} of {weights.tensors} weight tensors")
            emptied = await self._call("POST", "/reset_prefix_cache", what, params={"reset_running_requests": "true"})
            if not isinstance(emptied, dict) or not emptied.get("success"):
                raise Lost(f"{self.url} would not empty its prefix cache, which older weights have filled")
        except Lost:
            with contextlib.suppress(Lost):  # the first reason is the one to tell
                await self._call("POST", "/resume", what)
            raise
        await self._call("POST", "/resume", what)
        self.load.emptied()
        self._instances = [each.get("instance") for each in taken]
        self._name, self.version = weights.name, weights.version
        self._same(await self._held(what), weights=True)
        self._confirmed = time.monotonic()
        self.ready.set()

    # -- how it is asked -----------------------------------------------------------------------------------------

    async def _rpc(self, what: str, method: str, *arguments: Any) -> list[Any]:
        body = {"method": method, "args": list(arguments)}
        told = await self._call("POST", "/collective_rpc", what, json=body)
        results = told.get("results") if isinstance(told, dict) else None
        if not isinstance(results, list) or not results:
            raise Lost(f"{self.url} answered {str(told)[:200]} while {what}")
        return results

    async def _held(self, what: str, method: str = "agentrl_held", *arguments: Any) -> list[dict[str, Any]]:
        held = await self._rpc(what, method, *arguments)
        if not all(isinstance(each, dict) for each in held):
            raise Lost(f"{self.url} answered {str(held)[:200]} while {what}")
        return held

    async def _soon(self, method: str, path: str, what: str) -> Any:
        return await self._call(method, path, what, within_s=self._health_s)

    async def _call(self, method: str, path: str, what: str, *, within_s: float | None = None, **more: Any) -> Any:
        """Ask; return the JSON of the answer."""
        try:
            # httpx limits each read alone; a server that trickles would be waited for.
            async with asyncio.timeout(within_s or self._timeout_s):
                answer = await self._client.request(method, path, **more)
        except (TimeoutError, httpx.TimeoutException) as error:
            limit = f"{within_s:g} s" if within_s else f"engine.timeout_s={self._timeout_s:g}"
            raise Lost(f"{self.url} did not answer within {limit} while {what}") from error
        except httpx.HTTPError as error:
            raise Lost(
                f"{self.url} failed while {what}: {type(error).__name__}: {error}; see the server's own output"
            ) from error
        if answer.status_code in _OWN_FAULT and path == "/v1/completions":
            raise EngineError(f"{self.url} refused while {what}: {answer.status_code} {answer.text[:500]}")
        if answer.status_code != 200:
            raise Lost(f"{self.url} refused while {what}: {answer.status_code} {answer.text[:500]}")
        try:
            return answer.json() if answer.content else None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise Lost(f"{self.url} answered what is no JSON while {what}: {answer.text[:200]!r}") from error
