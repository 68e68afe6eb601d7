"""Keep a page up to date: look every two seconds whether its files changed, read them in a thread, draw what is new."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nicegui import ui

from agentrl.bench.errors import BenchError
from agentrl.bench.viewer.parts import box, note

__all__ = ["EVERY_S", "attempt", "follow", "in_words"]

EVERY_S = 2.0
_Found = TypeVar("_Found")


async def follow(
    read: Callable[[], _Found], draw: Callable[[_Found], None], *, stamp: Callable[[], object], every_s: float = EVERY_S
) -> Callable[[], Awaitable[None]]:
    """Draw now, and again whenever what is read changes. What cannot be read is a note on the page.

    What takes long to read is read less often: a fifth of the time at most.

    Args:
        read: Reads files; runs in a thread.
        draw: Draws what was read, the first time and later.
        stamp: Tells cheaply whether to read again.
        every_s: Seconds between looks.

    Returns:
        A function that looks at once, for when the question itself changed.
    """
    seen: dict[str, object] = {}
    rest, turns = [0.0], [0]
    trouble = box()

    async def look(*, anew: bool = False) -> None:
        if not anew and time.monotonic() < rest[0]:
            return
        now = await asyncio.to_thread(stamp)
        if not anew and seen.get("stamp") == now:
            return
        began = time.monotonic()
        turns[0] += 1
        turn = turns[0]
        found, why = await asyncio.to_thread(attempt, read)
        if turn != turns[0]:
            return  # somebody asked something else meanwhile, and may have had the answer already
        rest[0] = time.monotonic() + 4 * (time.monotonic() - began)
        if seen.get("why", "") != why:
            seen["why"] = why
            trouble.clear()
            with trouble:
                if why:
                    note(why)
        if why:
            seen.pop("stamp", None)  # tried again at the next look
            return
        seen["stamp"] = now
        if anew or "found" not in seen or seen["found"] != found:
            seen["found"] = found
            draw(found)  # type: ignore[arg-type]  # None comes with a reason

    async def again() -> None:
        await look(anew=True)

    await look()
    ui.timer(every_s, look, immediate=False)
    return again


def in_words(error: Exception) -> str:
    """Say what went wrong with a file, for a page."""
    if isinstance(error, BenchError) or any(kind.__name__ == "TrainerError" for kind in type(error).__mro__):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or error}"
    return f"this could not be read: {type(error).__name__}: {error}"


def attempt(read: Callable[[], _Found]) -> tuple[_Found | None, str]:
    """Read files that may hold anything; return what was found, or None and why there is nothing."""
    try:
        return read(), ""
    except Exception as error:  # a file may lead to any; it is said on the page
        return None, in_words(error)
