"""Every page in a browser: what it shows, its filters, that it follows a run, by keyboard, on a phone, in the dark."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from agentrl.bench.store import BenchStore
from agentrl.trainer.store import RolloutStore
from tests.bench.viewer.site import WAIT_MS, Watched, serve, watched
from tests.bench.viewer.stores import ENVS, identity, metrics, played, trained, write_training

expect.set_options(timeout=WAIT_MS)
TRAIN = urlencode({"e.phase": "train", "e.step": 1, "e.group_id": 0, "e.member": 1})
BEFORE = urlencode({"e.phase": "eval_before", "e.step": 0, "e.group_id": 5, "e.member": 1})
TASK = urlencode({"e.env_id": ENVS[0], "e.level": 1, "e.seed": 3, "e.sample": 0})


def _paths(keys: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Return each page's address with a text that it must show."""
    alpha, beta, careful, hasty = (keys[name] for name in ("alpha", "beta", "careful", "hasty"))
    flip = urlencode([("run", hasty), ("run", careful), ("env_id", ENVS[0]), ("level", 1), ("seed", 0)])
    return {
        "index": ("/", "Training runs"),
        "training": (f"/run/{alpha}", "1 min 15 s"),
        "bench": (f"/run/{careful}", "95 % intervals over tasks"),
        "curves": (f"/curves?run={alpha}&run={beta}", "Reward components"),
        "episodes": (f"/run/{alpha}/episodes", "72 episodes"),
        "bench episodes": (f"/run/{careful}/episodes", "60 episodes"),
        "episode": (f"/run/{careful}/episode?{TASK}&at=3", "Torvel lies on the river Orn."),
        "tokens": (f"/run/{alpha}/episode?{TRAIN}&tokens=1", "10 tokens, 5 of them sampled"),
        "tasks": (f"/run/{alpha}/tasks", "newly solved"),
        "task": (f"/run/{alpha}/task?{BEFORE}", "After training"),
        "compare": (f"/compare?run={hasty}&run={careful}", "Tasks that differ"),
        "compare task": (f"/compare/task?{flip}", "task-1-0"),
    }


PAGES = list(_paths(dict.fromkeys(("alpha", "beta", "careful", "hasty"), "")))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_on_a_desk_and_on_a_phone(
    night: BrowserContext, site: str, keys: dict[str, str], name: str
) -> None:
    path, text = _paths(keys)[name]
    with watched(night, site) as view:
        page = view.open(path)
        expect(page.get_by_text(text).first).to_be_visible()
        assert view.overflow() == 0
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        page.set_viewport_size({"width": 390, "height": 844})
        expect(page.get_by_text(text).first).to_be_visible()
        assert view.overflow() == 0
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(12, 15, 19)"


def test_the_index_leads_to_curves_and_comparisons(view: Watched) -> None:
    page = view.open("/")
    row = page.locator(".pick", has_text="alpha")
    expect(row).to_contain_text("30.0%")
    expect(row).to_contain_text("80.0%")
    expect(row).to_contain_text("20 steps")
    expect(page.locator(".pick", has_text="careful")).to_contain_text("60 episodes, 2 failed")
    button = page.get_by_role("link", name="Draw curves")
    expect(button).to_have_attribute("aria-disabled", "true")
    for name in ("alpha", "beta"):
        page.locator(".pick", has_text=name).get_by_role("checkbox").click()
    page.get_by_role("link", name="Draw curves of 2").click()
    expect(page.get_by_text("Success", exact=True)).to_be_visible()
    expect(page.locator(".chart svg path").first).to_be_attached()
    page.go_back()
    for name in ("hasty", "careful"):
        page.locator(".pick", has_text=name).get_by_role("checkbox").click()
    page.get_by_role("link", name="Compare 2").click()
    expect(page.get_by_text("second is better")).to_be_visible()
    expect(page.locator(".comparison .rw .title").last).to_have_text(re.compile(r"^\+\d+\.\d points$"))
    page.locator(".flip-list a").first.click()
    expect(page.get_by_role("heading", level=2)).to_have_text(["hasty", "careful"])


def test_levels_that_nobody_chose_are_the_environments_own(day: BrowserContext, tmp_path: Path) -> None:
    with BenchStore(tmp_path / "run", identity("a", 1, levels=[])) as store:
        store.add(played(ENVS[0], 0, 0, right=True))
    with serve(tmp_path) as address, watched(day, address) as other:
        page = other.open(f"/run/{_key(tmp_path, 'run')}")
        expect(page.locator(".settings")).to_contain_text("the environment's own")


def test_what_cannot_be_compared_says_why_and_can_be_forced(view: Watched, keys: dict[str, str]) -> None:
    page = view.open(f"/compare?run={keys['small']}&run={keys['careful']}")
    expect(page.get_by_role("alert")).to_contain_text("num_tasks was 8 and is 15")
    page.get_by_role("link", name="Compare what they share").click()
    expect(page.get_by_text("compared though they differ")).to_be_visible()
    expect(page.locator(".comparison .rw")).to_have_count(3)


def test_filters_narrow_the_list_and_stay_in_the_address(view: Watched, keys: dict[str, str]) -> None:
    page = view.open(f"/run/{keys['careful']}/episodes")
    expect(page.locator(".count")).to_have_text("60 episodes")
    page.get_by_label("outcome").click()
    page.get_by_role("option", name=re.compile(r"failed \(2\)")).click()
    expect(page.locator(".count")).to_have_text("2 of 60 episodes")
    expect(page.locator(".episodes .rw").first).to_contain_text("tool: timeout")
    assert "outcome=failed" in page.url
    page.reload()
    expect(page.locator(".count")).to_have_text("2 of 60 episodes")
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator(".count")).to_have_text("60 episodes")
    page.get_by_label("turns from").fill("8")
    page.get_by_label("sorted by").click()
    page.get_by_role("option", name="turns").click()
    # The list is narrowed first and sorted then, each by itself.
    shown = "[...document.querySelectorAll('.episodes .rw > :nth-child(5)')].map(each => Number(each.innerText))"
    right = "turns => turns.length > 0 && turns.every((each, at) => each >= 8 && (!at || turns[at - 1] <= each))"
    page.wait_for_function(f"({right})({shown})")
    page.get_by_label("task or seed").fill("no such task")
    expect(page.get_by_text("No episode is like that")).to_be_visible()


def test_pages_of_the_list_and_the_way_through_it(view: Watched, keys: dict[str, str]) -> None:
    page = view.open(f"/run/{keys['careful']}/episodes?level=2")
    first = page.locator(".episodes .rw").first
    expect(page.get_by_text("1 to 30 of 30")).to_be_hidden()  # all on one page
    first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("task-2-0")
    expect(page.get_by_role("link", name="Previous")).to_have_attribute("aria-disabled", "true")
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("task-2-1")
    page.wait_for_function("window.did_handshake")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", level=1)).to_have_text("task-2-0")
    page = view.open(f"/run/{keys['careful']}/episodes")
    expect(page.get_by_text("1 to 50 of 60")).to_be_visible()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("51 to 60 of 60")).to_be_visible()
    expect(page.locator(".episodes .rw")).to_have_count(10)


def test_an_episode_reads_as_a_conversation(view: Watched, keys: dict[str, str]) -> None:
    page = view.open(f"/run/{keys['careful']}/episode?{TASK}")
    expect(page.locator(".turn .who")).to_have_text(["system", "user", "assistant", "tool · search", "assistant"])
    expect(page.locator(".call")).to_contain_text("query")
    expect(page.locator(".call .arg").first).to_contain_text("Torvel")
    expect(page.get_by_text("Answer in tags.")).to_be_hidden()
    page.get_by_text("system prompt").click()
    expect(page.get_by_text("Answer in tags.")).to_be_visible()
    expect(page.locator(".aside")).to_contain_text("correct")


def test_tokens_tell_what_is_known_of_them(view: Watched, keys: dict[str, str]) -> None:
    page = view.open(f"/run/{keys['alpha']}/episode?{TRAIN}")
    page.get_by_text("Tokens", exact=True).click()
    sampled = page.locator(".tk.s")
    expect(sampled).to_have_count(5)
    expect(page.locator(".tk")).to_have_count(10)
    tip = "getComputedStyle(document.querySelectorAll('.tk.s')[1], '::after').content"
    for _ in range(50):  # the box may still be opening, and move its tokens from under the pointer
        sampled.nth(1).hover()
        if (shown := page.evaluate(tip)) != "none":
            break
        page.wait_for_timeout(100)
    for words in ("log-probability -1.500", "advantage +0.500", "turn 1", "weights 1"):
        assert words in shown
    assert "read, not trained on" in str(page.locator(".tk").first.get_attribute("data-tip"))
    page.get_by_role("button", name="mask").click()
    expect(page.locator(".tokens")).to_have_class(re.compile("by-mask"))
    assert page.evaluate("getComputedStyle(document.querySelector('.tk.s')).backgroundColor") != "rgba(0, 0, 0, 0)"
    page.mouse.move(0, 0)
    sampled.nth(3).focus()
    assert page.evaluate("getComputedStyle(document.activeElement, '::after').position") == "fixed"


def test_a_metric_is_found(view: Watched, keys: dict[str, str]) -> None:
    page = view.open(f"/run/{keys['alpha']}")
    expect(page.locator(".chart-card")).not_to_have_count(1)
    page.get_by_label("find a metric").fill("entropy")
    expect(page.locator(".chart-card")).to_have_count(1)
    expect(page.locator(".chart svg text", has_text="20")).to_be_attached()
    page.get_by_label("find a metric").fill("no such")
    expect(page.get_by_text("No metric has 'no such' in its name.")).to_be_visible()


@pytest.mark.slow
def test_a_page_follows_a_run(day: BrowserContext, tmp_path: Path) -> None:
    run = write_training(tmp_path / "run", steps=3, done=False)
    with BenchStore(tmp_path / "bench", identity("a", 15)) as store, serve(tmp_path) as address:
        store.add(played(ENVS[0], 1, 0, right=True))
        with watched(day, address) as view:
            page = view.open("/")
            page.evaluate("window.STILL = true")
            expect(page.locator(".pick", has_text="bench")).to_contain_text("1 / 60 episodes")
            store.add(played(ENVS[0], 1, 1, right=False))
            expect(page.locator(".pick", has_text="bench")).to_contain_text("2 / 60 episodes")
            expect(page.locator(".pick", has_text="bench")).to_contain_text("50.0%")
            write_training(tmp_path / "later", steps=2)
            expect(page.locator(".pick", has_text="later")).to_be_visible()
            page.locator(".pick", has_text="bench").get_by_role("link").click()
            page.get_by_role("link", name="Episodes").click()
            expect(page.locator(".count")).to_have_text("2 episodes")
            page.locator(".episodes .rw").first.focus()
            store.add(played(ENVS[0], 1, 2, right=True))
            expect(page.locator(".count")).to_have_text("3 episodes")
            assert "rw" in page.evaluate("document.activeElement.className")  # what is new takes no focus away
            page = view.open(f"/run/{_key(tmp_path, 'run')}")
            page.evaluate("window.STILL = true")
            card = page.locator(".chart-card", has_text="Success").first
            expect(card).to_contain_text("26.0%")
            with (run / "metrics.jsonl").open("a") as file:
                file.write(json.dumps({"step": 4, **metrics(4)}) + "\n")
            expect(card).to_contain_text("28.0%")
            page.get_by_role("link", name="Before and after").click()
            expect(page.get_by_text("not played yet").first).to_be_visible()
            with RolloutStore(run / "rollouts.sqlite") as rollouts:
                after = [trained("eval_after", group, 0, right=True, step=4) for group in range(12)]
                rollouts.add(after, phase="eval_after")
            expect(page.locator(".rw .good").first).to_be_visible()
            expect(page.get_by_text(re.compile("newly solved"))).to_be_visible()


def _key(folder: Path, name: str) -> str:
    from agentrl.bench.viewer.runs import find_runs

    return next(run.key for run in find_runs([folder]) if run.name == name)


@pytest.mark.slow
def test_a_page_says_what_is_broken_or_gone(
    day: BrowserContext, view: Watched, keys: dict[str, str], tmp_path: Path
) -> None:
    page = view.open("/")
    expect(page.locator(".pick", has_text="broken").get_by_role("alert")).to_contain_text("file is not a database")
    expect(page.locator(".pick", has_text="half").get_by_role("alert")).to_contain_text("line 2")
    for path in (f"/run/{keys['broken']}", f"/run/{keys['broken']}/episodes", f"/run/{keys['half']}"):
        expect(view.open(path).get_by_role("alert").first).to_be_visible()
    expect(view.open(f"/run/{keys['half']}/episodes").get_by_role("alert").first).to_contain_text("rollouts.sqlite")
    expect(view.open(f"/run/{keys['careful']}/episode?e.seed=99").get_by_role("alert")).to_contain_text(
        "no episode with"
    )
    page = view.open(f"/compare?run={keys['spoiled']}&run={keys['careful']}")
    expect(page.get_by_role("alert")).to_be_visible()
    page = view.open(f"/run/{keys['spoiled']}")
    expect(page.locator(".scores .rw")).to_have_count(7)
    expect(page.get_by_text("<b>")).to_be_visible()
    view.may_miss = True
    expect(view.open("/run/nowhere").get_by_role("alert")).to_contain_text("there is no such run here")
    write_training(tmp_path / "run")
    with serve(tmp_path) as address, watched(day, address) as other:
        page = other.open(f"/run/{_key(tmp_path, 'run')}/episodes")
        expect(page.locator(".count")).to_have_text("72 episodes")
        (tmp_path / "run").rename(tmp_path / ".gone")
        expect(page.get_by_role("alert")).to_contain_text("moved or deleted")
        (tmp_path / ".gone").rename(tmp_path / "run")
        expect(page.get_by_role("alert")).to_have_count(0)


def test_it_is_used_by_keyboard_alone(view: Watched) -> None:
    page = view.open("/")

    def walk(words: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.innerText || ''").startswith(words):
                return
        raise AssertionError(f"{words!r} was not reached")

    walk("careful")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("careful")
    walk("Episodes")
    page.keyboard.press("Enter")
    expect(page.locator(".count")).to_have_text("60 episodes")
    page.wait_for_function("window.did_handshake")
    page.get_by_label("outcome").focus()
    page.keyboard.press("Enter")
    page.get_by_role("listbox").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".count")).to_contain_text("of 60 episodes")
    walk("solved")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator(".turn")).to_have_count(5)


def test_the_colours_are_chosen_and_kept(browser: Browser, site: str, keys: dict[str, str]) -> None:
    with watched(browser.new_context(color_scheme="light"), site) as view:
        _change_colours(view, keys)


def _change_colours(view: Watched, keys: dict[str, str]) -> None:
    page = view.open(f"/run/{keys['alpha']}")

    def back() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert back() == "rgb(246, 247, 249)"
    page.get_by_role("link", name=re.compile("^colours: auto")).click()
    page.wait_for_function("document.body.classList.contains('body--dark')")
    assert back() == "rgb(12, 15, 19)"
    assert page.url.endswith(f"/run/{keys['alpha']}")
    view.open("/")
    page.wait_for_function("document.body.classList.contains('body--dark')")
    page.get_by_role("link", name=re.compile("^colours: dark")).click()
    page.wait_for_function("document.body.classList.contains('body--light')")
