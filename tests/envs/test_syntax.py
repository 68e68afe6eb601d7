"""Parsing from many threads at once, which Python's own function does not survive."""

from __future__ import annotations

import ast
import threading

from agentrl.envs.tools.syntax import compile_tree, parse_expression, parse_source

SOURCE = "def f(x):\n    return " + "(" * 40 + "x" + " + 1)" * 40 + "\n"


def test_many_threads_parse_at_once() -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(60):
                names: dict[str, int] = {}
                exec(compile_tree(parse_source(f"{SOURCE}y = f(2)"), "<test>"), names)
                assert names["y"] == 42
                assert isinstance(parse_expression("1 + 2").body, ast.BinOp)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
