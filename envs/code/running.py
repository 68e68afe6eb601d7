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
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import CodeType, SimpleNamespace
from typing import Any

from agentrl.envs.code.family import Family, Params

__all__ = ["Runner", "key_of", "made", "runner"]

Runner = Callable[[tuple[Any, ...]], Any]
"""Arguments -> what the function returns; (stdin,) -> what the program writes. Raises what the source raises."""


def runner(family: Family, source: str, params: Params) -> Runner:
    """Return a source of a family, filled with parameters and compiled, as a function of its arguments."""
    return made(_code(family.fill(source, params)), family, {})


def made(code: CodeType, family: Family, names: Mapping[str, Any]) -> Runner:
    """Return compiled code of a family as a function of its arguments; its module begins with these names."""
    return _function(code, family.function, names) if family.kind == "function" else _program(code, names)


@lru_cache(maxsize=512)
def _code(text: str) -> CodeType:
    return compile(text, "<catalogue>", "exec")


def _function(code: CodeType, name: str, names: Mapping[str, Any]) -> Runner:
    own: dict[str, Any] = {"__name__": "reference", **names}
    exec(code, own)
    function = own[name]
    # A function may change its arguments. Text, numbers and the like cannot be changed, and most tasks have no more.
    return lambda args: function(*map(_copied, args))


_FIXED = frozenset({str, int, float, bool, type(None)})


def _copied(value: Any) -> Any:
    kind = type(value)
    if kind in _FIXED:
        return value
    if kind is list:
        return value[:] if _FIXED.issuperset(map(type, value)) else [_copied(each) for each in value]
    return copy.deepcopy(value)


def _program(code: CodeType, names: Mapping[str, Any]) -> Runner:
    write = builtins.print

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
        exec(code, {"__name__": "__main__", "__builtins__": own, **names})
        return stdout.getvalue()

    return run


def key_of(params: Params) -> str:
    """Return the parameters as one text, the same for the same parameters on any machine."""
    return json.dumps(params, sort_keys=True, separators=(",", ":"))
