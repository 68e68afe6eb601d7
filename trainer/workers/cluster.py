"""The Ray cluster of a run: the one that this process is in already, one by its address, or one for this run alone."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from agentrl.trainer.errors import ConfigError, WorkersError
from agentrl.trainer.workers.config import RayConfig

__all__ = ["joined"]

_OBJECTS: Final = 128 * 2**20  # bytes of shared memory of a cluster of our own: what travels is small
_KNOCK_S: Final = 5.0
_STARTS: Final = 3  # of a cluster of our own: Ray gives a head half a minute, which a busy machine may exceed


@contextmanager
def joined(config: RayConfig, num_workers: int) -> Iterator[Any]:
    """Be part of the cluster; yield the module `ray`.

    A cluster of our own has places for all workers, and ends with the context, or with this process.

    Raises:
        ConfigError: Ray is not installed, or nothing answers at the address.
        WorkersError: The cluster cannot be joined.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError("env_workers needs Ray; type: pip install 'agentrl-gym[ray]'") from error
    if ray.is_initialized():  # it belongs to whoever did that
        yield ray
        return
    address = config.address or os.environ.get("RAY_ADDRESS") or "local"
    _knock(address)
    # Ray would end this process when its head is away for a minute; `RayWorkers` says so before, and as an error.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "86400")
    own: dict[str, Any] = {}
    if address == "local":
        own = {
            "num_cpus": max(1, math.ceil(num_workers * config.num_cpus)),
            "resources": {name: num_workers * amount for name, amount in config.resources.items()},
            "include_dashboard": False,
            "object_store_memory": _OBJECTS,
        }
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster of ours reports to nobody
    for left in reversed(range(_STARTS if own else 1)):
        try:
            with _signals_kept(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ray.init(address, log_to_driver=False, logging_level="error", **own)
            break
        except Exception as error:  # Ray raises bare ones
            ray.shutdown()
            if not left:
                raise WorkersError(f"the Ray cluster at {address} cannot be joined: {error}{_hint(own)}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Refuse an address where nothing answers: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not port.isdigit():
        if address not in ("auto", "local") and "://" not in address:
            raise ConfigError(f"ray.address is {address!r}, but must be HOST:PORT or auto")
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"no Ray head answers at {address}: {error}; start one there: ray start --head --port {port}"
        ) from error


def _hint(own: dict[str, Any]) -> str:
    """Say what Ray does not: a head wants a token where its host has one, and whoever names an address sends none."""
    if own or "RAY_AUTH_MODE" in os.environ:
        return ""
    return "; if its head wants a token (it says so when it starts), type: export RAY_AUTH_MODE=token"


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep the handlers of signals: Ray puts its own in their place."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in kept.items():
            with contextlib.suppress(TypeError, ValueError):  # one that was not set by Python
                signal.signal(each, handler)
