"""The base of every text environment: it parses the action, runs the tools, counts turns and fills `info`.

A subclass says what a task is and what a final answer earns. A malformed call is answered with what was wrong and costs
a turn; it never raises. A tool that raises InfrastructureError ends the episode with info["failure"]; at reset, where
the protocol has no place for a failure, the error itself is raised. In a turn that calls tools no answer counts.
"""

from __future__ import annotations

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, ClassVar

import gymnasium
import numpy as np

from agentrl.envs.arguments import (
    check_box,
    check_turn,
    checked_choice,
    checked_count,
    checked_options,
    checked_weights,
)
from agentrl.envs.canaries import TAMPER, Traps
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.protocol import SPLITS, Failure, Policy, Reply
from agentrl.envs.spaces import MAX_LENGTH, Unicode
from agentrl.envs.tools import ArgumentError, Malformed, Tool, ToolCall, ToolError, Toolset, ToolsetSpec, parse
from agentrl.envs.tools.codebox import CodeBox
from agentrl.envs.tools.host import BACKENDS, BoxedToolset, LocalToolset, shared_backend, start
from agentrl.envs.turns import Turn, capped, expected, final_answers, spoken
from agentrl.sandboxes import Sandbox, SandboxSpec

__all__ = ["TextEnv", "Turn", "final_answers"]

_STATE = ("_num_turns", "_num_malformed", "_done", "_transcript", "_traps")


class TextEnv(gymnasium.Env[str, str], ABC):
    """A text environment: one task an episode, tools, and an answer in `<answer>` tags.

    Args:
        split: "train" or "test"; their tasks are disjoint by construction.
        level: Difficulty, 1 to 5.
        max_turns: Turns after which the episode is truncated.
        max_reply_chars: Cap on the text of one tool call; head and tail are kept and the cut is said.
        weights: Weight of each reward component; the reward is the weighted sum.
        backend: Where the tools run: "local" (this process), "docker" or "bwrap" (a box for each episode), or "auto".
        canaries: Whether traps are planted in the episode's box, where one runs code; see `canaries.py`.
        render_mode: None or "ansi" (the episode so far as text).

    Raises:
        UsageError: For a split, level, weight, limit or backend that does not exist.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["ansi"], "render_fps": 1}  # type: ignore[misc]  # Gymnasium leaves it an instance attribute
    levels: ClassVar[range] = range(1, 6)
    components: ClassVar[Mapping[str, float]] = {"exact_match": 1.0}  # every component with its default weight
    observation_space: Unicode
    max_calls: ClassVar[int] = 8  # tool calls that are run in one turn
    state: ClassVar[tuple[str, ...]] = ()  # attributes of a subclass that make up a task; `snapshot` takes them along
    runs_code: ClassVar[bool] = False  # whether an episode runs what the model wrote: in a box, never in this process

    def __init__(
        self,
        *,
        split: str = "train",
        level: int = 1,
        max_turns: int = 8,
        max_reply_chars: int = 4000,
        weights: Mapping[str, float] | None = None,
        backend: str = "auto",
        canaries: bool = False,
        render_mode: str | None = None,
    ) -> None:
        self._split = checked_choice("split", split, SPLITS)
        self._level = checked_choice("level", level, self.levels)
        self.backend: str = checked_choice("backend", backend, BACKENDS)
        check_box(type(self).__name__, runs_code=self.runs_code, backend=backend, canaries=canaries)
        checked_count("max_turns", max_turns)
        checked_count("max_reply_chars", max_reply_chars)
        known = {**self.components, TAMPER: 0.0} if canaries else self.components
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise UsageError(f"render_mode={render_mode!r} is unknown; type render_mode='ansi' or leave it out")
        self.max_turns, self.max_reply_chars = max_turns, max_reply_chars
        self.weights = checked_weights(weights or {}, known)
        self.render_mode = render_mode
        self.action_space = Unicode()
        # Room for every reply of the largest turn, what joins them, and the two remarks that may follow.
        self.observation_space = Unicode(max(MAX_LENGTH, (self.max_calls + 2) * (max_reply_chars + 64)))
        self._has_canaries = canaries
        self._traps: Traps | None = None  # those of the episode
        self._host: LocalToolset | BoxedToolset | None = None  # the toolset of the episode
        self._box: CodeBox | None = None  # where the episode's code runs
        self._every_tool = {self.toolset: {tool.name: tool for tool in self.tools}}  # by toolset
        self._tools: dict[str, Tool] = {}  # those of the episode
        self._kind: type[Toolset] | None = None
        self._schemas: dict[tuple[type[Toolset] | None, tuple[str, ...]], str] = {}  # read anew is faster than copied
        self._transcript: list[tuple[str, str]] = []
        self._num_turns = 0
        self._num_malformed = 0
        self._done = True

    # -- what a subclass says ------------------------------------------------------------------------------------

    system: str = ""  # the system prompt, where it is the same for all tasks; see `instructions`

    toolset: type[Toolset] | None = None  # the class whose functions are the tools; see `toolset_spec`

    def instructions(self) -> str:
        """Return the system prompt of the current task."""
        return self.system

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools of this environment: by default those of its toolset."""
        return self._hosted_tools(self.toolset)

    def offered(self) -> Collection[str] | None:
        """Return the names of the tools that the current task offers, all of them where it is None."""
        return None

    def toolset_spec(self) -> ToolsetSpec | None:
        """Return what to start the toolset of the current task with; asked once after `new_task`."""
        return self.toolset.spec() if self.toolset is not None else None

    def box_spec(self) -> SandboxSpec | None:
        """Return the box that the code of the current task needs; asked once after `new_task`, where `runs_code`."""
        return SandboxSpec() if self.runs_code else None

    def heard(self, name: str, value: Any) -> str:
        """Return what the model reads of a value that the toolset's function `name` gave."""
        return str(value)

    @abstractmethod
    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a task and keep it; return its id. May raise InfrastructureError."""

    @abstractmethod
    def question(self) -> str:
        """Return the first observation."""

    @abstractmethod
    def answer(self, text: str, turn: str) -> Turn:
        """Score the final answer `text`, given in the whole turn `turn`."""

    def references(self) -> tuple[str, ...]:
        """Return the accepted answers of the current task where they are short texts; for rubrics, never for `info`."""
        return ()

    @abstractmethod
    def oracle(self) -> Policy:
        """Return a policy that solves the current task with the tools."""

    def said(self, text: str) -> Turn:
        """Answer a turn that neither calls a tool nor gives an answer: by default with what was expected."""
        return Turn(replies=(self._malformed(expected(text, self._tools)),))

    def noop(self) -> Policy:
        """Return the floor: a policy that says nothing useful."""
        return lambda observation, info: "I do not know."

    def cheats(self) -> dict[str, Policy]:
        """Return known ways to score without solving the task; each must earn 0."""
        return {}

    # -- Gymnasium -----------------------------------------------------------------------------------------------

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Start an episode. `options` may override `split` and `level` for this episode.

        Raises:
            UsageError: For an unknown option or value.
            InfrastructureError: When the task cannot be set up for a reason outside the task; there is no episode then.
        """
        super().reset(seed=seed)
        self._done = True  # until there is a task again
        self._release()
        split, level = checked_options(options, split=self._split, level=self._level, levels=self.levels)
        task_id = self.new_task(self.np_random, split, level)
        self._num_turns = self._num_malformed = 0
        self._traps = Traps.draw(self.np_random, self.references()) if self._has_canaries else None
        self._begin()
        self._done = False
        observation = capped(self.question(), self.observation_space.max_length)
        self._transcript = [("user", observation)]
        info: dict[str, Any] = {"system": self.instructions(), "task": {"id": task_id, "split": split, "level": level}}
        if self._tools:
            info["tools"] = self._described()
        return observation, info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take the assistant's whole turn.

        Raises:
            UsageError: When the action is no string, or the episode is over.
        """
        check_turn(action, is_over=self._done)
        self._num_turns += 1
        self._transcript.append(("assistant", action))
        try:
            turn = self._respond(action)
            truncated = not turn.terminated and self._num_turns >= self.max_turns
            self._done = turn.terminated or truncated
            if self._done:
                self.part_with_box()
            if self._traps is not None:
                turn = self._traps.judged(action, turn, is_over=self._done, box=self._box)
        except InfrastructureError as error:
            return self._failed(error)
        if self._done:
            self._release()
        rewards = (
            {name: float(turn.rewards.get(name, 0.0)) for name in self.weights} if self._done else dict(turn.rewards)
        )
        reward = float(sum([self.weights[name] * value for name, value in rewards.items()]))
        observation = "\n\n".join([reply["content"] for reply in turn.replies])
        info: dict[str, Any] = {"replies": list(turn.replies), "rewards": rewards}
        if self._done:
            info["success"] = bool(turn.success)
        if turn.flags:
            info["flags"] = list(turn.flags)
        if self._traps is not None and self._traps.touched:
            info["tamper"] = list(self._traps.touched)
        self._transcript += [(reply["name"] or reply["role"], reply["content"]) for reply in turn.replies]
        return observation, reward, turn.terminated, truncated, info

    def render(self) -> str | None:  # Gymnasium allows any frame type
        """Return the episode so far as text; None without `render_mode="ansi"`."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                'render() does nothing without a render mode; make the environment with render_mode="ansi"'
            )
            return None
        return "\n".join(f"{role}> {text}" for role, text in self._transcript)

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state of the episode, the generator's included; it can be pickled."""
        taken = {name: copy.copy(getattr(self, name)) for name in (*_STATE, *self.state)}
        toolset = self._host.snapshot() if self._host is not None else None
        box = self._box.snapshot() if self._box is not None else None
        return {**taken, "toolset": toolset, "box": box, "generator": self.np_random.bit_generator.state}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go back to a state that `snapshot` gave, in this environment or in one made with the same arguments."""
        for name in (*_STATE, *self.state):
            setattr(self, name, copy.copy(snapshot[name]))
        self.np_random.bit_generator.state = snapshot["generator"]
        self._release()
        if self._done:
            return
        self._begin()
        if self._host is not None:
            self._host.restore(snapshot["toolset"])
        if self._box is not None:
            self._box.restore(snapshot["box"])

    def close(self) -> None:
        """Give back what the episode holds; may be called twice."""
        self._done = True
        self._release()
        super().close()

    # -- what the episode holds ----------------------------------------------------------------------------------

    @property
    def box(self) -> CodeBox:
        """The box in which the code of this episode runs."""
        assert self._box is not None, (
            "an environment that runs code sets runs_code, and uses its box in an episode only"
        )
        return self._box

    @property
    def sandboxes(self) -> tuple[Sandbox, ...]:
        """The sandboxes that the episode holds now: that of its code and that of its tools, as far as it has them."""
        held = (each.sandbox for each in (self._box, self._host) if each is not None)
        return tuple(sandbox for sandbox in held if sandbox is not None)

    def part_with_box(self) -> None:
        """Give the box of the episode's code back, before the end too, after a look at the trap in it.

        Raises:
            InfrastructureError: The box failed.
        """
        box, self._box = self._box, None
        if box is not None:
            with closing(box):
                if self._traps is not None:
                    self._traps.look(box)

    def _begin(self) -> None:
        """Start what the current task needs: its toolset, its box, its tools."""
        spec = self.toolset_spec()
        kind = spec.kind if spec is not None else self.toolset
        if kind not in self._every_tool:
            self._every_tool[kind] = {tool.name: tool for tool in self._hosted_tools(kind)}
        every, offered = self._every_tool[kind], self.offered()
        self._tools = every if offered is None else {name: tool for name, tool in every.items() if name in offered}
        self._kind = kind
        try:
            self._host = self.start_toolset()
            box_spec = self.box_spec() if self.runs_code else None
            if box_spec is not None:
                self._box = CodeBox(box_spec, shared_backend(BACKENDS[self.backend]))
                if self._traps is not None:
                    self._traps.plant(self._box)
        except BaseException:
            self._release()
            raise

    def _hosted_tools(self, kind: type[Toolset] | None) -> tuple[Tool, ...]:
        functions = kind.functions().values() if kind is not None else ()
        return tuple(Tool.hosted(function, self._hosted) for function in functions)

    def _described(self) -> list[dict[str, Any]]:
        key = (self._kind, tuple(self._tools))
        if key not in self._schemas:
            self._schemas[key] = json.dumps([tool.schema for tool in self._tools.values()])
        described: list[dict[str, Any]] = json.loads(self._schemas[key])
        return described

    def start_toolset(self) -> LocalToolset | BoxedToolset | None:
        """Start the toolset of the current task, here or in a box.

        Raises:
            InfrastructureError: No box could be had.
        """
        spec = self.toolset_spec()
        return start(spec, self.backend) if spec is not None else None

    def _hosted(self, name: str, arguments: dict[str, object]) -> str:
        assert self._host is not None, "a tool was called outside an episode"
        try:
            return self.heard(name, self._host.call(name, arguments))
        except ToolError as error:
            return f"Error: {error}"

    def _release(self) -> None:
        host, self._host = self._host, None
        box, self._box = self._box, None
        for held in (host, box):
            if held is not None:
                held.close()

    # -- one turn ------------------------------------------------------------------------------------------------

    def _respond(self, action: str) -> Turn:
        text = spoken(action)
        calls = parse(text, self._tools) if self._tools else []
        if calls:
            return Turn(replies=tuple(self._call(calls, text)))
        answers = final_answers(text)
        if len(answers) == 1:
            return self.answer(answers[0], text)
        if answers:  # several answers are no answer: a list of guesses must never score
            return Turn(terminated=True, success=False)
        return self.said(text)

    def _call(self, calls: Sequence[ToolCall | Malformed], text: str) -> Iterator[Reply]:
        for call in calls[: self.max_calls]:
            yield self._run(call)
        if len(calls) > self.max_calls:
            yield self._malformed(
                f"Error: only the first {self.max_calls} tool calls of a turn are run; make the others in another turn."
            )
        if "<answer>" in text:
            for call in calls:
                text = text.replace(call.raw, "", 1)
            if final_answers(text):  # not one inside an argument
                yield self._malformed(
                    "Error: an answer in a turn that calls a tool does not count. Read what the tool says, then answer "
                    "in a turn without calls."
                )

    def _run(self, call: ToolCall | Malformed) -> Reply:
        if isinstance(call, Malformed):
            return self._malformed(f"Error: {call.reason}")
        tool = self._tools[call.name]
        try:
            text = tool(call.arguments)
        except ArgumentError as error:
            return self._malformed(f"Error: {error}")
        return {"role": "tool", "name": call.name, "content": capped(text, self.max_reply_chars)}

    def _malformed(self, text: str) -> Reply:
        self._num_malformed += 1
        return {"role": "user", "name": "", "content": capped(text, self.max_reply_chars)}

    def _failed(self, error: InfrastructureError) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self._done = True
        self._release()
        failure: Failure = {"kind": error.kind, "boundary": error.boundary, "message": str(error)}
        observation = f"The episode was ended: {error.boundary} failed."
        self._transcript.append(("failure", str(error)))
        return observation, 0.0, False, True, {"failure": failure}
