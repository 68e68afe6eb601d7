"""A calculator for word problems. Standard library only, for a box may run it; nothing is evaluated but arithmetic."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction

from agentrl.envs.tools.syntax import parse_expression
from agentrl.envs.tools.toolset import ToolError, Toolset

__all__ = ["Calculator"]

_MAX_CHARS = 500
_MAX_BITS = 512  # of a numerator or denominator, so that no chain of powers takes time or memory
_MAX_DEPTH = 50
_DECIMAL = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d+))?")
_BINARY: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda a, b: Fraction(a // b),
    ast.Mod: operator.mod,
}


class Calculator(Toolset):
    """Calculates exactly, with fractions."""

    def calculate(self, expression: str) -> str:
        """Calculate exactly, such as (3 + 4) * 2.5 or 7 / 3.

        Args:
            expression: Numbers with + - * / // % ** and brackets.
        """
        if len(expression) > _MAX_CHARS:
            raise ToolError(f"the expression has {len(expression)} characters; at most {_MAX_CHARS} are read")
        try:
            tree = parse_expression(expression.strip())
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ToolError(f"{expression[:80]!r} is no arithmetic; write numbers with + - * / // % ** ( )") from None
        value = _value(tree.body, expression, 0)
        return str(value) if value.denominator == 1 else f"{value} = {float(value):.6g}"


def _value(node: ast.expr, text: str, depth: int) -> Fraction:
    if depth > _MAX_DEPTH:
        raise ToolError(f"the expression is nested more than {_MAX_DEPTH} deep; calculate it in parts")
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return _number((ast.get_source_segment(text.strip(), node) or "").replace("_", ""))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand, text, depth + 1)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, text, depth + 1), _value(node.right, text, depth + 1)
        if isinstance(node.op, ast.Pow):
            return _power(left, right)
        work = _BINARY.get(type(node.op))
        if work is not None:
            try:
                return _bounded(work(left, right))
            except ZeroDivisionError:
                raise ToolError("division by zero") from None
    raise ToolError(
        f"{(ast.get_source_segment(text.strip(), node) or text)[:80]!r} is not arithmetic that is known here"
    )


def _number(written: str) -> Fraction:
    match = _DECIMAL.fullmatch(written)
    if match is None:
        raise ToolError(f"{written[:40]!r} is no decimal number")
    if len(match[1] or "") > 4:  # sign included; Python would build an int of that many digits first
        raise ToolError(f"a number of more than {_MAX_BITS} bits; calculate with smaller ones")
    return _bounded(Fraction(written))


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if exponent.denominator != 1 or bits * abs(exponent.numerator) > _MAX_BITS:
        raise ToolError(
            f"the exponent {exponent} must be a whole number, and the power no longer than {_MAX_BITS} bits"
        )
    if base == 0 and exponent < 0:
        raise ToolError("division by zero")
    return Fraction(base ** int(exponent))


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
        raise ToolError(f"a number of more than {_MAX_BITS} bits; calculate with smaller ones")
    return value
