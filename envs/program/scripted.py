"""Answers by a script instead of a policy: for tests, for measurements, and to try a program without a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from agentrl.envs.program.calls import Call, Refused, Said

__all__ = ["ScriptedAnswers"]


class ScriptedAnswers:
    """Answer each call with what a function says to it.

    Args:
        script: Takes the call; returns one answer for all of `n`, as many as asked for, or what is raised.
        keys: That are known; None knows all.
        delay_s: Each answer takes so long.
        real: Base URL and key of the real endpoint of a model, by the model's name.

    >>> answers = ScriptedAnswers(lambda call: Said(content="Hello " + call.messages[-1]["content"]))
    >>> call = Call(dialect="chat", model="policy", messages=({"role": "user", "content": "you"},))
    >>> asyncio.run(answers.answer("key", call))[0].content
    'Hello you'
    """

    def __init__(
        self,
        script: Callable[[Call], Said | Sequence[Said] | Exception],
        *,
        keys: Sequence[str] | None = None,
        delay_s: float = 0.0,
        real: dict[str, tuple[str, str]] | None = None,
    ) -> None:
        self.script = script
        self.delay_s = delay_s
        self.calls: list[tuple[str, Call]] = []  # with the key of each
        self.num_cancelled = 0  # whose client left
        self._keys = None if keys is None else set(keys)
        self._real = real or {}

    async def answer(self, key: str, call: Call) -> Sequence[Said]:
        """Answer a call.

        Raises:
            Refused: The key is unknown, or the script says so.
        """
        self._check(key)
        self.calls.append((key, call))
        try:
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.num_cancelled += 1
            raise
        said = self.script(call)
        if isinstance(said, Exception):
            raise said
        return [said] * call.num_answers if isinstance(said, Said) else said

    async def passed_on(self, key: str, model: str) -> tuple[str, str] | None:
        """Return base URL and key of the real endpoint that answers for a model.

        Raises:
            Refused: The key is unknown.
        """
        self._check(key)
        return self._real.get(model)

    def know(self, key: str) -> None:
        """Let another key be known, where not all are."""
        if self._keys is not None:
            self._keys.add(key)

    def came_back(self, key: str) -> None:
        """Note that a call that was passed on has ended: nothing waits for that here."""

    def _check(self, key: str) -> None:
        if self._keys is not None and key not in self._keys:
            raise Refused("this key belongs to no episode that runs", status=401, code="invalid_api_key")
