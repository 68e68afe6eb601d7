"""What can be done in the browser, and what is read afterwards: real pages in a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.envs.browse.pages import Pages, Reader

HOME = """
<h1>Hello</h1><p>Some <b>bold</b> text, <a href="/two">two</a></p>
<form action="/two"><label>Name <input name="n"></label> <label for="c">Colour</label>
<select id="c" name="c"><option>red</option><option>blue</option><option disabled>grey</option></select>
<label><input type="checkbox" name="k"> Agree</label> <button>Go</button></form>
<button disabled>Off</button> <button id="x" onclick="this.hidden = true">Vanish</button>
<button onclick="alert('hi')">Alert</button> <a href="/two" target="_blank">aside</a>
<input type="range" aria-label="Volume" min="0" max="10" value="3"> <input type="date" aria-label="Day">
<input type="number" aria-label="Count"> <input aria-label="Fixed" value="v" readonly> <a href="#end">end</a>
<button onclick="window.open('/two')">window</button>
"""


@pytest.fixture
def site() -> Pages:
    lines = "".join(f"<p>line {index} <button>b{index}</button></p>" for index in range(100))
    return Pages({"/": HOME, "/two": "<h1>Two</h1><a href='/'>home</a>", "/long": lines})


@pytest.fixture
def reader(site: Pages) -> Iterator[Reader]:
    made = Reader({"page": site}, "page", lines=40)
    yield made
    made.close()


def test_a_page_is_read_as_lines_with_references(reader: Reader) -> None:
    lines = reader.text.splitlines()
    assert lines[:3] == ["Page: T (page/)", 'heading "Hello"', 'Some bold text, [1] link "two"']
    assert '[2] textbox "Name" [3] combobox "Colour" = "red" options "red", "blue", "grey" (disabled)' in reader.text
    assert 'slider "Volume" = "3" from 0 to 10' in reader.text
    assert 'button "Off" (disabled)' in reader.text


def test_a_form_is_filled_and_sent_as_a_person_would(reader: Reader, site: Pages) -> None:
    reader.type("textbox", "Name", "Ünï <b>")
    assert 'textbox "Name" = "Ünï <b>"' in reader.text
    reader.type("textbox", "Name", "second")  # in place of the first
    reader.do("select", reader.view.ref("combobox", "Colour"), "blue")
    assert 'combobox "Colour" = "blue"' in reader.text
    assert 'checkbox "Agree" (checked)' in reader.click("checkbox", "Agree")
    assert 'heading "Two"' in reader.click("button", "Go")
    assert site.asked[-1].query == (("n", "second"), ("c", "blue"), ("k", "on"))


def test_enter_sends_a_form(reader: Reader, site: Pages) -> None:
    assert 'heading "Two"' in reader.type("textbox", "Name", "x", submit=True)
    assert site.asked[-1].value("n") == "x"


def test_fields_without_text_take_a_value_or_say_that_they_do_not(reader: Reader) -> None:
    assert 'slider "Volume" = "7"' in reader.type("slider", "Volume", "7")
    assert reader.type("slider", "Volume", "11").startswith("Note: The slider does not take that value.\n")
    assert 'date "Day" = "2026-03-01"' in reader.type("date", "Day", "2026-03-01")
    assert reader.type("date", "Day", "tomorrow").startswith("Note: The date does not take that value.\n")
    assert 'spinbutton "Count" = "12"' in reader.type("spinbutton", "Count", "12")
    assert reader.type("spinbutton", "Count", "many").startswith("Note: The spinbutton does not take that value.\n")
    assert 'spinbutton "Count" = "12"' in reader.text


def test_what_cannot_be_done_is_said_and_nothing_happens(reader: Reader, site: Pages) -> None:
    asked = len(site.asked)
    for role, name, said in (("button", "Off", "That is disabled."), ("textbox", "Fixed", "That is disabled.")):
        action = ("click",) if role == "button" else ("type",)
        arguments = () if role == "button" else ("x", False)
        reader.do(*action, reader.view.ref(role, name), *arguments)
        assert reader.notes() == [said]
    reader.do("type", reader.view.ref("button", "Go"), "x", False)
    assert reader.notes() == ["That is a button, into which nothing can be typed."]
    reader.do("select", reader.view.ref("button", "Go"), "x")
    assert reader.notes() == ["That is a button, not a list; click it."]
    reader.do("select", reader.view.ref("combobox"), "grey")
    assert reader.notes() == ["There is no such option that can be chosen. There are 'red', 'blue', 'grey'."]
    for ref in (0, -1, 999, 10**12):
        reader.do("click", ref)
        assert reader.notes() == [
            "There is no such reference on this page. Use a number in brackets of the last reply."
        ]
    assert len(site.asked) == asked


def test_references_of_hidden_things_and_of_earlier_pages_are_told_apart(reader: Reader) -> None:
    ref, old = reader.view.ref("button", "Vanish"), reader.view.ref("link", "two")
    assert "Vanish" not in reader.do("click", ref)
    reader.do("click", ref)
    assert reader.notes() == ["That is hidden now. Use a number in brackets of the last reply."]
    reader.click("link", "two")
    reader.do("click", old)
    assert reader.notes() == ["That reference is of an earlier page. Use a number in brackets of the last reply."]
    assert 'heading "Two"' in reader.text


def test_back_goes_back_and_says_when_it_cannot(reader: Reader) -> None:
    reader.click("link", "two")
    assert 'heading "Hello"' in reader.do("back")
    assert "page/#end" in reader.click("link", "end")
    assert 'heading "Hello"' in reader.do("back")
    reader.do("back")
    assert reader.notes() == ["There is no page to go back to."]


def test_links_and_scripts_open_tabs(reader: Reader) -> None:
    assert reader.click("link", "aside").startswith("Page: T (page/two), tab 2 of 2\n")
    assert reader.do("switch", 1).startswith("Page: T (page/), tab 1 of 2\n")
    assert reader.click("button", "window").startswith("Page: T (page/two), tab 3 of 3\n")
    reader.do("switch", 9)
    assert reader.notes() == ["There is no tab 9; there are 3."]


def test_a_dialog_is_dismissed_and_told(reader: Reader) -> None:
    reader.click("button", "Alert")
    assert reader.notes() == ["The page said: 'hi' (dismissed)"]
    assert 'heading "Hello"' in reader.text


def test_a_long_page_is_shown_in_parts(reader: Reader) -> None:
    reader.do("goto", "page/long")
    assert "line 0 " in reader.text
    assert "line 40 " not in reader.text
    assert reader.text.endswith("(lines 1 to 40 of 100; scroll shows others)")
    assert "line 40 " in reader.do("scroll", "down")
    assert reader.do("scroll", "down").endswith("(lines 81 to 100 of 100; scroll shows others)")
    reader.do("scroll", "down")
    assert reader.notes() == ["The page does not go further down."]
    assert "line 0 " not in reader.text
    reader.click("button", "b90")
    assert "line 0 " in reader.text


def test_goto_stays_within_the_sites(reader: Reader, site: Pages) -> None:
    assert 'heading "Two"' in reader.do("goto", "/two")
    assert 'heading "Hello"' in reader.do("goto", "page/")
    asked = len(site.asked)
    for path in (
        "http://example.com/", "file:///etc/passwd", "chrome://version", "javascript:alert(1)", "127.0.0.1/",
        "view-source:page/", "other/", "page/ x", "page/\\x", "",
    ):  # fmt: skip
        reader.do("goto", path)
        assert reader.notes()[0].startswith("There is no address "), path
        assert 'heading "Hello"' in reader.text
    assert len(site.asked) == asked
    assert reader.do("goto", "//example.com/").startswith("Page: T (page//example.com/)") or "lost" in reader.text
    assert site.asked[-1].path == "//example.com/"


def test_host_names_are_never_shown(reader: Reader, site: Pages) -> None:
    site.bodies["/who"] = "<p id=p></p><script>document.title = location.host; p.textContent = location.href</script>"
    text = reader.do("goto", "page/who")
    host = site.addresses["page"].split("/")[2]
    assert host.removesuffix(".localhost") not in text
    assert "http://page/who" in text


def test_the_same_page_is_read_the_same_twice(site: Pages) -> None:
    texts = []
    for _ in range(2):
        reader = Reader({"page": site}, "page")
        texts.append([reader.text, reader.click("link", "two"), reader.do("back"), reader.click("checkbox", "Agree")])
        reader.close()
    assert texts[0] == texts[1]
