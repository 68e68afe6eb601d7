"""The command that makes a run again, from what its store says of it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["command_of"]

_MODEL = ("temperature", "max_tokens", "max_context", "device", "dtype")
_OPTIONS = {"openai": ("base_url", "tools", "temperature", "max_tokens"), "hf": _MODEL, "run": _MODEL, "vllm": _MODEL}
_DEFAULTS = {"tools": "auto", "device": "auto", "dtype": "auto", "base_url": "https://api.openai.com/v1"}


def command_of(identity: Mapping[str, Any]) -> str:
    """Return what to type; of a rescored run the bench and the scoring, of a person what that person types.

    Nothing of a key is stored, and what an address holds of a password is left out.

    Args:
        identity: As `BenchStore.identity`; what is missing in it is left out.
    """
    agent = str(identity.get("agent", ""))
    kind, _, name = agent.partition(":")
    envs = [str(each) for each in _list(identity.get("envs"))]
    if kind == "person":
        words = ["agentrl", "play", *envs[:1], *(["--name", name] if name else [])]
    elif identity.get("seeds") is not None:  # a training run's own held-out tasks
        words = ["agentrl", "bench", "--agent", agent]
    else:
        words = ["agentrl", "bench", "--env", ",".join(envs), "--agent", agent]
    words += ["-n", str(identity.get("num_tasks", ""))]
    if identity.get("seeds") is None:
        words += _tasks(identity)
    if (samples := identity.get("num_samples", 1)) != 1:
        words += ["--k", str(samples)]
    settings = identity.get("agent_settings")
    words += _agent(kind, settings if isinstance(settings, Mapping) else {})
    for option, key, usual in (("--deadline", "deadline_s", 60.0), ("--turn-deadline", "turn_s", 300.0)):
        if (value := identity.get(key, usual)) != usual and kind != "person":
            words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
    command = shlex.join(words)
    rescored = identity.get("rescored")
    if isinstance(rescored, Mapping):
        command += f" --out RUN && agentrl rescore RUN --rubric {shlex.quote(str(rescored.get('rubric', '')))}"
    return command


def _tasks(identity: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    if levels := _list(identity.get("levels")):
        words += ["--level", ",".join(map(str, levels))]
    if (split := identity.get("split", "test")) != "test":
        words += ["--split", str(split)]
    if seed := identity.get("seed", 0):
        words += ["--seed", str(seed)]
    if kwargs := identity.get("env_kwargs"):
        words += ["--kwargs", json.dumps(kwargs)]
    return words


def _agent(kind: str, settings: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    if kind == "run" and "checkpoint" in settings:
        words += ["--checkpoint", str(settings["checkpoint"]).removeprefix("step_")]
    for name in _OPTIONS.get(kind, ()):
        value = settings.get(name)
        if value is None or value == _DEFAULTS.get(name):
            continue
        if name == "base_url":
            value = re.sub(r"//[^/@]*@", "//", str(value))
        words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    return words


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else []
