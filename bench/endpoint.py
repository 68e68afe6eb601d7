"""An agent behind an OpenAI-compatible endpoint: chat completions, with native tool calls or as text.

What a server can get wrong is tried again (`agentrl.envs.completions`). What trying again cannot mend, such as a wrong
key, stops the bench. A conversation that has grown past the model's context ends as it stands, as with a model
in this process; a first prompt that does not fit is a failure. Native tool calls are handed to the environment as text
in the Hermes format, arguments as the model wrote them, so that a malformed call is answered as any other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from agentrl.bench.conversation import Conversation, opened
from agentrl.bench.errors import AgentError, BenchError, OutOfRoom, UsageError
from agentrl.envs.completions import HOPELESS, CompletionError, Completions, CompletionSettings
from agentrl.envs.eventloop import LoopThread

__all__ = ["Endpoint", "EndpointError", "EndpointPlayer", "EndpointSettings", "TooLongError"]

_MOST_AT_ONCE = 4096  # questions; how many episodes are played at once is for the bench to say
_HOW = (
    "You can call tools. They are described here, one JSON object each:\n{tools}\nTo call one, write\n"
    '<tool_call>{{"name": "the tool", "arguments": {{"its": "arguments"}}}}</tool_call>\n'
    "and wait for what it returns. Several calls may stand in one turn."
)


class EndpointError(BenchError):
    """An answer that could not be had, or not be used, however often it was asked for."""


class TooLongError(EndpointError):
    """The conversation is longer than the model can read."""


@dataclass(frozen=True, kw_only=True)
class EndpointSettings:
    """Where a model is, and how it is asked.

    Raises:
        UsageError: A value that cannot work.
    """

    base_url: str = "https://api.openai.com/v1"
    tools: Literal["auto", "native", "text"] = "auto"  # auto: native, and text where the server refuses
    temperature: float | None = None  # None: the server's own default
    max_tokens: int | None = None  # of one turn; None: the server's own limit
    request_s: float = 120.0  # until an answer has come
    max_tries: int = 6

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise UsageError(f"base_url={self.base_url!r} is no address; type --base-url http://127.0.0.1:8000/v1")
        if self.tools not in ("auto", "native", "text"):
            raise UsageError(f"tools={self.tools!r} does not exist; there are auto, native, text")
        if self.max_tries < 1 or not self.request_s > 0 or (self.max_tokens is not None and self.max_tokens < 1):
            raise UsageError(
                f"max_tries={self.max_tries}, request_s={self.request_s}, max_tokens={self.max_tokens}: 1 or more"
            )

    def identity(self) -> dict[str, Any]:
        """Return what may change a score."""
        return {name: value for name, value in asdict(self).items() if name not in ("request_s", "max_tries")}


class Endpoint:
    """One model of one server, for many episodes at once; its coroutines run on the loop that is handed in.

    Args:
        model: Its name there.
        settings: How it is asked.
        key: Sent as a bearer token, where there is one.
        loop: Waits for the answers.
    """

    def __init__(self, model: str, settings: EndpointSettings, key: str, loop: LoopThread) -> None:
        self.model = model
        self.settings = settings
        self._loop = loop
        told = CompletionSettings(
            base_url=settings.base_url,
            model=model,
            request_s=settings.request_s,
            deadline_s=math.inf,  # a turn's is the loop's
            max_tries=settings.max_tries,
            concurrency=_MOST_AT_ONCE,
        )
        self._completions = Completions(told, key=key)
        self._native = settings.tools != "text"

    def close(self) -> None:
        """Close all connections; calling it again does nothing."""
        if self._completions.is_open:
            self._loop.wait(self._completions.close())

    def ask(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]], *, max_tokens: int | None = None
    ) -> dict[str, Any]:
        """Return the answer's message, with the whole answer's `usage` in it; called from any thread.

        Args:
            messages: As the chat completions API takes them, of native tool calls where `native` says so.
            tools: Schemas in the OpenAI function format.
            max_tokens: Of this turn at most, where the environment limits it.

        Raises:
            EndpointError: No answer that can be used.
            AgentError: Trying again cannot help.
            TimeoutError: The turn took too long, pauses included.
        """
        answer: dict[str, Any] = self._loop.wait(self._ask(list(messages), list(tools), max_tokens))
        return answer

    @property
    def native(self) -> bool:
        """Whether tools are offered through the API; False once the server has refused that."""
        return self._native

    @property
    def num_refused(self) -> int:
        """Answers of 429: requests came too fast."""
        return self._completions.usage().num_refused

    async def _ask(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], max_tokens: int | None
    ) -> dict[str, Any]:
        while True:
            native = self._native and bool(tools)
            try:
                body = self._request(messages, tools, native=native)
                if max_tokens is not None:
                    body["max_tokens"] = min(max_tokens, body.get("max_tokens", max_tokens))
                said = await self._completions.ask(body, check=_calls)
            except CompletionError as error:
                if error.status == 400 and native and self._refuses_tools(error.text):
                    self._native = False
                    continue
                raise self._failure(error) from error
            message: dict[str, Any] = {"role": "assistant", "content": said.content}
            calls = _calls(said.message)
            return {
                **message,
                **({"tool_calls": calls} if calls else {}),
                "usage": (said.prompt_tokens, said.completion_tokens),
            }

    def _request(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], *, native: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"messages": messages if native or not tools else _as_text(messages, tools)}
        if native:
            body["tools"] = tools
        for name in ("temperature", "max_tokens"):
            if getattr(self.settings, name) is not None:
                body[name] = getattr(self.settings, name)
        return body

    def _refuses_tools(self, text: str) -> bool:
        return self.settings.tools == "auto" and "tool" in text.lower()

    def _failure(self, error: CompletionError) -> BenchError:
        if error.status in HOPELESS:
            return AgentError(
                f"{self.settings.base_url}: {HOPELESS[error.status]} for model {self.model!r} (status {error.status}: "
                f"{' '.join(error.text[:200].split())}); look at the model's name, --base-url and the key in the "
                "variable that --key-env names"
            )
        return TooLongError(str(error)) if error.kind == "too_long" else EndpointError(str(error))


class EndpointPlayer:
    """Plays one episode through an endpoint: a policy, with the tokens that it used."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._messages: list[dict[str, Any]] = []
        self._tools: list[dict[str, Any]] = []
        self._waiting: list[str] = []  # ids of calls that have no answer yet
        self._turns: list[tuple[list[dict[str, Any]], list[str]]] | None = None  # where there are many conversations
        self.prompt_tokens = 0
        self.completion_tokens = 0

    def __call__(self, observation: str, info: dict[str, Any]) -> str:
        """Return the model's turn as the environment reads it."""
        if not self._messages:
            talk = Conversation(observation, info)
            self._messages, self._tools = talk.messages, talk.tools
            self._turns = [] if info.get("context") is not None else None
        elif self._turns is not None and info.get("context") is not None:
            self._move(info["context"])
        else:
            self._hear(observation, info)
        try:
            limit = (info.get("context") or {}).get("max_tokens")
            said = self._endpoint.ask(self._messages, self._tools, max_tokens=limit)
        except TooLongError:
            if any(message["role"] == "assistant" for message in self._messages):
                raise OutOfRoom from None  # as a model in this process ends it: the conversation is the model's own
            raise
        usage = said.pop("usage")
        self.prompt_tokens += usage[0]
        self.completion_tokens += usage[1]
        calls = said.get("tool_calls") or []
        self._messages.append({**said, "tool_calls": list(map(_resent, calls))} if calls else said)
        self._waiting = [call["id"] for call in calls]
        if self._turns is not None:
            self._turns.append((list(self._messages), self._waiting))
        return "\n".join([*([said["content"]] if said["content"] else []), *map(_hermes, calls)])

    def _move(self, context: Mapping[str, Any]) -> None:
        """Go to the conversation in which the next turn is said."""
        assert self._turns is not None
        if context.get("after") is None:
            self._messages, self._waiting = opened(context["messages"]), []
            self._tools = list(context.get("tools") or ())
            return
        messages, self._waiting = self._turns[context["after"]]
        self._messages = list(messages)
        self._hear("", {"replies": context["messages"]})

    def _hear(self, observation: str, info: dict[str, Any]) -> None:
        """Add what was replied; every native call must get an answer, or the next request is refused."""
        replies = info.get("replies")
        if replies is None:
            replies = [{"role": "user", "name": "", "content": observation}]
        texts = [reply["content"] for reply in replies]
        if self._waiting:
            answers = texts[: len(self._waiting)]
            answers += ["(no answer)"] * (len(self._waiting) - len(answers))
            self._messages += [
                {"role": "tool", "tool_call_id": call_id, "content": text}
                for call_id, text in zip(self._waiting, answers, strict=True)
            ]
            replies = replies[len(self._waiting) :]
        for reply in replies:
            name = f"{reply['name']}: " if reply.get("name") else ""  # without a call there can be no role "tool"
            self._messages.append({"role": "user", "content": name + reply["content"]})


def _calls(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the calls of a message; ValueError where one cannot be read."""
    try:
        return [_call(call, index) for index, call in enumerate(message.get("tool_calls") or [])]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a tool call that cannot be read ({type(error).__name__})") from error


def _call(call: dict[str, Any], index: int) -> dict[str, Any]:
    function = call["function"]
    arguments = function.get("arguments") or "{}"
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments)
    return {
        "id": str(call.get("id") or f"call_{index}"),
        "type": "function",
        "function": {"name": str(function["name"]), "arguments": arguments},
    }


def _resent(call: dict[str, Any]) -> dict[str, Any]:
    """Return a call as it may stand in the next request: servers refuse those whose arguments are no object."""
    function = call["function"]
    try:
        whole = isinstance(json.loads(function["arguments"]), dict)
    except (ValueError, RecursionError):
        whole = False
    if whole:
        return call
    return {**call, "function": {**function, "arguments": json.dumps({"malformed": function["arguments"]})}}


def _hermes(call: dict[str, Any]) -> str:
    function = call["function"]
    return f'<tool_call>{{"name": {json.dumps(function["name"])}, "arguments": {function["arguments"]}}}</tool_call>'


def _as_text(messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Describe the tools in the system prompt, and write native calls and answers as text."""
    how = _HOW.format(tools="\n".join(json.dumps(tool.get("function", tool)) for tool in tools))
    first = messages[0]["content"] + "\n\n" if messages[0]["role"] == "system" else ""
    found = [{"role": "system", "content": first + how}]
    for message in messages[1:] if first else messages:
        if message["role"] == "tool":
            found.append({"role": "user", "content": message["content"]})
        else:
            calls = list(map(_hermes, message.get("tool_calls") or []))
            found.append({"role": message["role"], "content": "\n".join(filter(None, [message["content"], *calls]))})
    return found
