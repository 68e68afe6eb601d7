"""How the vLLM servers of a run are started on this machine.

Each gets the model's configuration and no weights: those are pushed. With CUDA each has one GPU, in turn over those
that the trainer leaves free, or over all where there are too few; that was not tried here for want of GPUs.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from collections.abc import Set
from typing import Any

import torch
from transformers import PreTrainedModel

from agentrl.trainer.engines.fleet.process import FOLDER
from agentrl.trainer.engines.kvcache import token_bytes
from agentrl.trainer.engines.options import EngineConfig
from agentrl.trainer.spread import architecture, compute_dtype

__all__ = ["EXTENSION", "arguments_of", "devices_of", "served_config"]

EXTENSION = "agentrl.trainer.engines.vllm_worker.WeightsExtension"
"""What a server is started with, so that it takes weights."""

_CPU_BLOCK = 32  # of the cache, in tokens; vLLM's 128 would share little of short episodes
_CPU_CACHE_MB = 4096  # at most, unless said otherwise
_BESIDE, _ALONE = 0.3, 0.9  # share of a GPU: beside the trainer, and by itself


def served_config(model: PreTrainedModel) -> dict[str, Any]:
    """Return the `config.json` that a server is started with."""
    config = copy.deepcopy(model.config)
    config.architectures = [architecture(model)]  # a model that was never saved lacks it
    return dict(json.loads(config.to_json_string()))


def arguments_of(
    model: PreTrainedModel, *, max_tokens: int, max_sessions: int, options: EngineConfig
) -> tuple[list[str], list[dict[str, str]]]:
    """Return the command of the servers, and of each the settings of its environment.

    Args:
        model: The trainer's.
        max_tokens: Of an episode.
        max_sessions: Turns at once; a server may be left alone with all of them.
        options: `engine.*` of the configuration, with `servers`.
    """
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", FOLDER]
    command += ["--served-model-name", "agentrl", "--skip-tokenizer-init", "--load-format", "dummy"]
    command += ["--dtype", str(compute_dtype(model)).removeprefix("torch."), "--generation-config", "vllm"]
    command += ["--max-model-len", str(max_tokens), "--max-num-seqs", str(max_sessions)]
    command += ["--logprobs-mode", "processed_logprobs", "--worker-extension-cls", EXTENSION]
    shared = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_NO_USAGE_STATS": "1"}
    count = options.servers or 1
    if model.device.type == "cpu":
        of_token = token_bytes(model.config.get_text_config(), compute_dtype(model))
        blocks = -(-max_tokens // _CPU_BLOCK) * max_sessions + 1
        cache = min(2 * of_token * blocks * _CPU_BLOCK, _CPU_CACHE_MB << 20)
        if options.kv_cache_mb:
            cache = options.kv_cache_mb << 20
        command += ["--enforce-eager", "--no-enable-chunked-prefill", "--block-size", str(_CPU_BLOCK)]
        command += ["--kv-cache-memory-bytes", str(cache)]
        return command, [shared] * count
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # that torchrun has started on this host
    taken = set(range(ranks)) if ranks > 1 else {model.device.index or 0}
    devices, alone = devices_of(count, torch.cuda.device_count(), taken)
    share = options.gpu_memory_utilization or (_ALONE if alone else _BESIDE)
    command += ["--gpu-memory-utilization", str(share)]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(each) for each in range(torch.cuda.device_count())]
    return command, [{**shared, "CUDA_VISIBLE_DEVICES": names[device]} for device in devices]


def devices_of(count: int, available: int, taken: Set[int]) -> tuple[list[int], bool]:
    """Return a GPU for each server, and whether each has one to itself.

    Args:
        count: Servers.
        available: GPUs.
        taken: Those that ranks of the trainer have.

    >>> devices_of(2, 4, {0}), devices_of(3, 4, {0, 1}), devices_of(2, 1, {0})
    (([1, 2], True), ([0, 1, 2], False), ([0, 0], False))
    """
    free = [device for device in range(available) if device not in taken]
    alone = len(free) >= count
    among = free if alone else list(range(available))
    return [among[place % len(among)] for place in range(count)], alone
