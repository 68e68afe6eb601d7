"""Write the demonstrations from which tiny models begin on SQL-v0 and Shell-v0, level 1: most err, names are invented.

The environment's own demonstrator plays tasks of the train split. A model of a million parameters that sees the few
words of that split learns them by heart and copies no others; so each conversation is written several times, in most of
them with other letters in place of the words that belong to its task. Nothing of the test split is read.

python perf/learning_demonstrations.py shell shell.jsonl
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

import agentrl.envs  # noqa: F401  # registers the environments
from agentrl.envs.shell.catalogue import FAMILIES
from agentrl.envs.shell.words import POOLS
from agentrl.envs.sql.domains import DOMAINS
from agentrl.envs.sql.wording import PHRASES

Message = dict[str, Any]

_FLAWS: Mapping[str, Mapping[str, float]] = {
    "shell": {"does nothing": 0.5, "none": 0.3, "does it wrong": 0.2},
    "sql": {"wrong query": 0.5, "none": 0.5},
}
_IDS: Mapping[str, str] = {"shell": "AgentRL/Shell-v0", "sql": "AgentRL/SQL-v0"}
# In capitals they take a token a letter, since the tokenizer's pattern cuts there; SQL reads small ones as well.
_KEYWORDS = re.compile(
    r"\b(?:SELECT|DISTINCT|FROM|WHERE|COUNT|SUM|AVG|MIN|MAX|BETWEEN|AND|OR|IN|IS|NOT|NULL|LIKE|ORDER|BY|DESC|ASC|LIMIT|AS)\b"
)
_NUMBER = re.compile(r"(?<![\w'-])[0-9]+(?![\w'-])")
_KEPT = 0.2  # of the conversations as they were played
_ASKED = frozenset(re.findall(r"[a-z]+", " ".join(each for family in FAMILIES.values() for each in family.train)))
_STEMS = frozenset(word for kind in ("stems", "folders") for word in POOLS[kind]) - _ASKED
_PAIRS = [(entity.name, entity.plural) for tables in DOMAINS.values() for entity in tables.values()]
_SAID = frozenset(re.findall(r"[a-z]+", " ".join(each for options in PHRASES.values() for each in options)))
_NOT_RENAMED = _SAID | {"id", "tbl", "ref", "no", "on", "date", "row", "rows", "integer", "text", "real"}


def main() -> None:
    """Play, rename, write."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("env", choices=sorted(_IDS))
    options.add_argument("file", type=Path, help="JSON lines")
    options.add_argument("--played", type=int, default=1500, help="episodes that are played (default: %(default)s)")
    options.add_argument("--copies", type=int, default=8, help="times each is written (default: %(default)s)")
    options.add_argument("--backend", help="of the sandbox (default: the environment's)")
    arguments = options.parse_args()
    kwargs = {} if arguments.backend is None else {"backend": arguments.backend}
    find = {"shell": shell_words, "sql": sql_words}[arguments.env]
    rng = random.Random(0)
    with arguments.file.open("w", encoding="utf-8") as file:
        for messages, tools in played(_IDS[arguments.env], arguments.played, _FLAWS[arguments.env], kwargs):
            for _ in range(arguments.copies):
                told = messages if rng.random() < _KEPT else renamed(messages, find, rng)
                if arguments.env == "sql":
                    told = renumbered(told, rng)
                file.write(json.dumps({"messages": told, "tools": tools}) + "\n")


def played(
    env_id: str, count: int, flaws: Mapping[str, float], kwargs: Mapping[str, Any]
) -> Iterator[tuple[list[Message], Sequence[Any]]]:
    """Yield the messages and tools of episodes of the demonstrator."""
    env = gymnasium.make(env_id, **kwargs)
    for seed in range(count):
        observation, info = env.reset(seed=seed, options={"split": "train", "level": 1})
        tools, done = info["tools"], False
        # A stream of its own: from the seed of the task, the mistake would follow from the task.
        policy = env.unwrapped.demonstrator(np.random.default_rng([seed, 1]), flaws=flaws)  # type: ignore[attr-defined]
        messages: list[Message] = [{"role": "user", "content": observation}]
        while not done:
            turn = policy(observation, info)
            if env_id == _IDS["sql"]:
                turn = _KEYWORDS.sub(lambda found: found[0].lower(), turn)
            messages.append({"role": "assistant", "content": turn})
            observation, _, terminated, truncated, info = env.step(turn)
            done = terminated or truncated
            if not done:
                messages += info.get("replies") or [{"role": "user", "content": observation}]
        yield messages, tools
    env.close()


def renamed(messages: Sequence[Message], find: Callable[[str], set[str]], rng: random.Random) -> list[Message]:
    """Return a conversation in which the words that `find` sees in the question are invented ones, throughout.

    A word in small letters, one with a capital and one in capitals stay what they were.
    """
    names: dict[str, str] = {}
    for word in sorted(find(messages[0]["content"])):
        if word not in names:
            names[word] = stem = invented(rng)
            for single, plural in _PAIRS:
                if word in (single, plural):
                    names |= {single: stem, plural: f"{stem}s"}
    cases: tuple[Callable[[str], str], ...] = (str, str.capitalize, str.upper)
    forms = {case(old): case(new) for old, new in names.items() for case in cases}
    if not forms:
        return list(messages)
    alternatives = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    # A word begins after anything but a letter, or with a capital after a small letter, as in HiredOn.
    pattern = re.compile(rf"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))(?:{alternatives})(?![a-z])")
    return [
        {**message, "content": pattern.sub(lambda found: forms[found[0]], message["content"])} for message in messages
    ]


def renumbered(messages: Sequence[Message], rng: random.Random) -> list[Message]:
    """Return a conversation with other numbers of as many digits in place of those of the question; dates stay."""
    asked = messages[0]["content"].partition("\n")[2]
    numbers = {each: _number(len(each), rng) for each in _NUMBER.findall(asked)}
    return [
        {**message, "content": _NUMBER.sub(lambda found: numbers.get(found[0], found[0]), message["content"])}
        for message in messages
    ]


def _number(digits: int, rng: random.Random) -> str:
    return str(rng.randint(10 ** (digits - 1), 10**digits - 1))


def shell_words(question: str) -> set[str]:
    """Return the names and words of a task of Shell-v0."""
    return set(re.findall(r"[a-z]+", question)) & _STEMS


def sql_words(question: str) -> set[str]:
    """Return the words of tables, columns and quoted values in a question of SQL-v0."""
    schema, _, asked = question.partition("\n")
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", schema)
    quoted = [word for value in re.findall(r"'([^']*)'", asked) for word in re.findall(r"[A-Za-z]+", value)]
    found = {word.lower() for word in (*parts, *quoted)} - _NOT_RENAMED
    return {word for word in found if len(word) > 2}


def invented(rng: random.Random) -> str:
    """Return letters that nobody has seen together: most can be spoken."""
    if rng.random() < 0.3:
        return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 7)))
    parts = [rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") for _ in range(rng.randint(1, 3))]
    ends = ("", "n", "r", "st", "lt", "l", "nd", "ng", "ss", "m")
    return "".join(parts) + rng.choice(ends if len(parts) > 1 else ends[1:])


if __name__ == "__main__":
    main()
