"""Read the outcome of each test out of what a run of tests printed: pytest with -rA, or unittest with -v.

What is read comes from a process that the candidate shares: it may print whatever it likes. A test that is told in two
ways has failed, and the run is flagged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Outcomes", "read_outcomes"]

_PYTEST = re.compile(r"^(PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\s+(\S.*?)(?: - .*)?$")
_UNITTEST = re.compile(
    r"^(\w+) \(([\w.]+)\)(?:\n[^\n]*?)? \.\.\. (ok|FAIL|ERROR|skipped[^\n]*|expected failure)$", re.M
)
MOST_TESTS = 100_000


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """Which tests passed."""

    passed: frozenset[str]
    failed: frozenset[str]  # failed, or told in two ways
    is_contradictory: bool  # whether a test was told in two ways

    def all_passed(self, names: Iterable[str]) -> bool:
        """Return whether every one of these tests passed."""
        return all(name in self.passed for name in names)

    def share(self, names: Iterable[str]) -> float:
        """Return the share of these tests that passed; 1 where there are none."""
        every = list(names)
        return sum(name in self.passed for name in every) / len(every) if every else 1.0


def read_outcomes(text: str) -> Outcomes:
    r"""Return the outcomes in a text.

    >>> read_outcomes("PASSED t.py::one\nFAILED t.py::two - assert 1 == 2\n").passed
    frozenset({'t.py::one'})
    >>> sorted(read_outcomes("test_a (t.T.test_a) ... ok\n").passed)
    ['t.T.test_a', 'test_a (t.T)', 'test_a (t.T.test_a)']
    """
    good: set[str] = set()
    bad: set[str] = set()
    text = text.replace("\r\n", "\n")
    for line in text.split("\n"):
        match = _PYTEST.match(line)
        if match is not None and len(good) + len(bad) < MOST_TESTS:
            (good if match[1] in ("PASSED", "XFAIL") else bad).add(match[2].strip())
    for match in _UNITTEST.finditer(text):
        if len(good) + len(bad) >= MOST_TESTS:
            break
        (good if match[3] in ("ok", "expected failure") else bad).update(_called(match[1], match[2]))
    return Outcomes(passed=frozenset(good - bad), failed=frozenset(bad), is_contradictory=bool(good & bad))


def _called(method: str, place: str) -> tuple[str, ...]:
    """Return the names of a method as Python before 3.11, since 3.11, and unittest itself write it."""
    owner = place.removesuffix(f".{method}")
    return f"{method} ({owner})", f"{method} ({owner}.{method})", f"{owner}.{method}"
