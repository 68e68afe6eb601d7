"""A user played by a model behind an OpenAI-compatible endpoint: it is told what the scripted user would know.

Unlike the scripted user it hears free wordings of a question. Whatever keeps the endpoint from answering is an
InfrastructureError, never a reply.
"""

from __future__ import annotations

import math
import threading
from typing import Any

from agentrl.envs.completions import CompletionError, Completions, CompletionSettings
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.eventloop import LoopThread
from agentrl.envs.tooluse.case import Case

__all__ = ["Endpoint", "ModelUser"]

_MAX_CHARS = 1000  # of a reply
_MOST_AT_ONCE = 4096  # replies; how many episodes are played at once is for the player to say
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
        # Tries end with the deadline, not with a number.
        told = CompletionSettings(base_url=url, model=model, max_tries=1000, concurrency=_MOST_AT_ONCE)
        self._completions = Completions(told, who="the user's model", boundary="user", key=key)
        self._loop = LoopThread(threading.TIMEOUT_MAX, who="the user's model")  # the deadline of a reply ends it

    def complete(self, messages: list[dict[str, str]], *, seed: int) -> str:
        """Return what the model says next.

        Raises:
            InfrastructureError: It did not answer in time, refused, or answered what is no completion.
        """
        body = {"messages": messages, "temperature": 0.0, "max_tokens": 200, "seed": seed}
        try:
            said = self._loop.wait(self._completions.ask(body, deadline_s=self.timeout_s))
        except CompletionError as error:
            kind = error.kind if error.kind in ("timeout", "unreachable", "protocol") else "refused"
            raise InfrastructureError(str(error), kind=kind, boundary="user") from error
        return str(said.content)

    def close(self) -> None:
        """Close the connections; may be called twice."""
        if self._completions.is_open:
            self._loop.wait(self._completions.close())
        self._loop.close()


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
