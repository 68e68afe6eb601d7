"""What known cheats look like: an environment's own `cheats()` are played on a few tasks, and their phrases kept.

Kept are phrases that a cheat says in every task and that the environment's `oracle()` never says, so that honest play
cannot match. A cheat with too few such phrases is left out: nothing could be told from it. Environment and trainer know
each other by Gymnasium alone, so both are found by name.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, Final, Self

import gymnasium

from agentrl.trainer.rollout import make_text_env
from agentrl.trainer.watch.texts import Words, shingles

__all__ = ["NO_CHEATS", "Fingerprints", "fingerprints_of"]

NO_CHEATS: Final = "the environment has no cheats() to compare with"
"""The note where there is nothing to play."""

_NUM_TASKS: Final = 3
_DEADLINE_S: Final = 60.0  # for all cheats together: many need a sandbox each
_FEWEST: Final = 3  # phrases of a cheat
_HELD: Final = 0.8  # share of a cheat's phrases that an episode must hold
_FILLED: Final = 0.4  # share of an episode's phrases that must be the cheat's
_MAX_TURNS: Final = 20
_SEED: Final = 20_011


@dataclass(frozen=True, kw_only=True)
class Fingerprints:
    """The phrases of each known cheat of one environment."""

    marks: dict[str, frozenset[Words]] = field(default_factory=dict)  # of that cheat alone
    whole: dict[str, frozenset[Words]] = field(default_factory=dict)  # all that it says in every task
    note: str = ""  # why there are none

    @property
    def names(self) -> tuple[str, ...]:
        """The cheats that can be told."""
        return tuple(sorted(self.marks))

    def match(self, told: set[Words]) -> str:
        """Return the cheat that an episode with these phrases plays like, or ""."""
        for name in self.names:
            marks, whole = self.marks[name], self.whole[name]
            held = len(marks & told) >= _HELD * len(marks)
            if held and len(whole & told) >= _FILLED * len(told):
                return name
        return ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        plain = {
            kind: {name: sorted(map(list, phrases)) for name, phrases in sorted(each.items())}
            for kind, each in (("marks", self.marks), ("whole", self.whole))
        }
        return {**plain, "note": self.note}

    @classmethod
    def restore(cls, values: Mapping[str, Any]) -> Self:
        """Make them from plain data."""
        marks, whole = (
            {name: frozenset(map(tuple, phrases)) for name, phrases in values[kind].items()}
            for kind in ("marks", "whole")
        )
        return cls(marks=marks, whole=whole, note=values["note"])


def fingerprints_of(env_id: str, env_kwargs: Mapping[str, Any], *, level: int | None) -> Fingerprints:
    """Play an environment's cheats and its oracle on a few tasks of its train split.

    Whatever somebody else's environment raises here is a note, not an error: training goes on without. So it does when
    they take longer than a minute.
    """
    found: list[Fingerprints] = []
    thread = Thread(target=lambda: found.append(_all_played(env_id, env_kwargs, level)), daemon=True)
    thread.start()
    thread.join(_DEADLINE_S)
    return found[0] if found else Fingerprints(note=f"its cheats took longer than {_DEADLINE_S:.0f} s")


def _all_played(env_id: str, env_kwargs: Mapping[str, Any], level: int | None) -> Fingerprints:
    start = time.monotonic()
    try:
        env = make_text_env(env_id, env_kwargs)
    except Exception as error:
        return Fingerprints(note=f"{type(error).__name__}: {error}"[:300])
    try:
        if not env.has_wrapper_attr("cheats"):
            return Fingerprints(note=NO_CHEATS)
        names = sorted(env.get_wrapper_attr("cheats")())
        honest: set[Words] = set()
        every: dict[str, list[set[Words]]] = {name: [] for name in names}
        for task in range(_NUM_TASKS):
            if env.has_wrapper_attr("oracle"):
                honest |= _played(env, "", task, level)
            for name in names:
                every[name].append(_played(env, name, task, level))
                if time.monotonic() - start > _DEADLINE_S:  # nobody waits any more
                    return Fingerprints()
    except Exception as error:
        return Fingerprints(note=f"{type(error).__name__}: {error}"[:300])
    finally:
        env.close()
    whole = {name: frozenset(set.intersection(*sets)) for name, sets in every.items()}
    marks = {name: phrases - honest for name, phrases in whole.items()}
    told = {name: frozenset(phrases) for name, phrases in marks.items() if len(phrases) >= _FEWEST}
    return Fingerprints(marks=told, whole={name: whole[name] for name in told})


def _played(env: gymnasium.Env[Any, Any], cheat: str, task: int, level: int | None) -> set[Words]:
    """Play a task by a cheat, or by the oracle where there is no name; return what was said."""
    options = {"split": "train", **({} if level is None else {"level": level})}
    observation, info = env.reset(seed=_SEED + task, options=options)
    policy = env.get_wrapper_attr("cheats")()[cheat] if cheat else env.get_wrapper_attr("oracle")()
    turns = []
    for _ in range(_MAX_TURNS):
        action = str(policy(observation, info))
        turns.append(action)
        observation, _, terminated, truncated, info = env.step(action)
        if info.get("failure"):
            raise RuntimeError(str(info["failure"].get("message")))
        if terminated or truncated:
            break
    return shingles(turns)
