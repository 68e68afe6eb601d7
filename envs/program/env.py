"""`AgentRL/Program-v0`: an agent program that exists already, as an environment; its model is the policy.

What the program asks its model is the observation, the policy's turn is the answer; when the program ends, a rubric
scores what it gave back. A turn is said where `info["context"]` says: a program may lead several conversations, go back
in one, or rewrite it.

A program that fails before it has asked anything is a failure of the infrastructure; so is one that the machine killed.
One that fails after the policy has spoken, is silent for too long, or asks more often than it may, is data.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import gymnasium

from agentrl.envs.arguments import check_turn, checked_choice, checked_options
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.functions import load_function
from agentrl.envs.program.calls import Said
from agentrl.envs.program.exchange import Mailbox, Pending, Upstream
from agentrl.envs.program.launch.boxed import boxed
from agentrl.envs.program.launch.nursery import lend as lend_nursery
from agentrl.envs.program.launch.program import Ended, Order, Program, Run
from agentrl.envs.program.limits import Limits
from agentrl.envs.program.matching import Conversations
from agentrl.envs.program.scoring import Function, answer_of, read_rubric
from agentrl.envs.program.shared import Served, give_back, lend
from agentrl.envs.program.tasks import Task, Tasks, read_tasks
from agentrl.envs.program.turns import counted, given, read_turn, text_of
from agentrl.envs.protocol import SPLITS, Failure, Policy
from agentrl.envs.rubrics.rubric import Rubric
from agentrl.envs.rubrics.transcript import Transcript
from agentrl.envs.spaces import Unicode
from agentrl.envs.splits import LEVELS
from agentrl.envs.tools.host import BACKENDS
from agentrl.envs.turns import capped

__all__ = ["MissingError", "ProgramEnv"]

Oracle = Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], str]
_MOST_CHARS = 1 << 24  # of an observation
_MOST_TOLD = 1 << 16  # characters of a result that others are told and that is stored


class MissingError(UsageError, AttributeError):
    """What was not given is not there."""


class ProgramEnv(gymnasium.Env[str, str]):
    """A program whose model is the policy.

    Args:
        program: A callable with the keywords `task`, `base_url` and `api_key`; its name "MODULE:CALLABLE"; or a
            command, which finds these in OPENAI_BASE_URL, OPENAI_API_KEY and the file that AGENTRL_TASK names.
        tasks: A file of JSON lines, a list of rows, or a function; see `read_tasks`.
        rubric: Scores what the program gave; see `read_rubric`. None: it must be one of the task's answers.
        backend: "local": a process of this machine; "docker", "bwrap" or "auto": a command in a box.
        folder: Whose files lie in the box's /work.
        image: Of Docker.
        passthrough: Models that a real endpoint answers for: {"gpt-*": {"base_url": …, "key_env": …}}.
        oracle: A function of (task, messages) that says a right turn, or its name; for demonstrations.
        split: "train" or "test".
        level: Of the tasks, 1 to 5.
        max_turns: Calls that the policy answers in an episode.
        start_s: Seconds until the first call.
        silence_s: Seconds that the program may be silent between calls, and until its end.
        program_s: Seconds of its own in all; what the policy takes is not counted.

    Raises:
        UsageError: An argument that cannot work.
        DataError: A row of the tasks that cannot be used.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}  # type: ignore[misc]  # Gymnasium leaves it an instance attribute
    levels: range  # that the tasks have

    def __init__(
        self,
        *,
        program: str | Sequence[str] | Callable[..., Any],
        tasks: Tasks | str,
        rubric: str | Path | Rubric | Function | None = None,
        backend: str = "local",
        folder: str | Path | None = None,
        image: str | None = None,
        passthrough: Mapping[str, Mapping[str, str]] | None = None,
        oracle: str | Oracle | None = None,
        split: str = "train",
        level: int = 1,
        max_turns: int = 32,
        start_s: float = 45.0,
        silence_s: float = 45.0,
        program_s: float = 300.0,
    ) -> None:
        self._split = checked_choice("split", split, SPLITS)
        self._level = checked_choice("level", level, LEVELS)
        self._limits = Limits(max_turns=max_turns, start_s=start_s, silence_s=silence_s, program_s=program_s)
        self._program = Program.read(program)
        self._backend = checked_choice("backend", backend, BACKENDS)
        self._tasks = read_tasks(tasks, needs_answers=rubric is None)
        self.levels = self._tasks.levels
        self._score = read_rubric(rubric)
        self._upstreams = Upstream.read_all({} if passthrough is None else passthrough)
        self._oracle: Oracle | None = (
            load_function(f"oracle={oracle!r}", oracle, example="oracle='my_agent:solve'")
            if isinstance(oracle, str)
            else oracle
        )
        if self._oracle is not None and not callable(self._oracle):
            raise UsageError(
                f"oracle={oracle!r:.80} is no function; give one of (task, messages), or 'MODULE:CALLABLE'"
            )
        self._boxes = boxed(self._program, BACKENDS[self._backend], folder, image)
        if self._boxes is None:
            self._program.check()
        self.action_space = Unicode(_MOST_CHARS)
        self.observation_space = Unicode(_MOST_CHARS)
        self._held = ExitStack()  # the endpoint, and the process that forks
        self._served: Served | None = None
        self._start: Callable[[Order, Callable[[Ended], None]], Run] | None = None
        self._owner = os.getpid()
        self._box: Mailbox | None = None
        self._run: Run | None = None
        self._task: Task | None = None
        self._pending: Pending | None = None
        self._forget()

    # -- Gymnasium -----------------------------------------------------------------------------------------------

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Draw a task and start the program; the observation is what it asks first.

        Raises:
            UsageError: For an unknown option or value.
            InfrastructureError: The program cannot be started, or ends or is silent before it asks anything.
        """
        super().reset(seed=seed)
        self._disown()
        self._end("the next episode began")
        self._forget()
        split, level = checked_options(options, split=self._split, level=self._level, levels=LEVELS)
        self._task = self._tasks.draw(self.np_random, split, level)
        self._launch(int(self.np_random.integers(2**31)))
        began = time.monotonic()
        event = self._next(self._limits.start_s)
        self._spent_s = time.monotonic() - began
        if not isinstance(event, Pending):
            self._end("it asked nothing")
            if event is None:
                told, kind = f"it asked its model nothing within {self._limits.start_s:g} s", "timeout"
            else:
                told, kind = f"it ended before it asked its model anything: {event}", "start"
            raise InfrastructureError(f"{self._program.name}: {told}", kind=kind, boundary="program")
        context = self._surface(event)
        observation, system = self._opening(context)
        info: dict[str, Any] = {"task": {"id": self._task.id, "split": split, "level": level}, "context": context}
        if system:
            info["system"] = system
        if event.call.tools:
            info["tools"] = list(event.call.tools)
        self._done = False
        return observation, info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Give the program the policy's turn as its model's answer; the observation is what it asks next.

        Raises:
            UsageError: When the action is no string, or the episode is over.
        """
        check_turn(action, is_over=self._done)
        self._messages.append({"role": "assistant", "content": action})
        self._num_turns += 1
        pending = self._pending
        assert pending is not None  # an episode that goes on has a question
        said, written = read_turn(action, pending.call, self._num_turns - 1)
        self._talks.answered(said, written)
        self._said.append(counted(said, pending.call, action))
        if len(self._said) < pending.call.num_answers and self._num_turns < self._limits.max_turns:
            self._talks.again()
            return self._asked(copy.deepcopy(self._context))
        if len(self._said) < pending.call.num_answers:
            return self._over(None, f"it asked more than {self._limits.max_turns} times")
        self._answer(pending)
        began = time.monotonic()
        event = self._next(min(self._limits.silence_s, self._limits.program_s - self._spent_s))
        self._spent_s += time.monotonic() - began
        if isinstance(event, Pending):
            if self._num_turns < self._limits.max_turns:
                return self._asked(self._surface(event))
            return self._over(None, f"it asked more than {self._limits.max_turns} times")
        if event is None:
            why = "it was silent for too long" if self._spent_s < self._limits.program_s else "its time was up"
            return self._over(None, why)
        if event.is_ours:
            return self._failed(event.how, str(event))
        return self._over(event, "")

    def close(self) -> None:
        """End the program and give back what is held; may be called twice."""
        self._done = True
        self._disown()
        self._end("the environment was closed")
        self._held.close()
        self._served = self._start = None
        super().close()

    # -- players -------------------------------------------------------------------------------------------------

    def references(self) -> tuple[str, ...]:
        """Return the accepted answers of the current task; for rubrics, never for `info`."""
        return self._task.answers if self._task is not None else ()

    @property
    def oracle(self) -> Callable[[], Policy]:
        """What makes a policy that says what the function `oracle` does.

        Raises:
            MissingError: There is none; to those who look for it, the environment has no such attribute.
        """
        if self._oracle is None:
            raise MissingError(
                "there is no oracle for this program; give oracle='MODULE:CALLABLE', a function of (task, messages) "
                "that returns a right turn"
            )
        solve = self._oracle
        return lambda: self._policy(solve)

    def _policy(self, solve: Oracle) -> Policy:
        def policy(observation: str, info: dict[str, Any]) -> str:
            assert self._task is not None
            assert self._pending is not None
            return str(
                solve(copy.deepcopy(dict(self._task.row)), [dict(message) for message in self._pending.call.messages])
            )

        return policy

    def noop(self) -> Policy:
        """Return the floor: a policy that says nothing useful."""
        return lambda observation, info: "I do not know."

    def cheats(self) -> dict[str, Policy]:
        """Return known ways to score without solving the task: none is known of a program in general."""
        return {}

    # -- the program ---------------------------------------------------------------------------------------------

    def _launch(self, seed: int) -> None:
        assert self._task is not None
        if self._served is None:
            served = self._served = lend()
            self._held.callback(give_back, served)
            starter = self._boxes or self._held.enter_context(lend_nursery(self._program))
            self._start = starter.start
        assert self._start is not None
        box = self._box = self._served.exchange.open(self._upstreams)
        order = Order(task=self._task.shown, base_url=self._served.endpoint.url, api_key=box.key, seed=seed)
        self._run = self._start(order, box.post)

    def _disown(self) -> None:
        """Leave to the process that this one was forked from what is its own: program, endpoint and all."""
        if self._owner != os.getpid():
            self._owner = os.getpid()
            self._held, self._served, self._start = ExitStack(), None, None
            self._box = self._run = self._pending = None

    def _next(self, timeout_s: float) -> Pending | Ended | None:
        """Return what happens next, None where nothing does in time; calls that nobody waits for are passed over."""
        box = self._box
        assert box is not None
        left_s = timeout_s
        while True:
            began = time.monotonic()
            event = box.take(min(left_s, 1.0))
            if not box.num_abroad:  # a real endpoint takes its own time
                left_s -= time.monotonic() - began
            if event is None and left_s > 0:
                continue
            if isinstance(event, Pending) and event.is_left:
                continue
            if isinstance(event, Pending) and (kept := box.kept(event.call)) is not None:
                event.give(kept)  # its client asks again, since the connection broke
                continue
            assert event is None or isinstance(event, Pending | Ended)
            return event

    def _answer(self, pending: Pending) -> None:
        assert self._box is not None
        answers = list(self._said)
        self._said.clear()
        self._pending = None
        if pending.is_left:
            self._box.keep(pending.call, answers)
        else:
            pending.give(answers)

    def _end(self, why: str) -> None:
        """End the program, and refuse what it may still ask."""
        box, self._box = self._box, None
        run, self._run = self._run, None
        self._pending = None
        if box is not None and self._served is not None:
            self._served.exchange.close(box, f"the episode is over: {why}")
            self._served.endpoint.forget(box.key)
        if run is not None:
            run.stop()

    def _forget(self) -> None:
        self._done = True
        self._talks = Conversations()
        self._context: dict[str, Any] = {}
        self._messages: list[dict[str, Any]] = []
        self._said: list[Said] = []
        self._num_turns = 0
        self._spent_s = 0.0

    # -- what the policy reads -------------------------------------------------------------------------------------

    def _surface(self, pending: Pending) -> dict[str, Any]:
        self._pending = pending
        self._context = self._talks.context(pending.call)
        return self._context

    def _opening(self, context: Mapping[str, Any]) -> tuple[str, str]:
        """Return the first observation and the system prompt, for players that read no context."""
        messages = list(context["messages"])
        self._messages += map(given, messages)
        system = str(messages.pop(0)["content"]) if messages[0]["role"] == "system" and len(messages) > 1 else ""
        return text_of(messages), system

    def _asked(self, context: dict[str, Any]) -> tuple[str, float, bool, bool, dict[str, Any]]:
        messages = context["messages"]
        self._messages += map(given, messages)
        replies = messages
        if context["after"] is None:
            replies = [{"role": "user", "name": "", "content": text_of(messages)}]
        return text_of(messages), 0.0, False, False, {"replies": replies, "context": context}

    def _over(self, ended: Ended | None, why: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Score the episode; `ended` is None where a limit ended it."""
        self._done = True
        self._end(why or "the program ended")
        assert self._task is not None
        has_result = ended is not None and ended.how == "returned"
        result = ended.result if has_result and ended is not None else None
        told = answer_of(result) if has_result else ""
        answer = {"role": "assistant", "content": f"<answer>{told}</answer>"}
        transcript = Transcript(
            messages=(*self._messages, answer),
            env_id=self.spec.id if self.spec is not None else "",
            task_id=self._task.id,
            references=self._task.answers,
            truncated=ended is None,
            seconds=self._spent_s,
        )
        try:
            scored = self._score(self._task, result, has_result, transcript)
        except InfrastructureError as error:
            return self._failed(error.kind, str(error), error.boundary)
        ending = f"The program ended: {why or ended}."
        info: dict[str, Any] = {
            "replies": [{"role": "user", "name": "", "content": ending}],
            "rewards": dict(scored.rewards),
            "answer": capped(told, _MOST_TOLD),
            "flags": [] if has_result else [f"program:{ended.how if ended is not None else 'limit'}"],
        }
        if scored.success is not None:
            info["success"] = scored.success
        return ending, scored.reward, ended is not None, ended is None, info

    def _failed(
        self, kind: str, message: str, boundary: str = "program"
    ) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self._done = True
        self._end("the infrastructure failed")
        failure: Failure = {"kind": kind, "boundary": boundary, "message": message}
        return f"The episode was ended: {boundary} failed.", 0.0, False, True, {"failure": failure}
