"""Find a backend by name. `auto` takes Docker, else bubblewrap, else raises; it never runs code without a sandbox."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from agentrl.sandboxes.base import Backend
from agentrl.sandboxes.errors import SandboxUnavailable, SpecError

__all__ = ["BACKENDS", "open_backend"]

BACKENDS: Mapping[str, str] = MappingProxyType(
    {
        "docker": "agentrl.sandboxes.docker.backend:DockerBackend",
        "bubblewrap": "agentrl.sandboxes.bubblewrap.backend:BubblewrapBackend",
        "scripted": "agentrl.sandboxes.scripted:ScriptedBackend",
    }
)
"""Name -> "module:Class"; nothing is imported before it is opened."""
AUTO = ("docker", "bubblewrap")


def open_backend(name: str = "auto", **options: Any) -> Backend:
    """Open a backend; close it, or use it in a `with` block.

    Args:
        name: "docker", "bubblewrap", "scripted", or "auto" for the first of the first two that works here, found by a
            real run.
        options: What its class takes, such as `max_boxes`.

    Raises:
        SpecError: No such backend or option.
        SandboxUnavailable: `auto` found none; says why of each, and the command that mends it.
    """
    if name != "auto":
        return _class(name)(**_taken(name, options))
    known = {option for each in AUTO for option in _options(each)}
    _check_known("auto", options, known)
    reasons = []
    for each in AUTO:
        missing = [option for option in options if option not in _options(each)]
        if missing:
            reasons.append(f"{each}: has no option {missing[0]!r}")
            continue
        backend = _class(each)(**options)
        try:
            backend.capabilities()
        except SandboxUnavailable as error:
            backend.close()
            reasons.append(f"{each}: {error}")
        except BaseException:
            backend.close()
            raise
        else:
            return backend
    raise SandboxUnavailable(
        "no sandbox works on this machine, and code is never run without one.\n" + "\n".join(reasons)
    )


def _class(name: str) -> type[Backend]:
    target = BACKENDS.get(name)
    if target is None:
        near = difflib.get_close_matches(str(name).lower(), [*BACKENDS, "auto"], n=1)
        meant = f"; did you mean {near[0]!r}?" if near else "."
        raise SpecError(f"there is no backend {name!r}{meant} Write one of: auto, {', '.join(BACKENDS)}")
    module, _, kind = target.partition(":")
    found: type[Backend] = getattr(importlib.import_module(module), kind)
    return found


def _options(name: str) -> list[str]:
    return [each for each in inspect.signature(_class(name).__init__).parameters if each != "self"]


def _taken(name: str, options: dict[str, Any]) -> dict[str, Any]:
    _class(name)
    _check_known(name, options, set(_options(name)))
    return options


def _check_known(name: str, options: Mapping[str, Any], known: set[str]) -> None:
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else "."
            raise SpecError(f"{name} has no option {option!r}{meant} It takes: {', '.join(sorted(known))}")
