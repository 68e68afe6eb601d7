"""How many worker processes hold the environments, and what each asks of its host."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from agentrl.trainer.errors import ConfigError

__all__ = ["RayConfig", "num_workers_of"]

_EXAMPLE = "ray:4"


@dataclass(frozen=True, kw_only=True)
class RayConfig:
    """The Ray cluster of `env_workers`, and what each worker asks of it.

    Raises:
        ConfigError: A value is out of range.
    """

    address: str | None = None  # HOST:PORT, or auto; none: that of RAY_ADDRESS, else a cluster for this run alone
    num_cpus: float = 1.0  # of each worker
    memory_mb: int | None = None  # of each worker; none: not looked at
    resources: dict[str, float] = field(default_factory=dict)  # of each worker: names that the hosts were started with
    start_timeout_s: float = 60.0  # until all workers have places, and until a lost one is back

    def __post_init__(self) -> None:
        amounts = {"num_cpus": self.num_cpus, **{f"resources.{name}": each for name, each in self.resources.items()}}
        for name, amount in amounts.items():
            if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < math.inf:
                raise ConfigError(f"ray.{name} is {amount!r}, but must be a number of 0 or more")
        if self.memory_mb is not None and self.memory_mb < 1:
            raise ConfigError(f"ray.memory_mb is {self.memory_mb!r}, but must be 1 or more; leave it out for any")
        if not 0 < self.start_timeout_s < math.inf:
            raise ConfigError(f"ray.start_timeout_s is {self.start_timeout_s!r}, but must be a number above 0")

    def check(self, env_workers: str | None) -> None:
        """Refuse settings that would change nothing.

        Raises:
            ConfigError: `env_workers` is wrong, or there is none and something is set here.
        """
        if num_workers_of(env_workers):
            return
        for each in dataclasses.fields(self):
            value, default = getattr(self, each.name), getattr(RayConfig(), each.name)
            if value != default:
                raise ConfigError(
                    f"ray.{each.name} is {value!r}, which changes nothing without env_workers; leave it out, or write "
                    f"env_workers = {_EXAMPLE!r}"
                )

    def options(self) -> dict[str, Any]:
        """Return what a worker asks for, as Ray names it."""
        memory = {} if self.memory_mb is None else {"memory": self.memory_mb * 2**20}
        return {"num_cpus": self.num_cpus, "resources": dict(self.resources), **memory}

    def told(self) -> str:
        """Return what a worker asks for, in words."""
        memory = {} if self.memory_mb is None else {"memory_mb": self.memory_mb}
        asked = {"num_cpus": self.num_cpus, **memory, **self.resources}
        return ", ".join(f"{name} {amount:g}" for name, amount in asked.items())


def num_workers_of(env_workers: str | None) -> int:
    """Return how many worker processes `ray:N` asks for; 0 where environments stay in this process.

    Raises:
        ConfigError: It is not `ray:N`.

    >>> num_workers_of("ray:4")
    4
    """
    if env_workers is None:
        return 0
    kind, _, number = env_workers.partition(":")
    if kind != "ray":
        raise ConfigError(f"env_workers is {env_workers!r}, but environments go to Ray alone; write {_EXAMPLE}")
    if not number.isascii() or not number.isdigit() or int(number) < 1:
        raise ConfigError(
            f"env_workers is {env_workers!r}, but must be ray:N with N worker processes of 1 or more; write {_EXAMPLE}"
        )
    return int(number)
