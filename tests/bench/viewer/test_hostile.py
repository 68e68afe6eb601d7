"""Texts that want to be more than text, strangers at the door, and a store of 100,000 episodes; in a browser."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from agentrl.bench.store import BenchStore
from agentrl.bench.viewer.queries import Filters, facets, page
from agentrl.bench.viewer.runs import find_runs
from tests.bench.viewer.site import WAIT_MS, Watched, serve, watched
from tests.bench.viewer.stores import ATTACK, ENVS, identity, played

expect.set_options(timeout=WAIT_MS)
# What a page holds of its own; of these a hostile text would make more, or would bring its own.
FOREIGN = "iframe, object, embed, body script:not([nonce]):not([src]), body img, base, form, meta[http-equiv]"


def _hostile(keys: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return every page of the hostile runs with where its text must stand."""
    run = next(key for name, key in keys.items() if name.startswith("hostile/run"))
    first, second = (keys[f"hostile/bench-{name}"] for name in ("first", "second"))
    env, attack = quote(ATTACK, safe=""), quote(ATTACK, safe="")
    episode = f"e.env_id={env}&e.level=1&e.seed=0&e.sample=0"
    train = urlencode({"e.phase": "train", "e.step": 1, "e.group_id": 77, "e.member": 0})
    before = urlencode({"e.phase": "eval_before", "e.step": 0, "e.group_id": 77, "e.member": 0})
    return {
        "index": ("/", ".runs"),
        "training": (f"/run/{run}", ".chart-card"),
        "bench": (f"/run/{first}", ".scores"),
        "episodes": (f"/run/{first}/episodes", ".episodes .rw"),
        "filters": (f"/run/{first}/episodes?task={attack}&env={env}&failure={attack}&component={attack}", ".filters"),
        "all episodes": (f"/run/{run}/episodes?env={env}", ".episodes .rw"),
        "episode": (f"/run/{first}/episode?{episode}&at=0&task={attack}", ".talk"),
        "failed episode": (f"/run/{first}/episode?{episode.replace('seed=0', 'seed=1')}", ".note"),
        "tokens": (f"/run/{run}/episode?{train}&tokens=1", ".talk"),
        "tasks": (f"/run/{run}/tasks", ".tasks"),
        "task": (f"/run/{run}/task?{before}", ".sides"),
        "curves": (f"/curves?run={run}&find={attack}", "main"),
        "curves found": (f"/curves?run={run}&find=window.HACKED", ".chart-card"),
        "compare": (f"/compare?run={first}&run={second}", ".comparison"),
        "compare task": (f"/compare/task?run={first}&run={second}&env_id={env}&level=1&seed=0", ".sides"),
        "nothing": (f"/run/{first}/episode?e.env_id={attack}&e.level={attack}", ".note"),
    }


PAGES = list(_hostile(dict.fromkeys(("hostile/run", "hostile/bench-first", "hostile/bench-second"), "")))


@pytest.mark.parametrize("name", PAGES)
def test_no_text_is_more_than_text(view: Watched, keys: dict[str, str], name: str) -> None:
    path, place = _hostile(keys)[name]
    shown = view.open(path)
    expect(shown.locator(place).first).to_be_visible()  # their style would have hidden it
    expect(shown.get_by_text("<script>").first).to_be_attached()
    for each in shown.locator(".chart").all()[:3]:
        each.hover()  # draws the tip
    assert shown.evaluate("window.HACKED") is None
    assert shown.locator(FOREIGN).count() == 0
    assert shown.locator("a[href^='javascript' i], [onerror], [onload], [onclick], [onfocus]").count() == 0
    text = shown.evaluate("document.documentElement.innerText + document.title + document.documentElement.outerHTML")
    assert not any(char in text for char in "\u202e\u200b\x1b\x07")
    assert view.overflow() == 0
    shown.set_viewport_size({"width": 390, "height": 844})
    assert view.overflow() == 0
    shown.set_viewport_size({"width": 1280, "height": 844})


def test_a_stranger_needs_the_token(browser: Browser, library: Path) -> None:
    with serve(library, "--host", "0.0.0.0") as address:
        parts = urlsplit(address)
        port = parts.port
        secret = parts.query.removeprefix("token=")
        assert len(secret) >= 32
        context = browser.new_context()
        view = Watched(context.new_page(), f"http://127.0.0.1:{port}")
        answer = view.page.goto(view.address)
        assert answer is not None
        assert answer.status == 401
        assert "asks for a token" in view.page.content()
        assert view.page.goto(f"{view.address}/?token=wrong").status == 401  # type: ignore[union-attr]
        assert view.page.goto(f"{view.address}/favicon.ico").status == 401  # type: ignore[union-attr]
        assert _upgrade(port, f"127.0.0.1:{port}") == 403
        shown = view.open(f"/?token={secret}")
        assert "token" not in shown.url
        expect(shown.locator(".pick").first).to_be_visible()
        shown.locator(".pick", has_text="alpha").get_by_role("checkbox").click()
        expect(shown.get_by_role("link", name="Draw curves of 1")).to_be_visible()  # its websocket is let in
        cookie = next(each for each in context.cookies() if each["name"].startswith("agentrl-view"))
        assert cookie["httpOnly"]
        assert _upgrade(port, f"127.0.0.1:{port}", cookie=f"{cookie['name']}={cookie['value']}") == 101
        evil = "http://evil.invalid"
        assert _upgrade(port, f"127.0.0.1:{port}", origin=evil, cookie=f"{cookie['name']}={cookie['value']}") == 403
        context.close()


def test_websockets_of_other_origins_are_refused(site: str) -> None:
    port = urlsplit(site).port
    assert _upgrade(port, f"localhost:{port}", origin=f"http://localhost:{port}") == 101
    assert _upgrade(port, f"localhost:{port}", origin="http://evil.invalid") == 403
    assert _upgrade(port, f"evil.invalid:{port}", origin=f"http://evil.invalid:{port}") == 403


def _upgrade(port: int | None, host: str, **headers: str) -> int:
    """Ask for a websocket as a browser would; return the status."""
    told = {"Host": host, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    told |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **headers}
    lines = ["GET /_nicegui_ws/socket.io/?EIO=4&transport=websocket HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in told.items()]
    with socket.create_connection(("127.0.0.1", port or 0), timeout=20) as link:
        link.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return int(link.recv(1000).split()[1])


@pytest.mark.slow
def test_a_hundred_thousand_episodes_open_at_once(day: BrowserContext, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "big"
    told = identity("openai:many", 25_000)
    text = "The quick brown fox jumps over the lazy dog. " * 60
    with BenchStore(folder, told) as store:
        db = store._connection()  # one transaction, so that writing takes seconds
        db.execute("BEGIN")
        for env_id in ENVS:
            for level in (1, 2):
                for seed in range(25_000):
                    messages = ({"role": "user", "content": text[: 500 + seed % 1500]},)
                    store.add(played(env_id, level, seed, right=seed % 3 == 0, messages=messages))
        db.execute("COMMIT")
    [run] = find_runs([folder])
    began = time.monotonic()
    assert facets(run).total == 100_000
    assert len(page(run, Filters()).rows) == 50
    assert time.monotonic() - began < 2
    with serve(tmp_path) as address, watched(day, address) as view:
        view.open("/")
        began = time.monotonic()
        shown = view.open(f"/run/{run.key}/episodes")
        expect(shown.locator(".count")).to_have_text("100,000 episodes")
        expect(shown.locator(".episodes .rw")).to_have_count(50)
        taken = time.monotonic() - began
        print(f"the list of 100,000 episodes was there after {taken:.2f} s")  # noqa: T201  # a measurement
        assert taken < 4  # 2 s where nothing else is at work
        shown.get_by_label("outcome").click()
        shown.get_by_role("option").nth(1).click()
        expect(shown.locator(".count")).to_have_text("33,336 of 100,000 episodes")
