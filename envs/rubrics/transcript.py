"""What a rubric sees of an episode, running, finished or stored: the conversation, and what the environment said of it.

It is plain data that anybody can build, so a rubric needs no environment. What an environment keeps to itself, such as
its files, is not there; accepted answers are where the environment tells them (`references`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from agentrl.envs.errors import EnvError
from agentrl.envs.tools.calls import Malformed, ToolCall
from agentrl.envs.tools.parsers import parse
from agentrl.envs.turns import final_answers, spoken

__all__ = ["HiddenError", "Transcript"]

_MARKED = ("hermes", "mistral", "qwen-xml")  # formats of calls that nothing else looks like


class HiddenError(EnvError, AttributeError):
    """A rubric asked an episode for what no rubric can see; the message says what there is."""


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """One episode as a rubric sees it.

    >>> episode = Transcript(messages=({"role": "user", "content": "2 + 2?"},
    ...                                {"role": "assistant", "content": "<answer>4</answer>"}))
    >>> episode.question, episode.answers, episode.answer
    ('2 + 2?', ('4',), '4')
    """

    messages: tuple[Mapping[str, Any], ...]  # role, content and, of a tool, its name
    env_id: str = ""
    level: int = 0  # 0: the environment's own default
    seed: int = 0
    sample: int = 0  # 0, 1, … of the same task
    task_id: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()  # schemas in the OpenAI function format; empty where not stored
    references: tuple[str, ...] = ()  # accepted answers, where the environment tells them
    reward: float = 0.0  # the environment's own, summed over the turns
    rewards: Mapping[str, float] = field(default_factory=dict)  # the environment's own components
    success: bool | None = None  # None: not told, or not over yet
    done: bool = True  # False: the episode goes on
    truncated: bool = False  # out of turns
    seconds: float = 0.0  # of the whole episode, the agent included
    latencies: tuple[float, ...] = ()  # seconds of each turn of the agent; empty where not measured
    prompt_tokens: int | None = None  # of all turns
    completion_tokens: int | None = None
    flags: tuple[str, ...] = ()  # what a grader saw: attempts to cheat, limits that were met
    tamper: tuple[str, ...] = ()  # traps of the environment that were touched

    @cached_property
    def system(self) -> str:
        """The system prompt; empty where there is none."""
        first = self.messages[:1]
        return str(first[0].get("content", "")) if first and first[0].get("role") == "system" else ""

    @cached_property
    def question(self) -> str:
        """The first observation."""
        for message in self.messages[:2]:
            if message.get("role") == "user":
                return str(message.get("content", ""))
        return ""

    @cached_property
    def turns(self) -> tuple[str, ...]:
        """What the agent said, by turns."""
        return tuple(str(each.get("content", "")) for each in self.messages if _is_turn(each))

    @property
    def num_turns(self) -> int:
        """Turns of the agent."""
        return len(self.turns)

    @cached_property
    def answers(self) -> tuple[str, ...]:
        """What the last turn gave in `<answer>` tags, thoughts left out; a turn that calls tools gives no answer."""
        if not self.turns or "<answer>" not in self.turns[-1]:
            return ()
        text = spoken(self.turns[-1])
        if self.tool_names:
            return () if self.called(len(self.turns) - 1) else tuple(final_answers(text))
        for call in parse(text, (), _MARKED):  # which tools there are is not known, but these are calls beyond doubt
            text = text.replace(call.raw, "", 1)
        return tuple(final_answers(text))

    @cached_property
    def tool_names(self) -> tuple[str, ...]:
        """The tools that could be called: those of the schemas, or where these are not stored those that answered."""
        functions = (tool.get("function", tool) for tool in self.tools)
        told = [each["name"] for each in functions if isinstance(each, Mapping) and isinstance(each.get("name"), str)]
        named = (message.get("name") for message in self.messages if message.get("role") == "tool")
        return tuple(dict.fromkeys(told or (name for name in named if isinstance(name, str) and name)))

    def called(self, turn: int) -> tuple[ToolCall | Malformed, ...]:
        """Return what a turn calls, well formed or not; read once.

        Args:
            turn: From 0.
        """
        kept: dict[int, tuple[ToolCall | Malformed, ...]] = vars(self).setdefault("_called", {})
        if turn not in kept:
            kept[turn] = tuple(parse(spoken(self.turns[turn]), self.tool_names))
        return kept[turn]

    @property
    def answer(self) -> str | None:
        """The answer of the last turn; None where it gave none, or several."""
        return self.answers[0] if len(self.answers) == 1 else None

    def beginnings(self) -> Iterator[Transcript]:
        """Yield the episode as it stood after each turn and what was replied to it, as one that goes on.

        What the environment said at the end (its reward, success, flags) is not in them.
        """
        said = [at for at, message in enumerate(self.messages) if _is_turn(message)]
        for at in [*said[1:], len(self.messages)] if said else ():
            yield dataclasses.replace(
                self,
                messages=self.messages[:at],
                reward=0.0,
                rewards={},
                success=None,
                done=False,
                truncated=False,
                flags=(),
                tamper=(),
            )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        known = [each.name for each in dataclasses.fields(Transcript)]
        known += [name for name, value in vars(Transcript).items() if isinstance(value, property | cached_property)]
        raise HiddenError(
            f"an episode has no {name!r} for rubrics: files and other state of the environment are its own. There are "
            f"{', '.join(known)}; for more, bench again"
        )


def _is_turn(message: Mapping[str, Any]) -> bool:
    """Whether the agent said a message, in place of a program that gave it as part of a history."""
    return message.get("role") == "assistant" and not message.get("given")
