"""vLLM itself, made from the trainer's model and stepped by one thread.

Departures from vLLM's defaults on a CPU: chunked prefill is off, since vLLM 0.32 fails on a chunk of a seeded request;
nothing is compiled, so that no C++ compiler is needed; a block of the cache has 32 tokens.
Sleeping follows vLLM's documentation; it needs CUDA and was not tried here.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from agentrl.trainer.engines.base import Request
from agentrl.trainer.engines.kvcache import token_bytes
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.engines.vllm_setup import check_head, check_version, quiet_vllm
from agentrl.trainer.errors import ConfigError, EngineError
from agentrl.trainer.lora import merged_weights, save_adapters

__all__ = ["Vllm"]

_BATCH_TOKENS = 16_384  # of one prefill
_CPU_BLOCK = 32  # vLLM's 128 would share little of short episodes
_CPU_CACHE_MB = 4096  # at most, unless said otherwise
_GPU_SHARE = 0.3  # the trainer needs the rest
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # those of adapters that vLLM 0.32 makes room for
_EXTENSION = "agentrl.trainer.engines.vllm_worker.WeightsExtension"


class Vllm:
    """One vLLM engine in this process; every method but the constructor belongs to one thread.

    Args:
        model: Its configuration and weights are taken over.
        max_tokens: Of prompt and completion together.
        max_sessions: Turns in a batch.
        options: `engine.*` of the configuration.
        partial: Whether tokens are wanted as they come; else with the end of a turn, which is faster.

    Raises:
        ConfigError: vLLM is missing or of another version, or an option does not fit the device.
    """

    def __init__(
        self, model: PreTrainedModel, *, max_tokens: int, max_sessions: int, options: EngineConfig, partial: bool
    ) -> None:
        check_version()
        for name, needed in (("kv_cache_mb", "cpu"), ("gpu_memory_utilization", "cuda"), ("sleep_level", "cuda")):
            value = getattr(options, name)
            if value is not None and model.device.type != needed:
                raise ConfigError(
                    f"engine.{name} is {value!r}, which changes nothing on device {model.device}; leave it out"
                )
        self._model, self._options, self._partial = model, options, partial
        self._max_tokens, self._max_sessions = max_tokens, max_sessions
        self._llm: Any = None
        self._asleep = False
        self._adapters: Any = None  # vLLM's name for those pushed last
        self._numbers = itertools.count(1)
        self._folder = tempfile.TemporaryDirectory(prefix="agentrl-adapters-")

    def start(self) -> None:
        """Load vLLM and make the engine, with the model's weights."""
        with quiet_vllm(), tempfile.TemporaryDirectory() as folder:
            from vllm.engine.arg_utils import EngineArgs
            from vllm.platforms import current_platform
            from vllm.v1.engine.llm_engine import LLMEngine

            if self._model.device.type == "cpu":
                # Else one function is compiled by a C++ compiler: 20 s at the first token, and an error without one.
                type(current_platform).simple_compile_backend = "eager"
            config = copy.deepcopy(self._model.config)
            config.architectures = [type(self._model).__name__]  # a model that was never saved lacks it
            config.save_pretrained(folder)
            if self._options.adapters:  # layers that adapters are added to cannot be filled later
                self._model.save_pretrained(folder, state_dict=dict(merged_weights(self._model, adapters=False)))
            self._llm = LLMEngine.from_engine_args(EngineArgs(**self._arguments(folder)))
            check_head(self._model, self._llm.collective_rpc("agentrl_head_dtype"))
            self.load()

    def add(self, id: str, request: Request, *, salt: str) -> None:
        """Put a turn into the batch; its cached prefixes are those of the same salt."""
        from vllm.sampling_params import RequestOutputKind, SamplingParams

        if self._asleep:
            self._rouse()
        params = SamplingParams(
            max_tokens=request.max_new_tokens,
            temperature=request.temperature,
            seed=request.seed & (2**63 - 1),
            stop_token_ids=sorted(request.stop_ids),
            ignore_eos=True,  # what ends a turn is in the request
            logprobs=0,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA if self._partial else RequestOutputKind.FINAL_ONLY,
        )
        prompt = {"prompt_token_ids": list(request.prompt_ids), "cache_salt": salt}
        self._llm.add_request(id, prompt, params, lora_request=self._adapters)

    def step(self) -> list[Any]:
        """Decode a token of every turn; return vLLM's outputs."""
        outputs: list[Any] = self._llm.step()
        return outputs

    def abort(self, ids: Sequence[str]) -> None:
        """Take turns out of the batch."""
        self._llm.abort_request(list(ids))

    def load(self) -> None:
        """Push the model's weights, or its adapters, then drop what older ones computed, of turns under way too.

        Raises:
            EngineError: Not all were taken, or the prefix cache was not emptied.
        """
        if self._asleep:
            self._rouse()
            return
        if self._options.adapters:
            self._push_adapters()
        else:
            self._push_weights()
        if not self._llm.reset_prefix_cache(reset_running_requests=True):
            raise EngineError("vLLM would not empty its prefix cache, which older weights have filled")

    def _push_weights(self) -> None:
        weights = list(merged_weights(self._model))  # adapters added in, names as in a checkpoint
        taken = self._llm.collective_rpc("agentrl_load", args=(iter(weights),))
        if any(each["tensors"] != len(weights) for each in taken):
            raise EngineError(f"vLLM took {taken} of {len(weights)} weight tensors")

    def _push_adapters(self) -> None:
        from vllm.lora.request import LoRARequest

        before, folder = self._adapters, Path(self._folder.name) / f"{next(self._numbers)}"
        save_adapters(self._model, folder)
        number = int(folder.name)
        self._adapters = LoRARequest(lora_name=folder.name, lora_int_id=number, lora_path=str(folder))
        if not self._llm.add_lora(self._adapters):
            raise EngineError(f"vLLM did not take the adapters of update {number}")
        if before is not None:
            self._llm.remove_lora(before.lora_int_id)
            shutil.rmtree(before.lora_path)

    @property
    def may_sleep(self) -> bool:
        """Whether it could sleep, and does not."""
        return self._options.sleep_level is not None and not self._asleep

    def sleep(self) -> None:
        """Give the memory to the trainer, until the next turn or update."""
        self._llm.sleep(self._options.sleep_level)
        self._asleep = True

    def close(self) -> None:
        """End vLLM and its process group; may be called twice."""
        self._folder.cleanup()
        llm, self._llm = self._llm, None
        if llm is None:
            return
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        with contextlib.suppress(Exception):  # it may have died before
            llm.engine_core.shutdown()
        del llm
        with contextlib.suppress(Exception):
            cleanup_dist_env_and_memory()

    def _rouse(self) -> None:
        # Level 2 has dropped the weights: they are pushed again, before there is a cache that older ones could fill.
        self._llm.wake_up(tags=["weights"])
        self._asleep = False
        self.load()
        self._llm.wake_up(tags=["kv_cache"])

    def _arguments(self, folder: str) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": folder,
            "load_format": "auto" if self._options.adapters else "dummy",  # else the weights come from the trainer
            "skip_tokenizer_init": True,
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "max_model_len": self._max_tokens,
            "max_num_seqs": self._max_sessions,
            "max_num_batched_tokens": max(_BATCH_TOKENS, self._max_tokens),
            "enable_prefix_caching": True,
            "logprobs_mode": "processed_logprobs",
            "generation_config": "vllm",  # no defaults of the model's own
            "disable_log_stats": True,
            "worker_extension_cls": _EXTENSION,
        }
        if self._options.adapters:
            settings: Any = self._model.peft_config
            rank = next(size for size in _RANKS if size >= settings["default"].r)
            arguments |= {"enable_lora": True, "max_lora_rank": rank, "max_loras": 1, "max_cpu_loras": 2}
        if self._model.device.type == "cpu":
            return arguments | {
                "enforce_eager": True,
                "enable_chunked_prefill": False,
                "block_size": _CPU_BLOCK,
                "kv_cache_memory_bytes": self._cache_bytes(),
            }
        return arguments | {
            "gpu_memory_utilization": self._options.gpu_memory_utilization or _GPU_SHARE,
            "enable_sleep_mode": self._options.sleep_level is not None,
        }

    def _cache_bytes(self) -> int:
        of_token = token_bytes(self._model.config.get_text_config(), self._model.dtype)
        num_blocks = -(-self._max_tokens // _CPU_BLOCK) * self._max_sessions + 1
        wanted = 2 * of_token * num_blocks * _CPU_BLOCK  # twice: what episodes have said stays while they wait
        megabytes = self._options.kv_cache_mb
        return megabytes << 20 if megabytes else min(wanted, _CPU_CACHE_MB << 20)
