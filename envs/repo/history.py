"""The history of a repository: a few commits by several people, on fixed days, made in a box by one `git fast-import`.

It never holds a version that is right where the last one is wrong: every commit is made from the broken sources. Hashes
are decided by the task alone. No reflog is written, and no object that the branch does not reach.
"""

from __future__ import annotations

import datetime
import random
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentrl.envs.repo.family import half

__all__ = ["Commit", "PEOPLE", "dated", "setup", "stream"]

PEOPLE = tuple(
    """
    Ada Lindqvist|Bruno Keller|Chandra Rao|Dina Okafor|Emil Novak|Farah Haddad|Goran Petrov|Hana Sato|Ivo Moreau
    Jana Kovac|Kofi Mensah|Lena Brandt|Mato Horvat|Nadia Varga|Oskar Holm|Paula Ramos|Quentin Hale|Rosa Marin|Sven Dahl
    Tara Nolan|Umar Aziz|Vera Fiala|Wim Jansen|Yara Costa|Zeno Ritter
    """.replace("\n", "|").split("|")
)


@dataclass(frozen=True, kw_only=True)
class Commit:
    """One commit: who, when, why, and the files that it wrote."""

    author: str
    time: int  # seconds since 1970
    message: str
    files: Mapping[str, str]


def dated(rng: random.Random, split: str, changes: Sequence[tuple[str, Mapping[str, str]]]) -> tuple[Commit, ...]:
    """Return changes (message, files) as commits of a few people of a split, some days apart."""
    people = [name for name in map(str.strip, PEOPLE) if name and half(name) == split]
    team = rng.sample(people, min(3, len(people)))
    time = datetime.datetime(2021, 1, 4, 9, tzinfo=datetime.UTC) + datetime.timedelta(minutes=rng.randrange(900_000))
    commits = []
    for message, files in changes:
        time += datetime.timedelta(minutes=rng.randrange(40, 9000))
        commits.append(Commit(author=rng.choice(team), time=int(time.timestamp()), message=message, files=files))
    return tuple(commits)


def stream(commits: Sequence[Commit]) -> bytes:
    """Return what `git fast-import` reads."""
    parts: list[bytes] = []
    for commit in commits:
        who = f"{commit.author} <{commit.author.split()[0].lower()}@example.org> {commit.time} +0000"
        parts.append(f"commit refs/heads/main\nauthor {who}\ncommitter {who}\n".encode())
        parts.append(_data(commit.message))
        for path, text in sorted(commit.files.items()):
            parts.append(f"M 100644 inline {path}\n".encode() + _data(text))
    return b"".join(parts) + b"done\n"


def setup(place: str) -> list[str]:
    """Return the command that makes the repository at `place`; it reads the stream on standard input."""
    there = shlex.quote(place)
    return ["/bin/sh", "-c", _SETUP.format(there=there)]


# Nothing of the agent has run yet, so `git` is what the image has. No template: no hooks and nothing to read.
_SETUP = """set -e
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
git -c init.defaultBranch=main init -q --template= {there}
cd {there}
printf '[user]\\n\\tname = Agent\\n\\temail = agent@example.org\\n' >> .git/config
git -c core.logAllRefUpdates=false fast-import --quiet --done
git -c core.logAllRefUpdates=false reset -q --hard
"""


def _data(text: str) -> bytes:
    content = text.encode()
    return b"data %d\n%s\n" % (len(content), content)
