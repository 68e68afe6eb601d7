"""Functions of the user, found by `MODULE:CALLABLE`, with a digest of the file that holds them."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentrl.envs.errors import UsageError, nearest

__all__ = ["find_here", "load_function", "source_digest"]


def load_function(named: str, place: str, *, example: str) -> Callable[..., Any]:
    """Import a function; a module of the current folder is found too.

    Args:
        named: What to call it in a message, such as "agent 'python:mine:answer'".
        place: MODULE:CALLABLE, where the callable may be an attribute of an attribute.
        example: What a right one looks like.

    Raises:
        UsageError: There is no such module or function.
    """
    module, _, name = place.partition(":")
    if not module or not name:
        raise UsageError(f"{named} names no function; type {example}")
    find_here(module)
    try:
        found: Any = import_module(module)
    except ImportError as error:
        raise UsageError(
            f"{named}: the module {module!r} cannot be imported: {error}; go to the folder that holds it"
        ) from error
    except (Exception, SystemExit) as error:  # somebody else's code
        raise UsageError(
            f"{named}: the module {module!r} cannot be imported: {type(error).__name__}: {error}; mend it, or name "
            f"another: {example}"
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{named}: {module} has no {name!r}{nearest(part, dir(found))}")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"{named} is a {type(found).__name__}; name a function")
    function: Callable[..., Any] = found
    return function


def source_digest(module: str) -> str:
    """Return a digest of a module's file; empty where it is not found. What the module imports is not looked at."""
    find_here(module)
    try:
        spec = find_spec(module)
        source = Path(spec.origin).read_bytes() if spec is not None and spec.origin else b""
    except (ImportError, OSError, ValueError):  # `load_function` says what is wrong
        return ""
    return hashlib.sha256(source).hexdigest()[:16] if source else ""


def find_here(module: str) -> None:
    """Let a module of the current folder be imported, as `python -m` would; what is installed comes first."""
    here, top = Path.cwd(), module.partition(".")[0]
    if str(here) not in sys.path and ((here / f"{top}.py").is_file() or (here / top).is_dir()):
        sys.path.append(str(here))
