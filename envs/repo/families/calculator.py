"""The kind calculator: calculates formulas that are given as text."""

from __future__ import annotations

import random

from agentrl.envs.repo.family import Bug, Kind, Params, Steps

__all__ = ["KIND"]

_SCAN = '''
"""Cut a formula into tokens."""

MARKS = "+-*/%^()"


def tokens(text):
    """Return the numbers, names and marks of a formula."""
    found = []
    at = 0
    while at < len(text):
        letter = text[at]
        if letter.isspace():
            at += 1
        elif letter.isdigit():
            end = at
            while end < len(text) and (text[end].isdigit() or text[end] == "."):
                end += 1
            found.append(number(text[at:end]))
            at = end
        elif letter.isalpha() or letter == "_":
            end = at
            while end < len(text) and (text[end].isalnum() or text[end] == "_"):
                end += 1
            found.append(text[at:end])
            at = end
        elif letter in MARKS:
            found.append(letter)
            at += 1
        else:
            raise ValueError("unknown letter: " + letter)
    return found


def number(text):
    """Return a number as it is written, whole where it has no point."""
    if "." in text:
        return float(text)
    return int(text)
'''

_PARSE = '''
"""Make a tree of tokens."""

LEVELS = (("+", "-"), ("*", "/", "%"))


class Parser:
    """Reads tokens from left to right."""

    def __init__(self, tokens):
        self.tokens = tokens
        self.at = 0

    def peek(self):
        """Return the next token, None at the end."""
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self):
        """Return the next token and go on."""
        token = self.peek()
        if token is None:
            raise ValueError("the formula ends too early")
        self.at += 1
        return token

    def tree(self, level=0):
        """Return the tree of a sum, a product, and so on."""
        if level == len(LEVELS):
            return self.power()
        left = self.tree(level + 1)
        while self.peek() in LEVELS[level]:
            mark = self.take()
            left = (mark, left, self.tree(level + 1))
        return left

    def power(self):
        """Return the tree of a power; it binds to the right."""
        base = self.unary()
        if self.peek() == "^":
            self.take()
            return ("^", base, self.power())
        return base

    def unary(self):
        """Return a number, a name, or what stands in brackets."""
        token = self.take()
        if token == "-":
            return ("neg", self.unary())
        if token == "(":
            inner = self.tree()
            if self.take() != ")":
                raise ValueError("a bracket is missing")
            return inner
        if isinstance(token, str) and not token.isidentifier():
            raise ValueError("out of place: " + token)
        return token


def parse(tokens):
    """Return the tree of a whole formula."""
    parser = Parser(tokens)
    tree = parser.tree()
    if parser.peek() is not None:
        raise ValueError("something is left over")
    return tree
'''

_EVALUATE = '''
"""Calculate formulas."""

from @scan import tokens
from @trees import parse


def $evaluate(text, names=None):
    """Return the value of a formula; names are looked up in a dictionary."""
    return _value(parse(tokens(text)), names or {})


def _value(tree, names):
    if isinstance(tree, str):
        if tree not in names:
            raise KeyError(tree)
        return names[tree]
    if not isinstance(tree, tuple):
        return tree
    if tree[0] == "neg":
        return -_value(tree[1], names)
    mark, left, right = tree
    left = _value(left, names)
    right = _value(right, names)
    if mark == "+":
        return left + right
    if mark == "-":
        return left - right
    if mark == "*":
        return left * right
    if mark == "^":
        return left**right
    if right == 0:
        raise ValueError("division by zero")
    if mark == "%":
        return left % right
    return left / right
'''


def _formula(rng: random.Random, depth: int = 0) -> str:
    kind = rng.random()
    if depth > 2 or kind < 0.3:
        return rng.choice(
            ["0", str(rng.randrange(0, 12)), str(rng.randrange(1, 9)), "x", "rate_2", f"{rng.randrange(9)}.5"]
        )
    if kind < 0.42:
        return f"({_formula(rng, depth + 1)})"
    if kind < 0.5:
        return f"-{_formula(rng, depth + 1)}"
    if kind < 0.6:
        return f"{rng.randrange(1, 4)}^{rng.randrange(0, 3)}^{rng.randrange(0, 3)}"
    space = rng.choice(["", " "])
    return f"{_formula(rng, depth + 1)}{space}{rng.choice('+--*/%')}{space}{_formula(rng, depth + 1)}"


def _calculate(rng: random.Random, params: Params) -> Steps:
    text = _formula(rng)
    if rng.random() < 0.1:
        text += rng.choice([")", " 2", "+", "$"])
    return [(f"formulas:{params['evaluate']}", [text, {"x": rng.randrange(-3, 9), "rate_2": 4}])]


KIND = Kind(
    name="calculator",
    about="Calculates formulas that are given as text.",
    modules={"scan": _SCAN, "trees": _PARSE, "formulas": _EVALUATE},
    case=_calculate,
    packages=("calc", "formulary", "arith"),
    choices={"evaluate": ("evaluate", "calculate", "value_of")},
    bugs=(
        Bug(
            name="left",
            module="trees",
            old='return ("^", base, self.power())',
            new='return ("^", base, self.unary())',
            report="Towers of powers are calculated wrongly, or are refused.",
        ),
        Bug(
            name="modulo-level",
            module="trees",
            old='(("+", "-"), ("*", "/", "%"))',
            new='(("+", "-", "%"), ("*", "/"))',
            report="Formulas that mix the remainder with other signs give wrong values.",
        ),
        Bug(
            name="minus-right",
            module="trees",
            old="left = (mark, left, self.tree(level + 1))",
            new="return (mark, left, self.tree(level))",
            report="When I subtract or divide several times in a row, the result is off.",
        ),
        Bug(
            name="digits-in-names",
            module="scan",
            old='(text[end].isalnum() or text[end] == "_")',
            new='(text[end].isalpha() or text[end] == "_")',
            report="Names that end with a digit are not found.",
        ),
        Bug(
            name="left-over",
            module="trees",
            old='    if parser.peek() is not None:\n        raise ValueError("something is left over")\n',
            new="",
            report="Formulas with something left over at the end are accepted without an error.",
        ),
        Bug(
            name="zero",
            module="formulas",
            old='    if right == 0:\n        raise ValueError("division by zero")\n'
            '    if mark == "%":\n        return left % right\n',
            new='    if mark == "%":\n        return left % right\n'
            '    if right == 0:\n        raise ValueError("division by zero")\n',
            report="Some divisions by nothing fail with an error of another type than all the others.",
        ),
    ),
)
"""Calculates formulas that are given as text."""
