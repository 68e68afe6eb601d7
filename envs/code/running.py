"""Run the catalogue's own sources in this process: the reference, and the wrong ones that inputs are tried on.

Only text of `families/` comes here, never what a model wrote. A program gets its own `print`, `input` and `sys`, so
that several may run at once in threads without touching the streams of this process.
"""

from __future__ import annotations

import builtins
import copy
import io
import json
import sys
from collections.abc import Callable
from functools import lru_cache
from types import CodeType, SimpleNamespace
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["Runner", "key_of", "runner"]

Runner = Callable[[tuple[Any, ...]], Any]
"""Arguments -> what the function returns; (stdin,) -> what the program writes. Raises what the source raises."""


def runner(family: Family, source: str, params: Params) -> Runner:
    """Return a source of a family, filled with parameters and compiled, as a function of its arguments."""
    text = family.fill(source, params)
    return _function(text, family.function) if family.kind == "function" else _program(text)


@lru_cache(maxsize=512)
def _code(text: str) -> CodeType:
    return compile(text, "<catalogue>", "exec")


def _function(text: str, name: str) -> Runner:
    names: dict[str, Any] = {"__name__": "reference"}
    exec(_code(text), names)
    function = names[name]
    # A function may change its arguments. Text, numbers and the like cannot be changed, and most tasks have no more.
    return lambda args: function(*(each if type(each) in _FIXED else copy.deepcopy(each) for each in args))


_FIXED = (str, int, float, bool, type(None))


def _program(text: str) -> Runner:
    code, write = _code(text), builtins.print

    def run(args: tuple[Any, ...]) -> str:
        stdin, stdout = io.StringIO(args[0]), io.StringIO()
        system = SimpleNamespace(**{**vars(sys), "stdin": stdin, "stdout": stdout})

        def own_import(name: str, *rest: Any, **named: Any) -> Any:
            return system if name == "sys" else builtins.__import__(name, *rest, **named)

        def own_print(*values: Any, **named: Any) -> None:
            write(*values, **{"file": stdout, **named})

        def own_input(prompt: str = "") -> str:
            stdout.write(prompt)
            line = stdin.readline()
            if not line:
                raise EOFError
            return line.removesuffix("\n")

        own = {**vars(builtins), "__import__": own_import, "print": own_print, "input": own_input}
        exec(code, {"__name__": "__main__", "__builtins__": own})
        return stdout.getvalue()

    return run


def key_of(params: Params) -> str:
    """Return the parameters as one text, the same for the same parameters on any machine."""
    return json.dumps(params, sort_keys=True, separators=(",", ":"))
