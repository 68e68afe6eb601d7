"""`AgentRL/OpenEnv-v0`: an environment on a server that speaks OpenEnv's protocol.

What the server takes decides how the model acts. Where an action is one text, a turn is that text, thoughts left out;
where it has tools (an MCP environment), these are the tools; any other action is a tool named `act` with the action's
fields. A session is one connection, which the next episode goes on with. The seed is sent; whether it is honoured is
the server's. That the server is gone, full or late is a failure, never a reward.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from agentrl.envs.adapters.foreign import ForeignEnv, reply, settings_of
from agentrl.envs.adapters.openenv_session import RefusedError, Session
from agentrl.envs.core import Turn
from agentrl.envs.errors import InfrastructureError, UsageError, nearest
from agentrl.envs.protocol import Reply
from agentrl.envs.tools import ArgumentError, Malformed, Tool, parse
from agentrl.envs.turns import capped, expected, spoken

__all__ = ["OpenEnvEnv"]

_ACT = "act"
_ITSELF = ("done", "reward", "metadata")


class OpenEnvEnv(ForeignEnv):
    """An environment of an OpenEnv server.

    Args:
        url: Of the server, such as "http://127.0.0.1:8000".
        text_field: The action's field that a turn is written into; None: its only field, where that is a text.
        solved_at: The reward of the last step from which on an episode counts as solved.
        config: Sent with each reset, beside the seed; a mapping or a JSON text.
        token: Sent as a bearer token.
        timeout_s: Deadline of a reset or step.
        connect_s: How long a reset tries to connect while the server is not there.
        arguments: Of `TextEnv`.

    Raises:
        UsageError: The URL is none, a time is not above 0, or websockets is not installed.
    """

    suite = "OpenEnv"
    levels = range(1, 2)
    components: ClassVar[Mapping[str, float]] = {"reward": 1.0, "penalty": -1.0}

    def __init__(
        self,
        *,
        url: str,
        text_field: str | None = None,
        solved_at: float = 1.0,
        config: Mapping[str, Any] | str | None = None,
        token: str = "",
        timeout_s: float = 60.0,
        connect_s: float = 10.0,
        max_turns: int = 50,
        **arguments: Any,
    ) -> None:
        if not str(url).startswith(("http://", "https://")):
            raise UsageError(f"url={url!r} is no address; write url='http://127.0.0.1:8000', where the server listens")
        for name, value in (("timeout_s", timeout_s), ("connect_s", connect_s)):
            if not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise UsageError(f"{name}={value!r} must be a number of seconds above 0")
        super().__init__(max_turns=max_turns, **arguments)
        self._session = Session(url, token=token, timeout_s=float(timeout_s), connect_s=float(connect_s))
        self._text_field, self._solved_at, self._config = text_field, float(solved_at), settings_of(config)
        self._schema: dict[str, Any] | None = None  # of an action; asked for once
        self._about = ""

    def instructions(self) -> str:
        """Return what the server says of its environment."""
        return self._about

    def begin(self, seed: int, split: str, level: int) -> str:
        """Reset the server's environment."""
        fresh = not self._session.is_open
        self._session.open()
        if self._schema is None:
            self._schema = _inlined(self._session.told("/schema").get("action") or {})
            self._about = str(self._session.told("/metadata").get("description") or "")
        try:
            told = self._reset(seed)
        except InfrastructureError:
            if fresh:
                raise
            told = self._reset(seed)  # the connection was lost between two episodes: no failure of this one
        self.found_tools = self._tools_there()
        return _read(told) or "Go."

    def respond(self, text: str) -> Turn:
        """Hand a turn to the server: as a text, or as the calls that it makes."""
        text = spoken(text)
        if not self.found_tools:
            return self._acted([("", {self._field(): text})])
        calls = parse(text, self.found_tools)
        actions: list[tuple[str, dict[str, Any]]] = []
        for call in calls[: self.max_calls]:
            try:
                if isinstance(call, Malformed):
                    raise ArgumentError(call.reason)
                arguments = self.found_tools[call.name].bind(call.arguments)
            except ArgumentError as error:
                return Turn(replies=(self._malformed(f"Error: {error} No call of this turn was run."),))
            told = {"type": "call_tool", "tool_name": call.name, "arguments": arguments}
            actions.append((call.name, dict(arguments) if self._is_plain else told))
        if not actions:
            return Turn(replies=(self._malformed(expected("", self.found_tools).replace(_NO_ANSWER, ".")),))
        return self._acted(actions)

    def close(self) -> None:
        """End the session; may be called twice."""
        super().close()
        self._session.close()

    # -- the server ------------------------------------------------------------------------------------------------

    @property
    def _is_plain(self) -> bool:
        """Whether an action is an object of the environment's own, not a call of a tool of its."""
        fields = self._fields()
        return not ({"tool_name", "arguments"} <= set(fields) or not fields)

    def _fields(self) -> dict[str, Any]:
        properties = (self._schema or {}).get("properties") or {}
        return {name: each for name, each in properties.items() if name != "metadata"}

    def _field(self) -> str:
        """Return the field that takes a text; empty where a turn is no text."""
        fields = self._fields()
        if self._text_field is not None:
            if self._text_field not in fields:
                raise UsageError(
                    f"text_field={self._text_field!r} is no field of an action{nearest(self._text_field, fields)}; "
                    f"there are {', '.join(fields)}"
                )
            return self._text_field
        texts = [name for name, each in fields.items() if each.get("type") == "string" and "enum" not in each]
        return texts[0] if len(fields) == len(texts) == 1 else ""

    def _reset(self, seed: int) -> dict[str, Any]:
        try:
            return self._session.ask("reset", {**self._config, "seed": seed})
        except RefusedError as error:
            raise UsageError(
                f"the server does not take this reset: {error}; look at config={self._config!r}"
            ) from error

    def _tools_there(self) -> dict[str, Tool]:
        if self._is_plain:
            if self._field():
                return {}
            schema = self._schema or {}
            required = [name for name in schema.get("required", ()) if name != "metadata"]
            parameters = {"type": "object", "properties": self._fields(), "required": required}
            text = str(schema.get("description") or "Act in the environment.")
            return {_ACT: Tool(name=_ACT, description=text, parameters=parameters, function=_run_there)}
        try:
            listed = self._session.ask("step", {"type": "list_tools"})["observation"].get("tools") or []
        except RefusedError as error:
            raise InfrastructureError(
                f"OpenEnv: no list of tools: {error}", kind="protocol", boundary="OpenEnv"
            ) from error
        return {each["name"]: _tool(each) for each in listed}

    def _acted(self, actions: list[tuple[str, dict[str, Any]]]) -> Turn:
        replies: list[Reply] = []
        total, last, done = 0.0, 0.0, False
        for name, action in actions:
            try:
                told = self._session.ask("step", action)
            except RefusedError as error:
                replies.append(self._malformed(f"Error: {error}"))
                continue
            last = float(told.get("reward") or 0.0)
            total += last
            done = bool(told.get("done"))
            text = capped(_read(told), self.max_reply_chars)
            replies.append({"role": "tool", "name": name, "content": text} if name else reply(text))
            if done:
                break
        if not done and not any(each["content"] for each in replies):
            replies.append(reply("Go on."))
        rewards = {"reward": max(0.0, total), "penalty": max(0.0, -total)}
        success = last >= self._solved_at if done else None
        return Turn(replies=tuple(replies), rewards=rewards, terminated=done, success=success)


_NO_ANSWER = ", or write <answer>your answer</answer>."


def _run_there(**arguments: object) -> str:
    raise AssertionError("the server runs its tools itself")


def _tool(told: Mapping[str, Any]) -> Tool:
    schema = _inlined(told.get("input_schema") or told.get("inputSchema") or {})
    parameters = {"type": "object", "properties": {}, **schema}
    name = str(told["name"])
    return Tool(name=name, description=str(told.get("description") or name), parameters=parameters, function=_run_there)


def _inlined(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON schema with what its `$ref` refer to in their place."""
    definitions = schema.get("$defs") or {}

    def put(value: Any, depth: int) -> Any:
        if isinstance(value, list):
            return [put(each, depth) for each in value]
        if not isinstance(value, dict):
            return value
        name = str(value.get("$ref", "")).rpartition("/")[2]
        if name in definitions and depth < 8:
            return put(definitions[name], depth + 1)
        return {key: put(each, depth) for key, each in value.items() if key != "$defs"}

    found: dict[str, Any] = put(dict(schema), 0)
    return found


def _read(told: Mapping[str, Any]) -> str:
    """Return an observation as text: its only text, what a tool gave, or a line a field."""
    observation = told.get("observation")
    fields = (
        {name: each for name, each in observation.items() if name not in _ITSELF}
        if isinstance(observation, dict)
        else {}
    )
    if "tool_name" in fields and "result" in fields:
        if fields.get("error"):
            error = fields["error"]
            return f"Error: {error.get('message', error) if isinstance(error, dict) else error}"
        return _plain(fields["result"])
    if len(fields) == 1:
        return _plain(next(iter(fields.values())))
    return "\n".join(f"{name}: {_plain(value)}" for name, value in fields.items() if value is not None)


def _plain(value: Any) -> str:
    if isinstance(value, dict) and isinstance(value.get("content"), list):  # a result of MCP
        texts = [str(part["text"]) for part in value["content"] if isinstance(part, dict) and "text" in part]
        if texts:
            return "\n".join(texts)
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
