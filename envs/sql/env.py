"""`AgentRL/SQL-v0`: a question about a database, answered by one SELECT query.

By default every seed is a fresh schema with fresh rows. The answer is run on the database that the tools show and on
hidden ones of the same schema, on which every plausible wrong query gives other rows. With `data=` the questions are
the user's own, in the layout of BIRD or of Spider.
"""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from agentrl.envs.core import TextEnv, Turn
from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.protocol import Policy
from agentrl.envs.scripted import scripted
from agentrl.envs.splits import Source
from agentrl.envs.sql.draw import FAMILIES
from agentrl.envs.sql.engine import Limits
from agentrl.envs.sql.grading import same_rows
from agentrl.envs.sql.layouts import COMPARISONS, Entry, OwnQuestions
from agentrl.envs.sql.policies import FLAWS, cheat_policies, demonstration, solution
from agentrl.envs.sql.runner import run
from agentrl.envs.sql.tasks import Task, draw_task
from agentrl.envs.sql.tools import SqlTools
from agentrl.envs.tools import ToolsetSpec
from agentrl.envs.tools.host import BoxedToolset, LocalToolset

__all__ = ["SqlEnv"]

_ASK = (
    "Answer the question with one SELECT query of SQLite, written as <answer>SELECT ...</answer>. Give the columns in "
    "the order in which they are asked for, and nothing else."
)
_LOOK = " Look at the database with the tools first; your query will be run on other rows, too."
_LANGUAGE = re.compile(r"(?:sqlite3?|sql)\b", re.IGNORECASE)


@lru_cache(maxsize=32)
def _drawn(number: int, split: str, level: int, family: str | None, shared: bool) -> Task:
    """Return the task of a number; a group of episodes asks for the same one again and again."""
    task_id = f"{split}-{level}-{number:016x}"
    return draw_task(random.Random(number), split, level, task_id, family, shared_wordings=shared)


class SqlEnv(TextEnv):
    """Questions about a database, with the tools `tables`, `rows` and `query`.

    Components: `exact_match` (the right rows on every database; also `success`), `visible` (on the one that the tools
    show) and `executes` (the query runs there). Only `exact_match` has weight by default.

    Args:
        family: Name of one family of questions, to play only that; None: drawn by the seed.
        shared_wordings: Ask tasks of the test split in training's wordings, too; domains and names stay apart.
        data: Questions in the layout of BIRD or Spider, a JSON file, or one for each split: {"train": FILE, "test":
            FILE}.
        databases: Folder with DB_ID/DB_ID.sqlite; by default it is looked for beside the questions.
        compare: How results are compared with `data`: "rows", "bird" or "spider"; by default as the layout's own
            evaluation does. See `layouts.py`.
        max_turns: As in TextEnv.
        **kwargs: split, level, weights, backend, render_mode, max_reply_chars: as in TextEnv.

    Raises:
        UsageError: For arguments that do not fit together, or a family that has no tasks at this level.
        DataError: For a bad row of the user's data, or when they have no question of the split and level.
    """

    components: ClassVar[Mapping[str, float]] = {"exact_match": 1.0, "visible": 0.0, "executes": 0.0}
    toolset = SqlTools
    state: ClassVar[tuple[str, ...]] = ("_task", "_entry", "_explores")

    def __init__(
        self,
        *,
        family: str | None = None,
        shared_wordings: bool = False,
        data: Source | None = None,
        databases: str | Path | None = None,
        compare: str | None = None,
        max_turns: int = 10,
        **kwargs: Any,
    ) -> None:
        if data is None and (databases is not None or compare is not None):
            raise UsageError("databases= and compare= belong to questions of your own; add data=FILE")
        if data is not None and family is not None:
            raise UsageError(f"family={family!r} is one of generated tasks; leave it out with data=")
        if not isinstance(shared_wordings, bool):
            raise UsageError(f"shared_wordings={shared_wordings!r} must be True or False")
        if data is not None and shared_wordings:
            raise UsageError("shared_wordings=True is about generated tasks; leave it out with data=")
        if databases is not None and not isinstance(databases, str | Path):
            raise UsageError(f"databases={databases!r} is no path; type databases=FOLDER")
        if compare is not None and (not isinstance(compare, str) or compare not in COMPARISONS):
            raise UsageError(
                f"compare={compare!r} does not exist{nearest(compare, COMPARISONS)}; there are {', '.join(COMPARISONS)}"
            )
        super().__init__(max_turns=max_turns, **kwargs)
        if family is not None and family not in FAMILIES[self._level]:
            known = FAMILIES[self._level]
            raise UsageError(
                f"family={family!r} has no tasks at level {self._level}{nearest(family, known)}; there are "
                f"{', '.join(known)}"
            )
        self._only = family
        self._shared_wordings = shared_wordings
        self._own = OwnQuestions(data, databases, compare) if data is not None else None
        if self._own is not None:
            self._own.tasks(self._split, self._level)  # an empty one is found now
            if self.backend not in ("auto", "local"):
                raise UsageError(
                    f"backend={self.backend!r} holds generated databases; those of your own are read in place: "
                    "leave backend out"
                )
        self._task: Task | None = None
        self._entry: Entry | None = None
        self._explores = False

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a schema, a question and databases, or one of the user's questions."""
        if self._own is not None:
            tasks = self._own.tasks(split, level)
            self._entry, self._explores = tasks[int(rng.integers(len(tasks)))], True
            return self._entry.id
        number = int(rng.integers(2**63))
        only = self._only if self._only in FAMILIES[level] else None
        self._task = _drawn(number, split, level, only, self._shared_wordings)
        self._explores = level > 1
        return self._task.id

    def instructions(self) -> str:
        """Return what is expected; from level 2 on, that the database should be looked at."""
        return _ASK + (_LOOK if self._explores else "")

    def question(self) -> str:
        """Return the question, at level 1 with the schema before it."""
        return self._entry.question if self._entry is not None else self._current().question

    def offered(self) -> Collection[str] | None:
        """Return `query` alone at level 1, where the schema stands in the question, else all tools."""
        return None if self._explores else ("query",)

    def toolset_spec(self) -> ToolsetSpec | None:
        """Say that the tools serve the visible database; one of the user's own is served by `start_toolset`."""
        if self._task is None:
            return None
        image = base64.b64encode(self._task.databases[0]).decode()
        return SqlTools.spec(image=image, limits=list(Limits()))

    def start_toolset(self) -> LocalToolset | BoxedToolset | None:
        """Serve the user's own database from here; a generated one where `backend` says."""
        if self._own is not None and self._entry is not None:
            return LocalToolset(SqlTools.over(self._entry.databases[0], self._own.limits))
        return super().start_toolset()

    def answer(self, text: str, turn: str) -> Turn:
        """Run the query on every database; the components are described at the class."""
        sql = _unfenced(text)
        if self._own is not None and self._entry is not None:
            executes, same = self._own.judge(self._entry, sql)
        else:
            executes, same = self._judged(sql)
        exact = bool(same) and all(same)
        rewards = {
            "exact_match": float(exact),
            "visible": float(bool(same) and same[0]),
            "executes": float(executes),
        }
        return Turn(rewards=rewards, terminated=True, success=exact)

    def oracle(self) -> Policy:
        """Look at the tables, read rows, try the query, answer; at level 1 answer at once."""
        return scripted(
            lambda: (
                self._own_solution() if self._own is not None else solution(self._current(), explores=self._explores)
            )
        )

    def demonstrator(self, rng: np.random.Generator, *, flaws: Mapping[str, float] = FLAWS) -> Policy:
        """Return a policy that knows the query and often errs; see `policies.FLAWS`."""
        generator = random.Random(int(rng.integers(2**63)))
        return scripted(lambda: demonstration(generator, self._current(), flaws, explores=self._explores))

    def cheats(self) -> dict[str, Policy]:
        """Return the known cheats; over the user's own questions, none."""
        return {} if self._own is not None else cheat_policies(self._current, self.question)

    def _judged(self, sql: str) -> tuple[bool, list[bool]]:
        """Return whether the query runs on the visible database, and for each whether its rows are right."""
        task = self._current()
        told = run(task.databases, sql, Limits())
        same = [
            "error" not in given and not given["more"] and same_rows(given["rows"], wanted, is_ordered=task.is_ordered)
            for given, wanted in zip(told, task.results, strict=False)
        ]
        return "error" not in told[0], [*same, *[False] * (len(task.results) - len(same))]

    def _own_solution(self) -> list[str]:
        assert self._entry is not None
        return [f"<answer>{self._entry.sql}</answer>"]

    def _current(self) -> Task:
        if self._task is None:
            raise UsageError("there is no generated task; call reset() first, and leave out data=")
        return self._task


def _unfenced(text: str) -> str:
    """Return an answer without the fence around it; no pattern, for one would go back over long runs of spaces."""
    if len(text) < 6 or not (text.startswith("```") and text.endswith("```")):
        return text
    inner = text[3:-3].lstrip()
    language = _LANGUAGE.match(inner)
    return (inner[language.end() :] if language else inner).strip()
