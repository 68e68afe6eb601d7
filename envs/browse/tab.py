"""One tab: actions through the DevTools protocol, waiting until the page is at rest, and the walker in its own world.

There is no fixed sleep: the renderer tells of a navigation that it begins before it answers what was asked after the
click, so it is known whether to wait for a new page. A page that does not come to rest is read as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["Look", "Tab", "WalkError"]

_WORLD = "agentrl"
_LOST = (
    "Cannot find context",
    "Execution context was destroyed",
    "Inspected target navigated",
    "No frame for given id",
)


class WalkError(Exception):
    """What cannot be done on the page, with what the walker said."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(str(told.get("error", "")))
        self.told = told


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a tab shows."""

    title: str
    url: str
    lines: tuple[str, ...]
    full: bool  # there was more than is read of a page


class Tab:
    """A page of the browser.

    Args:
        page: Playwright's page.
        cdp: A DevTools session of it.
        numbers: Gives and takes the next reference, which goes on from page to page.
        opened: Called when the page opens a window.
    """

    def __init__(self, page: Any, cdp: Any, numbers: list[int], opened: Callable[[], None]) -> None:
        self.page, self.cdp = page, cdp
        self.oldest = numbers[0]  # references below are of earlier pages
        self._numbers = numbers
        self._frame = ""
        self._world: int | None = None
        self._rest = asyncio.Event()  # set while no page is being loaded
        self._rest.set()
        cdp.on("Page.windowOpen", lambda event: opened())
        cdp.on("Page.frameRequestedNavigation", self._requested)
        cdp.on("Page.frameStartedLoading", lambda event: self._loading(event, True))
        cdp.on("Page.frameStoppedLoading", lambda event: self._loading(event, False))
        cdp.on("Page.frameNavigated", self._navigated)

    async def begin(self) -> None:
        """Listen to the page."""
        await self.cdp.send("Page.enable")
        tree = await self.cdp.send("Page.getFrameTree")
        self._frame = tree["frameTree"]["frame"]["id"]

    async def goto(self, url: str) -> None:
        """Go to an address and wait."""
        self._rest.clear()
        answer = await self.cdp.send("Page.navigate", {"url": url})
        if answer.get("errorText"):
            self._rest.set()
            return
        await self.rest()

    async def back(self) -> bool:
        """Go back; False where there is nothing to go back to."""
        history = await self.cdp.send("Page.getNavigationHistory")
        index, entries = history["currentIndex"], history["entries"]
        if index < 1 or not entries[index - 1]["url"].startswith("http://"):
            return False
        if not any("#" in each["url"] for each in entries[index - 1 : index + 1]):
            self._rest.clear()
        await self.cdp.send("Page.navigateToHistoryEntry", {"entryId": entries[index - 1]["id"]})
        await self.settle()
        return True

    async def click(self, number: int) -> None:
        """Click what a reference names.

        Raises:
            WalkError: It is gone, hidden, disabled or covered.
        """
        spot = await self._ask("point", number)
        mouse = {"x": spot["x"], "y": spot["y"], "button": "left", "clickCount": 1}
        # Both are sent before the first is waited for: a page that opens a dialog answers neither.
        await asyncio.gather(
            self.cdp.send("Input.dispatchMouseEvent", {"type": "mousePressed", **mouse}),
            self.cdp.send("Input.dispatchMouseEvent", {"type": "mouseReleased", **mouse}),
        )
        await self.settle()

    async def write(self, number: int, text: str, *, submit: bool) -> None:
        """Put a text into a field, in place of what is there.

        Raises:
            WalkError: It is gone, hidden, no field, or takes no such text.
        """
        told = await self._ask("ready", number, text)
        if not told["done"]:
            if text:
                await self.cdp.send("Input.insertText", {"text": text})
            elif not told["empty"]:
                await self._key("Delete", 46)
        if submit:
            await self._key("Enter", 13, "\r")
        await self.settle()

    async def choose(self, number: int, option: str) -> None:
        """Choose an option of a list by its text.

        Raises:
            WalkError: It is gone, hidden, no list, or has no such option.
        """
        await self._ask("choose", number, option)
        await self.settle()

    async def scrolled(self, share: float) -> None:
        """Scroll the page to a share of its height."""
        await self._ask("scrolled", share)

    async def look(self) -> Look:
        """Read the page."""
        found = await self._ask("look", self._numbers[0])
        self._numbers[0] = max(self._numbers[0], found["next"])
        return Look(title=found["title"], url=found["url"], lines=tuple(found["lines"]), full=found["full"])

    async def settle(self) -> None:
        """Wait until what an action began has come to rest."""
        with contextlib.suppress(LookupError):
            await self._evaluate("walker.settle()")
        await self.rest()

    async def rest(self) -> None:
        """Wait until no page is being loaded."""
        await self._rest.wait()

    # -- what the browser tells ------------------------------------------------------------------------------------

    def _requested(self, event: dict[str, Any]) -> None:
        # An address of another scheme is refused by the browser, which then loads nothing and says no more.
        here = event.get("disposition", "currentTab") == "currentTab" and event["url"].startswith("http")
        if event["frameId"] == self._frame and here:
            self._rest.clear()

    def _loading(self, event: dict[str, Any], begun: bool) -> None:
        if event["frameId"] == self._frame:
            if begun:
                self._rest.clear()
            else:
                self._rest.set()

    def _navigated(self, event: dict[str, Any]) -> None:
        if event["frame"]["id"] == self._frame or not event["frame"].get("parentId"):
            self._frame = event["frame"]["id"]
            self._world = None
            self.oldest = self._numbers[0]

    # -- the walker ------------------------------------------------------------------------------------------------

    async def _ask(self, name: str, *arguments: Any) -> dict[str, Any]:
        """Call the walker; where the page changed meanwhile, call it on the new one."""
        while True:
            try:
                told: Any = await self._evaluate(f"walker.{name}({', '.join(map(json.dumps, arguments))})")
            except LookupError:
                await self.rest()
                continue
            if isinstance(told, dict) and "error" in told:
                raise WalkError(told)
            return told if isinstance(told, dict) else {}

    async def _evaluate(self, expression: str) -> Any:
        """Evaluate in the isolated world.

        Raises:
            LookupError: The page went away.
        """
        try:
            if self._world is None:
                made = await self.cdp.send("Page.createIsolatedWorld", {"frameId": self._frame, "worldName": _WORLD})
                world = made["executionContextId"]
                await self._run(_walker(), world)
                self._world = world
            answer = await self._run(expression, self._world)
        except Exception as error:  # Playwright's, which is not imported here
            if any(each in str(error) for each in _LOST):
                self._world = None
                raise LookupError("the page went away") from error
            raise
        if "exceptionDetails" in answer:
            raise WalkError({"error": "broken", "why": str(answer["exceptionDetails"])[:300]})
        return answer["result"].get("value")

    async def _run(self, expression: str, world: int) -> dict[str, Any]:
        answer: dict[str, Any] = await self.cdp.send(
            "Runtime.evaluate",
            {"expression": expression, "contextId": world, "returnByValue": True, "awaitPromise": True},
        )
        return answer

    async def _key(self, name: str, code: int, text: str = "") -> None:
        key = {"key": name, "code": name, "windowsVirtualKeyCode": code}
        await asyncio.gather(
            self.cdp.send("Input.dispatchKeyEvent", {"type": "keyDown", **key, **({"text": text} if text else {})}),
            self.cdp.send("Input.dispatchKeyEvent", {"type": "keyUp", **key}),
        )


@cache
def _walker() -> str:
    return (Path(__file__).parent / "walker.js").read_text(encoding="utf-8")
