"""What a step's parts cost: seconds of sampling, training and passing weights on, as sums with few coefficients.

Each is one server's or one trainer's. They are measured (`probe.py`), or come from a device's data sheet with the
shares of it that are usually reached:

    a decoding step of n turns    step_s + n * turn_s + context * context_s          context: tokens of all n, cached
    reading                       begin_s + prompt_s a token
    an update                     update_s / T + trained_s * tokens / T              T: trainers
    FSDP's traffic                8 bytes a weight and micro-batch, (T - 1) / T      gathered twice, summed once
    weights to servers            weight_bytes written once, then fetched by each of their processes, all at once
    the proof after an update     proof_s: engine and trainer are compared
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from agentrl.trainer.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["DEVICES", "Costs", "Device", "Size", "find_device"]

_TRAFFIC: Final = 8  # bytes a weight of one micro-batch under FSDP
_FROZEN: Final = 4  # bytes a weight that is not trained, below adapters
_PROOF_STEPS: Final = 10  # of decoding, that the proof after an update takes
_MASTER: Final = 16  # bytes a weight that training keeps: weight, gradient and two moments in float32


@dataclass(frozen=True, kw_only=True)
class Size:
    """A model, counted on its configuration.

    Raises:
        ConfigError: A value is no whole number above 0.
    """

    parameters: int
    weight_bytes: int  # as servers hold it
    kv_bytes: int  # keys and values of a token
    hidden: int
    layers: int
    trained: int = 0  # of the parameters; 0: all

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if type(value) is not int or value < (name != "trained"):
                raise ConfigError(f"{name} of a model is {value!r}, but must be a whole number above 0")

    @classmethod
    def of(cls, model: str, *, itemsize: int) -> Self:
        """Count a model without loading its weights.

        Args:
            model: Folder, Hugging Face name, or bundled:NAME.
            itemsize: Bytes of a weight where it is sampled from.

        Raises:
            ConfigError: There is no such model, or it has experts: a token passes few of its weights, and data sheets
                say too little of what that costs.
        """
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        from agentrl.trainer.model import resolve_model

        try:
            config = AutoConfig.from_pretrained(resolve_model(model))
            with torch.device("meta"):
                made = AutoModelForCausalLM.from_config(config)
        except (OSError, ValueError) as error:
            raise ConfigError(f"the configuration of model {model!r} cannot be read: {error}") from error
        text = config.get_text_config()
        experts = next((n for n in ("num_experts", "num_local_experts", "n_routed_experts") if getattr(text, n, 0)), "")
        if experts:
            raise ConfigError(
                f"{model} has {getattr(text, experts)} experts, of which a data sheet says too little; leave --gpu out "
                "on a machine that has such a device, so that it is measured"
            )
        return cls.counted(made, itemsize=itemsize)

    @classmethod
    def counted(cls, model: PreTrainedModel, *, itemsize: int) -> Self:
        """Count a model that is there, its weights or only their shapes."""
        import torch

        from agentrl.trainer.engines.kvcache import token_bytes

        text = model.config.get_text_config()
        parameters = sum(weight.numel() for weight in model.parameters())  # tied ones count once
        return cls(
            parameters=parameters,
            weight_bytes=parameters * itemsize,
            kv_bytes=token_bytes(text, torch.bfloat16 if itemsize == 2 else torch.float32),
            hidden=text.hidden_size,
            layers=text.num_hidden_layers,
            trained=sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        )

    def trained_bytes(self, trainers: int, *, micro_batch_tokens: int, keeps_activations: bool, copies: bool) -> float:
        """Return what one of several trainers needs, an estimate.

        Args:
            trainers: That share weights, gradients and moments.
            micro_batch_tokens: Of one pass.
            keeps_activations: Whether all of a pass are kept, some 34 bytes a token, layer and hidden size (arXiv
                2205.05198, without attention's scores), or one tensor a layer.
            copies: Whether a whole copy is held to sample from.
        """
        activations = micro_batch_tokens * self.hidden * self.layers * (34 if keeps_activations else 2)
        trained = self.trained or self.parameters
        kept = _MASTER * trained + _FROZEN * (self.parameters - trained)
        return kept / trainers + activations + (self.weight_bytes if copies else 0)


@dataclass(frozen=True, kw_only=True)
class Device:
    """A GPU by its data sheet, and the shares of it that are usually reached."""

    name: str
    memory_bytes: float
    flops: float  # a second, dense bfloat16
    bytes_per_s: float  # of its memory
    trained_share: float = 0.35  # of `flops` in training; 0.345 and 0.365 were measured (perf/README.md)
    read_share: float = 0.5  # of `flops` in reading prompts
    decoded_share: float = 0.7  # of `bytes_per_s` and `flops` in decoding
    step_s: float = 0.003  # of a decoding step of vLLM, whatever the model: scheduling, launching, sampling
    own_step_s: float = 0.002  # more with the torch engine: 5.5 ms were measured on an H200 where vLLM should take 3.4


DEVICES: Final = {
    name: Device(name=name, memory_bytes=gb * 1e9, flops=tflops * 1e12, bytes_per_s=tbs * 1e12)
    for name, gb, tflops, tbs in (
        ("B200", 180, 2250, 7.7),
        ("H200", 141, 989, 4.8),
        ("H100", 80, 989, 3.35),
        ("A100", 80, 312, 2.04),
        ("L40S", 48, 362, 0.864),
        ("L4", 24, 121, 0.3),
        ("RTX 4090", 24, 165, 1.008),
    )
}
"""By the makers' data sheets, the SXM form where there are several."""


def find_device(name: str) -> Device:
    """Return a device by name.

    Raises:
        ConfigError: It is not known.
    """
    by_name = {each.lower().replace(" ", ""): device for each, device in DEVICES.items()}
    if device := by_name.get(name.lower().replace(" ", "")):
        return device
    near = difflib.get_close_matches(name.upper(), DEVICES, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(
        f"--gpu {name!r} is not known{hint}; there are {', '.join(DEVICES)}; without it the device here is measured"
    )


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds, of one device each; see the module.

    Raises:
        ConfigError: A value is no number, or negative.
    """

    device: str
    memory_bytes: float  # of a device; 0: not known
    step_s: float
    turn_s: float
    context_s: float
    prompt_s: float
    begin_s: float  # of turns that join, whatever they read: their first passes
    update_s: float
    trained_s: float
    proof_s: float = 0.0
    own_step_s: float = 0.0  # that a decoding step takes more where trainers sample, with the torch engine
    pushed_bytes_per_s: float = 1e9  # that weights are written at, or fetched by one process; measured, perf/README.md
    clerk_s: float = 0.0003  # of the trainer's own process, a turn; measured in perf/ray_envs.py
    overlaps: bool = True  # whether FSDP's traffic runs beside the computing; not where both need the processor
    traffic_share: float = 0.8  # of a link that is reached

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if name not in ("device", "overlaps") and not (type(value) in (int, float) and 0 <= value < math.inf):
                raise ConfigError(f"{name} is {value!r}, but must be a number, and 0 or more")
        if min(self.pushed_bytes_per_s, self.traffic_share) <= 0:
            raise ConfigError(
                f"pushed_bytes_per_s and traffic_share are {self.pushed_bytes_per_s!r} and {self.traffic_share!r}, but "
                "must be above 0"
            )

    @classmethod
    def of(cls, device: Device, size: Size, *, tensor_parallel: int = 1) -> Self:
        """Return the costs of a dense model by a device's data sheet.

        Args:
            device: One of them.
            size: Of the model.
            tensor_parallel: Devices of one server; each reads its part of the weights. What they say to each other is
                a tenth of a step for each doubling.
        """
        n = tensor_parallel
        told = 1 + 0.1 * (n.bit_length() - 1)
        reads, computes = device.bytes_per_s * device.decoded_share * n, device.flops * n
        return cls(
            device=device.name,
            memory_bytes=device.memory_bytes,
            step_s=device.step_s + told * size.weight_bytes / reads,
            turn_s=told * 2 * size.parameters / (computes * device.decoded_share),
            context_s=told * size.kv_bytes / reads,
            prompt_s=told * 2 * size.parameters / (computes * device.read_share),
            begin_s=0.0,
            update_s=3 * _MASTER * size.parameters / device.bytes_per_s,  # all that is kept is read, written, read
            trained_s=6 * size.parameters / (device.flops * device.trained_share),
            own_step_s=device.own_step_s,
            proof_s=_PROOF_STEPS * (device.step_s + told * size.weight_bytes / reads),
        )

    def training(self, tokens: float, *, trainers: int, size: Size, micro_batch_tokens: int, link: float) -> float:
        """Return seconds of an update on so many tokens.

        Args:
            tokens: Of all episodes of the step.
            trainers: Ranks that share it.
            size: Of the model.
            micro_batch_tokens: Of one pass.
            link: Bytes a second that one trainer receives.
        """
        width = min(micro_batch_tokens, max(1.0, tokens / trainers))
        rounds = math.ceil(tokens / (width * trainers))  # the last may leave trainers with nothing of use to do
        computed = tokens if trainers == 1 else rounds * width
        computing = self.update_s / trainers + self.trained_s * computed
        traffic = rounds * _TRAFFIC * size.parameters * (trainers - 1) / trainers / (link * self.traffic_share)
        return max(computing, traffic) if self.overlaps else computing + traffic

    def pushing(self, servers: int, *, trainers: int, size: Size, link: float, out: float) -> float:
        """Return seconds until all have new weights, and have proved that.

        Args:
            servers: Processes that fetch the weights from the first trainer; 0: each trainer samples from a copy.
            trainers: Whose parts are gathered first.
            size: Of the model.
            link: Bytes a second that one trainer receives.
            out: Bytes a second that the first trainer sends to servers.
        """
        gathered_s = 4 * size.parameters * (trainers - 1) / trainers / (link * self.traffic_share)
        if not servers:
            return self.proof_s + gathered_s
        alone_s = size.weight_bytes / self.pushed_bytes_per_s
        together_s = servers * size.weight_bytes / (out * self.traffic_share)
        return self.proof_s + gathered_s + alone_s + max(alone_s, together_s)

    def as_dict(self) -> dict[str, Any]:
        """Return what `from_dict` takes, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what `as_dict` wrote.

        Raises:
            ConfigError: It is something else.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"the costs of a probe cannot be read ({error}); measure again with --save") from error
