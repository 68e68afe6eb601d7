"""Scripted players of Repo-v0 that know the repair: the oracle and an imperfect demonstrator."""

from __future__ import annotations

import difflib
import random
from collections.abc import Mapping
from typing import Any

from agentrl.envs.protocol import Policy
from agentrl.envs.repo.copying import is_test
from agentrl.envs.repo.tasks import Task
from agentrl.envs.scripted import call, scripted

__all__ = ["DONE", "FLAWS", "Edit", "demonstration", "edits", "solution"]

DONE = "<answer>done</answer>"
FLAWS: Mapping[str, float] = {
    "none": 0.35,
    "edits another line": 0.2,
    "does not edit": 0.15,
    "edits the test": 0.15,
    "repairs half": 0.1,
    "errs first": 0.05,
}
"""How often the demonstrator makes each mistake; the last one is mended, and wins."""

Edit = tuple[str, str, str]
"""Path, the text that stands once in the file, and what takes its place."""


def edits(path: str, before: str, after: str) -> list[Edit]:
    """Return the replacements that make one text of another, each of a text that stands once in the file by then.

    >>> edits("a.py", "x = 1\\ny = 2\\nz = 1\\n", "x = 1\\ny = 3\\nz = 1\\n")
    [('a.py', 'y = 2', 'y = 3')]
    """
    found: list[Edit] = []
    text = before
    while text != after:
        old, new = text.splitlines(keepends=True), after.splitlines(keepends=True)
        blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        _, a, b, c, d = next(block for block in blocks if block[0] != "equal")
        up = down = 0
        while True:
            first, second = "".join(old[a - up : b + down]), "".join(new[c - up : d + down])
            if first.strip() and text.count(first) == 1:
                break
            if a - up > 0 and c - up > 0 and old[a - up - 1] == new[c - up - 1]:
                up += 1
            else:
                down += 1
        text = text.replace(first, second)
        if first.endswith("\n") and second.endswith("\n") and text.count("\n") and before.count(first[:-1]) == 1:
            first, second = first[:-1], second[:-1]
        found.append((path, first, second))
    return found


def _all_edits(task: Task) -> list[Edit]:
    return [each for path, text in task.fixes.items() for each in edits(path, task.files.get(path, ""), text)]


def _turn(edit: Edit) -> str:
    path, old, new = edit
    return call("edit", path=path, old=old, new=new)


def solution(task: Task) -> Policy:
    """Return a policy that runs the tests, reads what is wrong, mends it, runs the tests and ends.

    It raises AssertionError when the tests do not pass at the end, or an edit is refused.
    """

    def turns() -> list[str]:
        changes = _all_edits(task)
        reads = [call("bash", command=f"cat {path}") for path in task.fixes]
        return [call("bash", command=task.command), *reads, *map(_turn, changes), call("bash", command=task.command)]

    script = iter(turns())
    said: list[str] = []

    def play(observation: str, info: dict[str, Any]) -> str:
        turn = next(script, None)
        if said and '"edit"' in said[-1] and info.get("replies"):
            assert "was changed" in observation, f"{task.id}: {said[-1]} -> {observation}"
        if turn is None:
            assert not info.get("replies") or "\nOK" in observation, f"{task.id}: {observation}"
            return DONE
        said.append(turn)
        return turn

    return play


def demonstration(rng: random.Random, task: Task, flaws: Mapping[str, float] = FLAWS) -> Policy:
    """Return a policy that errs as often as `flaws` says: it edits another line, nothing, or the test."""
    flaw = rng.choices(list(flaws), list(flaws.values()))[0]

    def turns() -> list[str]:
        changes = _all_edits(task)
        begin = [call("bash", command=task.command)] if rng.random() < 0.7 else []
        begin += [call("bash", command=f"cat {path}") for path in task.fixes]
        if flaw == "does not edit":
            return [*begin, DONE]
        if flaw == "edits the test":
            test = next(path for path in task.files if is_test(path) and task.files[path])
            return [*begin, call("create", path=test, text="import unittest\n"), DONE]
        if flaw == "edits another line":
            return [*begin, _turn(_other_line(rng, task)), DONE]
        if flaw == "repairs half" and len(changes) > 1:
            changes = changes[:1]
        elif flaw == "repairs half":
            path, old, _ = changes[0]
            changes = [(path, old, f"{old}  # FIXME")] if "\n" not in old else []
        wrong = [_turn((changes[0][0], f"{changes[0][1]} ", ""))] if flaw == "errs first" else []
        return [*begin, *wrong, *map(_turn, changes), call("bash", command=task.command), DONE]

    return scripted(turns)


def _other_line(rng: random.Random, task: Task) -> Edit:
    """Return an edit of a line that is right: another sign, another number, or one that is left out."""
    path = rng.choice(list(task.modules))
    text = task.files[path]
    lines = [line for line in text.splitlines() if line.startswith("    ") and text.count(line) == 1]
    lines = [line for line in lines if task.fixes.get(path, text).count(line) == 1] or lines
    line = rng.choice(lines)
    for one, other in ((" < ", " <= "), (" + ", " - "), (" == ", " != "), ("1", "2"), ("return ", "return not ")):
        if one in line:
            return path, line, line.replace(one, other, 1)
    indent = line[: len(line) - len(line.lstrip())]
    return path, line, f"{indent}pass"
