"""Make the pictures of the viewer: real small runs, a viewer over them, and Chromium in light and dark.

    python docs/pictures.py            # minutes; writes docs/pictures/*.png

Needs `pip install 'agentrl-gym[view]' playwright` and a Chromium of the system.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
AGENTRL = [sys.executable, "-m", "agentrl.cli.main"]
MATH, TOOLS = "AgentRL/Math-v0", "AgentRL/ToolUse-v0"
SIZE = {"width": 1120, "height": 720}


def make_runs(folder: Path) -> None:
    """Bench three agents, and train twice for a few steps."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for agent in ("oracle", "noop", "random"):
        words = ["bench", "--env", f"{MATH},{TOOLS}", "--agent", agent, "-n", "12", "--level", "1,2"]
        subprocess.run([*AGENTRL, *words, "--out", str(folder / agent)], env=environment, check=True)
    for name, rate in (("steady", "3e-4"), ("bold", "1e-3")):
        words = ["train", "quickstart", "--num-steps", "14", "--threads", "1", "--optim.lr", rate, "--name", name]
        subprocess.run([*AGENTRL, *words, "--out", str(folder)], env=environment, check=True)


def take(browser: Browser, address: str, folder: Path) -> None:
    """Take every picture twice."""
    from agentrl.bench.viewer.runs import find_runs

    keys = {run.name: run.key for run in find_runs([folder])}
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport=SIZE, color_scheme=scheme, device_scale_factor=1)  # type: ignore[arg-type]
        page = context.new_page()
        for name, (path, wait, act) in _pages(keys).items():
            page.goto(f"{address}{path}")
            page.wait_for_selector(wait)
            page.wait_for_function("window.did_handshake")
            act(page)
            page.wait_for_timeout(600)  # menus and icons settle
            page.screenshot(path=PICTURES / f"{name}-{scheme}.png")
        context.close()


def _pages(keys: dict[str, str]) -> dict[str, tuple[str, str, Callable[[Page], object]]]:
    def still(page: Page) -> None:
        del page

    def point(page: Page) -> None:
        page.locator(".chart").first.hover(position={"x": 700, "y": 120})

    def tokens(page: Page) -> None:
        page.locator(".episodes .rw").first.click()
        page.wait_for_selector(".turn")
        page.wait_for_function("window.did_handshake")
        page.get_by_text("Tokens", exact=True).click()
        page.wait_for_selector(".tk")
        page.wait_for_timeout(600)  # it unfolds
        page.evaluate("document.querySelector('.fold').scrollIntoView({block: 'end'})")
        rare = page.locator(".tk.s").evaluate_all("all => all.map(one => one.style.getPropertyValue('--p') * 1)")
        page.locator(".tk.s").nth(rare.index(max(rare))).hover()

    episode = urlencode({"e.env_id": TOOLS, "e.level": 2, "e.seed": 1, "e.sample": 0, "at": 37})
    best = urlencode({"phase": "train", "sort": "advantage", "down": 1})
    return {
        "index": ("/", ".runs .rw", still),
        "curves": (f"/curves?run={keys['steady']}&run={keys['bold']}", ".chart svg text", point),
        "episodes": (f"/run/{keys['oracle']}/episodes", ".episodes .rw", still),
        "episode": (f"/run/{keys['oracle']}/episode?{episode}", ".turn", still),
        "tokens": (f"/run/{keys['steady']}/episodes?{best}", ".episodes .rw", tokens),
        "before-and-after": (f"/run/{keys['bold']}/tasks?change=gained", ".tasks .rw", still),
        "comparison": (f"/compare?run={keys['random']}&run={keys['oracle']}", ".comparison .rw", still),
    }


def main() -> None:
    """Make the pictures."""
    chromium = next((path for name in ("chromium", "google-chrome", "chrome") if (path := shutil.which(name))), None)
    if chromium is None:
        sys.exit("no Chromium is here; type: apt-get install chromium")
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(place) / "runs"
        if len(sys.argv) == 1:
            make_runs(folder)
        view = subprocess.Popen(
            [*AGENTRL, "view", folder.name, "--port", "0"], cwd=folder.parent, stdout=subprocess.PIPE, text=True
        )
        try:
            address = view.stdout.readline().strip().rstrip("/") if view.stdout else ""
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
                take(browser, address, folder)
                browser.close()
        finally:
            view.terminate()
            view.wait()


if __name__ == "__main__":
    main()
