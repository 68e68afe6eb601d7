"""Evaluate small Python expressions of a data file without running any code of it: literals, arithmetic, plain calls.

Used for what tests expect and for the values that candidates return, which are hostile: sizes and steps are bounded.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeGuard

from agentrl.envs.code.operations import (
    BINARY,
    COMPARE,
    CONSTANTS,
    FUNCTIONS,
    METHODS,
    TYPES,
    UNARY,
    Refused,
    spread,
)
from agentrl.envs.tools.syntax import parse_expression

__all__ = [
    "Refused",
    "bind",
    "bound_names",
    "evaluate",
    "evaluate_node",
    "free_names",
    "is_comprehension",
    "is_supported",
]

MOST_STEPS = 200_000
_METHODS: frozenset[str] = frozenset().union(*METHODS.values())
_CONSTANTS = (bool, int, float, str, bytes, type(None))
_UNFIT = (set, frozenset, dict, bytes)  # as `key=`: their bounds would be got round


def evaluate(text: str, names: Mapping[str, Any]) -> Any:
    """Return the value of an expression.

    Raises:
        Refused: It is none, has a part that is not evaluated, or fails.

    >>> evaluate("abs(_ - 2/3) < 1e-6 and sorted('ba') == ['a', 'b']", {"_": 0.66666666})
    True
    """
    return evaluate_node(_parsed(text), names)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> ast.expr:
    try:
        return parse_expression(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise Refused(f"{text[:60]!r} is no expression") from None


def evaluate_node(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return the value of a parsed expression; see `evaluate`."""
    try:
        return _Evaluation(names).of(node)
    except Refused:
        raise
    except (RecursionError, MemoryError, ArithmeticError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise Refused(f"{ast.unparse(node)[:60]}: {type(error).__name__}: {error}") from None


def is_supported(node: ast.expr, names: Mapping[str, Any]) -> str:
    """Return why an expression cannot be evaluated, as far as that can be seen without its values; or nothing."""
    values = set(names) | bound_names(node)  # a function of such a name is not Python's own
    free = free_names(node)
    called = {id(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}
    for each in ast.walk(node):
        if isinstance(each, ast.Call):
            target = _dotted(each.func)
            method = isinstance(each.func, ast.Attribute) and each.func.attr in _METHODS
            own = (target in FUNCTIONS or target == "isinstance") and target.partition(".")[0] not in values
            if not own and not method:
                return f"it calls {ast.unparse(each.func)[:60]}()"
        elif isinstance(each, ast.Attribute) and id(each) not in called and _dotted(each) not in CONSTANTS:
            return f"it takes {ast.unparse(each)[:60]}"
        elif isinstance(each, ast.Constant) and not isinstance(each.value, _CONSTANTS):
            return f"it has {ast.unparse(each)[:60]}, which cannot be handed over"
        elif isinstance(each, ast.expr) and type(each).__name__ not in _EXPRESSIONS:
            return f"it has {ast.unparse(each)[:60]}"
    for name in sorted(free):
        if name not in names and name not in FUNCTIONS and name not in TYPES and name not in ("math", "isinstance"):
            return f"the name {name} means nothing here"
    return ""


def is_comprehension(node: ast.AST) -> TypeGuard[ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp]:
    """Say whether a node has names of its own."""
    return isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)


def bound_names(node: ast.AST) -> set[str]:
    """Return the names that are assigned in a node, at any depth."""
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)}


def free_names(node: ast.AST, own: frozenset[str] = frozenset()) -> set[str]:
    """Return the names that a node takes from outside of it, as Python's scopes are.

    >>> sorted(free_names(ast.parse("[x + y for x in x if z] + [x]", mode="eval")))
    ['x', 'y', 'z']
    """
    if isinstance(node, ast.Name):
        return {node.id} - own if isinstance(node.ctx, ast.Load) else set()
    found: set[str] = set()
    parts = list(ast.iter_child_nodes(node))
    if is_comprehension(node):
        for each in node.generators:
            found |= free_names(each.iter, own)
            own = own | bound_names(each.target)
            found |= set().union(*(free_names(condition, own) for condition in each.ifs))
        parts = [each for each in parts if not isinstance(each, ast.comprehension)]
    return found.union(*(free_names(each, own) for each in parts))


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


class _Evaluation:
    """One evaluation, with its names and the steps that are left."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = dict(names)
        self.left = MOST_STEPS

    def of(self, node: ast.expr) -> Any:
        self.left -= 1
        if self.left < 0:
            raise Refused(f"more than {MOST_STEPS} steps")
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None:
            raise Refused(f"{ast.unparse(node)[:60]} is not evaluated")
        return method(node)

    def _Constant(self, node: ast.Constant) -> Any:
        return node.value

    def _Name(self, node: ast.Name) -> Any:
        if node.id in self.names:
            return self.names[node.id]
        if node.id in TYPES:
            return TYPES[node.id]
        if node.id in FUNCTIONS:
            return FUNCTIONS[node.id]
        raise Refused(f"the name {node.id} means nothing here")

    def _List(self, node: ast.List) -> list[Any]:
        return list(self._items(node.elts))

    def _Tuple(self, node: ast.Tuple) -> tuple[Any, ...]:
        return tuple(self._items(node.elts))

    def _Set(self, node: ast.Set) -> set[Any]:
        return set(spread(self._items(node.elts)))

    def _Dict(self, node: ast.Dict) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                made.update(self.of(value))
            else:
                made[self.of(key)] = self.of(value)
        return made

    def _items(self, nodes: list[ast.expr]) -> Iterator[Any]:
        for node in nodes:
            if isinstance(node, ast.Starred):
                yield from self.of(node.value)
            else:
                yield self.of(node)

    def _UnaryOp(self, node: ast.UnaryOp) -> Any:
        return UNARY[type(node.op)](self.of(node.operand))

    def _BinOp(self, node: ast.BinOp) -> Any:
        operation = BINARY.get(type(node.op))
        if operation is None:
            raise Refused(f"{ast.unparse(node)[:60]} is not evaluated")
        return operation(self.of(node.left), self.of(node.right))

    def _BoolOp(self, node: ast.BoolOp) -> Any:
        value: Any = None
        for each in node.values:
            value = self.of(each)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value

    def _Compare(self, node: ast.Compare) -> Any:
        left = self.of(node.left)
        for operation, right in zip(node.ops, node.comparators, strict=True):
            value = self.of(right)
            if not COMPARE[type(operation)](left, value):
                return False
            left = value
        return True

    def _IfExp(self, node: ast.IfExp) -> Any:
        return self.of(node.body if self.of(node.test) else node.orelse)

    def _Subscript(self, node: ast.Subscript) -> Any:
        return self.of(node.value)[self.of(node.slice)]

    def _Slice(self, node: ast.Slice) -> slice:
        parts = [self.of(each) if each is not None else None for each in (node.lower, node.upper, node.step)]
        return slice(*parts)

    def _Attribute(self, node: ast.Attribute) -> Any:
        name = _dotted(node)
        if name in CONSTANTS and "math" not in self.names:
            return CONSTANTS[name]
        raise Refused(f"{ast.unparse(node)[:60]} is not evaluated")

    def _Call(self, node: ast.Call) -> Any:
        target = _dotted(node.func)
        if target.partition(".")[0] in self.names:  # a value that hides the function of this name
            target = ""
        args = list(self._items(node.args))
        named = {each.arg: self.of(each.value) for each in node.keywords if each.arg is not None}
        if len(named) != len(node.keywords) or any(each in _UNFIT for each in named.values() if callable(each)):
            raise Refused(f"{ast.unparse(node)[:60]} is not evaluated")
        if target == "isinstance" and len(args) == 2:
            return isinstance(args[0], args[1])
        if target in FUNCTIONS:
            return FUNCTIONS[target](*args, **named)
        if isinstance(node.func, ast.Attribute):
            owner = self.of(node.func.value)
            if node.func.attr in METHODS.get(type(owner), ()):
                return getattr(owner, node.func.attr)(*args, **named)
        raise Refused(f"{ast.unparse(node)[:60]} is not evaluated")

    def _ListComp(self, node: ast.ListComp) -> list[Any]:
        return self._all_made(node, lambda: self.of(node.elt))

    def _GeneratorExp(self, node: ast.GeneratorExp) -> list[Any]:
        return self._all_made(node, lambda: self.of(node.elt))

    def _SetComp(self, node: ast.SetComp) -> set[Any]:
        return set(spread(self._all_made(node, lambda: self.of(node.elt))))

    def _DictComp(self, node: ast.DictComp) -> dict[Any, Any]:
        pairs = self._all_made(node, lambda: (self.of(node.key), self.of(node.value)))
        spread(key for key, _ in pairs)
        return dict(pairs)

    def _all_made(
        self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp, element: Callable[[], Any]
    ) -> list[Any]:
        outside = self.names
        self.names = dict(outside)  # its names end with it
        try:
            return list(self._made(node.generators, element))
        finally:
            self.names = outside

    def _made(self, generators: list[ast.comprehension], element: Callable[[], Any]) -> Iterator[Any]:
        if not generators:
            yield element()
            return
        first, *rest = generators
        for item in self.of(first.iter):
            self.left -= 1
            bind(self.names, first.target, item)
            if all(self.of(each) for each in first.ifs):
                yield from self._made(rest, element)


def bind(names: dict[str, Any], target: ast.expr, value: Any) -> None:
    """Assign a value to a name, or its parts to a tuple of names.

    Raises:
        Refused: Any other target, or parts that do not fit.
    """
    if isinstance(target, ast.Name):
        names[target.id] = value
    elif isinstance(target, ast.Tuple | ast.List):
        parts = list(value)
        if len(parts) != len(target.elts) or any(isinstance(each, ast.Starred) for each in target.elts):
            raise Refused(f"{ast.unparse(target)[:60]} does not fit {len(parts)} values")
        for each, part in zip(target.elts, parts, strict=True):
            bind(names, each, part)
    else:
        raise Refused(f"an assignment to {ast.unparse(target)[:60]}")


_EXPRESSIONS = frozenset(name[1:] for name in vars(_Evaluation) if name[1:2].isupper()) | {"Starred"}
