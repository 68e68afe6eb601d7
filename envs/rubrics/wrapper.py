"""Put a rubric on any Gymnasium environment that speaks text: its reward becomes the rubric's.

Components of turns are paid when the turn is taken; the last step makes up the difference to the rubric's reward of the
whole episode, so that gates and bounds hold for the sum. What waits for the group is not in it: whoever plays groups,
as the trainer does, gives their finished episodes to `score_group`, which returns the rewards that count.

The environment's own reward and components are the rubric's to use or to leave; `success` stays as it is. A rubric that
cannot score ends the episode with `info["failure"]`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
from gymnasium.spaces import Text
from gymnasium.utils import RecordConstructorArgs

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.rubrics.rubric import Rubric, Score
from agentrl.envs.rubrics.toml import rubric_of
from agentrl.envs.rubrics.transcript import Transcript

__all__ = ["RubricReward"]

_Alone = Score | InfrastructureError | None  # of one episode by itself; None: its steps have paid it


class RubricReward(gymnasium.Wrapper[str, str, str, str], RecordConstructorArgs):
    """An environment whose reward is a rubric's.

    Args:
        env: Speaks text.
        rubric: A rubric, the path of a TOML file, or its text.

    Raises:
        UsageError: The environment does not speak text, or keeps to itself what the rubric needs.
    """

    def __init__(self, env: gymnasium.Env[str, str], rubric: Rubric | str | Path) -> None:
        RecordConstructorArgs.__init__(self, rubric=rubric)
        super().__init__(env)
        self.rubric = rubric_of(rubric)
        name = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
        if not isinstance(env.action_space, Text) or not isinstance(env.observation_space, Text):
            raise UsageError(f"{name} does not speak text, which a rubric reads; wrap it so that its spaces are Text")
        self._references: Callable[[], Sequence[str]] | None = (
            env.get_wrapper_attr("references") if env.has_wrapper_attr("references") else None
        )
        if self.rubric.needs_tokens:
            raise UsageError(
                "the rubric counts tokens, which an environment does not see: write unit = 'words' or 'characters'; "
                "stored episodes can be scored with it (agentrl rescore)"
            )
        if self.rubric.needs_reference and self._references is None:
            raise UsageError(
                f"the rubric compares with accepted answers, and {name} tells none: give its environment a method "
                "references(), or write reference = … in the component"
            )
        self._env_id = name
        self._messages: list[dict[str, Any]] = []
        self._opening: dict[str, Any] = {}
        self._turns: list[dict[str, float]] = []
        self._latencies: list[float] = []
        self._paid = self._env_reward = 0.0
        self._env_rewards: dict[str, float] = {}
        self._began = self._answered = 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode, as the environment does."""
        observation, info = self.env.reset(seed=seed, options=options)
        system, task = info.get("system"), info.get("task") or {}
        self._messages = [{"role": "system", "content": system}] if system else []
        self._messages.append({"role": "user", "content": observation})
        self._opening = {
            "env_id": self._env_id,
            "level": int(task.get("level") or 0),
            "seed": seed or 0,
            "task_id": str(task.get("id", "")),
            "tools": tuple(info.get("tools") or ()),
        }
        self._turns, self._latencies, self._env_rewards = [], [], {}
        self._paid = self._env_reward = 0.0
        self._began = self._answered = time.monotonic()
        return observation, info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take a turn; the reward is the rubric's."""
        self._latencies.append(time.monotonic() - self._answered)
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._answered = time.monotonic()
        if info.get("failure"):
            return observation, 0.0, terminated, truncated, info
        self._messages.append({"role": "assistant", "content": action})
        self._messages += [dict(reply) for reply in info.get("replies") or _as_reply(observation)]
        if (terminated or truncated) and info.get("answer") is not None:
            self._messages.append({"role": "assistant", "content": f"<answer>{info['answer']}</answer>"})
        self._env_reward += float(reward)
        for name, value in (info.get("rewards") or {}).items():
            self._env_rewards[name] = self._env_rewards.get(name, 0.0) + float(value)
        try:
            reward, values = self._paid_now(info, done=terminated or truncated, truncated=truncated)
        except InfrastructureError as error:
            return observation, 0.0, False, True, {**info, **_failed(error)}
        carry = self._carried(info, done=terminated or truncated)
        return observation, reward, terminated, truncated, {**info, "rewards": values, "carry": carry}

    def _paid_now(self, info: Mapping[str, Any], *, done: bool, truncated: bool) -> tuple[float, dict[str, float]]:
        """Return what the turn earns, and its components."""
        rubric = self.rubric
        turn = rubric.score_turn(self._transcript({}, done=False)) if rubric.sees_turns else {}
        self._turns.append(turn)
        earned = sum(rubric.weights[name] * value for name, value in turn.items()) if turn else 0.0
        if not done:
            self._paid += earned
            return earned, turn
        episode = self._transcript(info, done=True, truncated=truncated)
        score = rubric.score(episode, turns=self._turns)
        values = {
            name: turn.get(name, value) for name, value in score.values.items()
        }  # of turns this one's: they add up
        if episode.tamper or "tamper" in self._env_rewards:
            values["tamper"] = float(bool(episode.tamper))
        return score.reward - self._paid, values

    def _carried(self, info: Mapping[str, Any], *, done: bool) -> dict[str, Any]:
        """Return what is not in an episode's messages and rewards, for `score_group`."""
        return {
            "done": done,
            "tools": self._opening["tools"],
            "tamper": list(info.get("tamper") or ()),
            "reward": self._env_reward,
            "rewards": dict(self._env_rewards),
            **({"latencies": list(self._latencies)} if self.rubric.needs_times else {}),
        }

    def _transcript(self, info: Mapping[str, Any], *, done: bool, truncated: bool = False) -> Transcript:
        references = tuple(self._references()) if self._references is not None and self.rubric.needs_reference else ()
        success = info.get("success")
        return Transcript(
            messages=tuple(self._messages),
            references=references,
            reward=self._env_reward if done else 0.0,
            rewards=dict(self._env_rewards) if done else {},
            success=None if success is None else bool(success),
            done=done,
            truncated=truncated,
            seconds=self._answered - self._began,
            latencies=tuple(self._latencies),
            flags=tuple(info.get("flags") or ()),
            tamper=tuple(info.get("tamper") or ()),
            **self._opening,
        )

    def score_group(self, episodes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the rewards of the episodes of one task, which count in place of what their steps gave.

        An episode that its player cut short, so that no last step was taken, is scored here as it stands: otherwise it
        would escape what its turns cost, and the bounds of the rubric.

        Args:
            episodes: Of each `messages`, `reward` and `rewards` (what its steps gave, summed), `carry` (of its last
                step's info), and where known `seed`, `split`, `level`, `task_id`, `success`, `truncated`, `seconds`,
                `completion_tokens`.

        Returns:
            Of each `reward`, of the whole episode, and `rewards`, its components; or `failure`.
        """
        ended = [bool((each.get("carry") or {}).get("done", False)) for each in episodes]
        if all(ended) and not self.rubric.sees_group:
            return [{"reward": each["reward"], "rewards": dict(each["rewards"])} for each in episodes]
        try:
            references = self._references_of(episodes[0]) if self.rubric.needs_reference else ()
            pairs = zip(episodes, ended, strict=True)
            seen = [_grouped(each, self._env_id, references, done=done) for each, done in pairs]
        except InfrastructureError as error:
            return [_failed(error) for _ in episodes]
        scores = [None if done else self._alone(each) for each, done in zip(seen, ended, strict=True)]
        if self.rubric.sees_group:
            scores = self._together(episodes, seen, scores)
        found = []
        for told, episode, score in zip(episodes, seen, scores, strict=True):
            if isinstance(score, InfrastructureError):
                found.append(_failed(score))
            elif score is None:
                found.append({"reward": told["reward"], "rewards": dict(told["rewards"])})
            else:
                found.append(_told(score, episode))
        return found

    def _alone(self, episode: Transcript) -> _Alone:
        try:
            return self.rubric.score(episode)
        except InfrastructureError as error:
            return error

    def _together(
        self, told: Sequence[Mapping[str, Any]], seen: Sequence[Transcript], alone: Sequence[_Alone]
    ) -> list[_Alone]:
        """Score a group without those that could not be scored by themselves."""
        members: list[int] = []
        known: list[Mapping[str, float]] = []
        for at, score in enumerate(alone):
            if not isinstance(score, InfrastructureError):
                members.append(at)
                known.append(told[at]["rewards"] if score is None else score.values)
        scores: Sequence[_Alone]
        try:
            scores = self.rubric.score_group([seen[at] for at in members], known=known)
        except InfrastructureError as error:
            scores = [error] * len(members)
        found = list(alone)
        for at, score in zip(members, scores, strict=True):
            found[at] = score
        return found

    def _references_of(self, episode: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the accepted answers of a task that this environment may not have played: it is set up again."""
        assert self._references is not None
        told = {name: episode[name] for name in ("split", "level") if episode.get(name)}
        self.env.reset(seed=int(episode.get("seed") or 0), options=told)
        return tuple(self._references())


def _as_reply(observation: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": observation}] if observation else []


def _grouped(told: Mapping[str, Any], env_id: str, references: tuple[str, ...], *, done: bool) -> Transcript:
    success = told.get("success") if done else False  # what was cut short is not solved
    carry: Mapping[str, Any] = told.get("carry") or {}
    return Transcript(
        messages=tuple(told["messages"]),
        env_id=env_id,
        level=int(told.get("level") or 0),
        seed=int(told.get("seed") or 0),
        task_id=str(told.get("task_id", "")),
        tools=tuple(carry.get("tools") or ()),
        references=references,
        reward=float(carry.get("reward", 0.0)),
        rewards=dict(carry.get("rewards") or {}),
        latencies=tuple(carry.get("latencies") or ()),
        success=None if success is None else bool(success),
        done=done,
        truncated=bool(told.get("truncated", False)),
        seconds=float(told.get("seconds", 0.0)),
        completion_tokens=told.get("completion_tokens"),
        tamper=tuple(carry.get("tamper") or ()),
    )


def _failed(error: InfrastructureError) -> dict[str, Any]:
    return {"failure": {"kind": error.kind, "boundary": error.boundary, "message": str(error)}}


def _told(score: Score, episode: Transcript) -> dict[str, Any]:
    return {"reward": score.reward, "rewards": {**score.values, **({"tamper": 1.0} if episode.tamper else {})}}
