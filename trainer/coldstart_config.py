"""What a cold start is made of, apart from what runs it: a command line is read without loading a model's code."""

from __future__ import annotations

from dataclasses import dataclass, field

from agentrl.trainer.config import Scalar
from agentrl.trainer.errors import ConfigError

__all__ = ["ColdstartConfig"]


@dataclass(frozen=True, kw_only=True)
class ColdstartConfig:
    """A supervised run on demonstrations.

    Raises:
        ConfigError: A value is out of range, or would change nothing.
    """

    env: str = "AgentRL/Search-v0"  # whose tasks are demonstrated
    env_kwargs: dict[str, Scalar] = field(default_factory=dict)  # passed to gymnasium.make
    level: int | None = 2  # difficulty; none: the environment's default
    num_demonstrations: int = 0  # different ones, in turn; 0: always fresh ones (a slow grader takes long over them)
    demonstrations: str | None = None  # JSONL of conversations instead of the environment's own policy
    model: str = "tiny"  # "tiny" makes one from nothing; else a folder or Hugging Face name to fine-tune
    name: str | None = None  # of the run folder; none: coldstart and the next free number
    out: str = "runs"  # where run folders are
    seed: int = 0
    device: str = "auto"
    threads: int = 0  # of torch on the CPU; 0: torch's default
    vocab_size: int = 2048  # of the tiny model's tokenizer
    copy_steps: int = 2500  # of the tiny model: random sequences that repeat
    num_steps: int = 1100  # on demonstrations
    batch_size: int = 48  # conversations a step
    lr: float = 1.5e-3  # highest rate; a tenth at the end
    max_tokens: int = 2048  # a longer conversation is refused
    verify: str | None = None  # expected hash of the weights

    def __post_init__(self) -> None:
        for name in ("vocab_size", "num_steps", "batch_size", "lr", "max_tokens"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)!r}, but must be above 0")
        for name in ("seed", "threads", "copy_steps", "num_demonstrations"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)!r}, but must be 0 or more")
        if self.model != "tiny":
            self._refuse_unless_default(f"with model={self.model!r}", "vocab_size", "copy_steps")
        if self.demonstrations is not None:
            self._refuse_unless_default("beside demonstrations", "env", "level", "num_demonstrations")
        if self.vocab_size < 300:
            raise ConfigError(
                f"vocab_size is {self.vocab_size}, but the bytes and control tokens alone take 265; write 2048"
            )

    def _refuse_unless_default(self, why: str, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value != getattr(ColdstartConfig, name):
                raise ConfigError(f"{name} is {value!r}, which changes nothing {why}; leave it out")
