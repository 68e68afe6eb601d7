"""The user of an episode: says what they want, and what they know only when asked for it.

The scripted user answers by cues, so the same turns give the same episode. One played by a model is in `model_user.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

from agentrl.envs.tooluse.case import Case, Reveal

__all__ = ["ScriptedUser", "User"]

_NOTHING = "I have told you what I want. Please go on, or ask me for what you still need."


class User(Protocol):
    """Whoever is on the other side; one object for one episode."""

    def reply(self, message: str) -> str:
        """Return what the user says to a message.

        Raises:
            InfrastructureError: Whoever plays the user cannot answer.
        """

    def snapshot(self) -> Any:
        """Return the state as plain data."""

    def restore(self, state: Any) -> None:
        """Go back to a state that `snapshot` gave."""


class ScriptedUser:
    """Says the reveals whose cues a message holds, all of them in the order of the case.

    >>> user = ScriptedUser(Case(request="", steps=(), reveals=(Reveal(cues=("email",), says="It is bo@mail.test."),)))
    >>> user.reply("Which email do you have?")
    'It is bo@mail.test.'
    """

    def __init__(self, case: Case) -> None:
        self._reveals: Sequence[Reveal] = case.reveals
        self._heard: list[int] = []

    def reply(self, message: str) -> str:
        """Return what the user says to a message."""
        said = []
        for index, reveal in enumerate(self._reveals):
            if any(_holds(message, cue) for cue in reveal.cues):
                said.append(reveal.again if index in self._heard and reveal.again else reveal.says)
                self._heard.append(index)
        return " ".join(said) or _NOTHING

    def snapshot(self) -> Any:
        """Return which reveals were said."""
        return list(self._heard)

    def restore(self, state: Any) -> None:
        """Go back to a state that `snapshot` gave."""
        self._heard = list(state)


def _holds(message: str, cue: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(cue)}(?!\w)", message, re.IGNORECASE) is not None
