"""Whether an answer stands in a text where it must not, told apart from chance.

An answer is looked for as a whole word. How often it is there is compared with how often the answers of other tasks
are: "yes" or "100" stand in many texts. In a question, options and passages may well hold the answer; what gives it
away is that it always stands behind, or before, the same words; in plain data, that the same field always holds it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentrl.envs.checker.disguises import DISGUISES
from agentrl.envs.checker.episodes import Task, shown

__all__ = ["Found", "contexts", "field_of", "leak_of", "place_of"]

_LEAST = 3  # characters of an answer that is looked for
_AROUND = 8  # characters that make up a context
_OTHERS = 25  # tasks whose answers are looked for in a text, to know what chance gives
_EXCESS = 0.12  # of the tasks, above chance
_PARTS = re.compile(r"[-_:;,|.\s]+")


@dataclass(frozen=True, kw_only=True)
class Found:
    """How often answers stand in the texts of their tasks, and in those of others."""

    own: float
    others: float
    num: int  # tasks that were looked at
    example: tuple[Task, str] | None

    def __str__(self) -> str:
        task, answer = self.example or (Task(seed=None), "")
        return (
            f"in {self.own:.0%} of {self.num} tasks, where answers of other tasks stand in {self.others:.0%}; "
            f"such as {shown(answer)!r} of {task}"
        )


def leak_of(texts: Mapping[Task, str], answers: Mapping[Task, str]) -> Found | None:
    """Return what was found where answers stand in their own texts more often than chance gives, else None."""
    found = _look(texts, answers)
    hits = round(found.own * found.num)
    return found if hits >= 2 and found.own - found.others > _EXCESS else None


def place_of(texts: Mapping[Task, str], answers: Mapping[Task, str]) -> str | None:
    """Return the words behind or before which the answer always stands; None where there are none such."""
    found = _look(texts, answers, least=1)
    if found.num < _LEAST or found.own - found.others < 0.3:
        return None
    befores: Counter[str] = Counter()
    afters: Counter[str] = Counter()
    for task in _fit(texts, answers, 1):
        around = contexts(texts[task], answers[task])
        befores.update({before for before, _ in around})
        afters.update({after for _, after in around})
    for counter, words in ((befores, "behind {!r}"), (afters, "before {!r}")):
        for context, times in counter.most_common(1):
            if times >= 0.8 * found.num and times >= _LEAST:
                return f"the answer stands {words.format(shown(context))} in {times} of {found.num} tasks"
    return None


def contexts(text: str, answer: str) -> list[tuple[str, str]]:
    """Return what stands before and after each place where an answer stands as a whole word."""
    spots = [(match.start(), match.end()) for match in re.finditer(_pattern(answer), text)]
    return [(text[max(0, start - _AROUND) : start], text[end : end + _AROUND]) for start, end in spots]


def field_of(infos: Mapping[Task, Any], answers: Mapping[Task, str]) -> str | None:
    """Return the field, or the part of one, that always holds the answer, plain or disguised; None without such."""
    held: dict[str, list[Task]] = {}
    for task, info in infos.items():
        if answers.get(task):
            for name in _holding(info, answers[task].casefold()):
                held.setdefault(name, []).append(task)
    for name, tasks in sorted(held.items(), key=lambda each: (-len(each[0]), each[0])):  # the narrowest place first
        if len({answers[task] for task in tasks}) >= _LEAST and len(tasks) >= 0.8 * len(answers):
            return f"{name} is the answer in {len(tasks)} of {len(answers)} tasks, such as {answers[tasks[0]]!r}"
    return None


def _holding(value: Any, answer: str, name: str = "info") -> set[str]:
    """Name the places of plain data where an answer stands alone."""
    if isinstance(value, dict):
        return {found for key, each in value.items() for found in _holding(each, answer, f"{name}[{key!r}]")}
    if isinstance(value, list | tuple):
        return {found for index, each in enumerate(value) for found in _holding(each, answer, f"{name}[{index}]")}
    parts = _PARTS.split(str(value))
    places = {name: str(value)}
    if len(parts) > 1:
        places |= {f"part {index} of {name}": part for index, part in enumerate(parts, 1)}
    found = {place for place, part in places.items() if part.casefold() == answer}
    for how, disguise in DISGUISES.items():
        undone = {place: disguise.undo(part).casefold().split("\n") for place, part in places.items()}
        found |= {f"{place}, {how}," for place, ways in undone.items() if answer in ways and place not in found}
    return found


def _pattern(answer: str) -> str:
    return rf"(?<![^\W_]){re.escape(answer)}(?![^\W_])"


def _fit(texts: Mapping[Task, str], answers: Mapping[Task, str], least: int) -> Sequence[Task]:
    return [task for task in texts if len(answers.get(task, "")) >= least]


def _look(texts: Mapping[Task, str], answers: Mapping[Task, str], least: int = _LEAST) -> Found:
    tasks = _fit(texts, answers, least)
    own = [task for task in tasks if answers[task] in texts[task] and contexts(texts[task], answers[task])]
    hits = tries = 0
    for index, task in enumerate(tasks):
        stride = max(1, len(tasks) // _OTHERS)
        for other in tasks[index % stride :: stride]:
            if other != task and answers[other] != answers[task]:
                tries += 1
                hits += answers[other] in texts[task] and bool(contexts(texts[task], answers[other]))
        same = sum(answers[other] == answers[task] for other in tasks if other != task)
        if same:  # an answer that many tasks have is found by chance too
            tries += 1
            hits += task in own
    return Found(
        own=len(own) / len(tasks) if tasks else 0.0,
        others=hits / tries if tries else 0.0,
        num=len(tasks),
        example=(own[0], answers[own[0]]) if own else None,
    )
