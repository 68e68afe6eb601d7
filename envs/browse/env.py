"""`AgentRL/Browse-v0`: do something on generated web sites, in a real Chromium.

An episode has sites of its own, served on loopback, and a browser context of its own; it is judged by the state of the
sites on the server, and by the answer where one is asked for, never by what a page shows.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from agentrl.envs.browse.browser import Visit, shared
from agentrl.envs.browse.case import right_state, same_text
from agentrl.envs.browse.chromium import find
from agentrl.envs.browse.hostile import LURE, MILD, Traps
from agentrl.envs.browse.policies import FLAWS, cheat_policies, demonstration, solution
from agentrl.envs.browse.site import Rows, Serves
from agentrl.envs.browse.tasks import Task, generate, kinds_of
from agentrl.envs.browse.view import View
from agentrl.envs.core import TextEnv, Turn
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.protocol import Policy
from agentrl.envs.tools import Tool

__all__ = ["BrowseEnv"]

_LINES = 80
_FIELDS = {"textbox", "searchbox", "spinbutton", "slider", "date"}


class BrowseEnv(TextEnv):
    """Web sites in a browser, with tools to click, type, select, scroll, go back and turn to tabs.

    Components: `solved` (all sites are as they must be, and the answer is right where one is asked for; also
    `success`), `state` (the sites alone), `format` (no malformed turn). Only `solved` has weight by default.

    Args:
        kind: Name of one kind of task, to play only that; None: drawn by the seed.
        distractions: Whether each site has an advertisement that lies and leads to a page that attacks.
        browser: Path or command of a Chromium; None: the first that is installed of `chromium.NAMES`.
        action_timeout_s: Deadline of an action in the browser; a page that takes longer is closed.
        max_turns: As in TextEnv.
        **kwargs: split, level, weights, render_mode, max_reply_chars: as in TextEnv; `backend` is "auto" or "local".

    Raises:
        UsageError: An argument that cannot work, or no browser.
    """

    components: ClassVar[Mapping[str, float]] = {"solved": 1.0, "state": 0.0, "format": 0.0}
    state: ClassVar[tuple[str, ...]] = ("_number", "_asked", "_actions")
    system = (
        "Do what is asked on the web page. Things to act on have a number in brackets. When all is done, write "
        "<answer>ok</answer>; where something is asked, write <answer>it</answer>, and nothing else in the tag."
    )

    def __init__(
        self,
        *,
        kind: str | None = None,
        distractions: bool = False,
        browser: str | None = None,
        action_timeout_s: float = 10.0,
        max_turns: int = 50,
        **kwargs: Any,
    ) -> None:
        super().__init__(max_turns=max_turns, **kwargs)
        if self.backend not in ("auto", "local"):
            raise UsageError(f"backend={self.backend!r} holds tools, and a browser is none of them; leave backend out")
        if not isinstance(action_timeout_s, int | float) or not 0.1 <= action_timeout_s <= 60:
            raise UsageError(f"action_timeout_s={action_timeout_s!r} must be a number of seconds from 0.1 to 60")
        kinds_of(self._level, kind)
        if not isinstance(distractions, bool):
            raise UsageError(f"distractions={distractions!r} must be True or False")
        self._kind_name, self._distracts = kind, distractions
        self._path = find(browser)
        self._action_s = float(action_timeout_s)
        self._number = 0
        self._asked = ("train", 1)
        self._actions: list[tuple[str, tuple[Any, ...]]] = []  # since the reset, for a snapshot to repeat
        self._task: Task | None = None
        self._begun: Mapping[str, Rows] = {}
        self._visit: Visit | None = None
        self._first = ""

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What can be done in the browser."""
        every = (self.click, self.type, self.select, self.scroll, self.back, self.tab, self.goto)
        return tuple(Tool.of(each) for each in every)

    def offered(self) -> tuple[str, ...] | None:
        """Return the tools of the task: at level 1 those that its page has something for, all above."""
        if self._asked[1] > 1:
            return None
        roles = {each.role for each in View(self._first).items()}
        wanted = {"type": roles & _FIELDS, "select": roles & {"combobox"}}
        return ("click", *(name for name, found in wanted.items() if found))

    def click(self, ref: int) -> str:
        """Click something.

        Args:
            ref: Its number.
        """
        return self._act("click", ref)

    def type(self, ref: int, text: str, submit: bool = False) -> str:
        """Write a text into a field, in place of what is there.

        Args:
            ref: Its number.
            text: The text; a date as YYYY-MM-DD.
            submit: Whether to press Enter afterwards.
        """
        return self._act("type", ref, text, submit)

    def select(self, ref: int, option: str) -> str:
        """Choose an option of a list.

        Args:
            ref: Its number.
            option: The text of the option.
        """
        return self._act("select", ref, option)

    def scroll(self, direction: Literal["down", "up"]) -> str:
        """Show other lines of the page.

        Args:
            direction: Where to.
        """
        return self._act("scroll", direction)

    def back(self) -> str:
        """Go back to the page before."""
        return self._act("back")

    def tab(self, index: int) -> str:
        """Turn to another tab.

        Args:
            index: Its number, from 1.
        """
        return self._act("switch", index)

    def goto(self, path: str) -> str:
        """Go to an address of the sites.

        Args:
            path: As a page shows it in brackets.
        """
        return self._act("goto", path)

    def new_task(self, rng: np.random.Generator, split: str, level: int) -> str:
        """Draw a task; its sites are served when the episode begins."""
        self._number, self._asked, self._actions = int(rng.integers(2**62)), (split, level), []
        return generate(self._number, split, level, self._kind_name).id

    def question(self) -> str:
        """Return what is asked, and the first page."""
        return f"{self._current().case.ask}\n\n{self._first}"

    def answer(self, text: str, turn: str) -> Turn:
        """Look at the sites, and at the answer."""
        case = self._current().case
        state = right_state(case, self._begun, case.sites)
        solved = state and (not case.answer or same_text(text, case.answer))
        rewards = {"solved": float(solved), "state": float(state), "format": float(self._num_malformed == 0)}
        return Turn(rewards=rewards, terminated=True, success=solved)

    def references(self) -> tuple[str, ...]:
        """Return the answer where one is asked for."""
        answer = self._current().case.answer
        return (answer,) if answer else ()

    def oracle(self) -> Policy:
        """Return a policy that does the task, with the references that it is shown."""
        return solution(self._current().case, self._last, lambda: self._num_turns > 0)

    def demonstrator(self, rng: np.random.Generator, *, flaws: Mapping[str, float] = FLAWS) -> Policy:
        """Return a policy that knows the way and often errs; see `policies.FLAWS`."""
        return demonstration(random.Random(int(rng.integers(2**62))), self._current().case, self._last, flaws)

    def cheats(self) -> dict[str, Policy]:
        """Return the known cheats."""
        return cheat_policies(lambda: self._current().case)

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go back to a state that `snapshot` gave: on fresh sites, all actions are done again."""
        actions = list(snapshot["_actions"])
        super().restore({**snapshot, "_actions": []})
        if self._done:
            self._actions = actions
            return
        for name, arguments in actions:
            self._act(name, *arguments)

    # -- the episode -----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        task = self._task = generate(self._number, *self._asked, self._kind_name)
        sites = task.case.sites
        self._begun = {name: site.copy().rows for name, site in sites.items()}
        served: dict[str, Serves] = dict(sites)
        if self._distracts:
            served["offers"] = Traps(MILD[self._number % len(MILD)])
            for site in sites.values():
                site.lure = LURE
        try:
            self._visit = shared(self._path).visit(served, task.case.start, action_s=self._action_s, lines=_LINES)
            self._first = self._visit.wait(self._visit.session.begin())
            super()._begin()
        except BaseException:
            self._release()
            raise

    def _release(self) -> None:
        visit, self._visit = self._visit, None
        if visit is not None:
            visit.close()
        super()._release()

    def _act(self, name: str, *arguments: Any) -> str:
        visit = self._visit
        if visit is None:
            raise InfrastructureError("the episode has no browser", kind="closed", boundary="browser")
        if len(repr(arguments)) > 4000:
            return "That is too long for a web page; 4000 characters are the most."
        self._actions.append((name, arguments))
        told: str = visit.wait(getattr(visit.session, name)(*arguments))
        return told

    def _current(self) -> Task:
        if self._task is None:
            raise UsageError("there is no task yet; call reset() first")
        return self._task

    def _last(self) -> str:
        return self._transcript[-1][1]
