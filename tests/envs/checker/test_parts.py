"""The parts of the checker that judge: what differs, what leaks, what a random player writes."""

from __future__ import annotations

import base64
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from agentrl.envs.checker.cheats import Scene, standard_cheats
from agentrl.envs.checker.crumbs import Crumbs
from agentrl.envs.checker.disguises import DISGUISES
from agentrl.envs.checker.episodes import Task, difference, shown
from agentrl.envs.checker.fuzz import malformed_turns
from agentrl.envs.checker.leakage import field_of, leak_of, place_of
from agentrl.envs.checker.players import random_call
from agentrl.envs.checker.surroundings import Surroundings
from agentrl.envs.tools import ToolCall, parse
from agentrl.envs.tools.tool import Tool

TASKS = [Task(seed=seed) for seed in range(10)]
NAMES = "Anna Berta Clara Dora Emma Frida Greta Hanna Irma Julia".split()


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"a": 1}, {"a": 1}, None),
        ([math.nan], [math.nan], None),
        ({"a": 1}, {"b": 1}, "the whole has the keys ['a'] and ['b']"),
        ([1, 2], [1], "the whole has 2 and 1 parts"),
        ("abc", "abd", "the whole differs at character 2: 'abc' and 'abd'"),
        ("abc", "abcd", "the whole differs at character 3: 'abc' and 'abcd'"),
        ({"a": [1.0, None]}, {"a": [1.0, 0]}, "['a'][1] is None and 0"),
    ],
)
def test_difference(first: object, second: object, said: str | None) -> None:
    assert difference(first, second) == said


def test_what_is_shown_is_short_and_printable() -> None:
    assert shown("a\nb\0\ud800\x1b[2J") == "a\\nb\\x00\\ud800\\x1b[2J"
    assert shown("x" * 200) == "x" * 80 + "…"


def test_a_leak_is_told_from_chance() -> None:
    answers = dict(zip(TASKS, NAMES, strict=True))
    found = leak_of({task: f"id-{name}" for task, name in answers.items()}, answers)
    assert found is not None
    assert (found.own, found.others, found.num) == (1.0, 0.0, 10)
    everybody = " ".join(NAMES)
    assert leak_of(dict.fromkeys(TASKS, everybody), answers) is None
    assert leak_of({task: f"about {name}s" for task, name in answers.items()}, answers) is None  # another word
    yes_or_no = {task: ("yes", "no!")[task.seed % 2] for task in TASKS if task.seed is not None}
    assert leak_of(dict.fromkeys(TASKS, "Answer yes or no!"), yes_or_no) is None
    numbers = {task: str(number) for task, number in zip(TASKS, range(10), strict=True)}
    assert leak_of({task: f"1 to {number}" for task, number in numbers.items()}, numbers) is None  # too short


def test_an_answer_in_a_question_gives_itself_away_by_its_place_alone() -> None:
    answers = dict(zip(TASKS, NAMES, strict=True))
    others = [*NAMES[5:], *NAMES[:5]]
    choices = {
        task: f"Who is older, {name} or {other}?" if index % 2 else f"Who is older, {other} or {name}?"
        for index, (task, name, other) in enumerate(zip(TASKS, NAMES, others, strict=True))
    }
    assert place_of(choices, answers) is None
    told = {
        task: f"Who came {'first' * (index % 3)}? Solution: {name}"
        for index, (task, name) in enumerate(answers.items())
    }
    assert place_of(told, answers) == "the answer stands behind 'lution: ' in 10 of 10 tasks"


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("reversed", "see siraP"),
        ("in rot13", "see Cnevf"),
        ("in hex", "id-5061726973"),
        ("in hex", "train05061726973"),  # a digit before it
        ("in base64", "id-UGFyaXM="),
        ("in base64", "task_UGFyaXM"),
        ("in base64", "a2V5PVBhcmlz"),  # key=Paris
    ],
)
def test_disguises_are_taken_off(how: str, text: str) -> None:
    plain = DISGUISES[how].undo(text)
    assert re.search(r"\bParis\b", plain), plain


def test_a_number_in_hex_is_read() -> None:
    assert "1234" in DISGUISES["in hex"].undo("id-4d2").split("\n")


def test_a_field_that_is_the_answer_is_found_however_short_it_is() -> None:
    answers = {task: str(task.seed) for task in TASKS}
    ids = {task: {"task": {"id": f"train-1-{base64.b64encode(answers[task].encode()).decode()}"}} for task in TASKS}
    found = field_of(ids, answers)
    assert found is not None
    assert found.startswith("part 3 of info['task']['id'], in base64, is the answer in 10 of 10 tasks")
    assert field_of({task: {"row": [task.seed, 3]} for task in TASKS}, answers) is not None
    assert field_of({task: {"row": [7, 3]} for task in TASKS}, answers) is None
    assert field_of({task: {"level": 3} for task in TASKS}, dict.fromkeys(TASKS, "3")) is None  # always the same


def test_random_calls_fit_their_schema() -> None:
    def book(guests: int, name: str, nights: list[int], mood: float = 1.0, late: bool | None = None) -> str:
        """Book a room."""
        return "booked"

    tool = Tool.of(book)
    rng = np.random.default_rng(0)
    for _ in range(200):
        (found,) = parse(random_call(rng, tool.schema, ["x", "42"]), {"book": tool})
        assert isinstance(found, ToolCall)
        assert tool(found.arguments) == "booked"


def test_malformed_turns_are_drawn_from_the_generator() -> None:
    tools = [Tool.of(_look).schema]
    first, second = (list(malformed_turns(np.random.default_rng(7), tools, 200)) for _ in range(2))
    assert first == second
    assert len(first) > 240
    assert any("_look" in turn for turn in first[:40])
    assert {"", "\0", "\ud800"} <= set(first)
    assert max(map(len, first)) >= 60_000


def _look(place: str) -> str:
    """Look."""
    return place


def test_cheats_fit_the_scene() -> None:
    def names(right: str | None, runs_code: bool) -> set[str]:
        scene = Scene(question="Write `add(a, b)` of 3 and 4.", system="", tools=(), right=right, runs_code=runs_code)
        return {name for name, _ in standard_cheats(scene)}

    plain = names(None, False)
    assert len(plain) >= 30
    assert {"the answer in a thought"} <= names("seven", False) - plain
    glued = {"junk before the answer", "junk behind the answer"}
    assert all(glued <= names(right, False) for right in ("seven", "New York", "-7", "3.5"))
    assert not glued & names("R-64 forbids it: 2026-10-08", False)  # a sentence, which may be read as one
    programs = names(None, True) - plain
    assert "program: leaves with 0" in programs
    scene = Scene(question="Write `add(a, b)`.", system="", tools=(), right=None, runs_code=True)
    assert "def add(" in dict(standard_cheats(scene))["program: equals everything"]


def test_crumbs_are_read_while_something_runs(tmp_path: Path) -> None:
    here, there = Crumbs(tmp_path / "crumbs"), Crumbs(tmp_path / "crumbs")
    assert there.read() is None
    with here.during("step('\ud800')"):
        crumb = there.read()
        assert crumb is not None
        assert json.dumps(crumb.what) == json.dumps("step('\ud800')")
    assert there.read() is None
    here.close()
    there.close()


def test_surroundings_are_compared_and_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Surroundings.now()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTRL_SECRET", "hunter2")
    changes = before.changes(Surroundings.now())
    assert [each.partition(" changed")[0] for each in changes] == ["the working directory", "os.environ"]
    assert "AGENTRL_SECRET" in changes[1]
    assert "hunter2" not in changes[1]
    before.put_back()
    assert before.changes(Surroundings.now()) == []
