"""An environment that does what its action says: sleep, hang, raise, end its process. For the tests of the runner."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import gymnasium as gym

from agentrl.envs.errors import InfrastructureError
from agentrl.envs.spaces import Unicode

__all__ = ["Odd"]


class Odd(gym.Env[str, str]):
    """Say back what it was told, with its process and how often it was reset."""

    def __init__(self, *, lasting: int = 10**6, broken: bool = False) -> None:
        if broken:
            raise ValueError("made broken on purpose")
        self.observation_space = self.action_space = Unicode()
        self._lasting = lasting
        self._num_resets = 0
        self._num_steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin; the option "do" is done as an action would be."""
        super().reset(seed=seed)
        self._num_resets += 1
        self._num_steps = 0
        self._do((options or {}).get("do", ""))
        drawn = int(self.np_random.integers(1000))
        return f"reset {self._num_resets}", {"pid": os.getpid(), "drawn": drawn, "resets": self._num_resets}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Do what the action says."""
        self._num_steps += 1
        info = self._do(action) or {"pid": os.getpid(), "thread": threading.current_thread().name}
        failed = "failure" in info
        done = self._num_steps >= self._lasting or action == "end"
        return f"did {action[:40]}", 1.0, done and not failed, failed, info

    def _do(self, action: str) -> dict[str, Any]:
        word, _, value = action.partition(" ")
        if word == "sleep":
            time.sleep(float(value))
        elif word == "hang":
            threading.Event().wait(60)
        elif word == "stop":
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # a kill may stop this thread a little later
        elif word == "exit":
            os._exit(int(value))
        elif word == "leave":
            raise SystemExit(value)
        elif word == "raise":
            raise RuntimeError(value)
        elif word == "infrastructure":
            raise InfrastructureError(value, kind="disk", boundary="storage")
        elif word == "report":
            return {"failure": {"kind": "judge", "boundary": "judge", "message": value}}
        elif word == "unpicklable":
            return {"lock": threading.Lock()}
        return {}
