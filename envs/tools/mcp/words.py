"""Arguments that may come as text, since a recipe and a command line hold nothing else: lists and mappings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentrl.envs.errors import UsageError

__all__ = ["files_of", "list_of", "mapping_of"]


def list_of(name: str, value: Sequence[str] | str | None) -> list[str]:
    """Return a list, or the words of a text with commas between.

    Raises:
        UsageError: It is neither.

    >>> list_of("only", "add, divide")
    ['add', 'divide']
    """
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    if value is not None and not (isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)):
        raise UsageError(f"{name}={value!r:.100} must be a list of texts, or one text with commas between")
    return list(value or ())


def mapping_of(name: str, value: Mapping[str, Any] | str | None) -> dict[str, Any]:
    """Return a mapping, or the JSON object that a text holds.

    Raises:
        UsageError: It is neither.

    >>> mapping_of("box", '{"memory_mb": 1024}')
    {'memory_mb': 1024}
    """
    told: Any = value
    if isinstance(value, str):
        try:
            told = json.loads(value)
        except ValueError as error:
            raise UsageError(f"{name}={value!r:.100} is no JSON object: {error}") from error
    if told is not None and not isinstance(told, Mapping):
        raise UsageError(f'{name}={value!r:.100} must be a mapping, or JSON such as {{"key": "value"}}')
    return dict(told or {})


def files_of(value: Mapping[str, str | Path] | str | None) -> dict[str, str]:
    """Return path in the server's folder -> file or folder of this machine; one path alone keeps its last name.

    Raises:
        UsageError: It is neither a mapping nor a path.

    >>> files_of("tools/calculator.py")
    {'calculator.py': 'tools/calculator.py'}
    """
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        return {Path(value).name: value}
    return {path: str(there) for path, there in mapping_of("files", value).items()}
