"""What a check found: plain records that a table or JSON is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Report", "Result", "Status"]

Status = Literal["passed", "failed", "not applicable", "not run"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """How one check ended."""

    id: str
    what: str  # what the check looks at, in a line
    status: Status
    reason: str = ""  # why it is not passed: seed, level, the values that were seen
    hint: str = ""  # what to change, for a failure
    seconds: float = 0.0
    measured: Mapping[str, Any] = field(default_factory=dict)  # figures, as plain data


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that was found in one environment on one backend."""

    env: str
    backend: str  # as asked for; "-" where the environment takes none
    profile: str
    seeds: int  # a level
    results: tuple[Result, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[str, ...]:
        """The ids of the checks that failed, in their order."""
        return tuple(each.id for each in self.results if each.status == "failed")

    def __getitem__(self, check_id: str) -> Result:
        """Return the result of a check.

        Raises:
            KeyError: It was not asked for.
        """
        for each in self.results:
            if each.id == check_id:
                return each
        raise KeyError(check_id)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data, for JSON."""
        return {**asdict(self), "ok": self.ok, "failed": list(self.failed)}
