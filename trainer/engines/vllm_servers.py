"""vLLM as servers over HTTP: episodes are spread over them, and weights reach them through a folder that they see too.

Started by the user, one command each, on the machine or on others that mount `engine.weights_dir`:

    VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --logprobs-mode processed_logprobs --generation-config vllm \\
        --worker-extension-cls agentrl.trainer.engines.vllm_worker.WeightsExtension

On a CPU add `--enforce-eager --no-enable-chunked-prefill` (vLLM 0.32 fails on a chunk of a seeded request); its build
has no `vllm` command, so that `python -m vllm.entrypoints.openai.api_server --model MODEL` takes its place.

At an update a server is paused, told the folder, its prefix cache emptied, and resumed; turns under way are finished,
kept or aborted by the server itself. Limits: arrival decides the batches, so runs are not reproducible bit by bit, and
a turn that is cancelled goes on in its server. Weights are not sent by NCCL: no GPU was at hand to try it on.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import httpx
from safetensors.torch import save_file
from transformers import PreTrainedModel

from agentrl.trainer.engines.base import TIMEOUT_S, Engine, Request, Schedule, Session
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.engines.vllm_setup import check_head, check_version
from agentrl.trainer.errors import ConfigError, EngineError
from agentrl.trainer.lora import merged_weights
from agentrl.trainer.model import head_dtype
from agentrl.trainer.types import Completion

__all__ = ["VllmServers"]

_PAUSE = {"finish": "wait", "keep": "keep", "abort": "abort"}
_ENDS: dict[str, Literal["stop", "length", "abort"]] = {"stop": "stop", "length": "length", "abort": "abort"}
_EXTENSION = "agentrl.trainer.engines.vllm_worker.WeightsExtension"


class _Server:
    """One address."""

    def __init__(self, url: str, client: httpx.Client, timeout_s: float) -> None:
        self.url, self._client, self._timeout_s = url.rstrip("/"), client, timeout_s
        self.model = ""

    def call(self, method: str, path: str, what: str, **more: Any) -> Any:
        """Ask; return the JSON of the answer.

        Raises:
            EngineError: No answer in time, or one that says no.
        """
        try:
            answer = self._client.request(method, self.url + path, **more)
        except httpx.TimeoutException as error:
            raise EngineError(
                f"{self.url} did not answer within engine.timeout_s={self._timeout_s:g} while {what}"
            ) from error
        except httpx.HTTPError as error:
            raise EngineError(
                f"{self.url} failed while {what}: {type(error).__name__}: {error}; see the server's own output"
            ) from error
        if answer.status_code != 200:
            raise EngineError(f"{self.url} refused while {what}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else None

    def check(self, model: PreTrainedModel, max_tokens: int) -> None:
        """Ask what it is.

        Raises:
            ConfigError: It does not answer, is of another version, too short, or takes no weights.
        """
        try:
            self.call("GET", "/health", "asking whether it is there")
            version = self.call("GET", "/version", "asking for its version")["version"]
            models = self.call("GET", "/v1/models", "asking for its model")["data"]
        except EngineError as error:
            raise ConfigError(f"engine.urls: {error}; start it as agentrl.trainer.engines.vllm_servers says") from error
        check_version(str(version), where=self.url)
        self.model, longest = models[0]["id"], models[0].get("max_model_len")
        if longest is not None and longest < max_tokens:
            raise ConfigError(
                f"{self.url} takes {longest} tokens, and rollout.max_episode_tokens is {max_tokens}; start it with "
                f"--max-model-len {max_tokens}"
            )
        try:
            self.call("GET", "/is_paused", "asking whether it is paused")
        except EngineError as error:
            raise ConfigError(f"{self.url} takes no weights; start it with VLLM_SERVER_DEV_MODE=1 ({error})") from error
        if head_dtype(model) != model.dtype:
            body = {"method": "agentrl_head_dtype"}
            told = self.call("POST", "/collective_rpc", "asking for the precision of its logits", json=body)
            check_head(model, told["results"], url=self.url)

    def generate(self, request: Request, version: int) -> Completion:
        """Sample one turn."""
        what = f"sampling a turn of {len(request.prompt_ids)} prompt tokens and at most {request.max_new_tokens} new"
        body = {
            "model": self.model,
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
        choice = self.call("POST", "/v1/completions", what, json=body)["choices"][0]
        ids = choice.get("token_ids") or []
        logprobs = (choice.get("logprobs") or {}).get("token_logprobs") or []
        end = _ENDS.get(choice.get("finish_reason") or "")
        if end is None or len(ids) != len(logprobs):
            raise EngineError(
                f"{self.url} answered {len(ids)} tokens, {len(logprobs)} log-probabilities and the end "
                f"{choice.get('finish_reason')!r} while {what}"
            )
        return Completion(token_ids=ids, logprobs=logprobs, finish=end, version=version)

    def load(self, folder: Path, num_tensors: int, version: int, pause: str) -> None:
        """Pause, take over the weights in a folder, empty the prefix cache, go on."""
        what = f"taking over the weights of version {version}"
        self.call("POST", "/pause", what, params={"mode": pause, "clear_cache": "true"})
        try:
            try:
                taken = self.call(
                    "POST", "/collective_rpc", what, json={"method": "agentrl_load", "args": [str(folder)]}
                )
            except EngineError as error:
                raise EngineError(f"{error}; is it started with --worker-extension-cls {_EXTENSION}?") from error
            if not taken or any(each.get("tensors") != num_tensors for each in taken["results"]):
                raise EngineError(f"{self.url} took {taken} of {num_tensors} weight tensors in {folder}")
            emptied = self.call("POST", "/reset_prefix_cache", what, params={"reset_running_requests": "true"})
            if not emptied["success"]:
                raise EngineError(f"{self.url} would not empty its prefix cache, which older weights have filled")
        finally:
            self.call("POST", "/resume", what)


class _ServersSession(Session):
    def __init__(self, engine: VllmServers, server: _Server) -> None:
        self._engine, self._server = engine, server
        self._busy = self._closed = False

    async def generate(self, request: Request) -> Completion:
        self._engine.check()
        if self._busy or self._closed:
            raise EngineError("the session is closed, or still samples a turn: await that one first")
        if request.max_new_tokens < 1 or not request.prompt_ids:
            raise EngineError(
                f"nothing to do: max_new_tokens={request.max_new_tokens}, {len(request.prompt_ids)} prompt tokens"
            )
        self._busy = True
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._engine.pool, self._server.generate, request, self._engine.version)
        finally:
            self._busy = False

    def forget(self) -> None:
        """Nothing: vLLM's cache finds prefixes by their tokens and drops what is not used."""

    def close(self) -> None:
        self._closed = True


class VllmServers(Engine):
    """Sample on servers that run already; see the module for how to start one.

    Args:
        model: The trainer's, whose weights the servers get.
        max_tokens: Of an episode.
        max_sessions: Turns asked for at once.
        schedule: Must be "eager".
        options: `engine.*` of the configuration, with `urls`.

    Raises:
        ConfigError: A server is not there, not of a version that is known, or not started as it must be.
        EngineError: A server does not take the weights.
    """

    def __init__(
        self, model: PreTrainedModel, *, max_tokens: int, max_sessions: int, schedule: Schedule, options: EngineConfig
    ) -> None:
        if schedule != "eager":
            raise ConfigError(
                f"rollout.schedule is {schedule!r}, but servers batch turns as they come; type --rollout.schedule eager"
            )
        timeout_s = options.timeout_s or TIMEOUT_S
        self._model, self._pause = model, _PAUSE[options.in_flight or "finish"]
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=max_sessions)
        # No proxy of the environment: a server is where its address says.
        self._client = httpx.Client(timeout=httpx.Timeout(timeout_s, connect=10.0), limits=limits, trust_env=False)
        self.pool = ThreadPoolExecutor(max_sessions, thread_name_prefix="agentrl-vllm")
        self._servers = [_Server(url, self._client, timeout_s) for url in options.urls]
        self._turns = itertools.cycle(self._servers)
        self._temporary = None if options.weights_dir else tempfile.mkdtemp(prefix="agentrl-weights-")
        self._folder = Path(self._temporary or str(options.weights_dir)).resolve()
        self._closed = False
        try:
            for server in self._servers:
                server.check(model, max_tokens)
            self.update_weights(0)
        except BaseException:
            self.close()
            raise

    def session(self) -> Session:
        self.check()
        return _ServersSession(self, next(self._turns))

    def update_weights(self, version: int) -> None:
        """Write the weights to the folder and have every server load them.

        Raises:
            EngineError: The folder cannot be written, or a server does not take them.
        """
        self.check()
        folder = self._folder / f"version_{version}"
        try:
            num_tensors = _write(self._model, folder)
        except OSError as error:
            raise EngineError(f"weights cannot be written to {folder}: {error}; free some space, or mend it") from error
        try:
            with ThreadPoolExecutor(len(self._servers)) as pool:
                jobs = [pool.submit(each.load, folder, num_tensors, version, self._pause) for each in self._servers]
            _raise_first([job.exception() for job in jobs])
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self.version = version

    def check(self) -> None:
        """Raise EngineError when it is closed."""
        if self._closed:
            raise EngineError("the engine is closed")

    def close(self) -> None:
        self._closed = True
        self._client.close()
        self.pool.shutdown(wait=False, cancel_futures=True)
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)


def _write(model: PreTrainedModel, folder: Path) -> int:
    """Write the weights as one file of safetensors, a tied tensor once; return how many there are."""
    owners: dict[int, str] = {}
    state = model.state_dict()
    tied = {name for name, value in state.items() if owners.setdefault(value.data_ptr(), name) != name}
    weights = {name: value.detach().cpu().contiguous() for name, value in merged_weights(model) if name not in tied}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save_file(weights, folder / "model.safetensors")
    return len(weights)


def _raise_first(errors: Sequence[BaseException | None]) -> None:
    for error in errors:
        if error is not None:
            raise error
