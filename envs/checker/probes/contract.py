"""Whether the environment is one at all: Gymnasium's contract, its spaces, and what it refuses."""

from __future__ import annotations

import string
import warnings
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env

from agentrl.envs.checker.episodes import Task, last_line, shown
from agentrl.envs.checker.players import random_player
from agentrl.envs.checker.record import Check, Failed, NotApplicable
from agentrl.envs.checker.subject import Subject

__all__ = ["CHECKS"]

_TURNS = ("", "Hello, world.\n", string.printable, '<tool_call>{"name": "x"}</tool_call>', "<answer>42</answer>")
_UNICODE = ("naïve 東京 🙂", "\ud800", "\0")
_NO_TEXT: tuple[Any, ...] = (None, 3, 1.5, b"bytes", ["list"], {"a": 1})


def _starts(subject: Subject) -> dict[str, Any]:
    env = subject.make()
    task = Task(seed=0)
    seen = subject.reset(env, task)
    if not isinstance(seen[0], str):
        raise Failed(
            f"reset gives a {type(seen[0]).__name__}, {shown(seen[0])}, where a text is expected",
            "make the observation a str: this checker is for text environments",
        )
    with subject.crumbs.during("action_space.sample()"):
        env.action_space.seed(0)
        action = env.action_space.sample()
    subject.step(env, action, task)
    env.close()
    facts = subject.facts
    return {
        "offers": sorted(facts.offers),
        "levels": list(facts.levels),
        "splits": list(facts.splits),
        "max_turns": facts.max_turns,
        "runs_code": facts.runs_code,
    }


def _gymnasium(subject: Subject) -> None:
    env = subject.make()
    with warnings.catch_warnings(record=True) as caught, subject.crumbs.during("Gymnasium's check_env"):
        warnings.simplefilter("always")
        level, gymnasium.logger.min_level = gymnasium.logger.min_level, gymnasium.logger.WARN
        try:
            check_env(env.unwrapped, skip_render_check=True, skip_close_check=True)
        except Exception as error:
            raise Failed(f"check_env raised {last_line(error)}") from error
        finally:
            gymnasium.logger.min_level = level
    if caught:
        raise Failed(f"check_env warned: {shown(str(caught[0].message), 300)}")


def _spaces(subject: Subject) -> dict[str, Any]:
    env = subject.make()
    actions, observations = env.action_space, env.observation_space
    for name, space in (("action", actions), ("observation", observations)):
        if not isinstance(space, gymnasium.spaces.Text):
            raise Failed(f"the {name} space is {shown(space)}, a language model needs gymnasium.spaces.Text")
    for text in _TURNS + (_UNICODE if subject.facts.protocol else ()):
        if text not in actions:
            raise Failed(f"the action space {shown(actions)} does not take the turn {shown(text)!r}")
    longest = 0
    for episode in subject.played("oracle") + subject.played("random"):
        for index, seen in enumerate([episode.observation, *(step.observation for step in episode.steps)]):
            longest = max(longest, len(seen) if isinstance(seen, str) else 0)
            if seen not in observations:
                size = f" of {len(seen)} characters" if isinstance(seen, str) else f" of type {type(seen).__name__}"
                raise Failed(
                    f"observation {index} of {episode}{size} is outside {shown(observations)}: {shown(seen)!r}"
                )
    return {"longest observation": longest}


def _action_type(subject: Subject) -> None:
    env = subject.make()
    for value in _NO_TEXT:
        task = Task(seed=0)
        subject.reset(env, task)
        kind = type(value).__name__
        try:
            step = subject.step(env, value, task)
        except Exception as error:
            clear = isinstance(error, TypeError | ValueError | gymnasium.error.Error)
            said = str(error).lower()
            if subject.facts.protocol and not (clear and (kind.lower() in said or "str" in said or "text" in said)):
                raise Failed(
                    f"step({value!r}) raises {last_line(error)}, which does not say that a str is wanted"
                ) from error
        else:
            raise Failed(f"step({value!r}) is taken as a turn; it answers {shown(step.observation)!r}")


def _after_end(subject: Subject) -> None:
    env = subject.make()
    task = Task(seed=0)
    make = (
        (lambda inner: inner.oracle())
        if "oracle" in subject.facts.offers
        else (lambda inner: random_player(np.random.default_rng(0)))
    )
    episode = subject.play(env, make, task, role="the player")
    if not episode.ended:
        raise NotApplicable(f"no episode came to its end within {len(episode.steps)} turns")
    for action in (episode.actions[-1], "hello"):
        try:
            step = subject.step(env, action, task)
        except Exception:
            continue
        if subject.facts.protocol or not step.ended or step.reward:
            raise Failed(
                f"after the end of {episode}, step({shown(action)!r}) gives the reward {step.reward!r}, "
                f"terminated={step.terminated}, truncated={step.truncated} in place of an error"
            )


def _close(subject: Subject) -> None:
    env = subject.make()
    for what in ("before any reset", "again"):
        try:
            with subject.crumbs.during("close()"):
                env.close()
        except Exception as error:
            raise Failed(f"close() {what} raises {last_line(error)}") from error
    for what, play in (("in the middle of an episode", False), ("after an episode", True)):
        env = subject.make()
        task = Task(seed=0)
        subject.reset(env, task)
        if play:
            for _ in range(subject.most_steps):
                if subject.step(env, "hello", task).ended:
                    break
        for time in ("", ", a second time,"):
            try:
                with subject.crumbs.during("close()"):
                    env.close()
            except Exception as error:
                raise Failed(f"close(){time} {what} raises {last_line(error)}") from error


CHECKS = (
    Check(
        id="starts",
        what="can be made, reset, stepped and closed; speaks text",
        hint='run it by hand: gymnasium.make(ID).reset(seed=0), then step("hello")',
        run=_starts,
    ),
    Check(
        id="gymnasium",
        what="Gymnasium's check_env has nothing to say",
        hint="do what the message asks: it is Gymnasium's contract, which every trainer builds on",
        run=_gymnasium,
        needs=("starts",),
    ),
    Check(
        id="spaces",
        what="observations lie in their space, any turn in the action space",
        hint="declare both as agentrl.envs.spaces.Unicode(max_length), and cut what is longer",
        run=_spaces,
        needs=("starts",),
    ),
    Check(
        id="action-type",
        what="an action that is no string is refused in words",
        hint='begin step with: if not isinstance(action, str): raise TypeError(f"an action is a str, got {…}")',
        run=_action_type,
        needs=("starts",),
    ),
    Check(
        id="after-end",
        what="a step after the end is an error and earns nothing",
        hint="remember that the episode is over and raise in step until reset",
        run=_after_end,
        needs=("starts",),
    ),
    Check(
        id="close",
        what="close() works at any time and twice",
        hint="let close() release what is there and forget it, so that a second call finds nothing to do",
        run=_close,
        needs=("starts",),
    ),
)
