"""Whether `info` follows `agentrl.envs.protocol`, and whether what it says fits the rewards."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, get_type_hints

import numpy as np

from agentrl.envs.checker.episodes import Episode, Step, shown
from agentrl.envs.checker.record import Check, Failed, NotApplicable
from agentrl.envs.checker.subject import Subject
from agentrl.envs.protocol import SPLITS, Info

__all__ = ["CHECKS"]

_AT_RESET = {"system", "tools", "task"}
_MOST = 1000.0  # a reward beyond this is no scale that a trainer can work with


def _everything(subject: Subject) -> list[Episode]:
    return [each for role in ("oracle", "noop", "random") for each in subject.played(role)]


def _protocol(subject: Subject) -> dict[str, Any]:
    episodes = _everything(subject)
    known = set(get_type_hints(Info))
    seen: set[str] = set()
    for episode in episodes:
        if not episode.steps and episode.error:
            continue
        for what, info, step in _infos(episode):
            if not isinstance(info, dict):
                raise Failed(f"info of {what} is a {type(info).__name__}")
            seen |= known & {str(key) for key in info}
            if subject.facts.protocol or seen:
                _look(what, info, step, known)
    if not seen:
        raise NotApplicable("info has none of the protocol's keys")
    return {"keys": sorted(seen)}


def _infos(episode: Episode) -> Iterator[tuple[str, Any, Step | None]]:
    yield f"the reset of {episode}", episode.info, None
    for index, step in enumerate(episode.steps):
        yield f"turn {index + 1} of {episode}", step.info, step


def _look(what: str, info: dict[str, Any], step: Step | None, known: set[str]) -> None:
    try:
        plain = json.loads(json.dumps(info, allow_nan=False)) == info
    except (TypeError, ValueError) as error:
        raise Failed(f"info of {what} is no plain data: {error}") from error
    if not plain:
        raise Failed(f"info of {what} is no plain data: tuples, or keys that are no text: {shown(info, 200)}")
    misplaced = sorted(set(info) & (_AT_RESET if step is not None else known - _AT_RESET))
    if misplaced:
        raise Failed(f"info of {what} has {misplaced[0]!r}, which belongs to {'the reset' if step else 'a step'}")
    wrong = next((found for found in _wrong(info) if found), None)
    if wrong:
        raise Failed(f"info of {what}: {wrong}")
    if step is None:
        return
    if "replies" in info and step.observation != "\n\n".join(each["content"] for each in info["replies"]):
        raise Failed(
            f"the observation of {what} is not its replies joined by an empty line: {shown(step.observation)!r}"
        )
    failed = "failure" in info
    if failed and not step.truncated:
        raise Failed(f"info of {what} has a failure, and truncated is False")
    if failed and ("success" in info or step.reward):
        raise Failed(
            f"info of {what} has a failure and yet success or the reward {step.reward!r}: it counts for nothing"
        )
    if "success" in info and not step.ended:
        raise Failed(f"info of {what} has 'success' before the end of the episode")
    if step.ended and not failed and "success" not in info:
        raise Failed(f"info of {what}, the last, has no 'success'")


def _wrong(info: dict[str, Any]) -> Iterator[str]:
    for name, kind in (("system", str), ("tools", list), ("task", dict), ("replies", list), ("rewards", dict)):
        if name in info and not isinstance(info[name], kind):
            yield f"{name!r} is a {type(info[name]).__name__}, not a {kind.__name__}"
            return
    if "success" in info and not isinstance(info["success"], bool):
        yield f"'success' is {info['success']!r}, not a bool"
    task = info.get("task", {"id": "", "split": "train", "level": 1})
    if set(task) != {"id", "split", "level"} or not isinstance(task["id"], str) or isinstance(task["level"], bool):
        yield f"'task' is {shown(task)}, not id, split and level"
    elif task["split"] not in SPLITS or not isinstance(task["level"], int):
        yield f"'task' has the split {task['split']!r} and the level {task['level']!r}"
    for tool in info.get("tools", ()):
        function = tool.get("function", {}) if isinstance(tool, dict) else {}
        if not isinstance(function.get("name"), str) or not isinstance(function.get("parameters"), dict):
            yield f"the tool {shown(tool)} is not in the OpenAI function format"
    for reply in info.get("replies", ()):
        texts = isinstance(reply, dict) and set(reply) == {"role", "name", "content"}
        if not texts or not all(isinstance(each, str) for each in reply.values()):
            yield f"the reply {shown(reply)} is not role, name and content"
        elif reply["role"] not in ("tool", "user"):
            yield f"a reply has the role {reply['role']!r}; there are tool, user"
    for name, value in info.get("rewards", {}).items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            yield f"the reward component {name!r} is {value!r}, not a number"
    failure = info.get("failure", {"kind": "", "boundary": "", "message": ""})
    if not isinstance(failure, dict) or set(failure) != {"kind", "boundary", "message"}:
        yield f"'failure' is {shown(failure)}, not kind, boundary and message"


def _rewards(subject: Subject) -> dict[str, Any]:
    lowest, highest = math.inf, -math.inf
    for episode in _everything(subject):
        for index, step in enumerate(episode.steps):
            what = f"turn {index + 1} of {episode}"
            if not isinstance(step.reward, int | float | np.number) or isinstance(step.reward, bool):
                raise Failed(f"the reward of {what} is {shown(step.reward)} of type {type(step.reward).__name__}")
            reward = float(step.reward)
            if not math.isfinite(reward) or abs(reward) > _MOST:
                raise Failed(f"the reward of {what} is {reward}", "keep every reward finite, best between 0 and 1")
            lowest, highest = min(lowest, reward), max(highest, reward)
            parts = step.info.get("rewards") if isinstance(step.info, dict) else None
            if isinstance(parts, dict) and subject.facts.weights is not None:
                _add_up(what, reward, parts, subject.facts.weights)
    return {"lowest": lowest, "highest": highest}


def _add_up(what: str, reward: float, parts: dict[str, Any], weights: dict[str, float]) -> None:
    unknown = sorted(set(parts) - set(weights))
    if unknown:
        raise Failed(f"info of {what} has the component {unknown[0]!r}, for which there is no weight")
    total = sum(weights[name] * value for name, value in parts.items())
    if not math.isclose(total, reward, abs_tol=1e-9):
        raise Failed(f"the reward of {what} is {reward}, its weighted components {shown(parts)} add up to {total}")
    outside = [name for name, value in parts.items() if not 0 <= value <= 1]
    if outside:
        raise Failed(f"the component {outside[0]!r} of {what} is {parts[outside[0]]}, outside 0 to 1")


def _success(subject: Subject) -> dict[str, Any]:
    told = 0
    for episode in _everything(subject):
        if not episode.ended or episode.success is None or episode.failure:
            continue
        told += 1
        if episode.success and episode.total <= 0:
            raise Failed(f"{episode} is a success with the reward {episode.total}")
        full = episode.role == "oracle" and _is_full(subject, episode)
        if full and not episode.success:
            raise Failed(f"{episode} earned the full reward, {episode.total}, and success is False")
        if episode.role == "noop" and episode.success:
            raise Failed(f"{episode} is a success: saying nothing solves the task")
    if not told:
        raise NotApplicable("info never says 'success'")
    return {"episodes": told}


def _is_full(subject: Subject, episode: Episode) -> bool:
    weights = subject.facts.weights
    most = sum(weight for weight in weights.values() if weight > 0) if weights else 1.0
    return episode.total >= most - 1e-6


CHECKS = (
    Check(
        id="protocol",
        what="info is plain data and follows agentrl.envs.protocol",
        hint="see agentrl/envs/protocol.py: which key stands at reset, which at a step, which at the last one",
        run=_protocol,
        needs=("starts",),
    ),
    Check(
        id="rewards",
        what="rewards are finite and bounded, components add up",
        hint="let the reward be the sum of weight times component, each component between 0 and 1",
        run=_rewards,
        needs=("starts",),
    ),
    Check(
        id="success",
        what="info['success'] agrees with the reward",
        hint="set success from the task's ground truth alone, and reward nothing else as if it were solved",
        run=_success,
        needs=("starts", "protocol"),
    ),
)
