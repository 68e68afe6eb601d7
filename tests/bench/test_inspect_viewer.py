"""Inspect's own viewer, in a browser without a screen, opens a log of ours and shows an episode's tool calls."""

from __future__ import annotations

import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import agentrl.envs  # noqa: F401  # registers
from agentrl.bench.export import export
from agentrl.bench.run import Settings, run
from agentrl.bench.stored import open_run

pytestmark = pytest.mark.slow


class _Site(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_the_viewer_shows_an_episode(tmp_path: Path) -> None:
    browsers = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    log = pytest.importorskip("inspect_ai.log", reason="inspect_ai is not installed: pip install 'agentrl-gym[export]'")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    run(Settings(envs=("AgentRL/Search-v0",), agent="oracle", num_tasks=2), tmp_path / "run")
    export(open_run(tmp_path / "run"), tmp_path / "logs" / "ours.eval", format="inspect")
    log.bundle_log_dir(str(tmp_path / "logs"), output_dir=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Site, directory=str(tmp_path / "site"))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            with browsers.sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                page = browser.new_page()
                errors: list[str] = []
                page.on("pageerror", lambda error: errors.append(str(error)))
                where = f"http://127.0.0.1:{server.server_address[1]}/index.html#/logs/ours.eval"
                page.goto(where)
                page.get_by_text("AgentRL-Search-v0-0-1").first.wait_for(timeout=30_000)
                assert page.get_by_text("Search-v0").count()
                page.goto(f"{where}/samples/sample/AgentRL-Search-v0-0-0/1/")
                page.get_by_text("Sources: [d2]").first.wait_for(timeout=30_000)
                shown = page.inner_text("body")
                browser.close()
        finally:
            server.shutdown()
            thread.join()
    assert errors == []
    assert "Answer the question by reading documents." in shown
    assert 'search query: "Henvis Shore"' in " ".join(shown.split())
    assert "[d8] Great Lelpen" in shown
    assert "<tool_call>" not in shown
