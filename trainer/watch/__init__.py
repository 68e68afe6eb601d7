"""Watch a run for reward hacking: the reward against success, component by component, after every step.

Names are loaded when first used: a configuration needs no more than its keys.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentrl.trainer.watch.alerts import Alert, Example, read_alerts
    from agentrl.trainer.watch.config import WatchConfig
    from agentrl.trainer.watch.stored import watch_stored
    from agentrl.trainer.watch.watch import Watch

_HOMES = {
    "Alert": "alerts",
    "Example": "alerts",
    "Watch": "watch",
    "WatchConfig": "config",
    "read_alerts": "alerts",
    "watch_stored": "stored",
}

__all__ = ["Alert", "Example", "Watch", "WatchConfig", "read_alerts", "watch_stored"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
