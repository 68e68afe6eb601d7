"""Any Gymnasium environment as one that speaks text: what it shows becomes words, what the model says an action.

An observation is the environment's own `ansi` rendering where it has one, otherwise its values (`speech.py`). A turn is
one action, said alone or within <answer></answer>. A turn that says none is answered, never raised: it costs a turn
and `invalid_reward`, and the third one ends the episode and is charged for all turns that were left, so that breaking
off is never better than playing on. The rewards of the environment itself pass through as they are.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete, Text

from agentrl.trainer.errors import ConfigError
from agentrl.trainer.known import KNOWN, Known
from agentrl.trainer.speech import UnreadableError, describe, first, read, refusal, say

__all__ = ["OPTIONS", "Textualized", "make_text_env"]

OPTIONS: Final = ("max_turns", "max_invalid", "invalid_reward", "digits", "render")
"""Arguments of `Textualized`, given as `env_kwargs` beside the environment's own."""

_DEFAULT_TURNS: Final = 100  # where the environment has no limit of its own
_MAX_CHARS: Final = 4_000  # of an observation
_ANSWER: Final = re.compile(r"<answer>((?:(?!<answer>).)*?)(?:</answer>|\Z)", re.DOTALL)
_COLOURED: Final = re.compile(r"\x1b\[((?:3|4|9|10)[0-7])(?:;\d+)*m(.*?)\x1b\[0?m", re.DOTALL)
# The toy text environments write the last action beside their map; without it the same place reads the same.
_ECHO: Final = re.compile(r"^ *\([A-Z][a-z]+(?: [a-z]+)?\) *$", re.MULTILINE)
_ESCAPE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_COLOURS: Final = ("gray", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


def make_text_env(env_id: str, kwargs: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    """Make an environment that speaks text; one that does not by itself is wrapped in `Textualized`.

    Args:
        env_id: A registered id.
        kwargs: For `gymnasium.make`. Those in `OPTIONS` are the wrapper's, unless the environment takes them itself.

    Raises:
        ConfigError: It cannot be made with these arguments, or its spaces cannot be spoken.
    """
    own = {name: value for name, value in kwargs.items() if name in OPTIONS}
    rest = {name: value for name, value in kwargs.items() if name not in OPTIONS}
    refused: TypeError | None = None
    try:
        env = gymnasium.make(env_id, **kwargs)
    except TypeError as error:  # it knows none of the wrapper's options, or not all of its own
        env, refused = _make(env_id, rest), error
    except _MAKE_ERRORS as error:
        raise _cannot_be_made(env_id, error) from error
    if isinstance(env.action_space, Text) and isinstance(env.observation_space, Text):
        if refused is None:
            return env
        env.close()
        raise _cannot_be_made(env_id, refused) from refused
    for name, space in (("action", env.action_space), ("observation", env.observation_space)):
        if reason := refusal(space):
            env.close()
            raise ConfigError(
                f"env={env_id!r} has the {name} space {space}, but a language model needs text, and {reason}. Wrap it "
                "in a module of your own, register that, and type: --env my_module:My/Env-v0"
            )
    own = own if refused is not None else {}
    drawn = "ansi" in (env.metadata.get("render_modes") or ()) and "render_mode" not in rest
    if "render" in own and (not drawn or type(own["render"]) is not bool):
        env.close()
        raise ConfigError(
            f"env={env_id!r}: render is {own['render']!r}, but must be true or false, and changes something only where "
            "the environment draws itself as text (ansi); leave it out"
        )
    if own.pop("render", True) and drawn:
        env.close()
        env = _make(env_id, {**rest, "render_mode": "ansi"})
    try:
        return Textualized(env, **own)
    except ValueError as error:
        env.close()
        raise ConfigError(f"env={env_id!r}: {error}") from error


class Textualized(gymnasium.Wrapper[str, str, Any, Any], gymnasium.utils.RecordConstructorArgs):
    """Speak for an environment without text.

    Args:
        env: One whose spaces can be spoken (`speech.refusal`).
        max_turns: Turns of an episode, invalid ones included; None: as many as the environment's TimeLimit, else 100.
        max_invalid: Turns without a valid action that end an episode.
        invalid_reward: Of each of them; None: -1, or less where a step of a known environment may cost more.
        digits: Numbers shown: a bounded range in about 10**digits steps, an unbounded one with so many decimals.

    Raises:
        ValueError: A limit is out of range.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        max_turns: int | None = None,
        max_invalid: int = 3,
        invalid_reward: float | None = None,
        digits: int = 2,
    ) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(
            self, max_turns=max_turns, max_invalid=max_invalid, invalid_reward=invalid_reward, digits=digits
        )
        gymnasium.Wrapper.__init__(self, env)
        for name, value, least in (("max_turns", max_turns, 1), ("max_invalid", max_invalid, 1), ("digits", digits, 0)):
            if value is not None and (type(value) is not int or value < least):
                raise ValueError(f"{name} is {value!r}, but must be a whole number of {least} or more")
        if invalid_reward is not None and (type(invalid_reward) not in (int, float) or not -1e9 <= invalid_reward <= 0):
            raise ValueError(f"invalid_reward is {invalid_reward!r}, but must be 0 or less")
        limit = env.spec.max_episode_steps if env.spec else None
        if max_turns is not None and limit is not None and max_turns > limit:
            raise ValueError(f"max_turns is {max_turns}, but it ends after {limit}; give max_episode_steps instead")
        self.max_turns = max_turns or limit or _DEFAULT_TURNS
        self._whole = limit is None or self.max_turns == limit  # nothing of an episode is cut off
        self._known = _known(env)
        self.max_invalid, self._digits = max_invalid, digits
        self.invalid_reward = self._known.invalid_reward if invalid_reward is None else float(invalid_reward)
        self._shown = env.render_mode == "ansi"
        self._actions, self._parts = self._known.actions, self._known.parts
        self._expected = describe(env.action_space, names=self._actions)
        self.action_space, self.observation_space = _AnyText(), _AnyText()
        self._turns = self._invalid = 0
        self._return = 0.0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Begin an episode; `split` and `level`, which the environment does not know, are left out of the options."""
        kept = {name: value for name, value in (options or {}).items() if name not in ("split", "level")}
        observation, _ = self.env.reset(seed=seed, options=kept or None)
        self._turns = self._invalid = 0
        self._return = 0.0
        return self._say(observation), {"system": self.system}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Act as the turn says, or answer what was expected."""
        self._turns += 1
        try:
            value = read(self.env.action_space, _answer(action), names=self._actions)
        except UnreadableError as error:
            return self._answer_invalid(error)
        observation, reward, terminated, truncated, told = self.env.step(value)
        self._return += float(reward)
        truncated = bool(truncated) or (self._turns >= self.max_turns and not terminated)
        info: dict[str, Any] = {"rewards": {"environment": float(reward)}}
        if terminated or truncated:
            info["success"] = self._success(bool(terminated), told)
        text = self._say(observation)
        info["replies"] = [{"role": "user", "name": "", "content": text}]
        return text, float(reward), bool(terminated), truncated, info

    @property
    def system(self) -> str:
        """The system prompt: what is to be done, and how an action is said."""
        example = self.say_action(first(self.env.action_space))
        return (
            f"{self._known.task}\nEach turn, say one action: {self._expected}. Say it alone, or last of all within "
            f"<answer></answer>, as in <answer>{example}</answer>. There are {self.max_turns} turns."
        )

    def say_action(self, value: Any) -> str:
        """Return the text that `step` reads as this action."""
        return say(self.env.action_space, value, names=self._actions)

    def demonstrator(self, rng: np.random.Generator) -> Callable[[str, Mapping[str, Any]], str]:
        """Return a player of random valid actions: it shows the format, and no skill."""
        space = copy.deepcopy(self.env.action_space)
        space.seed(int(rng.integers(2**31)))
        return lambda observation, info: self.say_action(space.sample())

    def _answer_invalid(self, error: UnreadableError) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self._invalid += 1
        ends = self._invalid >= self.max_invalid or self._turns >= self.max_turns
        reward = self.invalid_reward * (1 + (self.max_turns - self._turns if ends else 0))
        text = f"Invalid action: {error}. Expected: {self._expected}."
        info: dict[str, Any] = {"rewards": {"invalid": reward}}
        info["replies"] = [{"role": "user", "name": "", "content": text}]
        if ends:
            info["success"] = self._success(False, {})
        return text, reward, False, ends, info

    def _success(self, terminated: bool, told: Mapping[str, Any]) -> bool | None:
        """Say whether the episode reached its goal, as the environment, its documentation or its threshold defines it.

        In this order: `success` or `is_success` in the environment's own info; the ending of a known environment (that
        of CartPole is to stand through all turns, however few they are); the reward threshold of the registration,
        applied to one episode, if no turn limit of ours cut it short. None where there is none of these.
        """
        for name in ("success", "is_success"):
            if told.get(name) is not None and not np.ndim(told[name]):
                return bool(told[name])
        ending = self._known.ending
        if ending == "goal":
            return terminated
        if ending == "survived":
            return not terminated and self._invalid == 0
        if ending == "won":
            return self._return > 0
        threshold = self.env.spec.reward_threshold if self.env.spec else None
        if threshold is None or not self._whole:
            return None
        return self._return >= threshold and self._invalid == 0  # costs that junk avoided were not saved

    def _say(self, observation: Any) -> str:
        if self._shown:
            text = _uncoloured(_ECHO.sub("", str(self.env.render())))
        else:
            text = say(self.env.observation_space, observation, names=self._parts, digits=self._digits)
        if len(text) > _MAX_CHARS:
            half = _MAX_CHARS // 2
            text = f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"
        return text


class _AnyText(Text):
    """Text of any characters and length; samples are letters and digits."""

    def __init__(self) -> None:
        super().__init__(max_length=_MAX_CHARS, min_length=0)

    def contains(self, x: Any) -> bool:
        return isinstance(x, str)


_MAKE_ERRORS: Final = (gymnasium.error.Error, TypeError, ValueError, ModuleNotFoundError)


def _make(env_id: str, kwargs: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    try:
        return gymnasium.make(env_id, **kwargs)
    except _MAKE_ERRORS as error:
        raise _cannot_be_made(env_id, error) from error


def _cannot_be_made(env_id: str, error: Exception) -> ConfigError:
    return ConfigError(f"env={env_id!r} cannot be made: {error}")


def _known(env: gymnasium.Env[Any, Any]) -> Known:
    """Return what is known, but for names that do not fit the spaces (another wrapper may have changed them)."""
    spec, space = env.spec, env.action_space
    name = f"{spec.namespace}/{spec.name}" if spec and spec.namespace else spec.name if spec else "an environment"
    found = KNOWN.get(name) or Known(task=f"Act in {name} so that the rewards are as high as can be.")
    actions = found.actions
    meanings = getattr(env.unwrapped, "get_action_meanings", None)  # of the Atari environments
    if actions is None and callable(meanings):
        actions = tuple(str(each).lower() for each in meanings())
    members = getattr(getattr(env.unwrapped, "actions", None), "__members__", None)  # an enumeration, as in MiniGrid
    if actions is None and members:
        actions = tuple(str(each) for each in members)
    fits = isinstance(space, Discrete) and actions is not None
    if not fits or len(set(actions or ())) != int(space.n):  # type: ignore[attr-defined]
        actions = None
    seen = env.observation_space
    size = len(seen.spaces) if isinstance(seen, gymnasium.spaces.Tuple) else (seen.shape or (0,))[0]
    parts = found.parts if found.parts is not None and size == len(found.parts) else None
    return Known(
        task=found.task, actions=actions, parts=parts, ending=found.ending, invalid_reward=found.invalid_reward
    )


def _answer(turn: str) -> str:
    """Return what the last <answer> holds, or the whole turn when there is none."""
    found = _ANSWER.findall(turn)
    return found[-1] if found else turn


def _uncoloured(text: str) -> str:
    """Write colours as characters: [S] where there is one colour, {blue:Y} where colours differ in meaning."""
    several = len({code for code, _ in _COLOURED.findall(text)}) > 1

    def mark(match: re.Match[str]) -> str:
        return f"{{{_COLOURS[int(match[1]) % 10]}:{match[2]}}}" if several else f"[{match[2]}]"

    plain = _ESCAPE.sub("", _COLOURED.sub(mark, text)).strip()
    return "\n".join(line.rstrip() for line in plain.split("\n"))
