"""Environments that misbehave on demand in a worker process, and jobs that look around there; light to import."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.spaces import Text

__all__ = ["ID", "Far", "Toy", "first_move", "loaded", "process"]

ID = "Toy/Far-v0"
NEVER = threading.Event()  # what a hanging environment waits for


class Far(Exception):
    """An infrastructure error as AgentRL's environments raise it: it says what failed."""

    kind, boundary = "unreachable", "retriever"


class Toy(gymnasium.Env[str, str]):
    """Asks for the task's number, twice; pays by the length of what is said.

    Args:
        folder: Where it notes what it does: a file for each environment that was made, and for each that was closed.
        fault: What it does at its last step.
        num_faulty: How many environments of a folder do that, the first ones made.
        pause_s: Of each step.
    """

    def __init__(self, *, folder: str = "", fault: str = "", num_faulty: int = 1, pause_s: float = 0.0) -> None:
        self.action_space = self.observation_space = Text(10_000)
        self._folder, self._pause_s = folder, pause_s
        if fault == "make":
            raise Far("no server")
        self._fault = fault if folder and self._number() < num_faulty else ""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self._left = 2
        return f"What is {seed}?", {"system": "Count.", "task": {"id": f"task {seed}"}}

    def step(self, action: str) -> Any:
        time.sleep(self._pause_s)
        self._left -= 1
        done = self._left == 0
        if done and self._fault:
            return self._misbehave()
        return "go on", len(action) / 10, done, False, {"success": done}

    def close(self) -> None:
        if self._folder:
            (Path(self._folder) / f"closed-{os.getpid()}-{id(self)}").touch()

    def _number(self) -> int:
        """Return the number of this environment among all of the folder, whichever process makes them."""
        for number in range(10_000):
            try:
                (Path(self._folder) / f"made-{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            return number
        raise AssertionError("too many")

    def _misbehave(self) -> Any:
        match self._fault:
            case "raises":
                raise RuntimeError("broken pipe")
            case "far":
                raise Far("no server")
            case "exits":
                sys.exit(1)
            case "dies":
                os._exit(1)
            case "hangs":
                NEVER.wait()
            case "local error":

                class Odd(Exception):
                    def __init__(self, lock: Any) -> None:
                        super().__init__("odd")
                        self.lock = lock

                raise Odd(threading.Lock())
            case "sends a lock":
                return "", 1.0, True, False, {"carry": {"lock": threading.Lock()}}
            case "words":
                return "", "much", True, False, {}
        raise AssertionError(self._fault)


def process(env: Any) -> int:
    """Return the id of the process that an environment is in."""
    return os.getpid()


def first_move(env: Any) -> None:
    """Begin a task and do what its solution does first."""
    observation, info = env.reset(seed=1)
    env.step(env.unwrapped.oracle()(observation, info))


def loaded(env: Any) -> list[str]:
    """Return what is loaded of the heavy packages in the process of an environment."""
    return [name for name in ("torch", "transformers", "tokenizers", "vllm", "scipy") if name in sys.modules]


gymnasium.register(id=ID, entry_point="tests.trainer.workers.toys:Toy", disable_env_checker=True)
