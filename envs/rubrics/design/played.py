"""Episodes that a rubric is tried on: of the environment's oracle, of its floor, and of every known way to cheat.

Each is played once, whatever number of rubrics is tried, and is kept as a rubric would see it in training: it is
`RubricReward` that keeps it. Beside the cheats that an environment ships stand those that `agentrl check` tries on any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium

from agentrl.envs.checker.cheats import Scene, standard_cheats
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.rubrics.component import Component
from agentrl.envs.rubrics.rubric import Rubric
from agentrl.envs.rubrics.transcript import Transcript
from agentrl.envs.rubrics.wrapper import RubricReward

__all__ = ["Played", "Role", "play_all"]

Role = Literal["oracle", "floor", "cheat", "common cheat"]

_LONGEST_ANSWER = 200  # characters of the oracle's answer that cheats are made from


@dataclass(frozen=True, kw_only=True)
class Played:
    """One episode and who played it."""

    role: Role
    name: str  # of the cheat; else as `role`
    episode: Transcript


def play_all(
    env: gymnasium.Env[Any, Any],
    *,
    num_tasks: int,
    level: int | None = None,
    first_seed: int = 0,
    on_episode: Callable[[str], None] = lambda name: None,
) -> list[list[Played]]:
    """Play tasks with everybody who can play them; return their episodes by task.

    Args:
        env: Ships an oracle.
        num_tasks: How many tasks, 1 or more.
        level: Of the tasks; None: the environment's own default.
        first_seed: Of the first task; the others follow.
        on_episode: Told who has played.

    Raises:
        UsageError: The environment ships no oracle, or does not speak text.
        InfrastructureError: An episode failed.
    """
    inner: Any = env.unwrapped
    if not hasattr(inner, "oracle"):
        name = env.spec.id if env.spec is not None else type(inner).__name__
        raise UsageError(
            f"{name} ships no oracle, above which nothing can be ranked: give its environment a method oracle(), which "
            "returns a policy that solves the task"
        )
    options = {} if level is None else {"level": level}
    stage = _Stage(env, options)
    tasks = []
    for seed in range(first_seed, first_seed + num_tasks):
        played = []
        for one in stage.task(seed):
            on_episode(one.name)
            played.append(one)
        tasks.append(played)
    return tasks


class _Stage:
    """Plays one environment again and again, and keeps what a rubric sees."""

    def __init__(self, env: gymnasium.Env[Any, Any], options: Mapping[str, Any]) -> None:
        self._inner: Any = env.unwrapped
        self._options = dict(options)
        self._kept: list[Transcript] = []
        self._opening: dict[str, Any] = {}

        def keep(episode: Transcript) -> float:
            self._kept[:] = [episode]
            return 0.0

        keep.needs_reference = env.has_wrapper_attr("references")  # type: ignore[attr-defined]  # read by `Rubric`
        self._env = RubricReward(env, Rubric(components=(Component(name="keep", use=keep),)))

    def task(self, seed: int) -> list[Played]:
        """Return the episodes of everybody on one task."""
        solved = self._play(seed, lambda: self._inner.oracle())
        found = [Played(role="oracle", name="oracle", episode=solved)]
        floor = self._inner.noop if hasattr(self._inner, "noop") else lambda: _always("I do not know.")
        found.append(Played(role="floor", name="floor", episode=self._play(seed, lambda: floor())))
        self._env.reset(seed=seed, options=dict(self._options))
        for name in list(self._inner.cheats()) if hasattr(self._inner, "cheats") else []:
            episode = self._play(seed, lambda name=name: self._inner.cheats()[name])  # type: ignore[misc]
            found.append(Played(role="cheat", name=name, episode=episode))
        scene = Scene(
            question=solved.question,
            system=solved.system,
            tools=tuple(dict(tool) for tool in solved.tools),
            right=_short_answer(solved),
            runs_code=bool(getattr(self._inner, "runs_code", False)),
        )
        for name, turn in standard_cheats(scene):
            episode = self._play(seed, lambda turn=turn: _always(turn))  # type: ignore[misc]
            found.append(Played(role="common cheat", name=name, episode=episode))
        return found

    def _play(self, seed: int, policy_of: Callable[[], Policy]) -> Transcript:
        """Play one episode to its end; the policy is made once the task is there."""
        observation, info = self._env.reset(seed=seed, options=dict(self._options))
        policy, over = policy_of(), False
        while not over:
            observation, _, terminated, truncated, info = self._env.step(policy(observation, info))
            over = terminated or truncated
            if info.get("failure"):
                told = info["failure"]
                raise InfrastructureError(
                    f"an episode to try rubrics on failed: {told['message']}",
                    kind=str(told["kind"]),
                    boundary=str(told["boundary"]),
                )
        assert self._kept, "the last step has the episode scored"
        return self._kept.pop()


def _always(turn: str) -> Policy:
    return lambda observation, info: turn


def _short_answer(episode: Transcript) -> str | None:
    answer = episode.answer
    return answer if answer is not None and 0 < len(answer) <= _LONGEST_ANSWER else None
