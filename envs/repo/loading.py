"""Use a repository's modules: the same driver here, over our own reference, and in a box, over the agent's files.

Only text that was made of `families/` is loaded in this process. It is kept out of `sys.modules`, so that many
repositories of the same names may be loaded at once; what it prints goes to a buffer of its own.
"""

from __future__ import annotations

import builtins
import io
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import CodeType, ModuleType
from typing import Any

from agentrl.envs.repo.family import Steps

__all__ = ["DRIVER", "Loaded"]

# What is done in a process that already has `_load` (a module by its name) and `_captured` (a command's output).
_CORE = """
import copy

def _found(where):
    module, _, names = where.partition(":")
    found = _load(module)
    for name in names.split("."):
        found = getattr(found, name)
    return found

def run(steps):
    it, given = None, []
    for where, args in steps:
        args = [it if type(each) is str and each == "@it" else each for each in args]
        try:
            if where.startswith("$"):
                value = _captured(_found(where[1:]), args)
            elif where.endswith("!"):
                value = getattr(it, where[1:-1])
            elif where.startswith("."):
                value = getattr(it, where[1:])(*args)
            elif where.endswith("="):
                it = value = _found(where[:-1])(*args)
                value = None
            else:
                value = _found(where)(*args)
            given.append(["value", copy.deepcopy(value)])
        except Exception as error:
            given.append(["raises", type(error).__name__])
    return given
"""

DRIVER = (
    """
import contextlib, importlib, io, sys

def _load(name):
    return importlib.import_module(name)

def _captured(main, args):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            code = main(list(args))
        except SystemExit as error:
            code = error.code
    return code, out.getvalue()
"""
    + _CORE
    + """
def use(root, steps):
    sys.path.insert(0, root)
    return run(steps)
"""
)
"""The module that is called in a box: `use(root, steps)`. It knows nothing that is expected."""


class Loaded:
    """The modules of one repository, loaded in this process.

    Args:
        sources: Dotted name -> source; a package is named like its folder.
    """

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = dict(sources)
        for name in sources:  # namespaces have no file
            parts = name.split(".")
            for end in range(1, len(parts)):
                self._sources.setdefault(".".join(parts[:end]), "")
        self._modules: dict[str, ModuleType] = {}
        self._out = io.StringIO()
        own: dict[str, Any] = {"_load": self._load, "_captured": self._captured}
        exec(_code(_CORE, "<driver>"), own)
        self._run: Callable[[Steps], list[list[Any]]] = own["run"]

    def outcome(self, steps: Steps) -> list[list[Any]]:
        """Return what each step gave: ["value", value] or ["raises", name of the error]."""
        return self._run(steps)

    def _captured(self, main: Callable[[list[str]], Any], args: list[str]) -> tuple[Any, str]:
        self._out = io.StringIO()
        try:
            code = main(list(args))
        except SystemExit as error:
            code = error.code
        return code, self._out.getvalue()

    def _load(self, name: str) -> ModuleType:
        if name in self._modules:
            return self._modules[name]
        parent, _, last = name.rpartition(".")
        above = self._load(parent) if parent else None
        if name not in self._sources:
            raise ModuleNotFoundError(f"No module named {name!r}")
        module = ModuleType(name)
        is_package = any(each.startswith(f"{name}.") for each in self._sources)
        module.__package__ = name if is_package else parent
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import, "print": self._print}
        self._modules[name] = module
        exec(_code(self._sources[name], f"<{name}>"), module.__dict__)
        if above is not None:
            setattr(above, last, module)
        return module

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: tuple[str, ...] = (),
        level: int = 0,
    ) -> Any:
        full = name
        if level:
            assert globals is not None
            base = globals["__package__"].rsplit(".", level - 1)[0]
            full = f"{base}.{name}" if name else base
        if full.partition(".")[0] not in self._sources:
            return builtins.__import__(name, globals, locals, fromlist, level)
        module = self._load(full)
        for each in fromlist or ():
            if not hasattr(module, each) and f"{full}.{each}" in self._sources:
                self._load(f"{full}.{each}")
        return module if fromlist else self._load(full.partition(".")[0])

    def _print(self, *values: Any, **named: Any) -> None:
        _write(*values, **{"file": self._out, **named})


_write = builtins.print


@lru_cache(maxsize=1024)
def _code(source: str, name: str) -> CodeType:
    return compile(source, name, "exec", dont_inherit=True)
