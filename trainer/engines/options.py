"""What is chosen about the engine: which one, and the options that only some of them have."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields

from agentrl.trainer.engines import ENGINES
from agentrl.trainer.errors import ConfigError

__all__ = ["EngineConfig"]

_IN_FLIGHT = ("finish", "keep", "abort")


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """The engine of a run; an option that the chosen engine does not have must be left out.

    Raises:
        ConfigError: A value is out of range, or would change nothing.
    """

    name: str = "torch"  # torch, or vllm
    urls: tuple[str, ...] = ()  # vllm: addresses of servers that run already; none: in the trainer's own process
    servers: int | None = None  # vllm: how many servers the run starts on this machine, in place of urls
    weights_dir: str | None = None  # vllm servers: folder that they see too, for weights; none: over HTTP
    weights_host: str | None = None  # vllm servers: HOST or HOST:PORT for weights over HTTP; none: 127.0.0.1
    health_s: float | None = None  # vllm servers: between two looks, and for an answer to each; none: 5
    in_flight: str | None = None  # vllm: turns under way at an update: finish (default), keep or abort
    timeout_s: float | None = None  # of one pass (torch), or of one turn once it runs and one update (vllm); none: 600
    kv_cache_mb: int | None = None  # torch, or vllm in process on a CPU: of keys and values; none: for all episodes
    gpu_memory_utilization: float | None = None  # vllm in process, on CUDA: share of the memory; none: 0.3
    adapters: bool | None = None  # vllm in process, with lora.rank: push adapters alone, and let vLLM add them in
    sleep_level: int | None = None  # vllm in process, on CUDA: 1 (weights to the host) or 2 (dropped) while training

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            near = difflib.get_close_matches(self.name, ENGINES, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"engine.name is {self.name!r}{hint}; there are {', '.join(ENGINES)}")
        given = [each.name for each in fields(self)[1:] if getattr(self, each.name) not in (None, ())]
        foreign = [name for name in given if name not in ("kv_cache_mb", "timeout_s")] if self.name == "torch" else []
        if foreign:
            raise ConfigError(
                f"engine.{foreign[0]} is {getattr(self, foreign[0])!r}, which changes nothing with engine.name "
                "'torch'; leave it out, or write name = 'vllm'"
            )
        if self.urls and self.servers is not None:
            raise ConfigError(
                f"engine.urls and engine.servers = {self.servers} exclude each other: servers that run already, or "
                "some that the run starts; leave one of them out"
            )
        if self.servers is not None and self.servers < 1:
            raise ConfigError(f"engine.servers is {self.servers}, but must be above 0; leave it out for none")
        unused: tuple[str, ...] = ("weights_dir", "weights_host", "health_s")
        where = "without engine.urls or engine.servers"
        if self.urls:
            unused = ("kv_cache_mb", "gpu_memory_utilization", "adapters", "sleep_level")
            where = "beside engine.urls: say it where the servers are started"
        elif self.servers:
            unused, where = ("adapters", "sleep_level"), "with engine.servers, which get all weights and do not sleep"
        for name in unused:
            if name in given:
                raise ConfigError(f"engine.{name} is {getattr(self, name)!r}, which changes nothing {where}")
        if self.in_flight not in (None, *_IN_FLIGHT):
            raise ConfigError(f"engine.in_flight is {self.in_flight!r}; there are {', '.join(_IN_FLIGHT)}")
        if self.weights_dir and self.weights_host:
            raise ConfigError(
                f"engine.weights_dir and engine.weights_host = {self.weights_host!r} exclude each other: weights go "
                "through a folder or over HTTP; leave one of them out"
            )
        for name in ("timeout_s", "kv_cache_mb", "health_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"engine.{name} is {value!r}, but must be above 0")
        if self.adapters and (self.in_flight == "keep" or self.sleep_level == 2):
            other = "in_flight = 'keep'" if self.in_flight == "keep" else "sleep_level = 2"
            why = (
                "a turn ends with the adapters it began with" if self.in_flight == "keep" else "weights are not pushed"
            )
            raise ConfigError(f"engine.adapters does not go with engine.{other}: {why}; leave one of them out")
        share = self.gpu_memory_utilization
        if share is not None and not 0 < share < 1:
            raise ConfigError(f"engine.gpu_memory_utilization is {share!r}, but must lie between 0 and 1")
        if self.sleep_level not in (None, 1, 2):
            raise ConfigError(f"engine.sleep_level is {self.sleep_level!r}, but must be 1 or 2; leave it out for none")
        for url in self.urls:
            if not url.startswith(("http://", "https://")):
                raise ConfigError(
                    f"engine.urls has {url!r}, which is no address; write one such as http://127.0.0.1:8000"
                )

    @property
    def remote(self) -> bool:
        """Whether turns are sampled by servers."""
        return bool(self.urls) or self.servers is not None
