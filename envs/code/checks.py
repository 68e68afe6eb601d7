"""A check: one input, and how what comes out for it is judged. It is judged here, over plain values, never in a box."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentrl.envs.code.expressions import Refused, evaluate
from agentrl.envs.tools.syntax import parse_expression
from agentrl.sandboxes.grader import canonical

__all__ = ["Check", "same_output", "same_value", "written"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One input and what must come out: a value, or an expression over the value that must be true."""

    args: tuple[Any, ...]  # of the function; for a program (stdin,)
    expected: Any = None
    test: str = ""  # an expression in which `_` is what came out; where there is one, `expected` means nothing
    names: Mapping[str, Any] = field(default_factory=dict)  # what else the expression names

    def passes(self, value: Any, *, program: bool = False) -> bool:
        """Say whether a value that came out is right; one over which a test cannot be evaluated is wrong."""
        if program:
            return same_output(value, self.expected)
        if not self.test:
            return same_value(value, self.expected)
        try:
            return bool(evaluate(self.test, {**self.names, "_": value}))
        except Refused:
            return False

    def wanted(self) -> str:
        """Say what must come out, for the model."""
        return (
            f"{self.test} must hold, where _ is what is returned" if self.test else f"expected {written(self.expected)}"
        )

    def said(self, function: str) -> str:
        """Write what must hold of the call of a function."""
        call = self.call(function)
        if not self.test:
            return f"{call} == {written(self.expected)}"
        return ast.unparse(_Put(parse_expression(call).body).visit(parse_expression(self.test)))

    def call(self, function: str) -> str:
        """Write the call of the function."""
        return f"{function}({', '.join(map(written, self.args))})"


class _Put(ast.NodeTransformer):
    """Puts an expression in the place of `_`."""

    def __init__(self, expression: ast.expr) -> None:
        self.expression = expression

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.expression if node.id == "_" else node


def written(value: Any) -> str:
    """Write a plain value as Python does, a set in one order in every process.

    >>> written({"b": ({"z", "a"}, set())})
    "{'b': ({'a', 'z'}, set())}"
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(key)}: {written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(written, value))}{',' * (len(value) == 1)})"
    if isinstance(value, set | frozenset) and value:
        inside = "{" + ", ".join(sorted(map(written, value))) + "}"
        return inside if isinstance(value, set) else f"frozenset({inside})"
    return repr(value)


def same_value(value: Any, expected: Any) -> bool:
    """Compare two plain values, of exact types all through; floats may differ in the last digits.

    >>> same_value([1, 0.1 + 0.2], [1, 0.3]), same_value([1.0], [1]), same_value((1,), [1])
    (True, False, False)
    """
    return canonical(value) == canonical(expected) or _close(value, expected)


def _close(value: Any, expected: Any) -> bool:
    if type(value) is not type(expected):
        return False
    if isinstance(value, float):
        return math.isclose(value, expected, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(value, list | tuple):
        return len(value) == len(expected) and all(map(same_value, value, expected))
    if isinstance(value, dict):
        return value.keys() == expected.keys() and all(same_value(value[key], each) for key, each in expected.items())
    return False


def same_output(written: str, expected: str) -> bool:
    r"""Compare what two programs wrote; white space at the ends of lines and empty lines at the end do not count.

    >>> same_output("1 \n2\n\n", "1\n2"), same_output(" 1\n2", "1\n2")
    (True, False)
    """
    return _lines(written) == _lines(expected)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")]
