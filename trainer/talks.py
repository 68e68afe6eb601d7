"""The conversations of one episode: most have one, a program that is trained may lead many.

A turn is said where its context says (`answers.Context`): after the turn before, after an earlier one, or in a whole
conversation that is given anew. What goes on from the last turn of a conversation keeps its tokens and is trained on
with them. What goes on from an earlier turn, since the program went back or asks twice, is a branch: a conversation of
its own that begins with the same tokens, which count as read there, so that none is trained on twice. A conversation
that is given anew is rendered whole, and nothing in it counts as sampled. A turn whose context says that it is not
trained on is sampled and never masked in; a conversation of such turns alone is no part of the episode's tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agentrl.trainer.answers import Context
from agentrl.trainer.engines.base import Request
from agentrl.trainer.history import History
from agentrl.trainer.types import Completion, Episode

__all__ = ["Talks"]


class Talks:
    """The tokens of all conversations of an episode.

    Args:
        begin: Makes the history of a whole conversation.
    """

    def __init__(self, begin: Callable[[Context], History]) -> None:
        self._begin = begin
        self._histories: list[History] = []
        self._turns: list[tuple[int, int, Completion]] = []  # conversation, tokens at its end, what was sampled
        self._trained: list[int] = []  # of them, those that are trained on
        self._is_trained = True  # whether the next one is
        self.untrained_tokens = 0  # sampled in the others
        self._now = 0
        self._most: int | None = None
        self.moved = False  # whether the next turn stands in another conversation than the one before
        self.prompt_tokens = self.kept_tokens = 0

    @property
    def room(self) -> int:
        """Tokens that the next turn may have; below 1 nothing more can be said."""
        room = self._histories[self._now].room
        return room if self._most is None else min(room, self._most)

    @property
    def num_tokens(self) -> int:
        """Tokens of the conversation in which the next turn stands."""
        return len(self._histories[self._now].ids)

    def hear(self, context: Context) -> bool:
        """Read what the next turn answers.

        Returns:
            False where no token would be left to answer it with.

        Raises:
            TemplateError: The chat template cannot render it.
        """
        before = self._now
        self._most, self._is_trained = context.max_tokens, context.trained
        kept = 0
        if context.after is None:
            self._histories.append(self._begin(context))
            self._now = len(self._histories) - 1
        else:
            self._now, kept, completion = self._turns[context.after]
            history = self._histories[self._now]
            if kept != len(history.ids):  # it has gone on already
                history = history.branch(kept)
            if not history.hear(completion, context.messages):
                return False
            if history is not self._histories[self._now]:
                self._histories.append(history)
                self._now = len(self._histories) - 1
        if self._turns:
            self.prompt_tokens += len(self._histories[self._now].ids)
            self.kept_tokens += kept
            self.moved = self._now != before
        return self.room >= 1

    def request(self, *, temperature: float, seed: int, order: tuple[int, ...] = ()) -> Request:
        """Return what is asked of an engine for the next turn; `room` must be at least 1."""
        history = self._histories[self._now]
        return history.request(temperature=temperature, seed=seed, order=order, most=self._most)

    def say(self, completion: Completion) -> str:
        """Add a sampled turn; return it as text for the environment."""
        history = self._histories[self._now]
        action = history.say(completion)
        if self._is_trained:
            self._trained.append(len(self._turns))
        else:
            history.forgo(len(completion.token_ids))
            self.untrained_tokens += len(completion.token_ids)
        self._turns.append((self._now, len(history.ids), completion))
        return action

    def write(self, episode: Episode) -> None:
        """Write the tokens into an episode: conversations with something to train on, one after the other."""
        turns = [self._turns[turn][0] for turn in self._trained]
        used = sorted(set(turns)) or list(range(len(self._histories)))[:1]
        histories: Sequence[History] = [self._histories[now] for now in used]
        episode.token_ids = [token for history in histories for token in history.ids]
        episode.mask = [sampled for history in histories for sampled in history.mask]
        episode.logprobs = [logprob for history in histories for logprob in history.logprobs]
        if len(histories) > 1:
            episode.segments = [len(history.ids) for history in histories]
            episode.turn_segments = [used.index(now) for now in turns]
        episode.prompt_tokens, episode.kept_tokens = self.prompt_tokens, self.kept_tokens
        episode.untrained_turns = len(self._turns) - len(self._trained)
        episode.untrained_tokens = self.untrained_tokens
