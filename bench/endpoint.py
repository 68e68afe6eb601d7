"""An agent behind an OpenAI-compatible endpoint: chat completions over httpx, with native tool calls or as text.

What a server can get wrong is tried again with growing pauses: no connection, no answer in time, 408, 409, 425, 429 and
5xx, an answer that is no JSON or holds no message. A `Retry-After` is honoured. What trying again cannot mend, such as
a wrong key, stops the bench. A conversation that has grown past the model's context ends as it stands, as with a model
in this process; a first prompt that does not fit is a failure. Native tool calls are handed to the environment as text
in the Hermes format, arguments as the model wrote them, so that a malformed call is answered as any other.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import httpx

from agentrl.bench.conversation import Conversation
from agentrl.bench.errors import AgentError, BenchError, OutOfRoom, UsageError
from agentrl.envs.eventloop import LoopThread

__all__ = ["Endpoint", "EndpointError", "EndpointPlayer", "EndpointSettings", "TooLongError"]

_AGAIN = frozenset({408, 409, 425, 429})
_HOPELESS = {401: "the key is refused", 403: "the key may not do that", 404: "there is no such address or model"}
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0
_LARGEST_ANSWER = 32 << 20  # bytes, unpacked
# As OpenAI, vLLM, llama.cpp and others say it, in code or message.
_TOO_LONG = re.compile(r"context[_ ](length|window|size)|maximum context|prompt is too long", re.IGNORECASE)
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
    request_s: float = 120.0  # until an answer, or the next part of it, has come
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
        self.num_retries = 0
        self.num_refused = 0  # answers of 429: requests came too fast
        self._loop = loop
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client: httpx.AsyncClient | None = None
        self._native = settings.tools != "text"
        self._pauses = random.Random(0)  # so that episodes that were refused together do not come again together

    def close(self) -> None:
        """Close all connections; calling it again does nothing."""
        client, self._client = self._client, None
        if client is not None:
            self._loop.wait(client.aclose())

    def ask(self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the answer's message, with the whole answer's `usage` in it; called from any thread.

        Args:
            messages: As the chat completions API takes them, of native tool calls where `native` says so.
            tools: Schemas in the OpenAI function format.

        Raises:
            EndpointError: No answer that can be used.
            AgentError: Trying again cannot help.
            TimeoutError: The turn took too long, pauses included.
        """
        answer: dict[str, Any] = self._loop.wait(self._ask(list(messages), list(tools)))
        return answer

    @property
    def native(self) -> bool:
        """Whether tools are offered through the API; False once the server has refused that."""
        return self._native

    async def _ask(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]]) -> dict[str, Any]:
        if self._client is None:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
            timeout = httpx.Timeout(self.settings.request_s, connect=10.0)
            self._client = httpx.AsyncClient(headers=self._headers, timeout=timeout, limits=limits, trust_env=False)
        problem = ""
        for attempt in range(self.settings.max_tries):
            native = self._native and bool(tools)
            response: httpx.Response | None = None
            try:
                response = await self._post(self._client, self._request(messages, tools, native=native))
                problem = _problem(response)
                if not problem:
                    return _message(response)
            except httpx.TimeoutException as error:
                problem = f"no answer within {self.settings.request_s:g} s ({type(error).__name__})"
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
            except ValueError as error:
                problem = f"an answer that cannot be used: {error}"
            if response is not None and response.status_code == 400 and native and self._refuses_tools(response):
                self._native = False
                continue
            if response is not None and response.status_code == 429:
                self.num_refused += 1
            self._stop_if_hopeless(response, problem)
            if attempt + 1 < self.settings.max_tries:
                self.num_retries += 1
                await asyncio.sleep(self._pause_s(attempt, response))
        raise EndpointError(f"{self.settings.base_url}: {problem}, {self.settings.max_tries} times")

    async def _post(self, client: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
        """Send a request and read the answer, no more of it than an answer may have.

        Half a surrogate pair, which a model may say, is sent as the escape that it is.
        """
        request = client.build_request(
            "POST",
            self.settings.base_url.rstrip("/") + "/chat/completions",
            content=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        response = await client.send(request, stream=True)
        try:
            parts: list[bytes] = []
            size = 0
            async for part in response.aiter_bytes():
                size += len(part)
                if size > _LARGEST_ANSWER:
                    raise ValueError(f"it has more than {_LARGEST_ANSWER >> 20} MiB")
                parts.append(part)
        finally:
            await response.aclose()
        headers = {name: value for name, value in response.headers.items() if name.lower() != "content-encoding"}
        return httpx.Response(response.status_code, headers=headers, content=b"".join(parts), request=request)

    def _request(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], *, native: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": messages if native or not tools else _as_text(messages, tools),
        }
        if native:
            body["tools"] = tools
        for name in ("temperature", "max_tokens"):
            if getattr(self.settings, name) is not None:
                body[name] = getattr(self.settings, name)
        return body

    def _refuses_tools(self, response: httpx.Response) -> bool:
        return self.settings.tools == "auto" and "tool" in response.text.lower()

    def _stop_if_hopeless(self, response: httpx.Response | None, problem: str) -> None:
        status = response.status_code if response is not None else 0
        if status in _HOPELESS:
            raise AgentError(
                f"{self.settings.base_url}: {_HOPELESS[status]} for model {self.model!r} ({problem}); look at the "
                "model's name, --base-url and the key in the variable that --key-env names"
            )
        if status in (400, 413) and _TOO_LONG.search(response.text if response is not None else ""):
            raise TooLongError(f"{self.settings.base_url}: {problem}")
        if 400 <= status < 500 and status not in _AGAIN:
            raise EndpointError(f"{self.settings.base_url}: {problem}")

    def _pause_s(self, attempt: int, response: httpx.Response | None) -> float:
        """Return how long to wait: what the server asks for, else twice as long each time, in part by chance."""
        asked = _retry_after_s(response)
        pause_s = _FIRST_PAUSE_S * 2**attempt * (0.5 + self._pauses.random() / 2)
        return min(_LONGEST_PAUSE_S, pause_s if asked is None else asked)


class EndpointPlayer:
    """Plays one episode through an endpoint: a policy, with the tokens that it used."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._messages: list[dict[str, Any]] = []
        self._tools: list[dict[str, Any]] = []
        self._waiting: list[str] = []  # ids of calls that have no answer yet
        self.prompt_tokens = 0
        self.completion_tokens = 0

    def __call__(self, observation: str, info: dict[str, Any]) -> str:
        """Return the model's turn as the environment reads it."""
        if not self._messages:
            talk = Conversation(observation, info)
            self._messages, self._tools = talk.messages, talk.tools
        else:
            self._hear(observation, info)
        try:
            said = self._endpoint.ask(self._messages, self._tools)
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
        return "\n".join([*([said["content"]] if said["content"] else []), *map(_hermes, calls)])

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


def _problem(response: httpx.Response) -> str:
    if response.is_success:
        return ""
    return f"status {response.status_code}: {' '.join(response.text[:200].split())}"


def _message(response: httpx.Response) -> dict[str, Any]:
    """Return the assistant's message of an answer; ValueError where it has none."""
    try:
        answer = response.json()
        message = answer["choices"][0]["message"]
        content = _text(message.get("content") or "")
        calls = [_call(call, index) for index, call in enumerate(message.get("tool_calls") or [])]
        told = answer.get("usage")
        usage = told if isinstance(told, dict) else {}
        tokens = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{' '.join(response.text[:200].split())!r} holds no message ({error!r})") from error
    if not isinstance(content, str):
        raise ValueError(f"the message's content is {content!r:.100}, not text")
    return {"role": "assistant", "content": content, **({"tool_calls": calls} if calls else {}), "usage": tokens}


def _text(content: Any) -> Any:
    """Return the text of a content that came in parts; any other as it is."""
    if not isinstance(content, list):
        return content
    return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))


def _count(value: Any) -> int:
    """Return a number of tokens; 0 for what cannot be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40 else 0


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


def _retry_after_s(response: httpx.Response | None) -> float | None:
    """Return the seconds of a Retry-After header, which is a number or a date (RFC 9110, section 10.2.3)."""
    text = response.headers.get("retry-after", "") if response is not None else ""
    if not text:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
