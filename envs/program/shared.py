"""The endpoint of this process: one for all environments, started with the first and closed with the last."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from agentrl.envs.program.endpoint import Endpoint
from agentrl.envs.program.exchange import Exchange

__all__ = ["Served", "give_back", "lend"]


@dataclass(kw_only=True)
class Served:
    """An endpoint and who answers at it."""

    exchange: Exchange
    endpoint: Endpoint
    num_users: int = 0


_served: dict[int, Served] = {}  # by process: after a fork the child opens its own
_lock = threading.Lock()


def lend() -> Served:
    """Return the endpoint, started where it is the first time; `give_back` it.

    Raises:
        UsageError: The server is not installed.
        InfrastructureError: It does not start.
    """
    with _lock:
        served = _served.get(os.getpid())
        if served is None:
            exchange = Exchange()
            served = Served(exchange=exchange, endpoint=Endpoint(exchange).start())
            _served[os.getpid()] = served
        served.num_users += 1
        return served


def give_back(served: Served) -> None:
    """Close the endpoint where nobody uses it any more."""
    with _lock:
        served.num_users -= 1
        if served.num_users > 0 or _served.get(os.getpid()) is not served:
            return
        del _served[os.getpid()]
    served.endpoint.close()
