"""`AgentRL/Verifiers-v0`: environments of verifiers (0.1), as `load_environment` finds them.

A turn is the completion that the rollout waits for. Calls of tools are read from the turn's text, and a call that does
not fit its schema is answered here and costs a turn. The reward is the rubric's weighted sum, its functions are the
components. Where the environment has an evaluation set, that is the test split, without what is in the training set
too; else a tenth of the rows is, by their prompts. Code that draws from a global generator is not seeded: it runs on a
loop beside others. Rubrics that score groups, and environments that do not speak chat, are refused.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

from agentrl.envs.adapters.foreign import ForeignEnv, package, reply, settings_of, split_of
from agentrl.envs.adapters.rollout import Asked, Over, Rollout, heed, parts_of
from agentrl.envs.core import Turn
from agentrl.envs.errors import DataError, InfrastructureError, UsageError, nearest
from agentrl.envs.eventloop import LoopThread
from agentrl.envs.protocol import SPLITS, Reply
from agentrl.envs.tools import ArgumentError, Malformed, Tool, parse
from agentrl.envs.turns import spoken

__all__ = ["VerifiersEnv"]

_ENV = "AgentRL/Verifiers-v0"
_INSTALL = "pip install 'verifiers<0.2'"
_REST = "rest"  # what the suite's reward has beyond the weighted sum of its functions
_LOADING = threading.Lock()


class VerifiersEnv(ForeignEnv):
    """An environment of verifiers.

    Args:
        env_id: As `verifiers.load_environment` takes it: the name of an installed package or module.
        config: Arguments of its `load_environment`; a mapping or a JSON text.
        solved_by: The reward function that is 1 where the task is solved; None: that with the largest weight.
        timeout_s: Deadline of what the environment does between two turns.
        arguments: Of `TextEnv`.

    Raises:
        UsageError: It cannot be loaded or driven, or verifiers is not installed.
    """

    suite = "verifiers"
    splits_by = "begin"
    levels = range(1, 2)

    def __init__(
        self,
        *,
        env_id: str,
        config: Mapping[str, Any] | str | None = None,
        solved_by: str | None = None,
        timeout_s: float = 120.0,
        max_turns: int = 50,
        **arguments: Any,
    ) -> None:
        self._suite = package("verifiers", _ENV, _INSTALL)
        if not hasattr(self._suite, "load_environment"):
            version = getattr(self._suite, "__version__", "")
            raise UsageError(f"verifiers {version} has no load_environment; type: {_INSTALL}")
        self._rollout: Rollout | None = None
        self._loop = LoopThread(timeout_s, who="verifiers")
        self._env = self._loaded(env_id, settings_of(config))
        names, weights = self._env.rubric._get_reward_func_names(), self._env.rubric._get_reward_weights()
        paid = {name: float(weight) for name, weight in zip(names, weights, strict=True) if weight}
        self.components = {**paid, _REST: 1.0}  # type: ignore[misc]  # those of its rubric
        self._solved_by = solved_by or max(paid, key=lambda name: paid[name], default=_REST)
        if self._solved_by not in self.components:
            raise UsageError(
                f"solved_by={solved_by!r} is no reward function{nearest(str(solved_by), paid)}; there are "
                f"{', '.join(paid)}"
            )
        super().__init__(max_turns=max_turns, **arguments)
        self._rows: dict[str, list[tuple[Any, int]]] | None = None
        self._asked = Asked(messages=[])
        self._num_calls = self._index = 0
        self._system = ""

    def instructions(self) -> str:
        """Return the system prompt of the row."""
        return self._system

    def begin(self, seed: int, split: str, level: int) -> str:
        """Start the rollout of a row of the split."""
        self.leave()
        rows = self._split_rows()[split]
        if not rows:
            raise DataError(f"{self._env.env_id} has no row for the split {split!r}; use the other one, or more rows")
        dataset, self._index = rows[seed % len(rows)]
        self._num_calls = 0
        self._rollout = Rollout(self._env, dataset[self._index])
        heard = self._wait(self._rollout.begin())
        if isinstance(heard, Over):
            raise InfrastructureError(
                f"verifiers: the rollout ended before a turn: {heard.error!r}", kind="crash", boundary="verifiers"
            )
        self._asked = heard
        self.found_tools = {tool.name: tool for tool in map(_tool, heard.tools)}
        self._system = "\n\n".join(_text(each) for each in heard.messages if each.get("role") == "system")
        rest = [each for each in heard.messages if each.get("role") != "system"]
        single = len(rest) == 1
        return "\n\n".join(_text(each) if single else f"{each.get('role')}: {_text(each)}" for each in rest)

    def name_of(self, seed: int, split: str, level: int) -> str:
        """Return the row's number in its split."""
        return f"{split}-{self._index}"

    def respond(self, text: str) -> Turn:
        """Answer the request with a turn; return what is new in the next one, or the score."""
        assert self._rollout is not None
        message, refused = self._message(text)
        if refused:
            return Turn(replies=tuple(refused))
        heard = self._wait(self._rollout.answer(message))
        if isinstance(heard, Asked):
            before, self._asked = self._asked, heard
            replies = _new(before.messages, heard.messages)
            return Turn(replies=tuple(replies) or (reply("Go on."),))
        if heard.error is not None:
            kind = type(heard.error).__name__
            if not any(each.__name__ == "ToolError" for each in type(heard.error).__mro__):  # a call of the policy's
                raise InfrastructureError(f"verifiers: {kind}: {heard.error}", kind="crash", boundary="verifiers")
            return Turn(terminated=True, success=False)
        if heard.timed_out:
            self.cut()
        rewards = {name: value for name, value in heard.metrics.items() if name in self.components}
        paid = sum(self.components[name] * value for name, value in rewards.items())
        rest = heard.reward - paid
        rewards[_REST] = rest if abs(rest) > 1e-9 else 0.0
        return Turn(terminated=True, success=rewards.get(self._solved_by, 0.0) >= 1.0, rewards=rewards)

    def leave(self) -> None:
        """Cancel the rollout."""
        rollout, self._rollout = self._rollout, None
        if rollout is not None:
            with suppress(Exception):
                self._loop.wait(rollout.end(), 10.0)

    def close(self) -> None:
        """End the rollout, what the environment holds, and the loop; may be called twice."""
        super().close()
        env, self._env = self._env, None
        if env is not None:
            with suppress(Exception):
                self._loop.wait(env._teardown(), 10.0)
        self._loop.close()

    # -- rows ------------------------------------------------------------------------------------------------------

    def _split_rows(self) -> dict[str, list[tuple[Any, int]]]:
        """Return the rows of each split; made at the first reset."""
        if self._rows is None:
            train = self._env.get_dataset()
            own = (
                self._env.eval_dataset
                if getattr(self._env, "eval_dataset_source", None) is None
                else self._env.build_eval_dataset()
            )
            keys = [json.dumps(prompt, sort_keys=True, default=str) for prompt in train["prompt"]]
            if own is None:
                splits: dict[str, list[tuple[Any, int]]] = {split: [] for split in SPLITS}
                for index, key in enumerate(keys):
                    splits[split_of(key)].append((train, index))
            else:
                known = set(keys)
                fresh = [json.dumps(prompt, sort_keys=True, default=str) not in known for prompt in own["prompt"]]
                splits = {
                    "train": [(train, index) for index in range(len(keys))],
                    "test": [(own, index) for index, is_fresh in enumerate(fresh) if is_fresh],
                }
            self._rows = splits
        return self._rows

    # -- a turn ----------------------------------------------------------------------------------------------------

    def _message(self, text: str) -> tuple[dict[str, Any], list[Reply]]:
        """Return the assistant's message that a turn is, or what is wrong with its calls."""
        calls = parse(spoken(text), self.found_tools) if self.found_tools else []
        made: list[dict[str, Any]] = []
        refused: list[Reply] = []
        for call in calls[: self.max_calls]:
            try:
                if isinstance(call, Malformed):
                    raise ArgumentError(call.reason)
                arguments = self.found_tools[call.name].bind(call.arguments)
            except ArgumentError as error:
                refused.append(self._malformed(f"Error: {error} No call of this turn was run."))
                continue
            self._num_calls += 1
            function = {"name": call.name, "arguments": json.dumps(arguments, ensure_ascii=False)}
            made.append({"id": f"call_{self._num_calls}", "type": "function", "function": function})
        for call in calls:
            text = text.replace(call.raw, "", 1)
        message: dict[str, Any] = {"role": "assistant", "content": text.strip() or (None if made else " ")}
        return ({**message, "tool_calls": made} if made else message), refused

    def _wait(self, coroutine: Any) -> Any:
        try:
            return self._loop.wait(coroutine)
        except TimeoutError as error:
            raise InfrastructureError(f"verifiers: {error}", kind="timeout", boundary="verifiers") from error

    # -- loading ---------------------------------------------------------------------------------------------------

    def _loaded(self, env_id: str, config: Mapping[str, Any]) -> Any:
        try:
            with _untouched():
                env = self._suite.load_environment(env_id, **config)
        except Exception as error:
            raise UsageError(
                f"env_id={env_id!r} cannot be loaded: {type(error).__name__}: {str(error)[:300]}; install its package, "
                "or put its module where Python finds it"
            ) from error
        if not hasattr(env, "rollout") or getattr(env, "message_type", "chat") != "chat":
            raise UsageError(f"env_id={env_id!r} does not ask for chat completions, which is all that is answered here")
        if any(part._get_group_reward_func_names() for part in parts_of(env.rubric)):
            raise UsageError(f"env_id={env_id!r} scores groups of rollouts together; an episode is one rollout")
        heed(env.rubric)
        return env


@contextmanager
def _untouched() -> Iterator[None]:
    """Keep what environments of verifiers do to the process from being done: handlers of signals, and of its end."""
    module = package("verifiers.envs.environment", _ENV, _INSTALL)
    with _LOADING:
        kept: dict[str, Any] = {name: vars(module)[name] for name in ("signal", "atexit") if name in vars(module)}
        nothing = SimpleNamespace(
            signal=lambda *a: None, register=lambda *a: None, SIGINT=2, SIGTERM=15, default_int_handler=None
        )
        vars(module).update(dict.fromkeys(kept, nothing))
        try:
            yield
        finally:
            vars(module).update(kept)


def _tool(described: Mapping[str, Any]) -> Tool:
    function = described.get("function", described)
    parameters = dict(function.get("parameters") or {})
    parameters = {"type": "object", "properties": {}, **parameters}
    name = str(function["name"])
    return Tool(
        name=name, description=str(function.get("description") or name), parameters=parameters, function=_run_there
    )


def _run_there(**arguments: object) -> str:
    raise AssertionError("verifiers runs its tools itself")


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(
            str(part.get("text") or f"[{part.get('type')}]") for part in content if isinstance(part, Mapping)
        )
    return str(content or "")


def _new(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[Reply]:
    """Return the messages that came after the turn; where history was rewritten, those after the last turn there."""
    start = len(before) + 1
    if after[: len(before)] != before:
        spoke = [index for index, each in enumerate(after) if each.get("role") == "assistant"]
        start = spoke[-1] + 1 if spoke else 0
    names = {
        call.get("id"): call.get("function", {}).get("name", "")
        for each in after
        for call in (each.get("tool_calls") or ())
    }
    return [
        {"role": "tool", "name": str(names.get(each.get("tool_call_id"), "")), "content": _text(each)}
        if each.get("role") == "tool"
        else reply(_text(each))
        for each in after[start:]
    ]
