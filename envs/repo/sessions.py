"""Write uses of a repository as people do: as a Python session in an issue, and as a test of unittest."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from agentrl.envs.code.checks import written
from agentrl.envs.repo.family import Step, Steps

__all__ = ["called", "method", "session", "tests"]

_OPERATORS = {"__str__": "str({it})", "__len__": "len({it})", "__getitem__": "{it}[{0}]", "__contains__": "{0} in {it}"}


def session(steps: Steps, got: Sequence[Sequence[Any]], wanted: Sequence[Sequence[Any]]) -> str:
    """Return a session that shows the first step whose outcome is not what it should be, and what led to it."""
    last = next(at for at, pair in enumerate(zip(got, wanted, strict=True)) if pair[0] != pair[1])
    shown = steps[: last + 1]
    lines = [f">>> {line}" for line in _imports(shown)] if not shown[-1][0].startswith("$") else []
    it = _variable(steps)
    for step in shown[:-1]:
        if step[0].startswith("."):
            lines.append(f">>> {called(step, it)}")
        elif step[0].endswith("="):
            lines.append(f">>> {it} = {called(step, it)}")
    where, _ = shown[-1]
    if where.startswith("$"):
        lines.append(f"$ {called(shown[-1], it)}")
    else:
        lines.append(f">>> {called(shown[-1], it)}")
    return "\n".join([*lines, f"{_told(got[last], where)}", "", f"Expected: {_told(wanted[last], where)}"])


def called(step: Step, it: str) -> str:
    """Write one step: a call, an attribute or a command.

    >>> called((".add", ["tea", 2]), "shop"), called(("$shop.cli:main", ["--all", "two words"]), "")
    ("shop.add('tea', 2)", "python3 -m shop.cli --all 'two words'")
    """
    where, args = step
    if where.startswith("$"):
        module = where[1:].partition(":")[0]
        return f"python3 -m {module} {' '.join(_quoted(str(each)) for each in args)}"
    said = [it if isinstance(each, str) and each == "@it" else written(each) for each in args]
    if where.endswith("!"):
        return f"{it}.{where[1:-1]}"
    if where.startswith("."):
        if where[1:] in _OPERATORS:
            return _OPERATORS[where[1:]].format(*said, it=it)
        return f"{it}{where}({', '.join(said)})"
    return f"{where.partition(':')[2].rstrip('=')}({', '.join(said)})"


def tests(title: str, cases: Sequence[tuple[Steps, Sequence[Sequence[Any]]]], *, names: Sequence[str]) -> str:
    """Return a file of unittest with one method a case.

    Args:
        title: Name of the class.
        cases: Steps with what each has to give.
        names: Of the methods.
    """
    every = [step for steps, _ in cases for step in steps]
    has_commands = any(where.startswith("$") for where, _ in every)
    head = ["import contextlib", "import io"] if has_commands else []
    parts = ["\n".join([*head, "import unittest"]), "\n".join(_imports(every)), ""]
    parts.append(f"class {title}(unittest.TestCase):")
    body = "\n\n".join(method(name, *case) for name, case in zip(names, cases, strict=True))
    return "\n".join(["\n\n".join(parts[:2]), "", "", parts[3], body, "", "", 'if __name__ == "__main__":', _MAIN])


_MAIN = "    unittest.main()\n"


def method(name: str, steps: Steps, wanted: Sequence[Sequence[Any]]) -> str:
    """Write a case as a method."""
    it = _variable(steps)
    lines = [f"    def test_{name}(self):"]
    for step, (how, value) in zip(steps, wanted, strict=True):
        call, where = called(step, it), step[0]
        if where.startswith("$"):
            main = where.partition(":")[2]
            lines += [
                "        out = io.StringIO()",
                "        with contextlib.redirect_stdout(out):",
                f"            code = {main}({written(step[1])})",
                f"        self.assertEqual((code, out.getvalue()), {written(value)})",
            ]
        elif how == "raises":
            name_of = value if value in _BUILT_IN else "Exception"
            lines += [f"        with self.assertRaises({name_of}):", f"            {call}"]
        elif where.endswith("="):
            lines.append(f"        {it} = {call}")
        elif value is None and where.startswith("."):
            lines.append(f"        {call}")
        elif value is True or value is False or value is None:
            lines.append(f"        self.assertIs({call}, {value})")
        else:
            lines.append(f"        self.assertEqual({call}, {written(value)})")
    return "\n".join(lines)


_BUILT_IN = frozenset({"ValueError", "KeyError", "TypeError", "IndexError", "LookupError", "ZeroDivisionError"})


def _imports(steps: Steps) -> list[str]:
    named: dict[str, list[str]] = {}
    for where, _ in steps:
        if not where.startswith("."):
            module, _, name = where.strip("$=").partition(":")
            named.setdefault(module, [])
            if name not in named[module]:
                named[module].append(name)
    return [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(named.items())]


def _variable(steps: Steps) -> str:
    """Return what the object is called: the last word of its class."""
    made = next((where for where, _ in steps if where.endswith("=")), "it=")
    words = re.findall(r"[A-Z][a-z]+", made.partition(":")[2])
    return words[-1].lower() if words else "it"


def _told(outcome: Sequence[Any], where: str) -> str:
    how, value = outcome
    if how == "raises":
        return f"{value} is raised"
    if where.startswith("$"):
        code, out = value
        ends = "" if code in (0, None) else f"\n(exit code {code})"
        return f"\n{out.rstrip()}{ends}"
    return "nothing (None)" if value is None else written(value)


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w./:=+-]+", text) else "'" + text.replace("'", "'\\''") + "'"
