"""Which answers may be read by a scorer that evaluates them.

Some scorers of reasoning-gym hand the model's answer to Python's `eval`, or to sympy's `parse_expr`, which is `eval` as
well: "9**9**9**9" never comes back, and a call of `__import__` does what it likes, in the trainer's process. An answer
goes there only if it is an expression as these tasks want it; any other earns nothing. Powers, and what is multiplied
out, are bounded, so that it comes back.
"""

from __future__ import annotations

import re

__all__ = ["EVALUATED", "is_plain"]

EVALUATED = {
    **dict.fromkeys(("binary_matrix", "n_queens", "spiral_matrix", "string_insertion"), "words"),
    **dict.fromkeys(("countdown", "puzzle24"), "arithmetic"),
    **dict.fromkeys(("intermediate_integration", "polynomial_multiplication", "simple_integration"), "algebra"),
}
"""Data sets of reasoning-gym 0.1.23 to 0.1.25 whose scorer evaluates the answer, and what answers of them look like."""

_LONGEST = 16_000
_WORDS = re.compile(r"[A-Za-z0-9_\s-]*")
_ARITHMETIC = re.compile(r"[0-9+*/().\s-]*")
_ALGEBRA = re.compile(
    r"(?:[0-9+*/()^.\s-]|(?<![A-Za-z])(?:[A-Za-z]|sin|cos|tan|exp|log|sqrt|asin|acos|atan|pi)(?![A-Za-z]))*"
)
_POWER = re.compile(r"(\)?)\s*(?:\*\*|\^)")
# A power is a small number, or a fraction of small numbers in parentheses, and is not itself the base of one.
_SMALL = re.compile(r"\s*(?:(\d{1,2})(?![\d.])|\(\s*-?\d{1,2}\s*(?:/\s*\d{1,2}\s*)?\))(?!\s*(?:\*\*|\^))")
_LETTER = re.compile(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])")
_MOST_NESTED = 2  # powers of what is in parentheses
_MOST_OPEN = 16  # parentheses: sums that may be multiplied out
_LONG_NUMBER = re.compile(r"\d{100}")


def is_plain(answer: str, kind: str) -> bool:
    """Return whether an answer may be evaluated.

    Args:
        answer: What the model wrote.
        kind: "words", "arithmetic" or "algebra", as `EVALUATED` says it.

    >>> is_plain("10*(8 - 5) - 6", "arithmetic"), is_plain("-34*x**8/15 - 5*x/4 + C", "algebra")
    (True, True)
    >>> is_plain("9**9**9**9", "algebra"), is_plain("().__class__", "arithmetic")
    (False, False)
    """
    if len(answer) > _LONGEST:
        return False
    if kind == "words":
        return _WORDS.fullmatch(answer) is not None
    if _LONG_NUMBER.search(answer):
        return False
    if kind == "arithmetic":
        return _ARITHMETIC.fullmatch(answer) is not None and "**" not in answer
    if not answer.isascii() or _ALGEBRA.fullmatch(answer) is None:
        return False
    letters = len(set(_LETTER.findall(answer)))
    powers = list(_POWER.finditer(answer))
    if letters > 4 or answer.count("(") > _MOST_OPEN or sum(bool(each[1]) for each in powers) > _MOST_NESTED:
        return False
    most = 9 if letters <= 2 else 3  # of a sum: what is multiplied out has a few thousand terms at most
    found = [(each, _SMALL.match(answer, each.end())) for each in powers]
    return all(small and not (each[1] and small[1] and int(small[1]) > most) for each, small in found)
