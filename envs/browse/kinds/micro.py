"""One page, one thing to do: levels 1 and 2. At level 2 there is more on the page, or more to do."""

from __future__ import annotations

from typing import Any

from agentrl.envs.browse.case import Case, Kind
from agentrl.envs.browse.site import slug
from agentrl.envs.browse.sites.micro import Micro
from agentrl.envs.browse.view import Script, View, answered, click, select, type_in
from agentrl.envs.browse.words import Draw

__all__ = ["KINDS"]


def _num(draw: Draw, few: int, many: int) -> int:
    return few if draw.level == 1 else many


def _titles(draw: Draw, num: int) -> list[str]:
    return [f"{style} {thing}" for style, thing in zip(draw.some("styles", num), draw.some("things", num), strict=True)]


def _case(site: Micro, ask: str, solve: Any, *sent: dict[str, str], answer: str = "") -> Case:
    return Case(
        ask=ask, sites={site.name: site}, start=site.name, solve=solve, wanted=site.wanted(*sent), answer=answer
    )


def press_button(draw: Draw) -> Case:
    """Press one of several buttons."""
    names = draw.some("verbs", _num(draw, 3, 8))
    name = draw.pick(names)

    def solve(view: View) -> Script:
        yield click(view.ref("button", name))
        yield answered()

    ask = draw.say("Click the button {}.", "Press {}.", "Click on {}.", "Use the button {}.").format(name)
    return _case(Micro("buttons", "Buttons", names=names), ask, solve, {"pick": name})


def follow_link(draw: Draw) -> Case:
    """Follow one of several links."""
    titles = _titles(draw, _num(draw, 3, 9))
    title = draw.pick(titles)

    def solve(view: View) -> Script:
        yield click(view.ref("link", title))
        yield answered()

    ask = draw.say("Open the link {}.", "Follow the link to {}.", "Go to {}.", "Visit the page {}.").format(title)
    return _case(Micro("links", "Links", titles=titles), ask, solve, {"open": slug(title)})


def tick_boxes(draw: Draw) -> Case:
    """Tick some boxes and send them."""
    names = draw.some("words", _num(draw, 3, 7))
    wanted = [each for each in names if each in draw.shuffled(names)[: _num(draw, 1, 3)]]
    wanted = wanted or names[:1]

    def solve(view: View) -> Script:
        for name in wanted:
            view = yield click(view.ref("checkbox", name))
        yield click(view.ref("button", "Send"))
        yield answered()

    listed = " and ".join(wanted)
    ask = draw.say("Tick {} and send.", "Mark {} only, then send.", "Check {} and click Send.", "Select {}, then send.")
    return _case(Micro("boxes", "Boxes", names=names), ask.format(listed), solve, {"tick": "|".join(wanted)})


def choose_option(draw: Draw) -> Case:
    """Choose an option of a list and send it."""
    names = draw.some("colours", _num(draw, 3, 12))
    name = draw.pick(names[1:])

    def solve(view: View) -> Script:
        view = yield select(view.ref("combobox", "Colour"), name)
        yield click(view.ref("button", "Send"))
        yield answered()

    ask = draw.say(
        "Choose {} and send.", "Set the colour to {} and send.", "Pick {} in the list, then send.", "Send {}."
    )
    return _case(Micro("option", "List", names=names, label="Colour"), ask.format(name), solve, {"pick": name})


def choose_radio(draw: Draw) -> Case:
    """Choose one of several and send it."""
    names = draw.some("cities", _num(draw, 3, 8))
    name = draw.pick(names)

    def solve(view: View) -> Script:
        view = yield click(view.ref("radio", name))
        yield click(view.ref("button", "Send"))
        yield answered()

    ask = draw.say("Choose {} and send.", "Select the city {}, then send.", "Pick {} and send.", "Send the choice {}.")
    return _case(Micro("radio", "Choice", names=names, label="City"), ask.format(name), solve, {"pick": name})


def _field(label: str, kind: str = "text", low: int = 0, high: int = 0) -> dict[str, Any]:
    return {"label": label, "type": kind, "low": low, "high": high}


def _fields(title: str, *fields: dict[str, Any], texts: tuple[str, ...] = (), ticks: tuple[str, ...] = ()) -> Micro:
    return Micro("fields", title, fields=fields, texts=texts, ticks=ticks, button="Send")


def fill_field(draw: Draw) -> Case:
    """Write a text into a field and send it."""
    text = " ".join(draw.some("words", _num(draw, 1, 3)))
    site = _fields("Field", *[_field(each) for each in ("Note", "Subject", "Remark")[: _num(draw, 1, 3)]])
    label = draw.pick([each["label"] for each in site.values["fields"]])
    row = {slug(each["label"]): text if each["label"] == label else "" for each in site.values["fields"]}

    def solve(view: View) -> Script:
        view = yield type_in(view.ref("textbox", label), text)
        yield click(view.ref("button", "Send"))
        yield answered()

    ask = draw.say(
        "Type {} into {} and send.", "Enter {} as {}, then send.", "Write {} into {}; send.", "Fill in {} for {}."
    )
    return _case(site, ask.format(repr(text), label), solve, row)


def pick_date(draw: Draw) -> Case:
    """Set a date and send it."""
    day = draw.day()
    said = f"{day.day} {day:%B} {day.year}" if draw.level == 2 else day.isoformat()

    def solve(view: View) -> Script:
        view = yield type_in(view.ref("date", "Day"), day.isoformat())
        yield click(view.ref("button", "Send"))
        yield answered()

    ask = draw.say(
        "Set the day to {} and send.", "Pick the date {}, then send.", "Choose {} and send.", "Send the day {}."
    )
    return _case(_fields("Date", _field("Day", "date")), ask.format(said), solve, {"day": day.isoformat()})


def read_table(draw: Draw) -> Case:
    """Say a value of a table."""
    num = _num(draw, 3, 10)
    lines = list(zip(draw.people(num), [draw.code() for _ in range(num)], strict=True))
    name, value = draw.pick(lines)

    def solve(view: View) -> Script:
        yield answered(next(cells[1] for cells in view.rows() if cells[0] == name))

    ask = draw.say(
        "Which code has {}?", "Answer with the code of {}.", "What is the code of {}?", "Tell the code of {}."
    )
    site = Micro("table", "Codes", columns=("Name", "Code"), lines=lines, picks=False, sorts=False)
    return _case(site, ask.format(name), solve, answer=value)


def pick_row(draw: Draw) -> Case:
    """Press the button in the row with the largest or the smallest number."""
    num = _num(draw, 3, 12)
    lines = list(zip(draw.some("words", num), draw.numbers(num, 10, 10 * num + 60), strict=True))
    most = draw.chance(0.5)
    name = sorted(lines, key=lambda each: each[1])[-1 if most else 0][0]

    def solve(view: View) -> Script:
        rows = [(int(cells[1]), cells[0]) for cells in view.rows() if len(cells) == 3 and cells[1].isdigit()]
        found = max(rows)[1] if most else min(rows)[1]
        yield click(view.ref("button", "Pick", near=f"{found} | "))
        yield answered()

    which = "largest" if most else "smallest"
    ask = draw.say("Pick the row with the {} number.", "Click Pick where the number is {}.")
    site = Micro("table", "Numbers", columns=("Name", "Number"), lines=lines, picks=True, sorts=draw.level == 2)
    return _case(site, ask.format(which), solve, {"pick": name})


def close_dialog(draw: Draw) -> Case:
    """Close a dialog that lies over the page, then press a button."""
    names = draw.some("verbs", _num(draw, 2, 5) + 1)
    closer, names = names[0], names[1:]
    name = draw.pick(names)
    site = Micro("dialog", "Page", names=names, notice="Notice", text="Something is new.", closers=[closer])

    def solve(view: View) -> Script:
        view = yield click(view.ref("button", closer))
        yield click(view.ref("button", name))
        yield answered()

    ask = draw.say("Close the notice, then click {}.", "Dismiss the dialog and press {}.", "Click {}.", "Press {}.")
    return _case(site, ask.format(name), solve, {"pick": name})


def open_tab(draw: Draw) -> Case:
    """Say the code in a tab panel."""
    num = _num(draw, 3, 7)
    parts = list(zip(draw.some("styles", num), [draw.code() for _ in range(num)], strict=True))
    name, code = draw.pick(parts[1:])

    def solve(view: View) -> Script:
        view = yield click(view.ref("tab", name))
        yield answered(view.after("The code is "))

    ask = draw.say(
        "Which code is in the tab {}?", "Answer with the code in the tab {}.", "What code does the tab {} show?"
    )
    return _case(Micro("tabs", "Tabs", parts=parts), ask.format(name), solve, answer=code)


def unfold(draw: Draw) -> Case:
    """Say the code in a section that is folded."""
    num = _num(draw, 3, 8)
    parts = list(zip(draw.some("things", num), [draw.code() for _ in range(num)], strict=True))
    name, code = draw.pick(parts)

    def solve(view: View) -> Script:
        view = yield click(view.ref("disclosure", name))
        yield answered(view.after("The code is "))

    ask = draw.say("Which code is in the section {}?", "Answer with the code under {}.", "What code is below {}?")
    return _case(Micro("details", "Sections", parts=parts), ask.format(name), solve, answer=code)


def copy_text(draw: Draw) -> Case:
    """Copy a text of the page into a field and send it."""
    num = _num(draw, 1, 4)
    codes = dict(zip(draw.some("words", num), [draw.code() for _ in range(num)], strict=True))
    name = draw.pick(list(codes))
    site = _fields("Copy", _field("Code"), texts=tuple(f"{each}: {code}" for each, code in codes.items()))

    def solve(view: View) -> Script:
        view = yield type_in(view.ref("textbox", "Code"), view.after(f"{name}: "))
        yield click(view.ref("button", "Send"))
        yield answered()

    ask = draw.say("Copy the code of {} into the field and send.", "Send the code that stands behind {}.")
    return _case(site, ask.format(name), solve, {"code": codes[name]})


def search(draw: Draw) -> Case:
    """Search for a word and follow the right result."""
    titles = _titles(draw, 12)
    thing = titles[0].split()[1]
    titles += [f"{style} {thing}" for style in draw.some("styles", 16)[12:]]
    title = draw.pick([each for each in titles if thing in each])

    def solve(view: View) -> Script:
        view = yield type_in(view.ref("searchbox", "Search"), thing, submit=True)
        yield click(view.ref("link", title))
        yield answered()

    ask = draw.say("Search for {1} and open {0}.", "Find {0} by searching, and open it.", "Look up {1}; follow {0}.")
    return _case(Micro("search", "Search", titles=titles), ask.format(title, thing), solve, {"open": slug(title)})


def set_slider(draw: Draw) -> Case:
    """Set a slider and send it."""
    high = draw.pick((10, 20, 50, 100))
    wanted = draw.whole(1, high)
    role, kind = draw.pick((("slider", "range"), ("spinbutton", "number")))

    def solve(view: View) -> Script:
        view = yield type_in(view.ref(role, "Volume"), str(wanted))
        yield click(view.ref("button", "Send"))
        yield answered()

    ask = draw.say("Set the volume to {} and send.", "Send a volume of {}.", "Change the volume to {}, then send.")
    return _case(_fields("Volume", _field("Volume", kind, 0, high)), ask.format(wanted), solve, {"volume": str(wanted)})


def small_form(draw: Draw) -> Case:
    """Fill in a form of several fields."""
    (person,), city, age = draw.people(1), draw.one("cities"), draw.whole(18, 90)
    news = draw.chance(0.5)
    site = _fields("Sign up", _field("Name"), _field("City"), _field("Age", "number", 0, 120), ticks=("Newsletter",))
    row = {"name": person, "city": city, "age": str(age), **({"newsletter": "on"} if news else {})}

    def solve(view: View) -> Script:
        view = yield type_in(view.ref("textbox", "Name"), person)
        view = yield type_in(view.ref("textbox", "City"), city)
        view = yield type_in(view.ref("spinbutton", "Age"), str(age))
        if news:
            view = yield click(view.ref("checkbox", "Newsletter"))
        yield click(view.ref("button", "Send"))
        yield answered()

    what = "with" if news else "without"
    ask = draw.say(
        "Sign up {}, {}, from {}, {} the newsletter.", "Send the form for {}, aged {}, of {}, {} newsletter."
    )
    return _case(site, ask.format(person, age, city, what), solve, row)


def log_in(draw: Draw) -> Case:
    """Log in with a name and a password."""
    name, secret = draw.one("names").lower(), draw.code()

    def solve(view: View) -> Script:
        view = yield type_in(view.ref("textbox", "User"), name)
        view = yield type_in(view.ref("textbox", "Password"), secret, submit=True)
        yield answered()

    ask = draw.say("Log in as {} with the password {}.", "Sign in: user {}, password {}.")
    site = Micro(
        "fields", "Log in", fields=(_field("User"), _field("Password", "password")), texts=(), ticks=(), button="Log in"
    )
    return _case(site, ask.format(name, secret), solve, {"user": name, "password": secret})


def filter_list(draw: Draw) -> Case:
    """Pick a row of a long list by its two cells."""
    words, cities = draw.some("words", 12), draw.some("cities", 3)
    lines = draw.shuffled([(word, city) for word in words for city in cities])[:30]
    name, city = draw.pick(lines)

    def solve(view: View) -> Script:
        view = yield type_in(view.ref("textbox", "Filter"), name)
        yield click(view.ref("button", "Pick", near=f"{name} | {city} | "))
        yield answered()

    ask = draw.say("Pick {} in {}.", "Choose the row {} of {}.", "Click Pick for {}, {}.", "Take {} from {}.")
    return _case(Micro("filter", "Stock", lines=lines), ask.format(name, city), solve, {"pick": f"{name}/{city}"})


def new_tab(draw: Draw) -> Case:
    """Follow a link that opens a tab of its own, and say the code there."""
    titles = _titles(draw, 6)
    title = draw.pick(titles)
    codes = {each: draw.code() for each in titles}

    def solve(view: View) -> Script:
        view = yield click(view.ref("link", title))
        yield answered(view.after(f"The code of {title} is ").rstrip("."))

    ask = draw.say("Which code has {}? Open only its page.", "Open the page of {} and answer with its code.")
    return _case(
        Micro("newtab", "Pages", titles=titles, codes=codes),
        ask.format(title),
        solve,
        {"open": slug(title)},
        answer=codes[title],
    )


def stepper(draw: Draw) -> Case:
    """Set a number by pressing More or Less."""
    low, steps = draw.whole(3, 9), draw.whole(2, 4) * draw.pick((-1, 1))
    wanted = low + steps

    def solve(view: View) -> Script:
        for _ in range(abs(steps)):
            view = yield click(view.ref("button", "More" if steps > 0 else "Less"))
        yield click(view.ref("button", "Send"))
        yield answered()

    ask = draw.say("Bring the guests to {} and send.", "Set the guests to {}, then send.", "Send {} guests.")
    return _case(
        Micro("stepper", "Guests", label="Guests", low=low), ask.format(wanted), solve, {"amount": str(wanted)}
    )


def menu(draw: Draw) -> Case:
    """Open a menu and press an entry of it; other menus have the same one."""
    names, entries = draw.some("things", 4), draw.some("verbs", 5)
    menus = [(name, draw.shuffled(entries)[:3]) for name in names]
    name, those = draw.pick(menus)
    entry = draw.pick(those)

    def solve(view: View) -> Script:
        view = yield click(view.ref("button", name))
        yield click(view.ref("button", entry))
        yield answered()

    ask = draw.say("In the menu {}, click {}.", "Open {} and press {}.", "Use {}, then {}.", "Choose in {}: {}.")
    return _case(Micro("menu", "Menus", menus=menus), ask.format(name, entry), solve, {"pick": f"{name}/{entry}"})


_BOTH = (
    press_button, follow_link, tick_boxes, choose_option, choose_radio, fill_field, read_table, pick_row, close_dialog,
    open_tab, unfold, copy_text, set_slider,
)  # fmt: skip
_SECOND = (pick_date, search, small_form, log_in, filter_list, new_tab, stepper, menu)

KINDS = (
    *(Kind(name=each.__name__.replace("_", "-"), levels=(1, 2), make=each) for each in _BOTH),
    *(Kind(name=each.__name__.replace("_", "-"), levels=(2,), make=each) for each in _SECOND),
)
"""Every kind of this file."""
