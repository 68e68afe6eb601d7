"""One server and one folder of runs for all tests of a worker; a browser for those of a module.

The browser does not outlive its module: while it is there no other test of the process could run an event loop.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bench.viewer.stores import spoil_identity, write_bench, write_hostile, write_training

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

    from tests.bench.viewer.site import Watched

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of runs; read by all, written by none, as is seen at the end."""
    folder = tmp_path_factory.mktemp("library")
    write_training(folder / "alpha")
    write_training(folder / "beta", steps=8, lift=0.1, done=False)
    write_bench(folder / "careful", "openai:careful", share=0.9)
    write_bench(folder / "hasty", "openai:hasty", share=0.4)
    write_bench(folder / "small", "random", share=0.1, num_tasks=8)
    write_hostile(folder / "hostile")
    spoil_identity(write_bench(folder / "spoiled", "a", share=0.5))
    (folder / "broken").mkdir()
    (folder / "broken" / "bench.sqlite").write_bytes(b"no database " * 500)
    (folder / "half").mkdir()
    (folder / "half" / "metrics.jsonl").write_text('{"step": 1, "success": 0.5}\nnonsense <b>\n')
    before = _state(folder)
    yield folder
    assert _state(folder) == before


def _state(folder: Path) -> list[tuple[str, int, int]]:
    found = [(str(path), path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    return [(path, stat.st_mtime_ns, stat.st_size) for path, stat in found]


@pytest.fixture(scope="session")
def site(library: Path) -> Iterator[str]:
    """The address of a viewer of the library."""
    from tests.bench.viewer.site import serve

    with serve(library) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"browser: none of {', '.join(BROWSERS)} is here; apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def day(browser: Browser) -> BrowserContext:
    """A window of a desk, in a light room."""
    return browser.new_context(viewport={"width": 1280, "height": 844}, color_scheme="light")


@pytest.fixture(scope="module")
def night(browser: Browser) -> BrowserContext:
    """A window of a desk, in the dark."""
    return browser.new_context(viewport={"width": 1280, "height": 844}, color_scheme="dark")


@pytest.fixture
def view(day: BrowserContext, site: str) -> Iterator[Watched]:
    """A page of the viewer, in a window of a desk."""
    from tests.bench.viewer.site import watched

    with watched(day, site) as found:
        yield found


@pytest.fixture
def keys(library: Path) -> dict[str, str]:
    """The key of each run of the library, by its name."""
    from agentrl.bench.viewer.runs import find_runs

    return {run.name: run.key for run in find_runs([library])}
