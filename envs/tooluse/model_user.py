"""A user played by a model behind an OpenAI-compatible endpoint: it is told what the scripted user would know.

Unlike the scripted user it hears free wordings of a question. Whatever keeps the endpoint from answering is an
InfrastructureError, never a reply.
"""

from __future__ import annotations

import math
import os
import time
from typing import Any

import httpx

from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.tooluse.case import Case

__all__ = ["Endpoint", "ModelUser"]

_MAX_CHARS = 1000  # of a reply
_FIRST_PAUSE_S = 0.5
_ROLE = """You play a customer who writes to a service desk. Stay in that role: you are never the assistant.
What you want: {request}
What you know, and say only when you are asked for it or have to confirm something:
{known}
Answer in one or two short sentences. Say nothing that is not written here, and make nothing up. If you are asked for
something that is not written here, say that you do not know and that the assistant should go on."""


class Endpoint:
    """An OpenAI-compatible endpoint; shared by the episodes of an environment, safe from several threads.

    Args:
        url: Such as "http://127.0.0.1:8000/v1"; "/chat/completions" is added.
        model: Its name there.
        key: None: OPENAI_API_KEY of the environment, where there is one.
        timeout_s: Deadline of one reply, retries included.

    Raises:
        UsageError: The URL is none, or the timeout is not above 0.
    """

    def __init__(self, url: str, model: str, *, key: str | None = None, timeout_s: float = 60.0) -> None:
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"user_url={url!r} is no URL; write one such as 'http://127.0.0.1:8000/v1'")
        if not timeout_s > 0 or math.isinf(timeout_s):
            raise UsageError(f"user_timeout_s={timeout_s!r} must be a number of seconds above 0")
        self.url = url.rstrip("/") + "/chat/completions"
        self.model = model
        self.timeout_s = timeout_s
        key = os.environ.get("OPENAI_API_KEY") if key is None else key
        self._client = httpx.Client(headers={"Authorization": f"Bearer {key}"} if key else {}, trust_env=False)

    def complete(self, messages: list[dict[str, str]], *, seed: int) -> str:
        """Return what the model says next.

        Raises:
            InfrastructureError: It did not answer in time, refused, or answered what is no completion.
        """
        body = {"model": self.model, "messages": messages, "temperature": 0.0, "max_tokens": 200, "seed": seed}
        end = time.monotonic() + self.timeout_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                # Half of what is left, so that an endpoint that hangs once can be asked again.
                left_s = max(0.05, (end - time.monotonic()) / 2)
                answer = self._client.post(self.url, json=body, timeout=left_s)
                if answer.status_code == 200:
                    return _text(answer)
                kind, message = "refused", f"status {answer.status_code}: {answer.text[:200]}"
                again = answer.status_code in (408, 409, 425, 429) or answer.status_code >= 500
            except httpx.TimeoutException:
                kind, message, again = "timeout", "no answer in time", True
            except httpx.TransportError as error:
                kind, message, again = "unreachable", str(error), True
            if not again or time.monotonic() + pause_s >= end:
                raise InfrastructureError(f"the user's model at {self.url}: {message}", kind=kind, boundary="user")
            time.sleep(pause_s)
            pause_s *= 2

    def close(self) -> None:
        """Close the connections; may be called twice."""
        self._client.close()


class ModelUser:
    """The user of one episode, played by a model.

    Args:
        case: What the user wants and knows.
        endpoint: The model.
        seed: Sent with each request; an endpoint that honours it replies the same again.
    """

    def __init__(self, case: Case, endpoint: Endpoint, *, seed: int = 0) -> None:
        known = "\n".join(
            f'- asked for {" or ".join(each.cues)}: "{each.says}"'
            + (f' Asked again: "{each.again}"' if each.again else "")
            for each in case.reveals
        )
        self._role = _ROLE.format(request=case.request, known=known or "- nothing more")
        self._endpoint = endpoint
        self._seed = seed
        # To the model its own words are the assistant's, and the agent's are the user's.
        self._messages = [{"role": "assistant", "content": case.request}]

    def reply(self, message: str) -> str:
        """Return what the model says to a message.

        Raises:
            InfrastructureError: See `Endpoint.complete`.
        """
        messages = [*self._messages, {"role": "user", "content": message}]
        opening = [{"role": "system", "content": self._role}, {"role": "user", "content": "How can I help you?"}]
        said = self._endpoint.complete([*opening, *messages], seed=self._seed).strip()[:_MAX_CHARS]
        if not said:
            raise InfrastructureError(
                f"the user's model at {self._endpoint.url} said nothing", kind="silent", boundary="user"
            )
        self._messages = [*messages, {"role": "assistant", "content": said}]
        return said

    def snapshot(self) -> Any:
        """Return the conversation so far."""
        return [dict(message) for message in self._messages]

    def restore(self, state: Any) -> None:
        """Go back to a state that `snapshot` gave."""
        self._messages = [dict(message) for message in state]


def _text(answer: httpx.Response) -> str:
    try:
        text = answer.json()["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        text = None
    if not isinstance(text, str):
        raise InfrastructureError(
            f"the user's model at {answer.url} answered what is no completion: {answer.text[:200]}",
            kind="protocol",
            boundary="user",
        )
    return text
