"""The tokens of one conversation as they grow: the prompt, then by turns what was sampled and what was replied to it.

This is the part of playing that knows nothing of environments or of training, so that whoever samples from a model,
the trainer or the bench, reads an episode as the same tokens and cuts it at the same place.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from agentrl.trainer.chat import Chat
from agentrl.trainer.engines.base import Request
from agentrl.trainer.types import Completion

__all__ = ["History"]


class History:
    """One conversation, token in and token out.

    Args:
        chat: Turns messages into tokens.
        messages: The start of the episode: system prompt, if any, and the first observation.
        tools: Schemas in the OpenAI function format.
        max_turn_tokens: Sampled in one turn at most.
        max_episode_tokens: Of the whole conversation, prompt and replies included.

    Raises:
        TemplateError: The chat template cannot render this.
    """

    def __init__(
        self,
        chat: Chat,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        *,
        max_turn_tokens: int,
        max_episode_tokens: int,
    ) -> None:
        self._chat = chat
        self._max_turn_tokens, self._max_episode_tokens = max_turn_tokens, max_episode_tokens
        self._read(chat.prompt(messages, tools))

    def branch(self, length: int) -> History:
        """Return a history of its own that begins with the first `length` tokens of this one, as read, not sampled."""
        other = copy.copy(self)
        other._read(self.ids[:length])
        return other

    def _read(self, ids: Sequence[int]) -> None:
        self.ids = list(ids)
        self.mask = [False] * len(self.ids)  # True = sampled
        self.logprobs = [0.0] * len(self.ids)  # 0.0 where not sampled

    @property
    def room(self) -> int:
        """Tokens that the next turn may have; below 1 nothing more can be said."""
        return min(self._max_turn_tokens, self._max_episode_tokens - len(self.ids))

    def request(
        self, *, temperature: float, seed: int, order: tuple[int, ...] = (), most: int | None = None
    ) -> Request:
        """Return what is asked of an engine for the next turn, of at most `most` tokens; `room` must be at least 1."""
        return Request(
            prompt_ids=self.ids,
            max_new_tokens=self.room if most is None else min(self.room, most),
            temperature=temperature,
            seed=seed,
            stop_ids=self._chat.stop_ids,
            order=order,
        )

    def say(self, completion: Completion) -> str:
        """Add a sampled turn; return it as text for the environment."""
        self.ids = self.ids + completion.token_ids  # a new list: the engine may still read the old one
        self.mask += [True] * len(completion.token_ids)
        self.logprobs += completion.logprobs
        return self._chat.action(completion.token_ids)

    def forgo(self, num_tokens: int) -> None:
        """Take the last tokens out of what is trained on: they were sampled for somebody else."""
        self.mask[-num_tokens:] = [False] * num_tokens
        self.logprobs[-num_tokens:] = [0.0] * num_tokens

    def hear(self, completion: Completion, replies: Sequence[Mapping[str, str]]) -> bool:
        """Add the replies to the turn that was sampled last, masked.

        Returns:
            False, and nothing is added, where no token would be left to answer them with.
        """
        follow = self._chat.follow(completion.token_ids, replies)
        if len(self.ids) + len(follow) >= self._max_episode_tokens:
            return False
        self.ids = self.ids + list(follow)
        self.mask += [False] * len(follow)
        self.logprobs += [0.0] * len(follow)
        return True
