"""A viewer that runs, and a page in headless Chromium that keeps account of what it must never see."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Dialog, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

__all__ = ["Watched", "serve", "watched"]

WAIT_MS = 20_000  # of one expectation; the machine may train beside it


@contextmanager
def serve(folder: Path, *options: str) -> Iterator[str]:
    """Serve a folder in a process of its own; give the address that it prints."""
    command = [sys.executable, "-m", "agentrl.cli.main", "view", str(folder), "--port", "0", *options]
    environment = {**os.environ, "PYTHONWARNINGS": "default"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://"), f"{address!r}, and it ended with {process.poll()}"
        yield address
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


class Watched:
    """A page of the viewer at an address, with what went wrong in it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address.rstrip("/")
        self.wrong: list[str] = []
        self.may_miss = False  # an address that is not there is an error in the console
        page.set_default_timeout(WAIT_MS)
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", lambda request: self._request(request.url))
        page.on("popup", lambda popup: self.wrong.append(f"popup: {popup.url}"))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not (self.may_miss and "404" in text):
            self.wrong.append(f"{kind}: {text}")

    def _dialog(self, dialog: Dialog) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _request(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob", "about") and parts.netloc != urlsplit(self.address).netloc:
            self.wrong.append(f"request: {url}")

    def open(self, path: str) -> Page:
        """Go to a page and wait until it is drawn and connected."""
        self.page.goto(f"{self.address}{path}")
        self.page.wait_for_selector("main")
        self.page.wait_for_function("window.did_handshake")
        return self.page

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than its window, once it has settled in it."""
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        with suppress(PlaywrightTimeoutError):  # charts follow a new size a while later
            self.page.wait_for_function(f"{wider} <= 0", timeout=10_000)
        return int(self.page.evaluate(wider))


@contextmanager
def watched(context: BrowserContext, address: str) -> Iterator[Watched]:
    """Give a page of its own in a context that may be shared; fail where anything went wrong in it."""
    page = context.new_page()
    try:
        found = Watched(page, address)
        yield found
        assert found.wrong == []
    finally:
        page.close()
