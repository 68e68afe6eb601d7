"""What the statements of a test are, apart from its asserts: seen in the source, which is never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agentrl.envs.code.expressions import Refused, free_names

__all__ = ["defined", "is_start", "is_text", "printed"]


def defined(statement: ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef) -> Iterator[tuple[str, bool]]:
    """Name what a statement defines, and whether it is what the name means here anyway.

    Raises:
        Refused: It may define any name.
    """
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name, False
        return
    module = statement.module if isinstance(statement, ast.ImportFrom) else None
    for each in statement.names:
        if each.name == "*":
            if module not in ("math", "typing", "collections", "itertools", "string"):
                raise Refused(f"`{ast.unparse(statement)[:60]}` may stand for any name")
            continue
        name = each.asname or each.name.partition(".")[0]
        if isinstance(statement, ast.Import):
            yield name, name == "math" and each.name == "math"
        else:
            yield name, (module, each.name) in (("math", name), ("builtins", name)) and name != "math"


def is_start(statement: ast.stmt) -> bool:
    """Say whether a statement calls check, or is there for when the file is run."""
    if isinstance(statement, ast.If):
        return "__name__" in free_names(statement.test)
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "check"


def printed(statement: ast.stmt) -> ast.Call | None:
    """Return the call of a statement that prints, or nothing."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    is_print = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"
    return call if is_print and isinstance(call, ast.Call) else None


def is_text(statement: ast.stmt) -> bool:
    """Say whether a statement is a text, or another constant, by itself."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
