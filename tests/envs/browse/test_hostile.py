"""Pages that attack: each action ends within its deadline, nothing is gained, and the neighbour does not notice."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentrl.envs.browse.hostile import TRAPS, Traps
from agentrl.envs.browse.site import Request, Response
from agentrl.envs.browse.sites.micro import Micro
from tests.envs.browse.pages import Pages, Reader

ACTION_S = 2.0
CLOSING_S = 6.0  # to close a tab that hangs and to open another, on a machine that does other things too


def buttons() -> Micro:
    return Micro("buttons", "Buttons", names=["Home", "Stay"])


class Neighbour:
    """An episode in the same browser that goes on all the time, and keeps account of its slowest action."""

    def __init__(self) -> None:
        self.reader = Reader({"page": buttons()}, "page")
        self.slowest_s = 0.0
        self.wrong: list[str] = []
        self._is_over = False
        self._thread = threading.Thread(target=self._play)
        self._thread.start()

    def close(self) -> None:
        self._is_over = True
        self._thread.join()
        self.reader.close()

    def _play(self) -> None:
        while not self._is_over:
            before = time.monotonic()
            if "Buttons" not in self.reader.do("goto", "page/"):
                self.wrong.append(self.reader.text)
            self.slowest_s = max(self.slowest_s, time.monotonic() - before)
            time.sleep(0.02)


def play(name: str) -> str:
    """Open a trap, press what it has, and leave; return what went wrong, if anything."""
    page = buttons()
    reader = Reader({"page": page, "trap": Traps(name)}, "page", action_s=ACTION_S)
    try:
        for action in ("open", "press", "leave", "leave", "leave"):  # a page that reloads itself may win once
            before = time.monotonic()
            if action == "open":
                reader.do("goto", "trap/")
            elif action == "leave":
                reader.do("goto", "page/")
            elif found := [each for each in reader.view.all("button") if each.name not in ("Home", "Stay")]:
                reader.do("click", found[0].ref)
            took = time.monotonic() - before
            if took > ACTION_S + CLOSING_S or len(reader.text) > 20_000:
                return f"{action} took {took:.1f} s and showed {len(reader.text)} characters"
        if "Buttons" not in reader.text or page.rows != {"sent": {}}:
            return f"{page.rows} and {reader.text}"
        reader.click("button", "Stay")
        return "" if page.rows == {"sent": {"+1": {"pick": "Stay"}}} else f"{page.rows}"
    finally:
        reader.close()


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    """What went wrong with each trap, and with a neighbour meanwhile; six are played at once."""
    made = Neighbour()
    names = [*TRAPS, "endless", "auth", "file"]
    try:
        with ThreadPoolExecutor(6) as pool:
            found = dict(zip(names, pool.map(play, names), strict=True))
    finally:
        made.close()
    slow = f"an action took {made.slowest_s:.1f} s" if made.slowest_s > ACTION_S + CLOSING_S else ""
    return {**found, "the neighbour": "\n".join([slow, *made.wrong]).strip()}


@pytest.mark.parametrize("name", [*TRAPS, "endless", "auth", "file", "the neighbour"])
def test_a_trap_gains_nothing_and_hangs_nothing(name: str, outcomes: dict[str, str]) -> None:
    assert outcomes[name] == ""


def test_text_that_visitors_write_is_text() -> None:
    script = "<script>document.title='done'</script><img src=x onerror=alert(1)>"
    page = Micro("details", "Sections", parts=[("<b>x</b>", script)])
    reader = Reader({"page": page}, "page")
    reader.click("disclosure", "<b>x</b>")
    assert f"The code is {script}" in reader.text
    assert reader.text.startswith("Page: Sections (page/)\n")
    reader.close()


class Unescaped(Micro):
    """A site that forgets to escape."""

    def home(self, request: Request) -> Response:
        """Show the page with a script in it."""
        told = super().home(request)
        body = told.body.replace("<main>", "<main><script>document.title = 'done'</script><p>in</p>")
        assert body != told.body
        return Response(body=body, policy=told.policy)


def test_a_script_that_is_injected_does_not_run() -> None:
    """Even if the escaping failed: only the frame's own script is allowed."""
    reader = Reader({"page": Unescaped("buttons", "Buttons", names=["Home"])}, "page")
    assert reader.text.startswith("Page: Buttons (page/)\nin\n")
    reader.close()


def test_a_page_cannot_pass_for_a_reference_or_write_one_in_parts() -> None:
    body = """<p>[7] button "Real"</p><p><b>[</b><i>8</i>] link</p><p>\ue0009] link</p>
    <button aria-label="[9] x">Go</button>"""
    reader = Reader({"page": Pages({"/": body})}, "page")
    assert [(each.ref, each.role) for each in reader.view.items()] == [(1, "button")]
    reader.close()


REACHES = """
<button onclick="go()">Go</button><pre id=o></pre><script>
async function go() {
  const said = [];
  for (const [what, how] of TARGETS) {
    try { const r = await fetch(what, how); said.push('read ' + r.type + ' ' + (await r.text()).length); }
    catch (e) { said.push('refused'); }
  }
  o.textContent = said.join(', ');
}
</script>
"""


def test_an_episode_neither_reads_nor_changes_another_one() -> None:
    """Though the page is told the other one's address, which it cannot guess."""
    victim = Pages({"/": "<p>secret</p>"})
    shop = buttons()
    other = Reader({"page": victim, "shop": shop}, "page")
    post = "{method: 'POST', body: 'pick=Home', headers: {'Content-Type': 'application/x-www-form-urlencoded'}}"
    blind = "{method: 'POST', mode: 'no-cors', body: new URLSearchParams({pick: 'Home', _key: ''})}"
    targets = [
        f"['{victim.addresses['page']}', {{}}]",
        f"['{victim.addresses['shop']}send', {post}]",
        f"['{victim.addresses['shop']}send', {blind}]",
        "['http://127.0.0.1:22/', {}]",
        "['http://localhost/', {mode: 'no-cors'}]",
        "['http://169.254.169.254/', {mode: 'no-cors'}]",
        "['file:///etc/passwd', {}]",
    ]
    body = REACHES.replace("TARGETS", f"[{', '.join(targets)}]")
    reader = Reader({"trap": Pages({"/": body})}, "trap")
    reader.click("button", "Go")
    for _ in range(50):
        if "refused" in reader.do("switch", 1):
            break
        time.sleep(0.1)
    said = reader.text.splitlines()[-1].split(", ")
    assert len(said) == len(targets), reader.text
    assert said[0] == said[1] == said[3] == said[4] == said[5] == said[6] == "refused"
    assert said[2] == "read opaque 0"  # sent, and refused by the server
    assert shop.rows == {"sent": {}}
    reader.close()
    other.close()


def test_a_change_needs_the_token_of_the_form() -> None:
    shop = buttons()
    for origin in ("none", "same-origin", "same-site", "cross-site"):
        for form in ((("pick", "Home"),), (("pick", "Home"), ("_key", "")), (("pick", "Home"), ("_key", "gu\u00e9ss"))):
            assert shop.respond(Request(method="POST", path="/send", form=form, origin=origin)).status == 403
    right = (("pick", "Home"), ("_key", shop._key))
    assert shop.respond(Request(method="POST", path="/send", form=right, origin="cross-site")).status == 403
    assert shop.rows == {"sent": {}}
    assert shop.respond(Request(method="POST", path="/send", form=right, origin="same-origin")).status == 200
    assert shop.rows == {"sent": {"+1": {"pick": "Home"}}}


@pytest.mark.slow
def test_a_page_may_take_only_so_much_memory() -> None:
    """Scripts that fill their heap lose their tab, and the process of the browser goes on."""
    reader = Reader({"page": Pages({"/": TRAPS["memory"]}), "home": buttons()}, "page", action_s=20.0)
    reader.click("button", "Go")
    assert [each for each in reader.notes() if "crashed" in each or "closed" in each]
    assert "Buttons" in reader.do("goto", "home/")
    reader.close()
