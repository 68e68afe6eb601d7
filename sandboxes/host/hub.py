"""The one thread that a process has for all its links to workers: it selects on their channels and keeps time.

It starts with the first link and never ends. After `os.fork` the child's copies of the channels lead nowhere, since
they are the parent's; a child that leases a box of its own starts a hub of its own.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentrl.sandboxes.host.link import Link

__all__ = ["BEAT_S", "Hub"]

BEAT_S = 2.0
"""Seconds from one heartbeat to the next; each is also a look at the deadlines."""


class Hub:
    """The thread that listens to every link of this process. Started with the first link, never stopped."""

    _instance: Hub | None = None
    _guard = threading.Lock()
    _watches_forks = False

    def __init__(self) -> None:
        """Use `Hub.current()`."""
        self._selector = selectors.DefaultSelector()
        self._links: dict[int, Link] = {}
        self._todo: deque[tuple[Callable[[Link], None], Link]] = deque()
        self._bell_read, self._bell_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._bell_read, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._loop, name="agentrl-sandbox-hub", daemon=True)
        self._thread.start()

    @classmethod
    def current(cls) -> Hub:
        """Return the hub of this process, started if it was not."""
        with cls._guard:
            if cls._instance is None:
                if not cls._watches_forks:
                    os.register_at_fork(after_in_child=cls._forget_parent)
                    cls._watches_forks = True
                cls._instance = cls()
            return cls._instance

    def adopt(self, link: Link) -> None:
        """Listen to a link from now on."""
        self._links[id(link)] = link
        self._soon(self._add, link)

    def drop(self, link: Link) -> None:
        """Stop listening to a link and close its channel."""
        self._soon(self._remove, link)

    def want_write(self, link: Link) -> None:
        """Go on sending when the link's channel takes more."""
        self._soon(self._watch_write, link)

    def is_mine(self) -> bool:
        """Return whether the caller is the hub's own thread."""
        return threading.get_ident() == self._thread.ident

    def _soon(self, task: Callable[[Link], None], link: Link) -> None:
        self._todo.append((task, link))
        if not self.is_mine():
            # A full pipe rings as well as one more byte would.
            with contextlib.suppress(BlockingIOError):
                os.write(self._bell_write, b"!")

    def _loop(self) -> None:
        beat = time.monotonic() + BEAT_S
        while True:
            events = self._selector.select(max(0.0, beat - time.monotonic()))
            for key, mask in events:
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._bell_read, 4096)
                    continue
                link = key.data
                if mask & selectors.EVENT_READ:
                    self._guarded(link, link.hub_read)
                if mask & selectors.EVENT_WRITE:
                    self._guarded(link, partial(self._write, link))
            now = time.monotonic()
            if now >= beat:
                beat = now + BEAT_S
                for link in list(self._links.values()):
                    self._guarded(link, partial(link.hub_tick, now))
            while self._todo:
                task, link = self._todo.popleft()
                self._guarded(link, partial(task, link))

    def _guarded(self, link: Link, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # one link's fault, in a backend's channel or a tunnel, must not end the others
            link.fail(f"the host failed on it: {type(error).__name__}: {error}")

    def _add(self, link: Link) -> None:
        if link.dead is not None:
            return
        if link.read_fd in self._selector.get_map():
            # A channel was closed behind the back of its link, and its number came around.
            stale = self._selector.get_key(link.read_fd).data
            self._unwatch(stale)
            stale.fail("its channel was closed from outside")
        self._selector.register(link.read_fd, selectors.EVENT_READ, link)
        # A channel may hold bytes that it read ahead, which no descriptor announces.
        self._guarded(link, link.hub_read)

    def _remove(self, link: Link) -> None:
        if self._links.pop(id(link), None) is None:
            return
        self._unwatch(link)
        link.hub_close()

    def _unwatch(self, link: Link) -> None:
        for descriptor in {link.read_fd, link.write_fd}:
            key = self._selector.get_map().get(descriptor)
            if key is not None and key.data is link:
                self._selector.unregister(descriptor)

    def _watch_write(self, link: Link) -> None:
        if link.dead is not None:
            return
        read, write = link.read_fd, link.write_fd
        if read == write:
            self._selector.modify(read, selectors.EVENT_READ | selectors.EVENT_WRITE, link)
        elif write not in self._selector.get_map():
            self._selector.register(write, selectors.EVENT_WRITE, link)

    def _write(self, link: Link) -> None:
        if link.dead is not None or not link.hub_write():
            return
        read, write = link.read_fd, link.write_fd
        if read == write:
            self._selector.modify(read, selectors.EVENT_READ, link)
        else:
            self._selector.unregister(write)

    @classmethod
    def _forget_parent(cls) -> None:
        hub, cls._instance = cls._instance, None
        cls._guard = threading.Lock()
        if hub is None:
            return
        # The numbers stay taken, so that an object of the parent's that is collected here closes nothing of the
        # child's; and no copy of a channel keeps a worker of the parent's alive when the parent is gone.
        nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for link in list(hub._links.values()):
            for descriptor in {link.read_fd, link.write_fd}:
                with contextlib.suppress(OSError):
                    os.dup2(nowhere, descriptor, inheritable=False)
        os.close(nowhere)
        hub._selector.close()
        os.close(hub._bell_read)
        os.close(hub._bell_write)
