"""docs/check.md says of the checks and profiles what the code says."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from agentrl.envs.checker.catalogue import CHECKS
from agentrl.envs.checker.job import PROFILES

_TEXT = (Path(__file__).parents[3] / "docs" / "check.md").read_text()


def _rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its own heading."""
    section = _TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)
    return [line.split(" | ") for line in lines[1:]]


def test_every_check_stands_there_in_order_with_its_description() -> None:
    assert _rows("The checks") == [[f"`{each.id}`", each.what] for each in CHECKS.values()]


def test_the_profiles_are_those_of_the_code() -> None:
    quick, full = asdict(PROFILES["quick"]), asdict(PROFILES["full"])
    amounts = [name for name in quick if name not in ("name", "check_s")]
    assert [row[1:] for row in _rows("The two profiles")] == [[str(quick[name]), str(full[name])] for name in amounts]


def test_every_mark_of_the_table_is_explained() -> None:
    from agentrl.envs.checker.table import MARKS

    told = {row[0].strip("`") for row in _rows("How to read its table")}
    assert told == {mark for mark, _ in MARKS.values()} | {"-"}
