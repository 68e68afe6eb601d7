"""One browser and one server for each process and program, in an event loop of their own; a context for each episode.

Environments call from any thread. A process that was forked or spawned starts its own at its first episode. A browser
that crashed or hangs is replaced at the next episode. What was started ends with the process.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import secrets
import signal
import threading
from collections.abc import Mapping
from multiprocessing import util
from typing import Any

from agentrl.envs.browse.chromium import flags
from agentrl.envs.browse.server import Server
from agentrl.envs.browse.session import Session
from agentrl.envs.browse.site import Serves
from agentrl.envs.browse.text import first_line
from agentrl.envs.errors import InfrastructureError, UsageError
from agentrl.envs.eventloop import LoopThread

__all__ = ["Browser", "Visit", "shared"]

_START_S, _CALL_S, _PING_S, _CLOSE_S = 60.0, 120.0, 10.0, 10.0
_VIEW = {"width": 1024, "height": 768}


class Browser:
    """A browser with its server; started by the first visit. `pid` and `version` are those of the one that runs.

    Args:
        path: The program.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._loop: LoopThread | None = None
        self._server: Server | None = None
        self._playwright: Any = None
        self._browser: Any = None
        self._cdp: Any = None
        self.pid = 0
        self.version = ""

    def visit(self, sites: Mapping[str, Serves], start: str, *, action_s: float, lines: int) -> Visit:
        """Open a context on sites of an episode.

        Args:
            sites: By name.
            start: The name of the one to begin with.
            action_s: Deadline of an action.
            lines: How many lines of a page are shown at once.

        Raises:
            UsageError: Playwright or uvicorn is not installed.
            InfrastructureError: The browser does not start or does not answer.
        """
        with self._lock:
            if self._browser is not None and not self._browser.is_connected():
                self._drop()
            if self._browser is None:
                self._start()
            loop, server, browser = self._loop, self._server, self._browser
        assert loop is not None
        assert server is not None
        names = {f"{secrets.token_hex(16)}.localhost": name for name in sites}
        server.sites.update({host: sites[name] for host, name in names.items()})
        for site in sites.values():
            site.linked({name: f"http://{host}/" for host, name in names.items()})
        visit = Visit(self, loop, server, tuple(names))
        try:
            visit.session = visit.wait(self._open(browser, names, start, action_s, lines))
        except BaseException:
            visit.close()
            raise
        return visit

    def doubt(self, loop: LoopThread) -> None:
        """Give the browser up if it does not answer; the next visit then starts another one.

        Args:
            loop: Of the visit that failed, which may be of a browser that was given up already.
        """
        with contextlib.suppress(Exception):
            if loop.wait(self.alive(), _PING_S + 5):
                return
        with self._lock:
            if self._loop is loop:
                self._drop()

    def close(self) -> None:
        """End the browser, the server and the loop; a later visit starts anew."""
        with self._lock:
            self._drop()

    async def alive(self) -> bool:
        """Whether the browser answers."""
        import asyncio

        cdp, browser = self._cdp, self._browser
        if browser is None or not browser.is_connected():
            return False
        try:
            await asyncio.wait_for(cdp.send("Browser.getVersion"), _PING_S)
        except Exception:
            return False
        return True

    async def _open(self, browser: Any, hosts: Mapping[str, str], start: str, action_s: float, lines: int) -> Session:
        context = await browser.new_context(
            accept_downloads=False,
            service_workers="block",
            permissions=[],
            viewport=_VIEW,
            locale="en-US",
            timezone_id="UTC",
            reduced_motion="reduce",
        )
        return Session(context, hosts=hosts, start=start, alive=self.alive, action_s=action_s, lines=lines)

    def _start(self) -> None:
        try:
            import playwright.async_api  # noqa: F401  # loaded where a browser is started
            import uvicorn  # noqa: F401
        except ImportError as error:
            raise UsageError(f"{error.name} is not installed; type: pip install 'agentrl-gym[browse]'") from error
        self._loop = LoopThread(_CALL_S, who="the browser")
        try:
            self._loop.wait(self._launch(), _START_S)
        except Exception as error:
            self._drop()
            raise InfrastructureError(
                f"{self._path} did not start: {str(error)[:500]}", kind="unavailable", boundary="browser"
            ) from error
        _at_exit(self)

    async def _launch(self) -> None:
        from playwright._impl.isomorphic import trace_utils
        from playwright.async_api import async_playwright

        # It draws names of its calls from the global generator, which is none of ours to touch.
        vars(trace_utils)["random"] = random.Random()
        self._server = Server()
        await self._server.start()
        self._playwright = await async_playwright().start()
        self._browser = await self._playwright.chromium.launch(
            executable_path=self._path,
            args=list(flags(self._server.port)),
            chromium_sandbox=os.geteuid() != 0,
            handle_sigint=False,
            handle_sigterm=False,
            handle_sighup=False,
        )
        self._cdp = await self._browser.new_browser_cdp_session()
        self.version = (await self._cdp.send("Browser.getVersion"))["product"]
        processes = (await self._cdp.send("SystemInfo.getProcessInfo"))["processInfo"]
        self.pid = next((each["id"] for each in processes if each["type"] == "browser"), 0)

    def _drop(self) -> None:
        """End everything, without waiting long for what does not answer."""
        loop, browser, playwright, server = self._loop, self._browser, self._playwright, self._server
        pid, self.pid = self.pid, 0
        self._loop = self._browser = self._playwright = self._server = self._cdp = None
        if loop is None:
            return
        with contextlib.suppress(Exception):
            if browser is not None and browser.is_connected():
                loop.wait(browser.close(), _CLOSE_S / 2)
        if pid and browser is not None and browser.is_connected():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for coroutine in (playwright.stop() if playwright is not None else None, server.stop() if server else None):
            if coroutine is not None:
                with contextlib.suppress(Exception):
                    loop.wait(coroutine, _CLOSE_S / 2)
        loop.close()


class Visit:
    """One episode's place in the browser: `session` does things, and `close` gives all back.

    Args:
        browser: Whose it is.
        loop: Where its coroutines run.
        server: Which serves its sites.
        hosts: Their host names.
    """

    session: Session

    def __init__(self, browser: Browser, loop: LoopThread, server: Server, hosts: tuple[str, ...]) -> None:
        self._browser, self._loop, self._server, self._hosts = browser, loop, server, hosts
        self._process = os.getpid()

    def wait(self, coroutine: Any) -> Any:
        """Return what a coroutine of the session returns.

        Raises:
            InfrastructureError: The browser does not answer, or a site failed.
        """
        try:
            value = self._loop.wait(coroutine)
        except Exception as error:
            self._browser.doubt(self._loop)
            if isinstance(error, InfrastructureError):
                raise
            late = isinstance(error, TimeoutError)
            raise InfrastructureError(
                f"the browser failed: {type(error).__name__}: {first_line(error)}",
                kind="timeout" if late else "crash",
                boundary="browser",
            ) from error
        for host in self._hosts:
            broken = self._server.broken.pop(host, None)
            if broken is not None:
                raise InfrastructureError(
                    f"a generated site failed: {type(broken).__name__}: {broken}", kind="crash", boundary="site"
                ) from broken
        return value

    def close(self) -> None:
        """Give back the context and the host names; may be called twice, and after a fork does nothing."""
        hosts, self._hosts = self._hosts, ()
        if not hosts or os.getpid() != self._process:
            return
        for host in hosts:
            self._server.sites.pop(host, None)
            self._server.broken.pop(host, None)
        session = getattr(self, "session", None)
        if session is not None:
            with contextlib.suppress(Exception):
                self._loop.wait(session.close(), _CLOSE_S)


_browsers: dict[str, Browser] = {}
_lock = threading.Lock()


def shared(path: str) -> Browser:
    """Return this process's browser of a program."""
    with _lock:
        return _browsers.setdefault(path, Browser(path))


def _at_exit(browser: Browser) -> None:
    """End with the process, whether it ends as Python's main program or as a child of multiprocessing."""
    atexit.register(browser.close)
    util.Finalize(None, browser.close, exitpriority=10)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    for browser in _browsers.values():
        atexit.unregister(browser.close)
    _browsers.clear()


os.register_at_fork(after_in_child=_after_fork)
