"""Read tests that are written as asserts as what they say: calls of one function, and what must hold of each value.

The source of a test is parsed and never run, here or in a box: there it would share a process with the candidate, whose
word on whether an assert held is worth nothing. What cannot be read so is refused, with its line and the reason.

In what is judged, `_` stands for what the candidate returned. A source's own `_` gets another name as it is parsed.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Iterable
from typing import Any

from agentrl.envs.code.checks import Check
from agentrl.envs.code.expressions import (
    Refused,
    bind,
    bound_names,
    evaluate_node,
    free_names,
    is_comprehension,
    is_supported,
)
from agentrl.envs.code.handed import Handed
from agentrl.envs.code.operations import FUNCTIONS, TYPES
from agentrl.envs.code.statements import defined, is_start, is_text, printed
from agentrl.envs.tools.syntax import parse_source
from agentrl.sandboxes.worker.values import ValueNotCarried, dump

__all__ = ["Unreadable", "defined_functions", "parsed", "read_asserts", "read_check_function"]

MOST_CHECKS = 1000  # of one row; a loop may make many
MOST_CHARS = 1_000_000


class Unreadable(ValueError):
    """A test that cannot be turned into calls and values; says the line and why."""


def parsed(source: str, what: str) -> ast.Module:
    """Return the parsed source.

    Raises:
        Unreadable: It is too long, or no Python.
    """
    if len(source) > MOST_CHARS:
        raise Unreadable(f"{what} has {len(source)} characters; at most {MOST_CHARS} are read")
    try:
        return parse_source(source)
    except SyntaxError as error:
        raise Unreadable(f"{what} is no Python: line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise Unreadable(f"{what} is no Python: {type(error).__name__}") from None


def defined_functions(module: ast.Module) -> dict[str, ast.FunctionDef]:
    """Return the functions that a module defines at its top, by name."""
    return {each.name: each for each in module.body if isinstance(each, ast.FunctionDef)}


def read_asserts(source: str, functions: Collection[str]) -> tuple[str, list[Check]]:
    """Read asserts that call one of `functions`; return its name and the checks.

    Raises:
        Unreadable: Something else is in them, or they call none or several of the functions.

    >>> name, checks = read_asserts("assert set(twice([1, 2])) == {2, 4}", ["twice"])
    >>> name, checks[0].args, checks[0].test
    ('twice', ([1, 2],), 'set(_) == {2, 4}')
    """
    module = _without_placeholder(parsed(source, "the test"))
    called = [
        each.func.id for each in ast.walk(module) if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)
    ]
    found = sorted(set(called) & set(functions))
    if len(found) != 1:
        raise Unreadable(f"it calls {' and '.join(found) or 'no function'} of the solution; one is expected")
    reader = _Reader({found[0]})
    reader.run(module.body)
    return found[0], reader.finished()


def read_check_function(source: str, entry_point: str) -> list[Check]:
    """Read the asserts of `def check(candidate): ...`.

    Raises:
        Unreadable: There is no such function, or something else is in it.
    """
    module = _without_placeholder(parsed(source, "the test"))
    check = defined_functions(module).get("check")
    if check is None or len(check.args.args) != 1:
        raise Unreadable("there is no function check(candidate) in it")
    reader = _Reader({check.args.args[0].arg, entry_point})
    reader.run(each for each in module.body if each is not check and not is_start(each))  # what the test uses
    reader.run(check.body)
    return reader.finished()


def _without_placeholder(module: ast.Module) -> ast.Module:
    """Give a source's own `_` a name that is not in it."""
    taken = {each.id for each in ast.walk(module) if isinstance(each, ast.Name)}
    other = next(name for number in range(1, len(taken) + 2) if (name := f"_{number}") not in taken)
    for each in ast.walk(module):
        if isinstance(each, ast.Name) and each.id == "_":
            each.id = other
        elif isinstance(each, ast.arg) and each.arg == "_":
            each.arg = other
    return module


class _Call:
    """A call of the candidate, with its arguments."""

    def __init__(self, args: tuple[Any, ...]) -> None:
        self.args = args


class _Reader:
    """Goes through statements in their order, with the values of the names that are known."""

    def __init__(self, callees: set[str]) -> None:
        self.callees = callees
        self.names: dict[str, Any] = {}
        self.pending: dict[str, _Call] = {}  # names that hold what the candidate returned
        self.foreign = callees & _OWN  # names of Python's own functions that mean something else here
        self.handed = Handed()
        self.checks: list[Check] = []

    def finished(self) -> list[Check]:
        if not self.checks:
            raise Unreadable("there is no assert about the function in it")
        return self.checks

    def run(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            try:
                self._statement(statement)
            except Unreadable:
                raise
            except (ValueError, TypeError, RecursionError, MemoryError) as error:  # Refused is a ValueError
                why = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
                raise Unreadable(f"line {statement.lineno} of it: {why}") from None

    def _statement(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Assert):
            self._assert(statement.test)
        elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            self._assign(statement.targets[0], statement.value)
        elif isinstance(statement, ast.For) and not statement.orelse:
            is_about = self.handed.is_about(statement.iter, self.names)
            for item in self._value(statement.iter):
                self._bind(statement.target, item, is_about)
                self.run(statement.body)
        elif isinstance(statement, ast.If):
            self.run(statement.body if self._seen(statement.test) else statement.orelse)
        elif isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef):
            self._define(statement)
        elif (call := printed(statement)) is not None:
            self._print(call)
        elif not isinstance(statement, ast.Pass) and not is_text(statement):
            raise Refused(f"`{ast.unparse(statement).splitlines()[0][:60]}` is no assert, assignment or loop")

    def _define(self, statement: ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef) -> None:
        """Note which names mean something that is not known here; a use of such a name is refused."""
        if isinstance(statement, ast.ClassDef) and any(isinstance(each, ast.Assert) for each in ast.walk(statement)):
            raise Refused(f"asserts in a class {statement.name}")
        for name, is_own in defined(statement):
            if name in self.callees and isinstance(statement, ast.FunctionDef | ast.ClassDef):
                raise Refused(f"another {name} in the place of the solution's")
            self._forget(name)
            if name in _OWN and not is_own:
                self.foreign.add(name)

    def _forget(self, name: str) -> None:
        self.names.pop(name, None)
        self.pending.pop(name, None)
        self.handed.derived.discard(name)
        if name not in self.callees:
            self.foreign.discard(name)

    def _print(self, call: ast.Call) -> None:
        """Skip a print, but not what a call in it may do to a value."""
        for each in ast.walk(call):
            if not isinstance(each, ast.Call) or each is call:
                continue
            if self._is_candidate(each.func):
                self.handed.hand([self.names.get(name) for name in free_names(each)])
            elif not isinstance(each.func, ast.Name) or each.func.id not in _OWN - self.foreign - set(self.names):
                raise Refused(f"a print that calls {ast.unparse(each.func)[:60]}()")

    def _bind(self, target: ast.expr, value: Any, is_about_handed: bool) -> None:
        for name in bound_names(target):
            if name in self.callees:
                raise Refused(f"another {name} in the place of the solution's")
            self._forget(name)
            if is_about_handed:
                self.handed.derived.add(name)
        bind(self.names, target, value)  # no copy, so that it is known which names hold the same object

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(value, ast.Call) and self._is_candidate(value.func) and isinstance(target, ast.Name):
            call = self._called(value)
            if target.id in self.callees:
                raise Refused(f"another {target.id} in the place of the solution's")
            self._forget(target.id)
            self.pending[target.id] = call
        else:
            self._bind(target, self._value(value), self.handed.is_about(value, self.names))

    def _assert(self, test: ast.expr) -> None:
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
            for each in test.values:
                self._assert(each)
        elif isinstance(test, ast.BoolOp) and not self._calls(test.values[0]):
            if not self._seen(test.values[0]):
                rest = test.values[1:]
                self._assert(rest[0] if len(rest) == 1 else ast.BoolOp(op=test.op, values=rest))
        elif isinstance(test, ast.IfExp) and not self._calls(test.test):
            self._assert(test.body if self._seen(test.test) else test.orelse)
        elif (each_of := self._all_of(test)) is not None:
            self._each(each_of.generators, each_of.elt)
        else:
            self._judge(test)

    def _all_of(self, test: ast.expr) -> ast.GeneratorExp | ast.ListComp | None:
        """Return what is in `all(f(x) for x in values)`, where the function is called for each."""
        is_all = isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id == "all"
        if not is_all or not isinstance(test, ast.Call) or len(test.args) != 1 or test.keywords:
            return None
        (inner,) = test.args
        if "all" in self.foreign or "all" in self.names or not isinstance(inner, ast.GeneratorExp | ast.ListComp):
            return None
        calls = any(isinstance(each, ast.Call) and self._is_candidate(each.func) for each in ast.walk(inner.elt))
        around = [part for each in inner.generators for part in (each.iter, *each.ifs)]
        return inner if calls and not any(map(self._calls, around)) else None

    def _each(self, generators: list[ast.comprehension], element: ast.expr) -> None:
        """Read an assert for each item of a comprehension, whose names end with it."""
        if not generators:
            self._assert(element)
            return
        first, *rest = generators
        items, is_about = list(self._value(first.iter)), self.handed.is_about(first.iter, self.names)
        outside = self.names, self.pending, self.foreign, self.handed.derived
        for item in items:
            self.names, self.pending, self.foreign = dict(outside[0]), dict(outside[1]), set(outside[2])
            self.handed.derived = set(outside[3])
            self._bind(first.target, item, is_about)
            if all(self._seen(each) for each in first.ifs):
                self._each(rest, element)
        self.names, self.pending, self.foreign, self.handed.derived = outside

    def _judge(self, test: ast.expr) -> None:
        finder = _Finder(self)
        judged = finder.visit(copy.deepcopy(test))
        if not finder.calls:
            if not self._seen(test):
                raise Refused("an assert that does not hold, whatever the function returns")
            return
        if len(finder.calls) > 1:
            raise Refused("an assert that calls the function with different arguments")
        (call,) = finder.calls.values()
        self._refuse_foreign(judged)
        if why := is_supported(judged, {**self.names, "_": None}):
            raise Refused(f"`{ast.unparse(test)[:60]}`: {why}")
        self.handed.refuse_beside(judged, self.names)
        for each in ast.walk(judged):
            if isinstance(each, ast.Compare):
                self._comparable(each)
        used = free_names(judged)
        names = {name: copy.deepcopy(value) for name, value in self.names.items() if name in used}
        self.checks.append(Check(args=copy.deepcopy(call.args), test=ast.unparse(judged), names=names))
        if len(self.checks) > MOST_CHECKS:
            raise Refused(f"more than {MOST_CHECKS} asserts")

    def _comparable(self, node: ast.Compare) -> None:
        """Refuse a comparison with what no value that is handed over can be."""
        sides = [node.left, *node.comparators]
        for number, operation in enumerate(node.ops):
            pair = sides[number : number + 2]
            if isinstance(operation, ast.Is | ast.IsNot) and not any(map(_is_single, pair)):
                raise Refused(f"`{ast.unparse(node)[:60]}` asks whether two values are one object")
            for side, other in (pair, pair[::-1]):
                if not free_names(side) <= set(self.names) | _OWN:
                    continue
                value = self._value(side)
                is_expected = isinstance(operation, ast.Eq | ast.NotEq) and _is_placeholder(other)
                if isinstance(value, _VIEWS) and not is_expected:
                    continue
                try:
                    dump(value)
                except ValueNotCarried as error:
                    raise Refused(f"a value that is expected and cannot be handed over: {error}") from None

    def _value(self, node: ast.expr) -> Any:
        self._refuse_foreign(node)
        return evaluate_node(node, self.names)

    def _seen(self, node: ast.expr) -> Any:
        """Return the value of what is not about the candidate, nor about what it was given."""
        self.handed.refuse(node, self.names)
        return self._value(node)

    def _refuse_foreign(self, node: ast.expr) -> None:
        if foreign := sorted(free_names(node) & self.foreign):
            raise Refused(f"{foreign[0]} is not Python's own in this test")

    def _calls(self, node: ast.expr) -> bool:
        """Say whether what the candidate returns is needed for a value."""
        return any(
            isinstance(each, ast.Name) and each.id in self.callees | set(self.pending) for each in ast.walk(node)
        )

    def _is_candidate(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in self.callees

    def _called(self, call: ast.Call) -> _Call:
        if call.keywords:
            raise Refused("arguments by name")
        made = _Call(tuple(self._value(ast.Tuple(elts=call.args, ctx=ast.Load()))))
        try:
            dump(made.args)
        except ValueNotCarried as error:
            raise Refused(f"an argument that cannot be handed over: {error}") from None
        self.handed.hand(made.args)
        return made


class _Finder(ast.NodeTransformer):
    """Puts `_` in the place of what the candidate returned, and gathers the calls."""

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader
        self.calls: dict[str, _Call] = {}  # by their arguments, so that the same call twice is one
        self.own: frozenset[str] | None = None  # names of the comprehensions around, where there are any

    def visit(self, node: ast.AST) -> Any:
        return self._comprehension(node) if is_comprehension(node) else super().visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if self.reader._is_candidate(node.func):
            if self.own is not None:
                raise Refused("a call of the function for each item of a comprehension; only all(...) is read so")
            return self._found(self.reader._called(node))
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        is_pending = node.id in self.reader.pending and node.id not in (self.own or ())
        return self._found(self.reader.pending[node.id]) if is_pending else node

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> ast.AST:
        outside = self.own
        for number, each in enumerate(node.generators):
            each.iter = self.visit(each.iter)  # the first is evaluated once, outside
            if number == 0:
                self.own = outside or frozenset()
            assert self.own is not None
            self.own = self.own | bound_names(each.target)
            each.ifs = [self.visit(condition) for condition in each.ifs]
        if isinstance(node, ast.DictComp):
            node.key, node.value = self.visit(node.key), self.visit(node.value)
        else:
            node.elt = self.visit(node.elt)
        self.own = outside
        return node

    def _found(self, call: _Call) -> ast.AST:
        self.calls[repr(call.args)] = call
        return ast.Name(id="_", ctx=ast.Load())


_OWN = frozenset(name.partition(".")[0] for name in FUNCTIONS) | frozenset(TYPES) | {"isinstance"}
_VIEWS: tuple[type, ...] = (range, type({}.keys()), type({}.values()), type({}.items()), enumerate, zip, reversed, type)


def _is_single(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool))


def _is_placeholder(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "_"
