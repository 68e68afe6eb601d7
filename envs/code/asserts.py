"""Read tests that are written as asserts as what they say: calls of one function, and what must hold of each value.

The source of a test is parsed and never run, here or in a box: there it would share a process with the candidate, whose
word on whether an assert held is worth nothing. What cannot be read so is refused, with its line and the reason.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Iterable
from typing import Any

from agentrl.envs.code.checks import Check
from agentrl.envs.code.expressions import Refused, bind, evaluate_node, is_supported
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
        return ast.parse(source)
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
    module = parsed(source, "the test")
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
    module = parsed(source, "the test")
    check = defined_functions(module).get("check")
    if check is None or len(check.args.args) != 1:
        raise Unreadable("there is no function check(candidate) in it")
    reader = _Reader({check.args.args[0].arg, entry_point})
    for statement in module.body:  # constants that the test uses
        if isinstance(statement, ast.Assign):
            reader.run([statement])
    reader.run(check.body)
    return reader.finished()


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
        self.checks: list[Check] = []

    def finished(self) -> list[Check]:
        if not self.checks:
            raise Unreadable("there is no assert about the function in it")
        return self.checks

    def run(self, statements: Iterable[ast.stmt]) -> None:
        for statement in statements:
            try:
                self._statement(statement)
            except Refused as error:
                raise Unreadable(f"line {statement.lineno} of it: {error}") from None

    def _statement(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Assert):
            self._assert(statement.test)
        elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            self._assign(statement.targets[0], statement.value)
        elif isinstance(statement, ast.For) and not statement.orelse:
            for item in self._value(statement.iter):
                bind(self.names, statement.target, item)
                self.run(statement.body)
        elif isinstance(statement, ast.If):
            self.run(statement.body if self._value(statement.test) else statement.orelse)
        elif not isinstance(statement, _SKIPPED) and not _is_said(statement):
            raise Refused(f"`{ast.unparse(statement).splitlines()[0][:60]}` is no assert, assignment or loop")

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        for each in ast.walk(target):
            if isinstance(each, ast.Name):
                self.pending.pop(each.id, None)
        if isinstance(value, ast.Call) and self._is_candidate(value.func) and isinstance(target, ast.Name):
            self.names.pop(target.id, None)
            self.pending[target.id] = self._called(value)
        else:
            bind(self.names, target, copy.deepcopy(self._value(value)))

    def _assert(self, test: ast.expr) -> None:
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
            for each in test.values:
                self._assert(each)
            return
        finder = _Finder(self)
        judged = finder.visit(copy.deepcopy(test))
        if not finder.calls:
            if not self._value(test):
                raise Refused("an assert that does not hold, whatever the function returns")
            return
        if len(finder.calls) > 1:
            raise Refused("an assert that calls the function with different arguments")
        (call,) = finder.calls.values()
        if why := is_supported(judged, {**self.names, "_": None}):
            raise Refused(f"`{ast.unparse(test)[:60]}`: {why}")
        try:
            dump(call.args)
        except ValueNotCarried as error:
            raise Refused(f"an argument that cannot be handed over: {error}") from None
        used = {each.id for each in ast.walk(judged) if isinstance(each, ast.Name)}
        names = {name: copy.deepcopy(value) for name, value in self.names.items() if name in used}
        self.checks.append(Check(args=copy.deepcopy(call.args), test=ast.unparse(judged), names=names))
        if len(self.checks) > MOST_CHECKS:
            raise Refused(f"more than {MOST_CHECKS} asserts")

    def _value(self, node: ast.expr) -> Any:
        return evaluate_node(node, self.names)

    def _is_candidate(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in self.callees

    def _called(self, call: ast.Call) -> _Call:
        if call.keywords:
            raise Refused("arguments by name")
        return _Call(tuple(self._value(ast.Tuple(elts=call.args, ctx=ast.Load()))))


class _Finder(ast.NodeTransformer):
    """Puts `_` in the place of what the candidate returned, and gathers the calls."""

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader
        self.calls: dict[str, _Call] = {}  # by their arguments, so that the same call twice is one

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if self.reader._is_candidate(node.func):
            return self._found(self.reader._called(node))
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._found(self.reader.pending[node.id]) if node.id in self.reader.pending else node

    def _found(self, call: _Call) -> ast.AST:
        self.calls[repr(call.args)] = call
        return ast.Name(id="_", ctx=ast.Load())


_SKIPPED = (ast.Pass, ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)  # a use of what they name is refused


def _is_said(statement: ast.stmt) -> bool:
    """Return whether a statement is a text by itself, or prints."""
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    is_print = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "print"
    return is_print or isinstance(value, ast.Constant)
