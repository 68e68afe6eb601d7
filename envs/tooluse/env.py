"""`AgentRL/ToolUse-v0`: serve a user by tools over a database, within a policy.

Three domains (a shop, travel booking, a workspace), each with a policy document, families of requests and a user who
says some things only when asked. A task is done when the database is as it must be and the last message tells what the
user had to hear; some requests must be refused, which changes nothing and names the rule and the fact.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from agentrl.envs.core import TextEnv, Turn
from agentrl.envs.errors import UsageError, nearest
from agentrl.envs.protocol import Policy
from agentrl.envs.scripted import scripted
from agentrl.envs.tools import ToolsetSpec
from agentrl.envs.tooluse.policies import FLAWS, cheat_policies, demonstration, solution
from agentrl.envs.tooluse.scoring import same_rows, tells
from agentrl.envs.tooluse.tasks import DOMAINS, Task, domain, draw_task, families_of
from agentrl.envs.tooluse.user import ScriptedUser, User

if TYPE_CHECKING:
    from agentrl.envs.tooluse.model_user import Endpoint

__all__ = ["ToolUseEnv", "make"]

_HOW = (
    "Use the tools to do what the user wants. To ask something, write plain text without a call. When all is done, or "
    "must be refused, write the last message as <answer>message</answer>: tell exactly what was asked, with no other "
    "numbers, dates or codes, in the forms 45.00, 2026-03-01, 09:30."
)
_REFUSE = (
    "What the policy forbids must be refused and left undone: name in the last message the code of the rule and "
    "the fact in the records on which it rests."
)


class ToolUseEnv(TextEnv):
    """Requests of a user, served by tools over a database within a policy.

    Components: `solved` (the database is right and the facts were told; also `success`), `database`, `told` (each half
    by itself) and `format` (no malformed turn). Only `solved` has weight by default.

    Args:
        domain: "shop", "travel" or "workspace"; None: drawn by the seed.
        family: Name of one family of the domain, to play only that; needs `domain`.
        user_url: An OpenAI-compatible endpoint, such as "http://127.0.0.1:8000/v1", whose model plays the user; None: a
            script does, which answers to cues and is the same each time.
        user_model: The model's name there.
        user_timeout_s: Deadline of one reply of the user, retries included.
        max_turns: As in TextEnv.
        **kwargs: split, level, weights, backend, render_mode, max_reply_chars: as in TextEnv.

    Raises:
        UsageError: A domain or family that does not exist, or a family that has no tasks at this level.
    """

    components: ClassVar[Mapping[str, float]] = {"solved": 1.0, "database": 0.0, "told": 0.0, "format": 0.0}
    state: ClassVar[tuple[str, ...]] = ("_task", "_said")

    def __init__(
        self,
        *,
        domain: str | None = None,
        family: str | None = None,
        user_url: str | None = None,
        user_model: str | None = None,
        user_timeout_s: float = 60.0,
        max_turns: int = 24,
        **kwargs: Any,
    ) -> None:
        self._domains = _chosen(domain)
        self._only = _family(domain, family)
        self._task: Task | None = None
        self._user: User | None = None
        self._said: list[str] = []  # by the user, the request included
        if (user_url is None) != (user_model is None):
            raise UsageError(f"user_url={user_url!r} and user_model={user_model!r} go together; give both, or none")
        super().__init__(max_turns=max_turns, **kwargs)
        self._names(self._level)
        self._endpoint: Endpoint | None = None
        if user_url is not None and user_model is not None:
            from agentrl.envs.tooluse.model_user import Endpoint  # httpx is loaded where a model is asked for

            self._endpoint = Endpoint(user_url, user_model, timeout_s=user_timeout_s)

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a world and a request."""
        generator = random.Random(int(rng.integers(2**63)))
        self._task = draw_task(generator, generator.choice(self._names(level)), split, level, self._only)
        self._user = self._new_user()
        self._said = [self._task.case.request]
        return self._task.id

    def instructions(self) -> str:
        """Return the role, the policy with the codes of this episode, and what is expected."""
        task = self._current()
        rules = "\n".join(f"[{code}] {text}" for code, text in task.rules)
        policy = f"\n\nPolicy:\n{rules}\n\n{_REFUSE}" if rules else ""
        return f"{task.place.role} Today is {task.today}. {_HOW}{policy}"

    def question(self) -> str:
        """Return what the user says first."""
        return self._current().case.request

    def toolset_spec(self) -> ToolsetSpec | None:
        """Start the domain's tools over the world's rows."""
        task = self._current()
        return task.place.toolset.spec(rows=task.rows, today=task.today)

    def heard(self, name: str, value: Any) -> str:
        """Return a text as it is, all else as JSON."""
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def offered(self) -> tuple[str, ...]:
        """Return the tools of the task: few at levels 1 and 2, all of the domain's above."""
        return self._current().tools

    def said(self, text: str) -> Turn:
        """Have the user reply to a message."""
        if not text.strip() or "<answer>" in text or "</answer>" in text or "<tool_call>" in text:
            return super().said(text)
        assert self._user is not None
        reply = self._user.reply(text)
        self._said.append(reply)
        return Turn(replies=({"role": "user", "name": "", "content": reply},))

    def answer(self, text: str, turn: str) -> Turn:
        """Compare the database, and read the last message."""
        task = self._current()
        assert self._host is not None
        rows = self._host.snapshot()["rows"]
        database = same_rows(task.place.toolset, task.rows, rows, task.wanted)
        told = tells(text, task.case.tell, rule=task.refusal, known=self._known(), rows=rows)
        rewards = {
            "solved": float(database and told),
            "database": float(database),
            "told": float(told),
            "format": float(self._num_malformed == 0),
        }
        return Turn(rewards=rewards, terminated=True, success=database and told)

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state of the episode, the user's included."""
        return {**super().snapshot(), "user": self._user.snapshot() if self._user is not None else None}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go back to a state that `snapshot` gave."""
        super().restore(snapshot)
        if self._task is not None:
            self._user = self._new_user()
            self._user.restore(snapshot["user"])

    def oracle(self) -> Policy:
        """Return a policy that knows the way."""
        return scripted(lambda: solution(self._current()))

    def demonstrator(self, rng: np.random.Generator, *, flaws: Mapping[str, float] = FLAWS) -> Policy:
        """Return a policy that knows the way and often errs; see `policies.FLAWS`."""
        generator = random.Random(int(rng.integers(2**63)))
        return scripted(lambda: demonstration(generator, self._current(), flaws))

    def cheats(self) -> dict[str, Policy]:
        """Return the known cheats."""
        return cheat_policies(self._current)

    def close(self) -> None:
        """Give back what the episode holds, and close the user's connections; may be called twice."""
        super().close()
        if self._endpoint is not None:
            self._endpoint.close()

    def _known(self) -> str:
        """Return what the last message may repeat: what the user has said, and the day."""
        case = self._current().case
        said = self._said
        if (
            self._endpoint is not None
        ):  # a model can be talked into saying a list of guesses: only what it was given counts
            said = [case.request, *(text for each in case.reveals for text in (each.says, each.again))]
        return " ".join([*said, self._current().today])

    def _new_user(self) -> User:
        task = self._current()
        if self._endpoint is None:
            return ScriptedUser(task.case)
        from agentrl.envs.tooluse.model_user import ModelUser

        return ModelUser(task.case, self._endpoint, seed=int(task.id.rpartition("-")[2], 16))

    def _current(self) -> Task:
        if self._task is None:
            raise UsageError("there is no task yet; call reset() first")
        return self._task

    def _names(self, level: int) -> list[str]:
        """Return the domains that have tasks of a level."""
        names = [name for name in self._domains if families_of(name, level, self._only)]
        if not names:
            raise UsageError(f"family={self._only[0]!r} has no tasks at level={level}; choose another level")
        return names


def make(*, data: str | PathLike[str] | Mapping[str, str | PathLike[str]] | None = None, **kwargs: Any) -> TextEnv:
    """Make the environment: over generated worlds, or with `data` over function-calling cases of the user's own.

    Args:
        data: See `functions.FunctionsEnv`.
        kwargs: Of the one or the other.
    """
    if data is None:
        return ToolUseEnv(**kwargs)
    from agentrl.envs.tooluse.functions import FunctionsEnv

    return FunctionsEnv(data=data, **kwargs)


def _chosen(name: str | None) -> tuple[str, ...]:
    return tuple(DOMAINS) if name is None else (domain(name).name,)


def _family(name: str | None, family: str | None) -> tuple[str, ...]:
    if family is None:
        return ()
    if name is None:
        raise UsageError(f"family={family!r} needs its domain; add domain='shop', 'travel' or 'workspace'")
    names = [each.name for each in domain(name).families]
    if family not in names:
        raise UsageError(f"family={family!r} does not exist in {name}{nearest(family, names)}; there are {names}")
    return (family,)
