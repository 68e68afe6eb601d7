"""Which sources a toolset needs in a box: its own module, and what that imports from the same top-level package.

A box has Python's standard library and nothing else, so any other import is refused here, before a box is asked for.
"""

from __future__ import annotations

import ast
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from agentrl.envs.errors import UsageError
from agentrl.envs.tools.syntax import parse_source
from agentrl.envs.tools.toolset import Toolset

__all__ = ["sources_of"]


def sources_of(kind: type[Toolset]) -> dict[str, bytes]:
    """Return path -> source of every module that the class needs, packages on the way as empty files.

    Raises:
        UsageError: The class has no module that can be found, or a module imports what a box does not have.
    """
    if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
        raise UsageError(
            f"the toolset {kind.__qualname__} of {kind.__module__} cannot be sent into a box; put it at the top of a "
            "module of its own, such as my_env/tools.py, or use backend='local'"
        )
    return dict(_closure(kind.__module__))


@lru_cache(maxsize=64)
def _closure(first: str) -> dict[str, bytes]:
    own = first.partition(".")[0]
    found: dict[str, bytes] = {}
    waiting = [first]
    while waiting:
        module = waiting.pop()
        path = _path(module)
        if path is None:
            raise UsageError(f"the source of {module}, which {first} needs, cannot be found")
        name = module.replace(".", "/") + ".py"
        if name in found:
            continue
        source = path.read_bytes()
        found[name] = source
        for imported in _imports(source):
            top = imported.partition(".")[0]
            if top in (own, "agentrl"):
                waiting.append(imported)
            elif top not in sys.stdlib_module_names:
                raise UsageError(
                    f"{module} imports {imported}, which a box does not have; a toolset's module may import the "
                    "standard library and modules of its own package"
                )
    folders = {"/".join(name.split("/")[:depth]) for name in found for depth in range(1, name.count("/") + 1)}
    return {**{f"{folder}/__init__.py": b"" for folder in sorted(folders)}, **found}


def _imports(source: bytes) -> list[str]:
    """Return the modules that a source imports as it is loaded; what a function imports later it must do without."""
    found = []
    waiting: list[ast.AST] = [parse_source(source)]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found += (
                [name if _path(name) else node.module for name in names] if _is_package(node.module) else [node.module]
            )
    return found


def _is_package(module: str) -> bool:
    spec = find_spec(module)
    return spec is not None and spec.submodule_search_locations is not None


def _path(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    if (
        spec is None
        or not spec.origin
        or not spec.origin.endswith(".py")
        or spec.submodule_search_locations is not None
    ):
        return None
    return Path(spec.origin)
