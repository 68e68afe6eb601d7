"""Small slips in a reference, which the hidden inputs must catch: a constant one off, `<` for `<=`, a branch left out.

All mutants of a source are compiled at once. In one copy of it every place that a slip may touch reads its constant or
its operator from a table, and a mutant is that table with one entry changed.

None can hang this process: every turn of a loop and every call counts against a limit, and no sum, product, power or
range grows past a size. A mutant that comes to a limit has failed.
"""

from __future__ import annotations

import ast
import operator
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache
from types import CodeType
from typing import Any

from agentrl.envs.code.family import Family, Params
from agentrl.envs.code.running import made
from agentrl.envs.tools.syntax import compile_tree, parse_source

__all__ = ["Mutant", "mutants"]

SLOWER = 10  # times the reference's steps that a mutant may take; a step is a turn of a loop or a call
FREE_STEPS = 200
MOST_BITS = 20_000
MOST_LENGTH = 2_000_000  # a reference was seen to write 201,112 characters


class _Endless(BaseException):
    """A limit was met. No `except Exception` in a source holds it."""


def _never(value: object) -> bool:
    return False


def _times(left: Any, right: Any) -> Any:
    if type(left) is int and type(right) is int:
        number = left * right
        if number.bit_length() > MOST_BITS:
            raise _Endless
        return number
    for one, other in ((left, right), (right, left)):
        if isinstance(one, int) and hasattr(other, "__len__") and one * len(other) > MOST_LENGTH:
            raise _Endless
    return left * right


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > MOST_BITS:
        raise _Endless
    return left**right


def _plus(left: Any, right: Any) -> Any:
    value = left + right
    if type(value) is not int and hasattr(value, "__len__") and len(value) > MOST_LENGTH:
        raise _Endless
    return value


def _range(*args: Any) -> range:
    value = range(*args)
    try:
        short = len(value) <= MOST_LENGTH
    except OverflowError:
        short = False
    if not short:
        raise _Endless
    return value


_NEIGHBOURS: dict[type[ast.cmpop], tuple[Callable[[Any, Any], Any], type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Lt: (operator.lt, ast.LtE, operator.le),
    ast.LtE: (operator.le, ast.Lt, operator.lt),
    ast.Gt: (operator.gt, ast.GtE, operator.ge),
    ast.GtE: (operator.ge, ast.Gt, operator.gt),
    ast.Eq: (operator.eq, ast.NotEq, operator.ne),
    ast.NotEq: (operator.ne, ast.Eq, operator.eq),
}
_OPERATORS: dict[type[ast.operator], tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any] | None]] = {
    ast.Add: (_plus, operator.sub),
    ast.Sub: (operator.sub, _plus),
    ast.Mult: (_times, _plus),
    ast.FloorDiv: (operator.floordiv, operator.truediv),
    ast.Mod: (operator.mod, operator.floordiv),
    ast.Pow: (_power, None),
}


class _Tables(ast.NodeTransformer):
    """Puts every place that a slip may touch behind the table `__slip`, and a count into every loop and function."""

    def __init__(self) -> None:
        self.right: list[Any] = []
        self.slips: list[tuple[int, Any, str]] = []  # place, changed entry, what was changed

    def _place(self, right: Any, *slips: tuple[Any, str]) -> ast.expr:
        place = len(self.right)
        self.right.append(right)
        self.slips += [(place, value, said) for value, said in slips]
        return ast.Subscript(ast.Name("__slip", ast.Load()), ast.Constant(place), ast.Load())

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if type(node.value) is not int:
            return node
        number, line = node.value, node.lineno
        return self._place(number, *((number + d, f"line {line}: {number} -> {number + d}") for d in (1, -1)))

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        text, line = ast.unparse(node), node.lineno
        self.generic_visit(node)
        found: ast.expr = node
        for k, op in enumerate(node.ops):
            if type(op) not in _NEIGHBOURS:
                continue
            right, other, slip = _NEIGHBOURS[type(op)]
            said = f"line {line}: {text} with {other.__name__}"
            if len(node.ops) == 1:
                return ast.Call(self._place(right, (slip, said)), [node.left, node.comparators[0]], [])
            changed = ast.Compare(node.left, [*node.ops[:k], other(), *node.ops[k + 1 :]], node.comparators)
            found = ast.IfExp(self._place(False, (True, said)), changed, found)
        return found

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        said = f"line {node.lineno}: and <-> or in {ast.unparse(node)}"
        self.generic_visit(node)
        changed = ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        return ast.IfExp(self._place(False, (True, said)), changed, node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        text, line = ast.unparse(node), node.lineno
        self.generic_visit(node)
        if type(node.op) not in _OPERATORS:
            return node
        right, slip = _OPERATORS[type(node.op)]
        slips = [] if slip is None else [(slip, f"line {line}: {text} with {slip.__name__.strip('_')}")]
        return ast.Call(self._place(right, *slips), [node.left, node.right], [])

    def visit_If(self, node: ast.If) -> ast.stmt:
        text = f"line {node.lineno}: if {ast.unparse(node.test)}"
        self.generic_visit(node)
        place = self._place(bool, (_never, f"{text} removed"), (operator.not_, f"{text} negated"))
        node.test = ast.Call(place, [node.test], [])
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        said = f"line {node.lineno}: {ast.unparse(node)} negated"
        self.generic_visit(node)
        node.test = ast.Call(self._place(bool, (operator.not_, said)), [node.test], [])
        return node

    def _counted(self, node: Any) -> Any:
        self.generic_visit(node)
        node.body = [ast.Expr(_tick()), *node.body]
        return node

    visit_For = visit_While = _counted

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        node.returns, node.args = None, _bare(node.args)
        return self._counted(node)  # type: ignore[no-any-return]

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        self.generic_visit(node)
        node.body = ast.BoolOp(ast.And(), [_tick(), node.body])
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.comprehension:
        self.generic_visit(node)
        node.ifs = [_tick(), *node.ifs]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        node.value = None if node.value is None else self.visit(node.value)
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        for each in node.values:
            if isinstance(each, ast.FormattedValue):
                each.value = self.visit(each.value)
        return node

    def visit_match_case(self, node: Any) -> Any:
        node.body = [self.visit(each) for each in node.body]
        return node


def _tick() -> ast.expr:
    return ast.Call(ast.Name("__tick", ast.Load()), [], [])


def _bare(args: ast.arguments) -> ast.arguments:
    for each in (*args.posonlyargs, *args.args, *args.kwonlyargs):
        each.annotation = None
    return args


@lru_cache(maxsize=512)
def _tables(text: str) -> tuple[CodeType, tuple[Any, ...], tuple[tuple[int, Any, str], ...]]:
    tables = _Tables()
    tree = ast.fix_missing_locations(tables.visit(parse_source(text)))
    return compile_tree(tree, "<mutants>"), tuple(tables.right), tuple(tables.slips)


def mutants(family: Family, params: Params, tried: Iterable[tuple[Any, ...]]) -> list[Mutant]:
    """Return the reference of a family with one slip each: about 16 of them, 74 for the longest reference.

    Args:
        family: Whose reference it is.
        params: What fills it.
        tried: Inputs on which the reference's steps are counted; a mutant may take `SLOWER` times as many.
    """
    code, right, slips = _tables(family.fill(family.reference, params))
    plain = Mutant.plain(family, params)
    steps = 0
    for args in tried:
        with suppress(TimeoutError):
            plain(args)
        steps = max(steps, plain.steps)
    limit = FREE_STEPS + SLOWER * steps
    return [
        Mutant(said, family, code, [*right[:place], value, *right[place + 1 :]], limit) for place, value, said in slips
    ]


class Mutant:
    """A reference with a table: a `Runner` that counts its steps and raises where they are too many."""

    def __init__(self, said: str, family: Family, code: CodeType, table: Sequence[Any], limit: int | None) -> None:
        self.said = said  # what was changed
        self.steps = 0  # of the last run
        self.broken: str | None = None
        most = sys.maxsize if limit is None else limit

        def tick() -> bool:
            self.steps += 1
            if self.steps > most:
                raise _Endless
            return True

        try:
            self.run = made(code, family, {"__slip": table, "__tick": tick, "range": _range})
        except (Exception, _Endless) as error:  # a function's source runs here, down to its `def`
            self.broken = repr(error)

    @classmethod
    def plain(cls, family: Family, params: Params) -> Mutant:
        """Return the reference itself with its table, and without a limit on its steps."""
        code, right, _ = _tables(family.fill(family.reference, params))
        return cls("", family, code, right, None)

    def __call__(self, args: tuple[Any, ...]) -> Any:
        if self.broken is not None:
            raise ValueError(f"it cannot be loaded: {self.broken}")
        self.steps = 0
        try:
            return self.run(args)
        except _Endless:
            raise TimeoutError("many more steps, or a much longer value, than the reference") from None
