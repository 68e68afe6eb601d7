"""One episode's browser context: its tabs, what may be done in them, and what the model reads afterwards.

Every action ends within its deadline. A page that hangs, floods or crashes is the page's doing: its tab is closed and
said, and the episode goes on. A browser that does not answer is an InfrastructureError.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from agentrl.envs.browse.tab import Tab, WalkError
from agentrl.envs.browse.text import first_line, notes_of, refusal, shown
from agentrl.envs.errors import InfrastructureError

__all__ = ["MAX_TABS", "Session"]

MAX_TABS = 5
_MAX_DIALOGS = 6  # in one action; a page that opens more is closed
_NEW_TAB_S = 2.0  # to wait for a tab that a page has opened
_CLOSE_S = 5.0
_OPEN_S = 30.0  # for a page of ours, where an earlier one hung; a loaded machine is no reason to end an episode


class Session:
    """The tabs of one episode; all of its coroutines run in the browser's loop.

    Args:
        context: Playwright's context, which this session closes.
        hosts: Host name -> name of the site, as it is shown.
        start: Name of the site at which the episode begins.
        alive: Answers whether the browser still does.
        action_s: Deadline of an action.
        lines: How many lines of a page are shown at once.
    """

    def __init__(
        self,
        context: Any,
        *,
        hosts: Mapping[str, str],
        start: str,
        alive: Callable[[], Awaitable[bool]],
        action_s: float,
        lines: int,
    ) -> None:
        self._context, self._hosts, self._alive = context, dict(hosts), alive
        self._urls = {name: f"http://{host}/" for host, name in hosts.items()}
        self._start = self._urls[start]
        self._action_s, self._num_lines = action_s, lines
        self._tabs: list[Tab] = []
        self._tab: Tab | None = None
        self._numbers = [1]
        self._first_line = 0
        self._notes: list[str] = []
        self._num_dialogs = 0
        self._num_expected = 0  # tabs that pages have opened and that are not there yet
        self._changed = asyncio.Event()
        self._setting_up: set[asyncio.Task[None]] = set()
        context.on("page", self._opened)

    async def begin(self) -> str:
        """Open the first tab; return what it shows."""
        return await self._acted(self._open_start)

    async def click(self, ref: int) -> str:
        """Click; return what the model reads."""
        return await self._acted(lambda: self._on(ref, lambda tab: tab.click(ref)))

    async def type(self, ref: int, text: str, submit: bool) -> str:
        """Type a text; return what the model reads."""
        return await self._acted(lambda: self._on(ref, lambda tab: tab.write(ref, text, submit=submit)))

    async def select(self, ref: int, option: str) -> str:
        """Choose an option; return what the model reads."""
        return await self._acted(lambda: self._on(ref, lambda tab: tab.choose(ref, option)))

    async def scroll(self, direction: str) -> str:
        """Show other lines of the page; return what the model reads."""

        async def scroll() -> None:
            tab = self._current()
            total = len((await tab.look()).lines)
            step = self._num_lines if direction == "down" else -self._num_lines
            if not 0 <= self._first_line + step < max(1, total):
                self._notes.append(f"The page does not go further {direction}.")
                return
            self._first_line += step
            await tab.scrolled(self._first_line / max(1, total - 1))

        return await self._acted(scroll, keep_lines=True)

    async def back(self) -> str:
        """Go back; return what the model reads."""

        async def back() -> None:
            if not await self._current().back():
                self._notes.append("There is no page to go back to.")

        return await self._acted(back)

    async def goto(self, path: str) -> str:
        """Go to a page of the episode's sites; return what the model reads."""

        async def goto() -> None:
            text = path.strip().removeprefix("http://")
            name, _, rest = text.partition("/")
            if name not in self._urls and text.startswith("/"):
                name = self._hosts.get(self._current().page.url.removeprefix("http://").partition("/")[0], "")
            if name not in self._urls or not rest.isascii() or any(each in rest for each in "\\ \n\t\r"):
                known = ", ".join(f"{each}/" for each in self._urls)
                self._notes.append(f"There is no address {path[:80]!r}. Addresses begin with {known}")
                return
            await self._current().goto(self._urls[name] + rest)

        return await self._acted(goto)

    async def switch(self, index: int) -> str:
        """Turn to another tab; return what the model reads."""

        async def switch() -> None:
            if not 1 <= index <= len(self._tabs):
                self._notes.append(f"There is no tab {index}; there are {len(self._tabs)}.")
                return
            self._tab = self._tabs[index - 1]
            await self._tab.page.bring_to_front()

        return await self._acted(switch)

    async def close(self) -> None:
        """Close the context with all its tabs."""
        for task in self._setting_up:
            task.cancel()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._context.close(), _CLOSE_S)

    # -- one action ------------------------------------------------------------------------------------------------

    async def _acted(self, action: Callable[[], Awaitable[None]], *, keep_lines: bool = False) -> str:
        """Do something within the deadline; return what is seen afterwards."""
        self._num_dialogs = 0
        if not keep_lines:
            self._first_line = 0
        known = list(self._tabs)  # one that opens while the action still runs is new, too
        try:
            async with asyncio.timeout(self._action_s):
                try:
                    await action()
                except WalkError as error:
                    self._notes.append(refusal(error.told))
                await self._new_tabs(known)
                return await self._seen()
        except TimeoutError:
            await self._give_up("did not come to rest in time")
        except InfrastructureError:
            raise
        except Exception as error:  # Playwright's: the tab was closed or crashed, or the browser is gone
            await self._check_browser(error)
            await self._give_up("went away")
        try:
            async with asyncio.timeout(_OPEN_S):
                return await self._seen()
        except Exception as error:
            raise InfrastructureError(
                f"no page could be opened after one was closed: {first_line(error)}",
                kind="timeout",
                boundary="browser",
            ) from error

    async def _on(self, ref: int, action: Callable[[Tab], Awaitable[None]]) -> None:
        tab = self._current()
        if 0 < ref < tab.oldest:
            raise WalkError({"error": "stale"})
        await action(tab)

    async def _seen(self) -> str:
        tab = self._current()
        look = await tab.look()
        self._first_line = min(self._first_line, max(0, len(look.lines) - 1))
        notes, self._notes = self._notes, []
        return notes_of(notes) + shown(
            look,
            tabs=len(self._tabs),
            number=self._tabs.index(tab) + 1,
            hosts=self._hosts,
            first=self._first_line,
            num_lines=self._num_lines,
        )

    def _current(self) -> Tab:
        if self._tab is None:
            raise RuntimeError("no tab")
        return self._tab

    async def _open_start(self) -> None:
        page = await self._context.new_page()
        for task in list(self._setting_up):
            await task
        self._tab = next((each for each in self._tabs if each.page is page), None)
        await self._current().goto(self._start)

    async def _give_up(self, why: str) -> None:
        """Close the tab that hangs, and go on in another one."""
        tab = self._tab
        await self._check_browser(None)
        self._notes.append(f"The page {why}; its tab was closed.")
        if tab is not None:
            self._leave(tab)
            with contextlib.suppress(Exception):
                await asyncio.wait_for(tab.page.close(run_before_unload=False), _CLOSE_S)
        if not self._tabs:
            try:
                async with asyncio.timeout(_OPEN_S):
                    await self._open_start()
            except Exception as error:
                await self._check_browser(error)
                raise InfrastructureError(
                    f"no page could be opened: {first_line(error)}", kind="timeout", boundary="browser"
                ) from error

    async def _check_browser(self, error: Exception | None) -> None:
        if not await self._alive():
            raise InfrastructureError(
                f"the browser is gone or does not answer{f': {first_line(error)}' if error else ''}",
                kind="crash",
                boundary="browser",
            ) from error

    # -- tabs ------------------------------------------------------------------------------------------------------

    def _expect(self) -> None:
        self._num_expected += 1

    async def _new_tabs(self, known: Sequence[Tab]) -> None:
        """Wait for tabs that pages have opened; the last one that is not known is then in front."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_NEW_TAB_S):
                while self._num_expected > 0 and len(self._tabs) < MAX_TABS:
                    self._changed.clear()
                    await self._changed.wait()
        self._num_expected = 0
        if self._setting_up:
            await asyncio.wait(set(self._setting_up))
        new = [tab for tab in self._tabs if tab not in known]
        if new:
            self._tab = new[-1]
            await self._tab.rest()

    def _opened(self, page: Any) -> None:
        self._num_expected = max(0, self._num_expected - 1)
        page.on("dialog", lambda dialog: self._later(self._dialog(page, dialog)))
        page.on("download", lambda download: self._note("A download was refused."))
        page.on("crash", lambda page: self._crashed(page))
        page.on("close", lambda page: self._closed(page))
        if len(self._tabs) + len(self._setting_up) >= MAX_TABS:
            self._note(f"A new tab was refused: there may be {MAX_TABS}.")
            self._later(page.close(run_before_unload=False))
            self._changed.set()
            return
        self._later(self._set_up(page))

    async def _set_up(self, page: Any) -> None:
        cdp = await self._context.new_cdp_session(page)
        tab = Tab(page, cdp, self._numbers, self._expect)
        await tab.begin()
        self._tabs.append(tab)
        if self._tab is None:
            self._tab = tab
        elif self._tab is not tab:
            with contextlib.suppress(Exception):
                await page.wait_for_load_state("load", timeout=1000 * self._action_s / 2)
        self._changed.set()

    def _later(self, coroutine: Any) -> None:
        async def run() -> None:
            with contextlib.suppress(Exception):
                await coroutine

        task = asyncio.ensure_future(run())
        self._setting_up.add(task)
        task.add_done_callback(self._setting_up.discard)

    async def _dialog(self, page: Any, dialog: Any) -> None:
        self._num_dialogs += 1
        if dialog.type == "beforeunload":
            await dialog.accept()
            return
        self._note(f"The page said: {' '.join(dialog.message[:200].split())!r} (dismissed)")
        if self._num_dialogs > _MAX_DIALOGS:
            self._note("The page opened too many dialogs and was closed.")
            await page.close(run_before_unload=False)
            return
        await dialog.dismiss()

    def _note(self, text: str) -> None:
        if text not in self._notes and len(self._notes) < 8:
            self._notes.append(text)

    def _crashed(self, page: Any) -> None:
        self._note("The page crashed.")
        self._later(page.close(run_before_unload=False))

    def _closed(self, page: Any) -> None:
        for tab in [each for each in self._tabs if each.page is page]:
            self._leave(tab)

    def _leave(self, tab: Tab) -> None:
        if tab in self._tabs:
            self._tabs.remove(tab)
        if self._tab is tab:
            self._tab = self._tabs[-1] if self._tabs else None
