"""Low-rank adapters: train a small matrix pair beside each linear layer, and leave the model's own weights as they are.

The layers are those of the library peft. Adapters are float32 whatever the model is; they begin at zero, so that the
first step samples from the model as it was. A checkpoint has them in `adapter/`, in peft's layout, and, unless
`lora.merge` says otherwise, the whole model with the adapters added in.

Source: LoRA, arXiv 2106.09685, section 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from agentrl.trainer.errors import ConfigError
from agentrl.trainer.spread import compute_dtype, is_sharded, whole

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["FOLDER", "NO_ADAPTERS", "LoraConfig", "add_adapters", "load_adapters", "merged_weights", "save_adapters"]

FOLDER: Final = "adapter"
"""Where a checkpoint keeps its adapters."""

_PREFIX = "base_model.model."  # peft's, of a wrapped model; its own loader wants it
_INSIDE = ".base_layer."  # where peft moves the weights of a layer that it wraps


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Train adapters in place of the model's own weights.

    Raises:
        ConfigError: A value is out of range, or would change nothing without adapters.
    """

    rank: int = 0  # of each adapter; 0: no adapters, the whole model is trained
    alpha: float | None = None  # adapters are scaled by alpha / rank; None: twice the rank
    layers: str | None = None  # names of layers, separated by commas, like q_proj,v_proj; None: every linear layer
    merge: bool | None = None  # whether checkpoints also hold the whole model with adapters added in; None: True

    def __post_init__(self) -> None:
        if self.rank < 0:
            raise ConfigError(f"lora.rank is {self.rank}, but must be 0 (no adapters) or more; write 16")
        for name in ("alpha", "layers", "merge"):
            if not self.rank and getattr(self, name) is not None:
                raise ConfigError(
                    f"lora.{name} is {getattr(self, name)!r}, which changes nothing without adapters; leave it out, or "
                    "set lora.rank to 16"
                )
        if self.alpha is not None and not self.alpha > 0:
            raise ConfigError(f"lora.alpha is {self.alpha}, but must be above 0; leave it out for twice the rank")

    @property
    def merges(self) -> bool:
        """Whether checkpoints hold the whole model too."""
        return self.merge is not False


NO_ADAPTERS: Final = LoraConfig()


def add_adapters(model: PreTrainedModel, config: LoraConfig, *, seed: int) -> None:
    """Put adapters into a model, in place, and freeze all else.

    Args:
        model: A causal language model.
        config: `rank` above 0.
        seed: Decides how they begin; the global generator is left alone.

    Raises:
        ConfigError: peft is not installed, or no layer has one of the names.
    """
    peft = _peft()
    wanted = "all-linear" if config.layers is None else [name.strip() for name in config.layers.split(",")]
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=2 * config.rank if config.alpha is None else config.alpha,
        target_modules=wanted,
        task_type="CAUSAL_LM",
        base_model_name_or_path=model.config.name_or_path,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            peft.inject_adapter_in_model(settings, model)
        except ValueError as error:
            linear = sorted({name.rpartition(".")[2] for name, part in model.named_modules() if _is_linear(part)})
            raise ConfigError(
                f"lora.layers is {config.layers!r}, but the model has none of them; it has {', '.join(linear)}"
            ) from error
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def merged_weights(model: PreTrainedModel, *, adapters: bool = True) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and value of every weight as a model without adapters has them.

    Without adapters these are `model.state_dict()`'s. Tied weights come under each of their names. A model that is
    spread over ranks is gathered weight by weight, in the precision it computes in: all ranks must take them all.

    Args:
        model: With adapters or without.
        adapters: Whether they are added in, or left out.
    """
    deltas = {
        name: part.get_delta_weight("default")
        for name, part in model.named_modules()
        if adapters and hasattr(part, "get_delta_weight")
    }
    for name, weight in model.state_dict().items():
        if ".lora_" in name:
            continue
        owner, inside, last = name.partition(_INSIDE)
        if not inside:
            yield name, _gathered(model, weight)
        elif last == "weight" and owner in deltas:
            merged = (weight.float() + deltas[owner].float()).to(weight.dtype)
            yield f"{owner}.weight", _gathered(model, merged)
        else:
            yield f"{owner}.{last}", _gathered(model, weight)


def _gathered(model: PreTrainedModel, weight: Tensor) -> Tensor:
    if not is_sharded(model):
        return weight
    return whole(weight.to(compute_dtype(model)) if weight.is_floating_point() else weight)


def save_adapters(model: PreTrainedModel, folder: Path, *, writes: bool = True) -> None:
    """Write the adapters to a folder that `peft.PeftModel.from_pretrained(base, folder)` reads.

    Args:
        model: With adapters.
        folder: Made here.
        writes: Whether this rank writes; the others of a model that is spread over them help to gather.
    """
    from safetensors.torch import save_file

    state = {name: whole(value) for name, value in _peft().get_peft_model_state_dict(model).items()}
    if not writes:
        return
    folder.mkdir()
    save_file({f"{_PREFIX}{name}": value.contiguous() for name, value in state.items()}, folder / _WEIGHTS)
    settings: Any = model.peft_config
    settings["default"].save_pretrained(folder)


def load_adapters(model: PreTrainedModel, folder: Path) -> None:
    """Take over what `save_adapters` wrote, after `add_adapters` with the same configuration."""
    from safetensors.torch import load_file

    state = {name.removeprefix(_PREFIX): value for name, value in load_file(folder / _WEIGHTS).items()}
    _peft().set_peft_model_state_dict(model, state)


_WEIGHTS = "adapter_model.safetensors"


def _is_linear(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear)


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise ConfigError("lora.rank needs the library peft; type: pip install 'agentrl-gym[lora]'") from error
    return peft
