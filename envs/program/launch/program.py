"""What a program is, what it is given for an episode, and how it ended.

A program is a Python callable, called with the keywords `task`, `base_url` and `api_key`; or a command, which finds
them in variables of its environment and a file. What it gives back is its result: the value that a callable returns,
what a command writes into the file that AGENTRL_RESULT names, or else prints.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from agentrl.envs.errors import UsageError
from agentrl.envs.functions import find_here

__all__ = ["IMPORT_KEY", "Ended", "How", "Order", "Program", "Run"]

IMPORT_KEY = "agentrl-at-import"
"""The key that a program's module finds while it is imported; it belongs to no episode."""

_PLACE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_HINT = "install it, or give its path; a Python file is run by 'python FILE.py'"
_EXAMPLES = "'my_agent:run' (a function), 'python -m my_agent' or ['node', 'agent.js'] (a command)"


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program that can be started: exactly one of the three is set.

    >>> Program.read("my_agent:run").place, Program.read("node agent.js --fast").argv
    ('my_agent:run', ('node', 'agent.js', '--fast'))
    """

    place: str = ""  # MODULE:CALLABLE
    pickled: bytes = b""  # a callable, by cloudpickle
    argv: tuple[str, ...] = ()

    @classmethod
    def read(cls, program: str | Sequence[str] | Callable[..., Any]) -> Program:
        """Return what a user named.

        Args:
            program: A callable; "MODULE:CALLABLE"; a command line, as a text or as a list of words. One that begins
                with "python" is run by this interpreter.

        Raises:
            UsageError: It is none of them, or cannot be handed to another process.
        """
        if callable(program):
            import cloudpickle  # type: ignore[import-untyped]

            try:
                return cls(pickled=cloudpickle.dumps(program))
            except Exception as error:  # whatever its parts raise
                raise UsageError(
                    f"program={program!r:.80} cannot be handed to another process: {error}; name it: 'MODULE:CALLABLE'"
                ) from error
        if isinstance(program, str) and _PLACE.fullmatch(program.strip()):
            find_here(program.partition(":")[0].strip())
            return cls(place=program.strip())
        if isinstance(program, str) and re.fullmatch(r"[\w./-]+:[A-Za-z_][\w.]*", program.strip()):
            module, _, name = program.strip().partition(":")
            right = module.removesuffix(".py").strip("./").replace("/", ".").replace("-", "_")
            raise UsageError(f"program={program!r} names no module; write '{right}:{name}', as Python imports it")
        try:
            words = shlex.split(program) if isinstance(program, str) else list(program)
        except (ValueError, TypeError) as error:
            raise UsageError(f"program={program!r:.80} cannot be read: {error}; write {_EXAMPLES}") from error
        if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0]:
            raise UsageError(f"program={program!r:.80} is no program; write {_EXAMPLES}")
        return cls(argv=tuple(words))

    def check(self) -> None:
        """Refuse what this machine does not have, before an episode is begun with it.

        Raises:
            UsageError: There is no such module or command.
        """
        module = self.place.partition(":")[0]
        try:
            missing = bool(module) and find_spec(module) is None
        except (ImportError, ValueError):
            missing = True
        if missing:
            raise UsageError(f"program={self.place!r}: there is no module {module!r}; go to the folder that holds it")
        if self.argv and shutil.which(self.command[0]) is None:
            raise UsageError(f"program={shlex.join(self.argv)!r:.200}: there is no command {self.argv[0]!r}; {_HINT}")

    @property
    def command(self) -> tuple[str, ...]:
        """The command as this machine runs it."""
        ours = self.argv[:1] in (("python",), ("python3",))
        return (sys.executable, *self.argv[1:]) if ours else self.argv

    @property
    def name(self) -> str:
        """What a message calls it."""
        return self.place or shlex.join(self.argv) or "a callable"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a program is given for one episode."""

    task: Mapping[str, Any]  # plain data
    base_url: str  # ends in /v1
    api_key: str
    seed: int  # of the generators in its process, and in AGENTRL_SEED

    def variables(self) -> dict[str, str]:
        """Return what a program's environment holds for it; nothing of this process's own."""
        return {
            "OPENAI_BASE_URL": self.base_url,
            "OPENAI_API_KEY": self.api_key,
            "ANTHROPIC_BASE_URL": self.base_url.removesuffix("/v1"),
            "ANTHROPIC_API_KEY": self.api_key,
            "AGENTRL_SEED": str(self.seed),
        }


How = Literal["returned", "raised", "exited", "signal", "lost", "unusable"]
"""How a program ended; the last two: not by itself."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a program ended."""

    how: How
    code: int = 0  # of an exit, or the signal
    result: Any = None  # plain data
    output: str = ""  # the end of what it printed

    @property
    def is_ours(self) -> bool:
        """Whether it was no doing of the program: what runs it failed, or the machine killed it."""
        return self.how in ("lost", "unusable") or (self.how == "signal" and self.code == 9)

    def __str__(self) -> str:
        told = {
            "returned": "it returned",
            "raised": "it raised an error",
            "exited": f"it exited with {self.code}",
            "signal": f"signal {self.code} ended it",
            "lost": "what ran it failed",
            "unusable": "it cannot be started",
        }[self.how]
        last = self.output.strip()[-400:]
        return f"{told}; the end of what it printed: {last}" if last else told


class Run(ABC):
    """A program at work; it tells its mailbox when it has ended."""

    @abstractmethod
    def stop(self) -> None:
        """End it and everything that it started; may be called twice, and after its end."""
