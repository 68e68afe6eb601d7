"""What belongs to the whole process and not to an environment: taken down, compared, put back."""

from __future__ import annotations

import contextlib
import locale
import os
import random
import signal
import socket
import sys
import threading
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from agentrl.envs.checker.episodes import shown

__all__ = ["Surroundings", "generators"]


def generators() -> dict[str, Any]:
    """Return the state of every global generator of this process."""
    state: Any = np.random.get_state()
    states: dict[str, Any] = {"random": random.getstate(), "numpy.random": (state[1].tolist(), *state[2:])}
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_rng_state"):
        states["torch"] = torch.get_rng_state().tolist()
    return states


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """One moment of the process."""

    values: dict[str, Any]

    @classmethod
    def now(cls) -> Surroundings:
        """Take everything down."""
        mask = os.umask(0)
        os.umask(mask)
        values: dict[str, Any] = {
            "the working directory": os.getcwd(),
            "os.environ": dict(os.environ),
            "the locale": locale.setlocale(locale.LC_ALL),
            "sys.path": list(sys.path),
            "warnings.filters": list(warnings.filters),
            "the recursion limit": sys.getrecursionlimit(),
            "sys.stdout": sys.stdout,
            "sys.stderr": sys.stderr,
            "sys.excepthook": sys.excepthook,
            "the umask": mask,
            "the default timeout of sockets": socket.getdefaulttimeout(),
            "numpy's handling of errors": np.geterr(),
            "an alarm": signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        }
        for number in signal.valid_signals():
            values[f"the handler of {signal.Signals(number).name if number < 32 else number}"] = signal.getsignal(
                number
            )
        return cls(values=values)

    def changes(self, later: Surroundings) -> list[str]:
        """Say what is otherwise at a later moment."""
        return [
            _change(name, value, later.values[name])
            for name, value in self.values.items()
            if value != later.values[name]
        ]

    def put_back(self) -> None:
        """Set the process back to this moment, as far as that can be done."""
        values = self.values
        with contextlib.suppress(OSError):
            os.chdir(values["the working directory"])
        os.environ.clear()
        os.environ.update(values["os.environ"])
        with contextlib.suppress(locale.Error):
            locale.setlocale(locale.LC_ALL, values["the locale"])
        sys.path[:] = values["sys.path"]
        warnings.filters[:] = values["warnings.filters"]  # type: ignore[index]
        sys.setrecursionlimit(values["the recursion limit"])
        sys.stdout, sys.stderr, sys.excepthook = values["sys.stdout"], values["sys.stderr"], values["sys.excepthook"]
        os.umask(values["the umask"])
        socket.setdefaulttimeout(values["the default timeout of sockets"])
        np.seterr(**values["numpy's handling of errors"])
        if threading.current_thread() is threading.main_thread():
            if not values["an alarm"]:
                signal.setitimer(signal.ITIMER_REAL, 0)
            for number in signal.valid_signals():
                name = f"the handler of {signal.Signals(number).name if number < 32 else number}"
                if values[name] is not None and signal.getsignal(number) != values[name]:
                    signal.signal(number, values[name])


def _change(name: str, before: Any, after: Any) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        # Values of the environment may be secrets: names alone.
        return f"{name} changed in {', '.join(sorted(keys)[:5])}"
    if isinstance(before, list) and isinstance(after, list):
        more = [each for each in after if each not in before]
        less = [each for each in before if each not in after]
        return f"{name} changed: {shown(more)} more, {shown(less)} less"
    return f"{name} changed from {shown(before)} to {shown(after)}"
