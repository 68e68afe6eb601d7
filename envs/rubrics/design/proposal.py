"""Read a rubric out of what a model says, and refuse what a model may not choose.

A component of the form "module:function" would run anybody's code, and a judge's address would send episodes anywhere,
with a key: those are the user's. Neither is imported, opened or asked for before it is refused.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

import tomli_w

from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.rubrics.catalogue import CATALOGUE
from agentrl.envs.rubrics.rubric import Rubric
from agentrl.envs.rubrics.toml import from_toml

__all__ = ["rubric_of", "toml_of"]

_BLOCK = re.compile(r"^[ \t]*```[ \t]*(\w*)[^\n]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)
# Of thoughts only one that opens the text: further on, tags are what a rubric may speak of.
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_ASKS = "judges"  # the package of what asks a model
_LONGEST = 32_000  # characters of a rubric
_LONGEST_DEADLINE_S = 300.0


def toml_of(text: str) -> str:
    """Return the TOML in what a model said: of its last block marked as TOML, else of the last that holds a rubric.

    Raises:
        UsageError: There is none.

    >>> toml_of('Try this:\\n```toml\\n[[component]]\\nuse = "f1"\\n```')
    '[[component]]\\nuse = "f1"\\n'
    """
    said = _THOUGHT.sub("", text, count=1)
    blocks = _BLOCK.findall(said)
    for marked in (True, False):
        for word, body in reversed(blocks):
            if (word.lower() == "toml") if marked else ("[[component]]" in body):
                return str(body)
    if not blocks and "[[component]]" in said:
        return said
    raise UsageError(
        f"there is no TOML in {said.strip()[:80]!r}; write the rubric in one block that begins with ```toml"
    )


def rubric_of(toml: str, judge: Mapping[str, Any] | None = None) -> Rubric:
    """Return the rubric that a model proposed.

    Args:
        toml: Of the proposal.
        judge: The user's settings of judges; None: the rubric may ask none.

    Raises:
        UsageError: It is no rubric, or has what a model may not choose.
    """
    if len(toml) > _LONGEST:
        raise UsageError(f"the rubric has {len(toml)} characters; write one of at most {_LONGEST}")
    try:
        told = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"it is no TOML: {error}") from error
    except RecursionError as error:
        raise UsageError("it is no rubric: its tables are nested too deeply") from error
    if "judge" in told:
        raise UsageError("it has a table [judge], which is not yours to choose; leave it out")
    deadline_s = told.get("deadline_s", 0)
    if not isinstance(deadline_s, int | float) or deadline_s > _LONGEST_DEADLINE_S:
        raise UsageError(f"deadline_s is {deadline_s!r}, but may be at most {_LONGEST_DEADLINE_S:g}; leave it out")
    tables = told.get("component")
    for table in tables if isinstance(tables, list) else ():
        if isinstance(table, dict):
            _check_allowed(table, judge)
    if judge is not None and _ASKS in map(_kind, tables if isinstance(tables, list) else ()):
        toml = tomli_w.dumps({**told, "judge": dict(judge)})
    return from_toml(toml, place="it")


def _check_allowed(table: Mapping[str, Any], judge: Mapping[str, Any] | None) -> None:
    use = table.get("use")
    if not isinstance(use, str):
        return  # `from_toml` says what is wrong
    if use not in CATALOGUE:
        why = "a component of your own would run code, so only those of the list may be used" if ":" in use else ""
        told = why or f"there is no such component{nearest(use, CATALOGUE)}"
        raise UsageError(f"use = {use!r}: {told}; there are {', '.join(CATALOGUE)}")
    arguments = table.get("with")
    if isinstance(arguments, dict) and "judge" in arguments:
        raise UsageError(f"{use} has settings of its judge, which are not yours to choose; leave them out")
    if _kind(table) == _ASKS and judge is None:
        raise UsageError(f"use = {use!r}: there is no judge to ask; use components that are computed")


def _kind(table: Any) -> str:
    """Return the package that a component of the box is in; empty for what is none."""
    use = table.get("use") if isinstance(table, dict) else None
    return CATALOGUE.get(use, "").partition(".")[0] if isinstance(use, str) else ""
