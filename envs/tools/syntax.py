"""Parse Python from several threads: `ast.parse` of Python 3.11 raises a SystemError now and then when two run at once.

Its count of nested calls is shared by all threads ("AST constructor recursion depth mismatch"). Standard library only.
"""

from __future__ import annotations

import ast
import threading
from types import CodeType

__all__ = ["compile_tree", "parse_expression", "parse_source"]

_lock = threading.RLock()


def parse_source(source: str | bytes) -> ast.Module:
    """Parse a module.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: As `ast.parse`.
    """
    with _lock:
        return ast.parse(source)


def parse_expression(source: str) -> ast.Expression:
    """Parse one expression.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: As `ast.parse`.
    """
    with _lock:
        return ast.parse(source, mode="eval")


def compile_tree(tree: ast.Module, filename: str) -> CodeType:
    """Compile a module that was parsed.

    Raises:
        SyntaxError, ValueError, RecursionError: As `compile`.
    """
    with _lock:
        code: CodeType = compile(tree, filename, "exec")
        return code
