"""Load a causal language model and its tokenizer, and turn hidden states into logits at chosen places only.

`model(...).logits` of a whole batch is often the largest tensor of a training step. Here the head is applied to the
places that are trained on. A model that changes its logits after the head in a way not known here is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from agentrl.trainer.attention import NAME as ATTENTION
from agentrl.trainer.errors import ConfigError
from agentrl.trainer.spread import COMPUTE_DTYPE, compute_dtype, is_sharded

__all__ = [
    "BUNDLED",
    "Head",
    "check_fits",
    "forget_activations",
    "head_dtype",
    "load_model",
    "load_tokenizer",
    "pick_device",
    "resolve_model",
]

BUNDLED = {"bundled:search-tiny": "search-tiny"}
"""Models that come with the package."""


class Head:
    """Map hidden states (…, H) to the model's logits (…, V), in the precision of `head_dtype`.

    In float32 over weights of fewer bits, logits are not rounded to these bits. It takes a float32 copy of the output
    layer's weights for the time of a call, and until the backward pass where there is one.

    Raises:
        ConfigError: When head(hidden) differs from the model's own logits, or the output layer is no linear one and
            cannot be computed in float32.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._widened = head_dtype(model) != compute_dtype(model)
        if self._widened and type(model.get_output_embeddings()) is not nn.Linear:
            raise ConfigError(
                f"head_dtype is 'float32', but the output layer of {type(model).__name__} is a "
                f"{type(model.get_output_embeddings()).__name__}, of which only its own forward pass is known; leave "
                "head_dtype out, or lora.layers without the output layer"
            )
        config = model.config.get_text_config()
        self._softcap = getattr(config, "final_logit_softcapping", None)  # Gemma
        divisor = getattr(config, "logits_scaling", None) or 1  # Granite
        self._scale = getattr(config, "logit_scale", None) or 1 / divisor  # Cohere
        if not is_sharded(model):  # else it was made, and so probed, before
            self._probe()

    def __call__(self, hidden: Tensor) -> Tensor:
        layer = self._model.get_output_embeddings()
        if self._widened:
            bias = None if layer.bias is None else layer.bias.float()
            logits: Tensor = nn.functional.linear(hidden.float(), layer.weight.float(), bias) * self._scale
        else:
            logits = layer(hidden) * self._scale
        return self._softcap * torch.tanh(logits / self._softcap) if self._softcap else logits

    @torch.no_grad()
    def _probe(self) -> None:
        ids = torch.arange(8, device=self._model.device)[None] % self._model.config.get_text_config().vocab_size
        training = self._model.training
        self._model.eval()
        wanted = self._model(input_ids=ids).logits.float()
        hidden = getattr(self._model.base_model(input_ids=ids), "last_hidden_state", None)
        got = wanted.new_zeros(()) if hidden is None else self(hidden).float()
        self._model.train(training)
        if got.shape != wanted.shape or not torch.allclose(
            wanted, got, rtol=1e-2, atol=1e-3 * float(wanted.abs().max())
        ):
            name = type(self._model).__name__
            raise ConfigError(
                f"{name} changes its logits after the output layer in a way that is not supported; try a Qwen3, "
                "Llama or Mistral model"
            )


def head_dtype(model: PreTrainedModel) -> torch.dtype:
    """Return the precision of the output layer's product and of the logits: float32 where the configuration says so.

    The key `head_dtype` is vLLM's, which finds it in the same place.
    """
    said = str(getattr(model.config, "head_dtype", None)).removeprefix("torch.")
    return torch.float32 if said == "float32" else compute_dtype(model)


def pick_device(device: str) -> torch.device:
    """Return the device for "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        ConfigError: When it is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"device={device!r} is no device; type auto, cpu or cuda") from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            f"device={device!r} was asked for, but torch {torch.__version__} sees no CUDA device; type --device cpu"
        )
    return found


def resolve_model(name: str) -> str:
    """Return the path or hub name that `--model` means.

    Raises:
        ConfigError: For a bundled model that does not exist, or a path without a model.
    """
    if name.startswith("bundled:"):
        if name not in BUNDLED:
            raise ConfigError(f"model={name!r} is not bundled; there is {', '.join(BUNDLED)}")
        return str(resources.files("agentrl.trainer") / "bundled" / BUNDLED[name])
    path = Path(name).expanduser()
    if path.exists():
        if not (path / "config.json").is_file():
            raise ConfigError(
                f"model={name!r} is a path without config.json; give the folder that save_pretrained wrote, such as "
                "runs/NAME/checkpoints/step_100"
            )
        return str(path)
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ConfigError(
            f"model={name!r} does not exist; give a folder with config.json, a Hugging Face name such as "
            "Qwen/Qwen3-0.6B, or bundled:search-tiny"
        )
    return name


def check_fits(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, max_tokens: int) -> None:
    """Refuse a model with fewer places than an episode may have tokens, or fewer tokens than its tokenizer.

    Raises:
        ConfigError: As said.
    """
    config = model.config.get_text_config()
    places = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if isinstance(places, int) and places < max_tokens:
        raise ConfigError(
            f"the model has places for {places} tokens and rollout.max_episode_tokens is {max_tokens}; "
            f"type --rollout.max-episode-tokens {places}"
        )
    known = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > known:
        raise ConfigError(
            f"the tokenizer has {len(tokenizer)} tokens and the model knows {known}; they do not belong together"
        )


def forget_activations(model: PreTrainedModel) -> None:
    """Have layers keep their input alone and compute the rest again in the backward pass, while in training mode.

    Dropout is turned off for good, since training mode would turn it on.

    Raises:
        ConfigError: The model cannot.
    """
    if not model.supports_gradient_checkpointing:
        raise ConfigError(
            f"gradient_checkpointing is true, but {type(model).__name__} has no layers that can; leave it out"
        )
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        if isinstance(getattr(part, "attention_dropout", None), float):
            part.attention_dropout = 0.0


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a model by name or path."""
    return _loaded(name, AutoTokenizer.from_pretrained)


def load_model(
    name: str, *, device: torch.device, dtype: str = "auto", head_dtype: str | None = None, precise: bool = False
) -> PreTrainedModel:
    """Load a causal model: bfloat16 on CUDA and float32 on CPU unless `dtype` says otherwise.

    Args:
        name: Folder, Hugging Face name or bundled model.
        device: Where it goes.
        dtype: "auto", "float32" or "bfloat16".
        head_dtype: "float32" for an output layer in float32, written into the model's configuration; None: as that
            says.
        precise: Load float32 weights whatever `dtype` is, and leave them on the CPU: to be spread over ranks, which
            compute in `dtype` on `device`.

    Raises:
        ConfigError: When there is no such model, it cannot be loaded, or `head_dtype` changes nothing.
    """
    wanted = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    wanted["auto"] = wanted["bfloat16" if device.type == "cuda" else "float32"]
    if dtype not in wanted:
        raise ConfigError(f"dtype={dtype!r} is unknown; type one of {', '.join(sorted(wanted))}")
    if head_dtype and wanted[dtype] == torch.float32:
        raise ConfigError(
            f"head_dtype is {head_dtype!r}, which changes nothing where dtype={dtype!r} is float32 ({device}); leave "
            "it out, or type --dtype bfloat16"
        )
    kept = torch.float32 if precise else wanted[dtype]
    model: PreTrainedModel = _loaded(
        name,
        lambda path: AutoModelForCausalLM.from_pretrained(path, dtype=kept, attn_implementation=ATTENTION),
    ).to("cpu" if precise else device)
    if not model._supports_sdpa:  # our attention would leave out what its own adds, such as sinks
        raise ConfigError(
            f"model={name!r}: {type(model).__name__} has an attention of its own that is not supported; try a Qwen3, "
            "Llama or Mistral model"
        )
    cap = getattr(model.config.get_text_config(), "attn_logit_softcapping", None)
    if cap:  # Transformers' sdpa leaves it out without a word
        raise ConfigError(
            f"model={name!r}: {type(model).__name__} caps its attention (attn_logit_softcapping={cap:g}), which is not "
            "supported; try a Qwen3, Llama, Mistral or Gemma 3 model"
        )
    if head_dtype:
        model.config.head_dtype = head_dtype
    if precise:
        setattr(model, COMPUTE_DTYPE, wanted[dtype])
    return model


def _loaded(name: str, load: Callable[[str], Any]) -> Any:
    path = resolve_model(name)
    try:
        return load(path)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(
            f"model={name!r} could not be loaded: {first} Give a folder, a Hugging Face name such as Qwen/Qwen3-0.6B, "
            "or bundled:search-tiny."
        ) from error
